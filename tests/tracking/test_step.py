"""What a step logs into the MLflow run that its environment names, and what a server that fails costs it."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.common.store import Store
from components.counter import bundle as bundles
from components.documents.evaluated import EvaluatedModel
from components.documents.gated import Decision, GatedModel
from components.settings.gate import GatePolicy
from components.settings.run import RunSettings
from components.settings.training import TrainingSettings
from components.tracking import figures
from components.tracking.client import plain
from components.tracking.figures import log_epochs, log_evaluation, log_gate, log_settings
from components.tracking.step import log_to_mlflow
from tests.documents import epoch, evaluated
from tests.tiny_model import write_bundle
from tests.tracking.mlflow_stand_in import Run, TrackingServer


@pytest.fixture
def run(tracking: TrackingServer, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run that somebody else has made, such as Kubeflow's plugin."""
    made = tracking.run()
    monkeypatch.setenv("MLFLOW_RUN_ID", made.id)
    return made


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().out.splitlines() if "MLflow" in line]


def test_settings_are_parameters_with_dotted_names(run: Run) -> None:
    settings = RunSettings(training=TrainingSettings(learning_rate=0.02, backbone="resnet18"), tune=True)
    for _ in range(2):  # a step that is done again says the same again
        log_to_mlflow(lambda run: log_settings(run, settings, "r1", "d1"))
    assert run.parameters["training.learning_rate"] == "0.02"
    assert run.parameters["training.backbone"] == "resnet18"
    assert run.parameters["tune"] == "true"
    assert run.parameters["gate.minimum_effect"] == "0.01"
    assert run.tags["inventory.run_id"] == "r1"
    assert run.tags["inventory.dataset_id"] == "d1"
    assert len(run.tags["mlflow.source.git.commit"]) >= 40


