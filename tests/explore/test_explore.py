import html
import random
import re

import pytest

from components.explore.step import explore, write_page
from tests.browser import assert_self_contained
from tests.packed_bins import RawBin, pack, photo, tar_rows
from tests.steps import split_bins

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"


def warehouse(number: int = 100) -> list[RawBin]:
    draw = random.Random(0)
    return [
        RawBin(f"{place:05}", place % 5 + 1, asins := [f"B{draw.randrange(80):03}"], names={asins[0]: HOSTILE})
        for place in range(number)
    ]


@pytest.fixture
def explored(store, tmp_path):
    """Makes a page of bins with a hostile product name, two of them unusable, and returns its path."""

    def make(method: str = "products"):
        skipped = [{"id": "00447", "reason": "missing metadata", "detail": f"no {HOSTILE}"}]
        raw = [*warehouse(), RawBin("00909", 2, ["B1"], photo(100, 100)[:-200])]
        bins = pack(store, raw, skipped=skipped, source=f"a test {HOSTILE}")
        dataset = split_bins(store, bins, "70/10/20", method)
        write_page(store, bins, dataset, tmp_path / "page.html")
        return tmp_path / "page.html", bins, dataset

    return make


def test_the_page_opens_in_a_browser(explored):
    assert_self_contained(explored("random")[0])


def test_the_page_says_what_is_in_the_dataset(explored):
    path, _, dataset = explored()
    text = path.read_text()
    assert dataset.dataset_id in text
    assert "100 bins with 1 to 5 items" in text
    for split, part in dataset.splits.items():
        assert f'<div class="label">{split}</div><div class="value">{part.bins}</div>' in text
    for count in "12345":
        cells = [str(part.per_count[count]) for part in dataset.splits.values()]
        row = f'<tr><th scope="row">{count}</th>' + "".join(rf'<td class="number">{cell}</td>' for cell in cells)
        assert row in re.sub(r">\s+<", "><", text)


def test_the_page_shows_bins_of_every_count_from_every_split(explored):
    text = explored()[0].read_text()
    assert text.count("data:image/jpeg;base64,") == 5 * 6
    for count in range(1, 6):
        assert text.count(f'<span class="name">{count} item{"" if count == 1 else "s"}</span>') == 6
    assert text.count('<span class="tag">test</span>') == 5


def test_names_of_products_stay_text(explored):
    text = explored("random")[0].read_text()
    assert "<script" not in text
    assert "<img src=x" not in text
    assert html.escape(HOSTILE, quote=False).replace("'", "&#39;") in text


def test_what_was_left_out_is_listed_by_reason_with_examples(explored):
    text = explored()[0].read_text()
    assert "missing metadata" in text
    assert "00447: no &lt;img" in text
    assert "00909: damaged JPEG: truncated" in text


def test_bins_that_were_kept_with_a_doubt_are_listed_apart(store, tmp_path):
    doubt = {"id": "00003", "reason": "doubtful", "detail": "kept, but the items sum to 9"}
    bins = pack(store, warehouse(), skipped=[doubt]).model_copy(update={"skipped": {}})
    write_page(store, bins, split_bins(store, bins, "70/10/20"), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "Nothing: every bin that was selected could be used." in text
    assert "Kept, although doubtful" in text
    assert "00003: kept, but the items sum to 9" in text


def test_nothing_left_out_is_said_too(store, tmp_path):
    bins = pack(store, warehouse())
    write_page(store, bins, split_bins(store, bins, "70/10/20"), tmp_path / "page.html")
    assert "Nothing: every bin that was selected could be used." in (tmp_path / "page.html").read_text()


def test_products_in_two_splits_are_warned_of_with_photos(explored):
    path, _, dataset = explored("random")
    text = path.read_text()
    assert dataset.shared_products["test"] > 0
    assert f'<div class="value">{dataset.shared_products["test"]}</div>' in text
    assert "The same product in training and test" in text
    assert "Part of the test can be answered from memory" in text


def test_a_clean_split_is_said_to_be_clean(explored):
    text = explored()[0].read_text()
    assert "No product is in two splits" in text
    assert "The same product in training" not in text


def test_a_split_of_bins_without_products_is_not_said_to_be_clean(store, tmp_path):
    bins = pack(store, [RawBin(bin_.id, bin_.quantity) for bin_ in warehouse()])
    write_page(store, bins, split_bins(store, bins, "70/10/20"), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "No product is known: the bins list none" in text
    assert "No product is in two splits" not in text


def test_the_page_is_kept_in_the_store_and_written_once(explored, store):
    path, bins, dataset = explored()
    outcome = explore(store, bins, dataset)
    assert store.get_bytes(outcome["page_key"]).decode() == path.read_text()
    store.put_bytes(outcome["page_key"], b"kept")
    assert explore(store, bins, dataset) == outcome
    assert store.get_bytes(outcome["page_key"]) == b"kept"


def test_the_component_writes_the_html_artifact(explored, store_environment, store, tmp_path, monkeypatch):
    from kfp import dsl

    from components.explore.component import explore as component

    path, bins, dataset = explored()
    for name, value in {**store_environment, "INVENTORY_BUCKET": store.bucket}.items():
        monkeypatch.setenv(name, value)
    artifacts = [dsl.Dataset(uri=str(tmp_path / name)) for name in ("bins.json", "dataset.json")]
    for artifact, content in zip(artifacts, (bins, dataset), strict=True):
        (tmp_path / artifact.uri).write_text(content.model_dump_json())
    page = dsl.HTML(uri=str(tmp_path / "artifact.html"))
    component.python_func(bins=artifacts[0], dataset=artifacts[1], data_report=page)
    assert (tmp_path / "artifact.html").read_text() == path.read_text()


@pytest.mark.real
def test_a_page_of_real_bins_opens_in_a_browser(store, real_sample, tmp_path):
    rows = [row for row, _ in zip(tar_rows(real_sample), range(600), strict=False)]
    bins = pack(store, rows, source="the real sample")
    write_page(store, bins, split_bins(store, bins, "70/10/20"), tmp_path / "page.html")
    assert_self_contained(tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < 1_000_000
