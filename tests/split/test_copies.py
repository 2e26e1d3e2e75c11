import io
from dataclasses import replace

from PIL import Image

from components.split.copies import CONTRADICTION
from tests.packed_bins import RawBin, pack, photo
from tests.split.warehouse import listed, opened, warehouse
from tests.steps import split_bins


def with_copies(number: int) -> list[RawBin]:
    """Own photos without products, every third of them twice."""
    images = [photo(seed=place) for place in range(number)]
    raw = [RawBin(f"{place:03}.jpg", place % 5 + 1, image=image) for place, image in enumerate(images)]
    return raw + [replace(bin_, id=f"{bin_.id} (1)") for bin_ in raw[::3]]


def test_copies_of_a_photo_stay_in_one_split(store):
    raw = with_copies(90)
    dataset = split_bins(store, pack(store, raw), "60/20/20")
    split_of = {id_: split for split, bins in opened(store, dataset).items() for id_ in bins.ids}
    assert len(split_of) == 120
    assert all(split_of[bin_.id] == split_of[f"{bin_.id} (1)"] for bin_ in raw[:90:3])
    assert dataset.shared_products == {"validation": 0, "test": 0}
    assert "120 bins form 90 product groups; the largest holds 2 bins" in dataset.notes
    assert any("no bin lists its products" in note for note in dataset.notes)
    assert split_bins(store, pack(store, raw), "60/20/20", "random").shared_products["test"] > 0


def test_a_photo_of_many_bins_is_a_placeholder_and_joins_nothing(store):
    counted = [replace(bin_, quantity=place % 5 + 1) for place, bin_ in enumerate(warehouse(60, 5000))]
    raw = [replace(bin_, image=photo(seed=bin_.quantity)) for bin_ in counted]
    dataset = split_bins(store, pack(store, raw), "60/20/20")
    one_each = split_bins(store, pack(store, counted), "60/20/20")
    ids = {name: set(bins.ids) for name, bins in opened(store, dataset).items()}
    assert ids == {name: set(bins.ids) for name, bins in opened(store, one_each).items()}
    assert any(note.startswith("5 photos are the same in more than 4 bins") for note in dataset.notes)


def test_a_photo_under_two_counts_is_in_no_split_and_listed_with_the_others(store):
    same = photo(seed=7)
    as_png = io.BytesIO()
    Image.open(io.BytesIO(same)).save(as_png, "PNG")
    doubtful = [RawBin("a", 1, image=same), RawBin("b", 3, image=same), RawBin("c", 1, image=as_png.getvalue())]
    dataset = split_bins(store, pack(store, [*warehouse(60, 5000), *doubtful]), "60/20/20")
    assert {id_ for bins in opened(store, dataset).values() for id_ in bins.ids}.isdisjoint("abc")
    why = listed(store, dataset)
    assert why == {
        "a": (CONTRADICTION, "EXPECTED_QUANTITY is 1, but with the same photo b has 3, c has 1"),
        "b": (CONTRADICTION, "EXPECTED_QUANTITY is 3, but with the same photo a has 1, c has 1"),
        "c": (CONTRADICTION, "EXPECTED_QUANTITY is 1, but with the same photo b has 3, a has 1"),
    }
    assert any(note.startswith("3 bins are left out as doubtful") for note in dataset.notes)


def test_a_photo_of_very_many_bins_with_different_counts_names_a_few(store):
    black = [RawBin(f"x{place:02}", place % 5 + 1, image=photo(seed=7)) for place in range(30)]
    why = listed(store, split_bins(store, pack(store, [*warehouse(60, 5000), *black]), "60/20/20"))
    assert len(why) == 30
    assert why["x00"][1].endswith("x01 has 2, x02 has 3, x03 has 4, x04 has 5, x06 has 2 and 24 more")


def test_counts_that_an_open_top_makes_one_do_not_contradict_each_other(store):
    more = [RawBin("six", 6, image=photo(seed=7)), RawBin("seven", 7, image=photo(seed=7))]
    bins = pack(store, [*warehouse(60, 5000), *more], counts=[1, 2, 3, 4, 5], open_top=True)
    assert not split_bins(store, bins, "60/20/20").exclusions


def test_a_photo_of_a_bin_and_of_an_extra_one_is_in_neither(store):
    raw = warehouse(60, 5000)
    copies = [replace(bin_, id=f"x{bin_.id}", quantity=9, image=bin_.row()["image"], asins=[]) for bin_ in raw[:9]]
    dataset = split_bins(store, pack(store, raw + copies, extra_counts=[9]), "60/20/20")
    assert dataset.exclusions == {CONTRADICTION: 18}
    assert dataset.extra is None
