"""What the record's products add in the evaluation step."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from components.counter import bundle as bundles
from components.counter.record.model import RECORD_FILE, of_bundle
from components.documents.evaluated import BY_BOTH, BY_PHOTO, BY_PRODUCTS, EvaluatedModel
from components.evaluate.report.summary import summary_lines
from components.evaluate.step import evaluate
from components.pages.text import percent
from tests.evaluate.conftest import Made, split_rows

Make = Callable[..., Made]
COUNTS = [1, 2, 3, 4, 5]


def told(rows: list[dict[str, Any]], seed: int = 0) -> list[dict[str, Any]]:
    """The bins with products that tell their count but for one: as many as items, or one fewer."""
    fewer = np.random.default_rng(seed).integers(0, 2, len(rows))
    for row, less in zip(rows, fewer.tolist(), strict=True):
        number = max(1, row["expected_quantity"] - less)
        names = [f"{row['id']}-{place}" for place in range(number)]
        row["products"] = [{"asin": name, "quantity": 9, "weight_lb": 1.0} for name in names]
    return rows


@pytest.fixture
def with_products(make: Make) -> Made:
    made = make(noise=40)
    for name in ("train", "validation", "test"):
        made.add(name, told(split_rows(name, dict.fromkeys(COUNTS, 60), COUNTS, noise=40)))
    return made


def without_record(outcome: EvaluatedModel) -> dict[str, Any]:
    return outcome.evaluation.model_dump(exclude={"record", "int8", "leakage", "quality"})


def test_products_help_and_the_photo_alone_says_what_it_said(with_products: Made, tmp_path: Any) -> None:
    made = with_products
    outcome = evaluate(made.store, made.dataset, made.publish(), "run-1")
    found = outcome.evaluation.record
    assert found is not None
    rows = {row.answer: row for row in found.rows}
    assert list(rows) == [BY_PHOTO, BY_PRODUCTS, BY_BOTH]
    assert rows[BY_PHOTO].accuracy == outcome.evaluation.accuracy
    assert rows[BY_PHOTO].loss == outcome.evaluation.loss
    assert rows[BY_BOTH].loss < min(rows[BY_PHOTO].loss, rows[BY_PRODUCTS].loss)
    assert found.changes["loss"] == pytest.approx(rows[BY_BOTH].loss - rows[BY_PHOTO].loss)
    low, high = found.change_intervals["loss"] or (0, 0)
    assert low < found.changes["loss"] < high < 0
    assert 0 < found.contradiction.bins < found.bins == 300
    assert found.contradiction.photo_right + found.contradiction.products_right <= found.contradiction.bins

    folder = tmp_path / "bundle"
    bundle = bundles.fetch(made.store, "runs/run-1/model", folder)
    model = of_bundle(folder, bundle)
    assert model is not None
    assert model.combination.products == found.weight_of_products
    page = made.store.get_bytes(outcome.report_key).decode()
    assert "the products help." in page
    card = (folder / "model-card.md").read_text()
    assert f"| {BY_BOTH} | {percent(rows[BY_BOTH].accuracy)} |" in card
    assert any("photo and the record's products" in line for line in summary_lines(outcome.evaluation))


def test_bins_without_products_are_evaluated_by_their_photos_alone(with_products: Made) -> None:
    made = with_products
    model = made.publish()
    known = evaluate(made.store, made.dataset, model, "run-1")
    before = bundles.fetch_description(made.store, "runs/run-1/model")
    for name in ("train", "validation", "test"):
        rows = split_rows(name, dict.fromkeys(COUNTS, 60), COUNTS, noise=40)
        made.add(name, [{**row, "products": []} for row in rows])
    unknown = evaluate(made.store, made.dataset, model, "run-1")
    assert unknown.evaluation.record is None
    assert without_record(unknown) == without_record(known)
    after = bundles.fetch_description(made.store, "runs/run-1/model")
    assert RECORD_FILE in before.files
    assert RECORD_FILE not in after.files
    for field in ("temperature", "logit_shift", "recount_threshold", "drift_reference", "metrics"):
        assert getattr(after, field) == getattr(before, field)
    assert BY_BOTH not in made.store.get_bytes("runs/run-1/model/model-card.md").decode()
    assert "products add" not in made.store.get_bytes(unknown.report_key).decode()


def test_when_no_test_bin_names_products_nothing_is_said_of_them(with_products: Made) -> None:
    made = with_products
    rows = split_rows("test", dict.fromkeys(COUNTS, 10), COUNTS)
    made.add("test", [{**row, "products": []} for row in rows])
    assert evaluate(made.store, made.dataset, made.publish(), "run-1").evaluation.record is None
    assert RECORD_FILE in bundles.fetch_description(made.store, "runs/run-1/model").files
