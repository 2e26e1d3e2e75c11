import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.counter.dataset import open_extra
from components.counter.splits import SPLITS
from components.split.copies import CONTRADICTION
from tests.packed_bins import RawBin, pack, photo
from tests.split.warehouse import listed, opened, products_of, warehouse
from tests.steps import split_bins


def test_no_product_is_in_two_splits_by_its_asin_or_by_the_code_it_stands_under(store):
    draw = random.Random(1)
    raw = [
        RawBin(
            f"{place:05}",
            draw.randint(1, 5),
            asins := [f"B{draw.randrange(300):09}" for _ in range(draw.randint(1, 2))],
            # an ASIN has one code of its own for each of three sellers, and now and then one that others have too
            codes={asin: draw.choice([f"ZZ{asin}{draw.randrange(3)}", f"X{draw.randrange(200):03}"]) for asin in asins},
        )
        for place in range(200)
    ]
    dataset = split_bins(store, pack(store, raw), "60/20/20")
    assert dataset.shared_products == {"validation": 0, "test": 0}
    parts = list(opened(store, dataset).values())
    for field in ("asin", "fcsku"):
        by_part = [products_of(bins, field) for bins in parts]
        assert not any(one & other for one in by_part for other in by_part if one is not other)
    assert set.union(*(products_of(bins, "fcsku") for bins in parts)) == {
        c for bin_ in raw for c in bin_.codes.values()
    }
    random_one = split_bins(store, pack(store, raw), "60/20/20", "random")
    assert random_one.shared_products["test"] > 0


@pytest.mark.parametrize("name", ["unknown", "N/A", "default-item-000"], ids=["word", "abbreviation", "most bins"])
def test_what_stands_for_no_product_joins_nothing_and_is_named(store, name):
    raw = [
        RawBin(f"{place:03}", place % 5 + 1, [name if place < 160 else f"P{place // 2}", f"Q{place // 2}"])
        for place in range(200)
    ]
    dataset = split_bins(store, pack(store, raw), "70/10/20")
    assert [dataset.splits[split].bins for split in SPLITS] == [140, 20, 40]
    assert dataset.shared_products == {"validation": 0, "test": 0}
    assert dataset.placeholders == {name.upper(): 0.8}
    assert any(f"taken for no product: '{name.upper()}' (in 80% of the bins)" in note for note in dataset.notes)
    for bins in opened(store, dataset).values():
        assert name.upper() not in products_of(bins, "asin")
        assert any("product " in title for title in products_of(bins, "name"))


def test_a_product_in_half_of_the_bins_stays_a_product(store):
    raw = [RawBin(f"{place:03}", place % 5 + 1, ["B1" if place % 2 else f"P{place}"]) for place in range(200)]
    dataset = split_bins(store, pack(store, raw), "70/10/20")
    assert not dataset.placeholders
    assert dataset.shared_products == {"validation": 0, "test": 0}
    assert any("link 50% of the bins into one group, 'B1' alone 50%" in note for note in dataset.notes)


ODD_BINS = st.lists(
    st.builds(
        lambda quantity, asins, code, picture, damage: RawBin(
            "",
            quantity,
            asins,
            photo(300, 200, seed=picture)[: -100 if damage else None],
            codes=dict.fromkeys(asins[:1], code),
        ),
        quantity=st.integers(0, 7),
        asins=st.lists(st.sampled_from(["B1", "B2", "B3", "unknown", "", "-"]), max_size=2, unique=True),
        code=st.sampled_from(["B2", "ZZ1", "ZZ2", "n/a"]),
        picture=st.integers(0, 12),
        damage=st.booleans(),
    ),
    max_size=25,
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(ODD_BINS)
def test_every_bin_is_used_or_listed_and_what_is_used_leaks_nothing(store, odd):
    for place, bin_ in enumerate(odd):
        bin_.id = f"odd {place}"
    raw = [*warehouse(40, 5000), *odd]
    dataset = split_bins(store, pack(store, raw, counts=[1, 2, 3, 4, 5], extra_counts=[6]), "60/20/20")
    parts = opened(store, dataset) | {"extra": open_extra(store, dataset)}
    used = [id_ for bins in parts.values() for id_ in bins.ids]
    left_out = listed(store, dataset)
    assert sorted([*used, *left_out]) == sorted(bin_.id for bin_ in raw)

    for field in ("asin", "fcsku"):
        trained = products_of(parts["train"], field) | products_of(parts["extra"], field)
        held_out = products_of(parts["validation"], field) | products_of(parts["test"], field)
        assert trained & held_out <= {None}
        assert not (trained | held_out) & {"UNKNOWN", "", "-", "N/A"}
    counts_of_photo: dict[bytes, set[int]] = {}
    for bins in parts.values():
        for row, quantity in enumerate(bins.table.column("expected_quantity").to_pylist()):
            counts_of_photo.setdefault(bytes(bins.image(row)), set()).add(quantity)
    assert all(len(counts) == 1 for counts in counts_of_photo.values())
    assert {bin_.id for bin_ in raw if bin_.quantity in (0, 7)} == {
        id_ for id_, (reason, _) in left_out.items() if reason == "count not selected"
    }
    assert {reason for reason, _ in left_out.values()} <= {
        CONTRADICTION,
        "count not selected",
        "unreadable photo",
        "extra bin shares a product with a held-out bin",
    }
