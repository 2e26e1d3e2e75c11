import pytest

from components.common.errors import InventoryError
from components.download.selection import (
    Selection,
    groups,
    hash_order_key,
    in_order,
    parse_file_list,
    preselect,
)
from components.settings.counts import parse_counts, parse_extra_counts
from components.sources.source import Entry


@pytest.mark.parametrize(
    ("text", "counts"),
    [("1-5", [1, 2, 3, 4, 5]), ("0-2", [0, 1, 2]), ("1,2,3", [1, 2, 3]), ("7", [7]), ("3, 1-2,2", [1, 2, 3])],
)
def test_counts_are_a_range_or_a_list(text, counts):
    assert parse_counts(text) == counts


@pytest.mark.parametrize("text", ["", "five", "5-1", "-1", "1-", "1..5", "1-100000", "1,,2", "²"])
def test_other_counts_are_refused_in_one_line(text):
    with pytest.raises(InventoryError, match="counts is"):
        parse_counts(text)


@pytest.mark.parametrize(
    ("quantity", "open_top", "count"),
    [(3, False, 3), (0, False, None), (9, False, None), (9, True, 5), (0, True, None)],
)
def test_an_open_top_takes_larger_quantities_as_the_last_count(quantity, open_top, count):
    assert Selection([1, 2, 3, 4, 5], open_top).count_of(quantity) == count


@pytest.mark.parametrize(
    ("text", "counts", "open_top", "extra"),
    [
        ("", "1-5", False, ([], False)),
        ("auto", "1-5", False, ([0, 6, 7, 8], True)),
        ("auto", "0-2", False, ([3, 4, 5], True)),
        ("auto", "4-5", True, ([1, 2, 3], False)),
        ("0,6-7", "1-5", False, ([0, 6, 7], False)),
        ("6+", "1-5", False, ([6], True)),
        ("2", "1,3", False, ([2], False)),
    ],
)
def test_extra_counts_are_a_list_with_an_open_top_or_the_neighbours(text, counts, open_top, extra):
    assert parse_extra_counts(text, parse_counts(counts), open_top) == extra


@pytest.mark.parametrize(
    ("text", "open_top", "message"),
    [
        ("5-6", False, "the model is to answer 5 itself"),
        ("0+", False, "the model is to answer 5 itself"),
        ("6", True, "the model is to answer 6 itself"),
        ("many", False, "write a range"),
    ],
)
def test_extra_counts_that_the_model_answers_itself_are_refused(text, open_top, message):
    with pytest.raises(InventoryError, match=message):
        parse_extra_counts(text, [1, 2, 3, 4, 5], open_top)


def test_extra_quantities_are_taken_beside_the_counts_each_under_its_limit():
    selection = Selection([1, 2], limit_per_count=1, extra=[0, 3], extra_top=True)
    assert [selection.count_of(quantity) for quantity in (0, 1, 2, 3, 40)] == [0, 1, 2, 3, 3]
    assert [selection.take(count) for count in (1, 1, 2, 0, 3, 3)] == [True, False, True, True, True, False]
    assert selection.is_full
    assert selection.range == "1-2 and, for training only, 0,3+"


def entries(number: int) -> list[Entry]:
    return in_order(Entry(f"{index:05d}", "v", 1000) for index in range(number))


def test_the_order_has_nothing_to_do_with_the_ids_and_is_always_the_same():
    ids = [entry.id for entry in entries(2000)]
    assert ids == [entry.id for entry in in_order(reversed(entries(2000)))]
    first = [int(id_) for id_ in ids[:500]]
    assert 850 < sum(first) / len(first) < 1150


def cut(found: list[Entry]) -> list[tuple[str, ...]]:
    return [
        tuple(entry.id for entry, _ in group) for group in groups(((entry, None) for entry in found), 256, 512, 10**9)
    ]


def test_groups_have_a_few_hundred_bins_and_keep_all_in_order():
    found = entries(5000)
    cuts = cut(found)
    assert [id_ for group in cuts for id_ in group] == [entry.id for entry in found]
    assert all(256 <= len(group) <= 512 for group in cuts[:-1])


def test_a_bin_that_goes_leaves_most_groups_as_they_were():
    found = entries(20_000)
    before, after = set(cut(found)), set(cut(found[:100] + found[101:]))
    assert len(before - after) <= 4


def test_large_photos_make_groups_of_fewer_bins():
    large = [(Entry(str(index), "v", 20_000_000), None) for index in range(10)]
    assert [len(group) for group in groups(large, 256, 512, 64_000_000)] == [4, 4, 2]


def test_a_file_list_gives_every_id_its_count():
    listed = parse_file_list(b'{"1": ["data/metadata/00001.json"], "2": ["data/metadata/1.json"]}', "list")
    assert listed == {"00001": 1, "1": 2}


def test_a_file_list_may_be_written_by_any_program_and_name_a_count_twice():
    text = '{"1": ["data/a.json"], "2": ["data\\\\b.json"], "1": ["c.json"]}'
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert parse_file_list(text.encode(encoding), "list") == {"a": 1, "b": 2, "c": 1}


@pytest.mark.parametrize(
    "data",
    [
        b"[[0, 1], [16, 3]]",
        b"id,count\n00001,1\n00017,3.0\n00018,\n",
        b"Image;Menge\r\nimages/00001.jpg;1\r\nimages/00017.JPG;3\r\n;4\r\n",
    ],
)
def test_a_file_list_may_be_a_table(data):
    assert parse_file_list(data, "list") == {"00001": 1, "00017": 3}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"id,count\na,1\na,2\n",
        b"id,count\na,\n",
        b"bins\n00001\n",
        b'{"one": ["a.json"]}',
        b'{"1": 3}',
        b'{"1": [3]}',
        b'{"1": ["a.jpg"]}',
        b'{"1": ["a.json"], "2": ["x/a.json"]}',
    ],
)
def test_another_file_list_is_refused_in_one_line(data):
    with pytest.raises(InventoryError, match="file list"):
        parse_file_list(data, "list.json")


def test_a_limit_picks_from_a_file_list_what_comes_first_in_the_order():
    listed = {f"{index:05d}": index % 7 for index in range(700)}
    chosen = preselect(listed, Selection([1, 2], limit_per_count=10))
    for count in (1, 2):
        mine = [id_ for id_, number in chosen.items() if number == count]
        all_of_count = sorted((id_ for id_, number in listed.items() if number == count), key=hash_order_key)
        assert mine == all_of_count[:10]
    assert set(chosen.values()) == {1, 2}
