import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.download.checks import NO_PHOTO, BadBinError, check_photo, read_metadata
from tests.sources.bins_on_disk import metadata, photo

GOOD = photo()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"{not json", "metadata is not JSON"),
        (b"", "metadata is not JSON"),
        (b"\xff\xfe\x00", "metadata is not JSON"),
        (b"[" * 100_000, "metadata is not JSON"),
        (b'{"EXPECTED_QUANTITY": ' + b"9" * 5000 + b"}", "metadata is not JSON"),
        (b'{"EXPECTED_QUANTITY": 1, "EXPECTED_QUANTITY": 2}', "metadata is not JSON"),
        (b"[]", "no EXPECTED_QUANTITY"),
        (b"{}", "no EXPECTED_QUANTITY"),
        (metadata("3"), "EXPECTED_QUANTITY is not a count"),
        (metadata(3.0), "EXPECTED_QUANTITY is not a count"),
        (metadata(None), "EXPECTED_QUANTITY is not a count"),
        (metadata(True), "EXPECTED_QUANTITY is not a count"),
        (metadata(-1), "EXPECTED_QUANTITY is not a count"),
        (metadata(10**12), "EXPECTED_QUANTITY is not a count"),
    ],
)
def test_metadata_without_a_count_is_refused_with_its_reason(data, reason):
    with pytest.raises(BadBinError) as caught:
        read_metadata(data)
    assert caught.value.reason == reason
    assert caught.value.detail


@pytest.mark.parametrize(
    ("data", "quantity", "warning"),
    [
        (metadata(4, 1, 3), 4, ""),
        (metadata(0, 0), 0, ""),
        (b'{"EXPECTED_QUANTITY": 2}', 2, ""),
        (b'{"EXPECTED_QUANTITY": 2, "EXPECTED_QUANTITY": 2}', 2, ""),
        (b'\xef\xbb\xbf{"EXPECTED_QUANTITY": 2}', 2, ""),
        (metadata(4, 1, 2), 4, "the items' quantities sum to 3, EXPECTED_QUANTITY is 4"),
        (
            b'{"BIN_FCSKU_DATA": {}, "EXPECTED_QUANTITY": 3}',
            3,
            "the items' quantities sum to 0, EXPECTED_QUANTITY is 3",
        ),
        (metadata(1, "1"), 1, "the quantity of an item is not a count"),
        (b'{"BIN_FCSKU_DATA": 7, "EXPECTED_QUANTITY": 3}', 3, "BIN_FCSKU_DATA does not describe items"),
    ],
)
def test_a_quantity_that_its_items_do_not_sum_to_is_doubtful(data, quantity, warning):
    facts = read_metadata(data)
    assert (facts.quantity, facts.warning) == (quantity, warning)
    assert json.loads(facts.text)["EXPECTED_QUANTITY"] == quantity


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", NO_PHOTO),
        (b"a text file with the name of a photo", NO_PHOTO),
        (photo(kind="GIF"), NO_PHOTO),
        (b"\0\0\0\x18ftypheic\0\0\0\0", NO_PHOTO),
        (photo(kind="PNG")[:30], "damaged PNG"),
        (GOOD[:-2], "damaged JPEG"),
        (GOOD[: len(GOOD) // 2], "damaged JPEG"),
        (GOOD[:30], "damaged JPEG"),
        (GOOD[:3], "damaged JPEG"),
        (b"\xff\xd8\xff\xd9", "damaged JPEG"),
        (GOOD.replace(b"\xff\xc0\x00\x11\x08\x00\x28", b"\xff\xc0\x00\x11\x08\x00\x00"), "damaged JPEG"),
    ],
)
def test_bytes_that_are_no_whole_photo_are_refused(data, reason):
    with pytest.raises(BadBinError) as caught:
        check_photo(data)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "data",
    [
        *(GOOD, photo(progressive=True), photo(640, 480, quality=95), GOOD + b"what a camera app appends"),
        *(photo(kind=kind) for kind in ("PNG", "WEBP", "AVIF")),
    ],
    ids=["baseline", "progressive", "large", "with a trailer", "PNG", "WebP", "AVIF"],
)
def test_whole_photos_pass(data):
    check_photo(data)


@given(st.integers(3, len(GOOD) - 1), st.binary(max_size=6))
@settings(max_examples=200)
def test_no_damage_raises_anything_but_a_reason(at, junk):
    with suppress(BadBinError):
        check_photo(GOOD[:at] + junk + GOOD[at + len(junk) :])


@pytest.mark.parametrize(("written", "split"), [("test", "test"), ("train", "train"), ("elsewhere", None), (3, None)])
def test_a_split_that_the_source_gives_is_read_and_another_word_is_none(written, split):
    assert read_metadata(json.dumps({"EXPECTED_QUANTITY": 1, "SPLIT": written}).encode()).split == split