def test_what_a_run_was_asked_before_stays_and_its_epochs_are_logged_all_the_same(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    for rate in (0.02, 0.03):
        settings = RunSettings(training=TrainingSettings(learning_rate=rate))
        log_to_mlflow(lambda run, settings=settings: log_settings(run, settings, "r1", "d1"))
    log_to_mlflow(lambda run: log_epochs(run, [epoch(1)]))
    assert said(capsys) == ["warning: this MLflow run has other values, which cannot change, of training.learning_rate"]
    assert run.parameters["training.learning_rate"] == "0.02"
    assert run.history("validation_loss") == [(1, 1.6)]


def test_what_another_project_says_of_logging_in_the_background_does_not_count(
    run: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_LOGGING", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    log_to_mlflow(lambda run: log_epochs(run, [epoch(1)]))
    log_to_mlflow(lambda run: run.tags({"name": "value"}))
    printed = capfd.readouterr()
    assert (printed.out + printed.err).count("MLflow gets nothing more of this step") == 1
    assert "secret" not in printed.out + printed.err


def test_an_epoch_is_logged_once_though_its_training_was_interrupted_and_goes_on(run: Run) -> None:
    log_to_mlflow(lambda run: log_epochs(run, [epoch(1), epoch(2)]))
    log_to_mlflow(lambda run: log_epochs(run, [epoch(2), epoch(3)]))
    log_to_mlflow(lambda run: log_epochs(run, [epoch(1), epoch(2), epoch(3)]))
    assert run.history("validation_loss") == [(number, 1.6 / number) for number in (1, 2, 3)]
    assert run.history("train_accuracy") == [(number, 0.2 * number) for number in (1, 2, 3)]
    assert run.history("epoch_seconds") == [(number, 1.5) for number in (1, 2, 3)]


def test_an_epoch_that_was_trained_anew_with_another_outcome_is_logged_again(run: Run) -> None:
    log_to_mlflow(lambda run: log_epochs(run, [epoch(1)]))
    log_to_mlflow(lambda run: log_epochs(run, [epoch(1, validation_loss=0.3)]))
    assert run.history("validation_loss") == [(1, 1.6), (1, 0.3)]


def test_a_long_training_goes_in_several_requests(run: Run) -> None:
    log_to_mlflow(lambda run: log_epochs(run, [epoch(number) for number in range(1, 301)]))
    assert len(run.history("validation_loss")) == 300


@pytest.fixture
def model(store: Store, tmp_path: Path) -> EvaluatedModel:
    """An evaluated model whose bundle lies in the store."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "model-card.md").write_text("# card")
    write_bundle(folder)
    bundles.upload(store, folder, "runs/run-1/model")
    (tmp_path / "report.html").write_text("<html>report")
    return evaluated("runs/run-1/model")


def test_an_evaluation_leaves_its_figures_report_and_bundle_once(
    run: Run, store: Store, model: EvaluatedModel, tmp_path: Path, tracking: TrackingServer
) -> None:
    for _ in range(2):
        log_to_mlflow(lambda run: log_evaluation(run, store, model, tmp_path / "report.html"))
    assert run.history("test_accuracy") == [(0, model.evaluation.accuracy)]
    assert run.history("test_mae") == [(0, 0.5)]
    assert run.artifacts["report.html"] == b"<html>report"
    bundle = bundles.fetch_description(store, "runs/run-1/model")
    names = {"bundle.json", "MLmodel", *bundle.files}
    assert {name for name in run.artifacts if name.startswith("model/")} == {f"model/{name}" for name in names}
    assert run.artifacts["model/model.onnx"] == store.get_bytes("runs/run-1/model/model.onnx")
    assert run.artifacts["model/bundle.json"] == store.get_bytes("runs/run-1/model/bundle.json")
    assert (
        tracking.requests.count("PUT /api/2.0/mlflow-artifacts/artifacts/" + f"{run.id}/artifacts/model/model.onnx")
        == 1
    )
    assert run.tags["inventory.model"] == bundle.version
    assert run.tags["inventory.model_uri"] == model.uri


def test_of_a_large_bundle_only_what_describes_it_is_uploaded(
    run: Run, store: Store, model: EvaluatedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "MOST_MODEL_BYTES", 10)
    log_to_mlflow(lambda run: log_evaluation(run, store, model, tmp_path / "report.html"))
    assert {"model/bundle.json", "model/model-card.md"} <= set(run.artifacts)
    assert not [name for name in run.artifacts if name.endswith((".onnx", ".safetensors", "MLmodel"))]
    assert run.tags["inventory.model_uri"] == model.uri


def test_the_gates_answer_and_page_are_logged(run: Run) -> None:
    decision = Decision(promote=False, summary="Not promoted: worse", effect=-0.02, lower_bound=None)
    gated = GatedModel(
        **{"approved": "no", "reasons": [], "decision": decision, "version": "run-1", "in_service": None},
        **{"policy": GatePolicy(), "decision_key": "d", "page_key": "p"},
    )
    log_to_mlflow(lambda run: log_gate(run, gated, "<html>gate"))
    assert run.history("gate_approved") == [(0, 0.0)]
    assert run.history("gate_effect") == [(0, -0.02)]
    assert run.history("gate_lower_bound") == []
    assert run.tags["inventory.gate"] == "Not promoted: worse"
    assert run.artifacts["gate.html"] == b"<html>gate"


@pytest.mark.parametrize("missing", ["MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID"])
def test_nothing_is_asked_without_a_server_or_without_a_run(
    missing: str, run: Run, tracking: TrackingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(missing)
    log_to_mlflow(lambda run: log_epochs(run, [epoch(1)]))
    assert tracking.requests == []


@pytest.mark.parametrize("fault", ["away", "refuses", "hangs", "no such run"])
def test_a_server_that_fails_costs_a_bounded_time_and_one_line_and_is_not_asked_again(
    fault: str,
    run: Run,
    tracking: TrackingServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")  # rather than the 10 s that are ours
    if fault == "away":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    elif fault == "no such run":
        tracking.runs.clear()
    tracking.status = 403 if fault == "refuses" else 200
    tracking.seconds = 3.0 if fault == "hangs" else 0.0
    started = time.monotonic()
    log_to_mlflow(lambda run: log_epochs(run, [epoch(1)]))
    assert time.monotonic() - started < 20
    asked = len(tracking.requests)
    log_to_mlflow(lambda run: log_epochs(run, [epoch(2)]))
    (line,) = said(capsys)
    assert line.startswith("warning: MLflow gets nothing more of this step: ")
    assert len(tracking.requests) == asked <= 2


def test_a_server_that_answers_too_slowly_is_left_at_a_bound_for_all_requests_together(
    run: Run, tracking: TrackingServer, capsys: pytest.CaptureFixture[str]
) -> None:
    log_to_mlflow(lambda run: None)  # the import, which the bound below has no room for
    tracking.seconds = 0.4
    started = time.monotonic()
    log_to_mlflow(lambda run: [run.tags({"a": "b"}) for _ in range(100)], most_seconds=1.0)
    assert time.monotonic() - started < 10
    (line,) = said(capsys)
    assert line.endswith("it took longer than 1 s")


@pytest.mark.parametrize(
    ("uri", "line"),
    [
        (
            "postgres+odd://user:secret@db/x",
            "'postgres+odd://db/x', which MLflow's client cannot use; give the address",
        ),
        ("http://user:secret@127.0.0.1:9", "http://127.0.0.1:9/api"),
    ],
)
def test_the_line_says_what_is_wrong_with_an_address_but_not_its_password(
    uri: str, line: str, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    log_to_mlflow(lambda run: log_epochs(run, [epoch(1)]))
    (found,) = said(capsys)
    assert line in found
    assert "secret" not in found


def test_a_password_of_any_signs_is_not_shown_either() -> None:
    assert plain(ValueError("no answer of https://me:p@s/s@host/x, tried http://a:b@host")) == (
        "no answer of https://host/x, tried http://host"
    )
    assert plain(ValueError("http://host/x?token=abc is away? Yes")) == "http://host/x is away? Yes"


def test_a_step_in_an_image_without_mlflow_says_so_and_does_its_work(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("components.tracking.client.find_spec", lambda _: None)
    log_to_mlflow(lambda run: log_epochs(run, [epoch(1)]))
    (line,) = said(capsys)
    assert "mlflow-skinny is not installed; pip install 'bin-inventory[mlflow]'" in line


def test_mlflow_is_not_imported_where_nobody_asks_for_it() -> None:
    script = (
        "import sys, components.train.worker, components.evaluate.artifacts, components.gate.artifacts\n"
        "import pipelines.local.run\n"
        "pipelines.local.run.check_here({})\n"
        "assert 'mlflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
