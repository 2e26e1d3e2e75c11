from dataclasses import replace

import pytest

from components.common.errors import InventoryError
from components.documents.block import GivenSplit
from tests.packed_bins import RawBin, pack, photo
from tests.split.warehouse import listed, opened
from tests.steps import split_bins


def given(number: int, splits: dict[str, GivenSplit | None]) -> list[RawBin]:
    """Bins of which each belongs to the split of the word that its id begins with."""
    return [
        RawBin(f"{word}/{place}", place % 5 + 1, [f"{word}{place}"], split=split)
        for word, split in splits.items()
        for place in range(number)
    ]


WHOLE: dict[str, GivenSplit | None] = {"a": "train", "b": "validation", "c": "test"}


def test_the_splits_of_the_source_are_used_as_they_are(store):
    raw = given(20, WHOLE)
    raw[1].asins = raw[41].asins = raw[42].asins
    raw[2].image, raw[43].image = photo(seed=5), photo(seed=5)
    raw[43].quantity = raw[2].quantity
    dataset = split_bins(store, pack(store, raw), "90/5/5")
    for (word, split), bins in zip(WHOLE.items(), opened(store, dataset).values(), strict=True):
        assert set(bins.ids) == {bin_.id for bin_ in raw if bin_.split == split}, word
    assert (dataset.method, dataset.ratios) == ("source", pytest.approx([1 / 3] * 3))
    assert dataset.shared_products == {"validation": 0, "test": 3}
    notes = "\n".join(dataset.notes)
    assert "the parameter split has no say" in notes
    assert "warning: of 20 test bins 2 share a product with a training bin and 1 show the same photo as one" in notes
    assert "validation bins" not in notes
    assert "the splits came out as" not in notes


@pytest.mark.parametrize(
    ("splits", "drawn"),
    [
        ({"a": "train", "c": "test"}, ["validation"]),
        ({"a": "train", "b": "validation"}, ["test"]),
        ({"a": "train"}, ["validation", "test"]),
    ],
)
def test_a_split_that_the_source_lacks_is_drawn_from_its_training_bins(store, splits, drawn):
    raw = given(50, splits)
    for one, other in zip(raw[:50:2], raw[1:50:2], strict=True):
        other.asins = one.asins
    dataset = split_bins(store, pack(store, raw), "60/20/20")
    assert dataset.shared_products == {"validation": 0, "test": 0}
    parts = opened(store, dataset)
    for word, split in splits.items():
        ids = {id_ for name in (split, *(drawn if split == "train" else [])) for id_ in parts[name].ids}
        assert ids == {bin_.id for bin_ in raw if bin_.id.startswith(word)}
    assert all(len(parts[name]) == pytest.approx(50 * 0.2 / (1 - 0.2 * (2 - len(drawn))), abs=2) for name in drawn)
    assert any(
        f"gives no {' and no '.join(drawn)} bins: drawn from its training bins" in note for note in dataset.notes
    )


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"a": "train", "b": None}, "gives 20 bins a split and 20 none, such as b/0; give every bin one of train, val"),
        ({"b": "validation", "c": "test"}, "to validation and test only; give some to train"),
    ],
)
def test_splits_that_cannot_be_used_are_one_line(store, splits, message):
    with pytest.raises(InventoryError, match=message) as caught:
        split_bins(store, pack(store, given(20, splits)), "60/20/20")
    assert "\n" not in str(caught.value)


def test_extra_bins_are_trained_on_unless_the_source_holds_them_out(store):
    raw = given(20, WHOLE)
    further = [replace(bin_, id=f"x{bin_.id}", quantity=9) for bin_ in raw]
    dataset = split_bins(store, pack(store, raw + further, extra_counts=[9]), "60/20/20")
    assert dataset.extra.bins == 20
    assert dataset.exclusions == {"extra bin of a held-out split": 40}
    assert listed(store, dataset)["xc/0"][1] == "the source gives it to test"
