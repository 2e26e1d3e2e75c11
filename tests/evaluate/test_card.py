import json
from collections.abc import Callable
from pathlib import Path

import pytest

from components.common.errors import InventoryError
from components.counter import bundle as bundles
from components.counter.bundle import BundleMetrics
from components.documents.evaluated import Compared
from components.evaluate.report.card import licence
from components.evaluate.reproduce import reproduce
from components.evaluate.step import evaluate
from components.pages.text import percent
from tests.evaluate.conftest import Made

Make = Callable[..., Made]


@pytest.fixture
def evaluated(make: Make) -> Made:
    made = make()
    evaluate(made.store, made.dataset, made.publish(), "run-1")
    return made


def test_the_card_lies_beside_the_model_and_states_its_limits(evaluated: Made, tmp_path: Path) -> None:
    bundle = bundles.fetch(evaluated.store, "runs/run-1/model", tmp_path / "model")
    card = json.loads((tmp_path / "model" / "model-card.json").read_text())
    text = (tmp_path / "model" / "model-card.md").read_text()
    assert card["metrics"]["accuracy"]["value"] == bundle.metrics.test.accuracy
    assert card["data"]["bins"] == {"train": 120, "validation": 120, "test": 120}
    for words in ("## For", "## Not for", "## Limits", "## Data", "licence:", "## How it was made", "95 % interval"):
        assert words in text
    for words in ("left out: none", "only trained on: none", "pretrained weights: none", "commit:"):
        assert words in text
    assert "Reproduce the numbers: `inventory reproduce runs/run-1/model`" in text
    assert percent(bundle.metrics.test.accuracy) in text


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("rendered:500", "drawn by this project"),
        ("s3://aft-vbi-pds", "CC BY-NC-SA 3.0"),
        ("bins.tar", "as the owner of the photos states"),
    ],
)
def test_every_source_has_a_licence(source: str, words: str) -> None:
    assert words in licence(source)


def test_the_numbers_are_confirmed_from_the_store_alone(evaluated: Made) -> None:
    found = reproduce(evaluated.store, "runs/run-1/model")
    assert found.confirmed
    assert found.metrics["n"] == Compared(recorded=120, found=120)


def test_changed_numbers_are_not_confirmed(evaluated: Made, tmp_path: Path) -> None:
    bundle = bundles.fetch(evaluated.store, "runs/run-1/model", tmp_path / "model")
    claimed = bundle.metrics.test.model_copy(update={"accuracy": bundle.metrics.test.accuracy + 0.05})
    changed = bundle.model_copy(
        update={
            "metrics": BundleMetrics(test=claimed),
            "provenance": bundle.provenance.model_copy(update={"versions": {"python": "2.7"}}),
        }
    )
    bundles.save(changed, tmp_path / "model")
    bundles.upload(evaluated.store, tmp_path / "model", "changed")
    found = reproduce(evaluated.store, "changed")
    assert not found.confirmed
    assert found.versions["python"].recorded == "2.7"


def test_a_model_that_was_never_evaluated_cannot_be_reproduced(make: Make) -> None:
    made = make()
    made.publish()
    with pytest.raises(InventoryError, match="run-1 was never evaluated"):
        reproduce(made.store, "runs/run-1/model")
