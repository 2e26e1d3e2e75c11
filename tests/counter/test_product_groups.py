import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.counter.product_groups import bins_sharing_products, largest_share, product_groups

BINS = st.lists(st.lists(st.sampled_from("abcdefghijklmnop"), max_size=3), min_size=1, max_size=40)


@pytest.mark.parametrize(
    ("asins", "expected"),
    [
        ([["a"], ["b"], ["a"]], [0, 1, 0]),
        ([["a"], ["c"], ["a", "b"], ["b", "c"]], [0, 0, 0, 0]),
        ([["a"], ["b"], ["c"], ["c", "b"]], [0, 1, 1, 1]),
        ([[], [], ["a"]], [0, 1, 2]),
        ([["a", "a"]], [0]),
        ([["a", b"1"], [b"2"], [b"1"], ["b", b"2"], ["b", b"3"]], [0, 1, 0, 1, 1]),
    ],
    ids=["shared", "through others", "numbered as they appear", "without products", "twice in one bin", "photos"],
)
def test_bins_that_share_a_product_share_a_group(asins, expected):
    assert product_groups(asins).tolist() == expected


@given(BINS)
def test_groups_are_the_connected_components(asins):
    groups = product_groups(asins)
    # The slow way: spread the smallest row number along shared products until nothing changes.
    smallest = list(range(len(asins)))
    for _ in asins:
        for one, products in enumerate(asins):
            for other, others in enumerate(asins):
                if set(products) & set(others):
                    smallest[one] = min(smallest[one], smallest[other])
    same_component = np.equal.outer(smallest, smallest)
    assert (np.equal.outer(groups, groups) == same_component).all()


@given(BINS)
def test_photos_without_copies_leave_the_groups_as_they_are(asins):
    keys = [[*products, row.to_bytes(2)] for row, products in enumerate(asins)]
    assert product_groups(keys).tolist() == product_groups(asins).tolist()


def test_a_bin_shares_with_training_when_any_of_its_products_does():
    asins = [["a", "b"], ["b"], ["c"], [], ["a", "c"]]
    parts = np.array([0, 1, 1, 1, 2], dtype=np.int8)
    assert bins_sharing_products(asins, parts, part=1, other=0) == 1
    assert bins_sharing_products(asins, parts, part=2, other=0) == 1
    assert bins_sharing_products(asins, parts, part=2, other=1) == 1


def test_largest_share_is_a_fraction_of_the_bins():
    assert largest_share(np.array([0, 1, 1, 1], dtype=np.int32)) == 0.75
