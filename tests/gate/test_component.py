"""The gate as a component: what it writes, and that a pipeline acts on its answer."""

import json
from pathlib import Path

import pytest
from kfp import compiler, dsl, local

from components.common.step.component import control_component
from components.common.step.run_step import RUN_ID_VARIABLE
from components.documents.gated import Criterion, Decision, Power
from components.gate.component import gate
from components.gate.page import markdown, power_text, render
from tests.browser import assert_self_contained
from tests.documents import evaluated
from tests.evaluate.conftest import Made
from tests.gate.test_challenge import put


@control_component
def give(
    dataset_text: str,
    model_text: str,
    settings_text: str,
    dataset: dsl.Output[dsl.Dataset],
    evaluated: dsl.Output[dsl.Model],
    settings: dsl.Output[dsl.Artifact],
) -> None:
    from pathlib import Path

    for artifact, text in ((dataset, dataset_text), (evaluated, model_text), (settings, settings_text)):
        Path(artifact.path).parent.mkdir(parents=True, exist_ok=True)
        Path(artifact.path).write_text(text)


@control_component
def serve(flag: str) -> None:
    from pathlib import Path

    Path(flag).write_text("served")


@dsl.pipeline(name="gated")
def gated(dataset_text: str, model_text: str, settings_text: str, flag: str) -> None:
    given = give(dataset_text=dataset_text, model_text=model_text, settings_text=settings_text)
    asked = gate(**{name: given.outputs[name] for name in ("dataset", "evaluated", "settings")}, run_id="run-1")
    with dsl.If(asked.outputs["Output"] == "yes"):
        serve(flag=flag)


@pytest.mark.parametrize(("floor", "served"), [(0.3, True), (1.0, False)], ids=["approved", "refused"])
def test_a_pipeline_serves_what_the_gate_approves(
    make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_environment: dict[str, str], floor, served
) -> None:
    made: Made = make(test=dict.fromkeys([1, 2, 3, 4, 5], 60))
    key = put(made, tmp_path / "new", "new", made.counts)
    variables = {**store_environment, "INVENTORY_BUCKET": made.store.bucket, RUN_ID_VARIABLE: "run-1"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "artifacts"))
    flag = tmp_path / "flag"
    gated(
        dataset_text=made.dataset.model_dump_json(),
        model_text=evaluated(key).to_json(),
        settings_text=json.dumps({"format": 2, "gate": {"draws": 200, "floor_accuracy": floor}}),
        flag=str(flag),
    )
    assert flag.exists() == served
    (text,) = [path.read_text() for path in (tmp_path / "artifacts").rglob("decision") if path.is_file()]
    assert text.startswith(f"# new: {'approved' if served else 'not approved'}")
    assert json.loads(made.store.get_bytes("runs/run-1/gate.json"))["approved"] == ("yes" if served else "no")


def test_the_component_compiles(tmp_path: Path) -> None:
    compiler.Compiler().compile(gate, str(tmp_path / "gate.yaml"))
    assert "components.gate.artifacts" in (tmp_path / "gate.yaml").read_text()


COMPARED = Decision(
    promote=False,
    summary="Not promoted: exact accuracy +0.2 points against <b>run-0</b>",
    criteria=[
        Criterion(name="enough test bins", ok=True, reason="300 | 100"),
        Criterion(name="better", ok=False, reason="exact accuracy +0.2 points"),
    ],
    n=300,
    effect=0.002,
    lower_bound=-0.03,
    power=Power(standard_error=0.021, at_5_points=0.71, found_at_80_percent=0.054),
)


def test_the_page_opens_on_every_screen_with_nothing_from_outside(tmp_path: Path) -> None:
    page = tmp_path / "gate.html"
    page.write_text(render(COMPARED, "new", "run-1", "accuracy"))
    assert "<b>run-0" not in page.read_text()
    assert_self_contained(page)


def test_the_decision_states_its_power_in_the_unit_of_its_metric() -> None:
    text = power_text(COMPARED, "accuracy")
    assert "standard error of 2.1 points" in text
    assert "really 5 points better passes the comparison in 71.0" in text
    assert "standard error of 0.021 items" in power_text(COMPARED, "mae")
    assert "no statistical power" in power_text(Decision(promote=True, summary=""), "accuracy")


def test_the_artifact_is_a_table_that_reasons_cannot_break() -> None:
    lines = markdown(COMPARED, "new", "accuracy").splitlines()
    assert "| yes | enough test bins | 300 \\| 100 |" in lines
    assert "| **no** | better | exact accuracy +0.2 points |" in lines
