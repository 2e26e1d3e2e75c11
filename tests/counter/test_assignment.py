import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.common.errors import InventoryError
from components.counter.assignment import assign, refuse_empty, units_of

RATIOS = [0.7, 0.1, 0.2]


def groups_of(bins: int, seed: int = 0, mean: int = 2):
    """Group numbers of random sizes, and labels."""
    draw = np.random.default_rng(seed)
    return np.sort(draw.integers(0, bins // mean, bins)).astype(np.int32), draw.choice(
        5, bins, p=[0.12, 0.22, 0.26, 0.22, 0.18]
    ).astype(np.int16)


@given(st.integers(0, 50), st.sampled_from([[0.9, 0.05, 0.05], [0.7, 0.1, 0.2], [0.34, 0.33, 0.33]]))
def test_a_unit_is_never_divided(seed, ratios):
    units, labels = groups_of(300, seed)
    parts = assign(units, labels, ratios, seed)
    for unit in np.unique(units):
        assert len(set(parts[units == unit])) == 1


@pytest.mark.parametrize("ratios", [[0.9, 0.05, 0.05], [0.7, 0.1, 0.2]])
def test_every_split_gets_its_share_of_every_count(ratios):
    units, labels = groups_of(4000)
    parts = assign(units, labels, ratios, seed=3)
    for label in range(5):
        got = np.bincount(parts[labels == label], minlength=3)
        assert got == pytest.approx(np.array(ratios) * (labels == label).sum(), abs=2)


def test_one_huge_group_goes_to_training_and_the_rest_fills_the_others():
    units = np.concatenate([np.zeros(600), np.arange(1, 401)]).astype(np.int32)
    labels = np.tile(np.arange(5), 200).astype(np.int16)
    sizes = np.bincount(assign(units, labels, RATIOS, seed=0))
    assert sizes == pytest.approx([700, 100, 200], abs=2)


def test_the_seed_decides_the_draw():
    units, labels = groups_of(500)
    first, again, other = (assign(units, labels, RATIOS, seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_a_small_set_still_fills_the_small_splits():
    labels = np.tile(np.arange(5), 12).astype(np.int16)
    parts = assign(np.arange(60, dtype=np.int32), labels, [0.9, 0.05, 0.05], seed=0)
    assert np.bincount(parts).tolist() == [54, 3, 3]


@pytest.mark.parametrize("units", [[0, 0, 0, 0], [0, 0, 1, 1], []], ids=["one group", "two groups", "no bins"])
def test_fewer_groups_than_splits_is_refused(units):
    with pytest.raises(InventoryError, match="too few for the 3 splits; select more bins"):
        assign(np.array(units, dtype=np.int32), np.zeros(len(units), dtype=np.int16), RATIOS, 0)


def test_an_empty_split_is_refused_by_name():
    with pytest.raises(InventoryError, match="validation split would hold no bin"):
        refuse_empty(np.array([0, 0, 2], dtype=np.int8), RATIOS)


def test_blocks_are_runs_of_neighbouring_ids_and_ids_are_never_numbers():
    ids = [f"{number:05}" for number in range(1000)] + ["1", "7", "100000"]
    shuffled = np.random.default_rng(0).permutation(ids).tolist()
    units = dict(zip(shuffled, units_of("blocks", shuffled, np.zeros(len(ids), dtype=np.int32)).tolist(), strict=True))
    in_order = ["1", "7", *ids[:1000], "100000"]
    numbers = [units[id_] for id_ in in_order]
    assert numbers == sorted(numbers)
    assert np.bincount(numbers).max() == 6


def test_products_keep_groups_and_random_keeps_nothing_together():
    groups = np.array([0, 0, 1], dtype=np.int32)
    assert units_of("products", ["a", "b", "c"], groups).tolist() == [0, 0, 1]
    assert units_of("random", ["a", "b", "c"], groups).tolist() == [0, 1, 2]
