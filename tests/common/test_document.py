"""What is handed on in files: fields that are known, older versions that are read, newer ones that are refused."""

import json
import math
from pathlib import Path
from typing import ClassVar

import pytest

from components.common.document import Document, Part
from components.common.errors import InventoryError
from components.counter.bundle import Bundle
from components.documents.gated import GatedModel
from components.documents.trained import TrainedModel
from components.registry.entry import ModelFacts
from tests.documents import epoch, evaluated, trained


class Leg(Part):
    length: float
    colour: str | None = None


class Stool(Document):
    KIND: ClassVar[str] = "three-legged-stool"
    legs: list[Leg]
    owner: str | None = None


def test_what_was_set_is_written_and_read_again(tmp_path: Path) -> None:
    stool = Stool(legs=[Leg(length=math.nan), Leg(length=2, colour=None)])
    stool.write(tmp_path / "stool.json")
    written = json.loads((tmp_path / "stool.json").read_text())
    assert written.pop("legs")[1] == {"length": 2.0, "colour": None}
    assert written == {"format": "inventory-three-legged-stool/1"}
    assert Stool.load(tmp_path / "stool.json").to_json() == stool.to_json()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"legs": [{"length": 1}, {"length": "long"}]}',
            "no three legged stool: legs.1.length: Input should",
        ),
        ('{"legs": [], "seat": 1}', "seat: Extra inputs are not permitted"),
        ("{}", "legs: Field required"),
        ("[1", "f.json is no three legged stool: Invalid JSON"),
        ('{"format": "inventory-bundle/1", "legs": []}', "format: is 'inventory-bundle/1', not inventory-three"),
        ('{"format": "inventory-three-legged-stool/2", "x": 1}', "was written by a newer version, .*; update"),
    ],
)
def test_what_is_no_such_document_is_one_line_that_names_file_and_field(text: str, message: str) -> None:
    with pytest.raises(InventoryError, match=message) as refused:
        Stool.parse(text, "f.json")
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith("f.json")


def test_every_document_survives_the_way_through_a_file() -> None:
    for document in (trained(), evaluated()):
        assert type(document).parse(document.to_json(), "x") == document


OLD_OUTCOME = """{
 "run_id": "r1", "bundle_key": "runs/r1/model", "uri": "s3://inventory/runs/r1/model", "dataset_id": "d",
 "validation": {"loss": 1.5, "accuracy": 0.25, "within_one": 0.5, "mae": 1.25, "rmse": 1.5},
 "history": [{"epoch": 1, "train_loss": 1.6, "train_accuracy": 0.2, "validation_loss": 1.5,
   "validation_accuracy": 0.25, "validation_within_one": 0.5, "validation_mae": 1.25, "validation_rmse": 1.5,
   "learning_rate": 0.001, "seconds": 2.0}],
 "ended": null, "settings": {"backbone": "resnet18", "epochs": 1},
 "rules": [{"rule": "overfit", "action": "warn", "step": null, "epoch": null, "status": "silent", "evidence": "none"}],
 "intervals": [[1.0, 3.5]], "seconds": 2.5,
 "cost": {"training_seconds": 2.5, "run_seconds": 2.5, "billable_seconds": 2.5, "runs": 1, "on_demand_price": null,
   "spot_price": null, "on_demand_dollars": null, "spot_dollars": null, "savings": null, "line": "2.5 s"}
}"""
"""As trainings left it before documents said their format."""

OLD_DECISION = """{
 "approved": "yes", "reasons": ["none failed"], "version": "r1", "in_service": null,
 "decision": {"promote": true, "summary": "Promoted: first in service", "n": 120, "effect": null, "lower_bound": null,
   "criteria": [{"name": "training rules", "ok": true, "reason": "none failed"}], "power": {}},
 "policy": {"enforce": true, "metric": "accuracy"}, "decision_key": "runs/r1/gate.json", "page_key": "runs/r1/gate.html"
}"""

OLD_BUNDLE = """{
 "format": "inventory-bundle/1", "name": "bin-counter", "version": "r1", "backbone": "resnet18", "counts": [1, 2],
 "open_top": false, "input": {"size": 32, "resize": "squash", "interpolation": "bilinear"}, "temperature": 1.0,
 "logit_shift": [], "recount_threshold": null, "serve_file": "model.onnx", "drift_reference": {},
 "metrics": {"validation": {"loss": 1.5, "accuracy": 0.25, "within_one": 0.5, "mae": 1.25, "rmse": 1.5}},
 "provenance": {"dataset_id": "d", "source": "rendered", "train_ids_sha256": "0", "extra_ids_sha256": null,
   "config": {"epochs": 1}, "weights_sha256": null, "versions": {"python": "3.11.2"}, "commit": null},
 "files": {"model.onnx": {"sha256": "0", "bytes": 4}}
}"""


def test_what_older_versions_left_is_read() -> None:
    outcome = TrainedModel.parse(OLD_OUTCOME, "outcome.json")
    assert (outcome.history[0].validation("rmse"), outcome.settings.backbone, outcome.fired) == (1.5, "resnet18", [])
    gated = GatedModel.parse(OLD_DECISION, "gate.json")
    assert (gated.decision.power, gated.policy.metric, gated.decision.criteria[0].ok) == (None, "accuracy", True)
    bundle = Bundle.parse(OLD_BUNDLE, "bundle.json")
    assert (bundle.drift_reference, bundle.metrics.test.n, bundle.provenance.dataset_key) == (None, None, "")
    facts = dict.fromkeys(("version", "bundle_key", "uri", "model_sha256", "dataset_id", "dataset_key", "run_id"), "x")
    registered = ModelFacts.model_validate({**facts, "metrics": {}, "decision": {}})
    assert registered.decision is None
    assert registered.model_dump(mode="json") == {**facts, "metrics": {}, "decision": {}}


def test_the_keys_of_an_old_document_stay_and_the_format_is_new() -> None:
    written = json.loads(TrainedModel.parse(OLD_OUTCOME, "outcome.json").to_json())
    assert written.pop("format") == "inventory-trained-model/1"
    assert written.keys() == json.loads(OLD_OUTCOME).keys()


def test_an_epoch_knows_its_metrics_by_name() -> None:
    assert epoch(2, validation_rmse=3.0).validation("rmse") == 3.0
    assert set(epoch(1).metrics()) >= {"train_loss", "validation_mae"}
    assert "seconds" not in epoch(1).metrics()
