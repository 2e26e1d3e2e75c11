import pytest

from components.tables.names import Names

ON_A_SHELF = ["shelf/00003.png", "shelf/b-7.jpg", "a/9.jpg", "b/9.jpg"]
APART = "Beha\u0308lter.heic"
THERE = ["00001.jpg", "00002.JPG", *ON_A_SHELF, "10.jpg", "10.png", "ä.jpg", APART]


@pytest.mark.parametrize(
    ("written", "name", "remark"),
    [
        ("00001", "00001.jpg", ""),
        ("00001.jpg", "00001.jpg", ""),
        ("00002", "00002.JPG", ""),
        ("1", "00001.jpg", "1 was taken for 00001.jpg"),
        ("1.0", "00001.jpg", "1.0 was taken for 00001.jpg"),
        ("00003", "shelf/00003.png", ""),
        ("3", "shelf/00003.png", "3 was taken for 00003.png"),
        ("B-7", "shelf/b-7.jpg", "B-7 was taken for b-7.jpg"),
        (r"shelf\b-7.jpg", "shelf/b-7.jpg", ""),
        ("other/b-7.jpg", None, ""),
        ("9", None, "9 may be any of a/9.jpg, b/9.jpg"),
        ("a/9", "a/9.jpg", ""),
        ("10", "10.jpg", ""),
        ("Ã¤", "ä.jpg", "Ã¤ was taken for ä.jpg"),
        ("Behälter", APART, ""),
        ("behälter.heic", APART, f"behälter.heic was taken for {APART}"),
        ("4", None, ""),
        ("", None, ""),
    ],
)
def test_the_only_name_that_can_be_meant_is_found(written, name, remark):
    assert Names(THERE).match(written) == (name, remark)


def test_ids_that_differ_in_zeros_only_are_told_apart_as_written():
    names = Names(["1", "00001", "001"])
    assert [names.match(id_).name for id_ in ("1", "00001", "001", "01")] == ["1", "00001", "001", None]
