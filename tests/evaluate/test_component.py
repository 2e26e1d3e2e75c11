import json
from collections.abc import Callable
from pathlib import Path

import pytest
from kfp import compiler, dsl

from components.evaluate.artifacts import run
from components.evaluate.component import evaluate
from tests.browser import assert_self_contained
from tests.evaluate.conftest import Made

Make = Callable[..., Made]


@pytest.fixture
def artifacts(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_environment: dict[str, str]):
    """What the component leaves for a small dataset, by output name."""
    made = make(noise=30)
    for name, value in {**store_environment, "INVENTORY_BUCKET": made.store.bucket}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "dataset.json").write_text(made.dataset.model_dump_json())
    made.publish().write(tmp_path / "model.json")
    kinds = {
        "evaluated": dsl.Model,
        "metrics": dsl.Metrics,
        "confusion": dsl.ClassificationMetrics,
        "summary": dsl.Markdown,
        "report": dsl.HTML,
    }
    out = {name: kind(name=name, uri=str(tmp_path / "out" / name)) for name, kind in kinds.items()}
    out["rocs"] = [dsl.ClassificationMetrics(name=f"roc_{k}") for k in range(1, 5)]
    run(
        dataset=dsl.Dataset(uri=str(tmp_path / "dataset.json")),
        model=dsl.Model(uri=str(tmp_path / "model.json")),
        run_id="run-1",
        **out,
    )
    return out


def test_the_artifacts_say_what_the_evaluation_found(artifacts) -> None:
    outcome = json.loads(Path(artifacts["evaluated"].path).read_text())
    found = outcome["evaluation"]
    assert outcome["run_id"] == "run-1"
    assert artifacts["metrics"].metadata["accuracy"] == found["accuracy"]
    rows = artifacts["confusion"].metadata["confusionMatrix"]["rows"]
    assert [row["row"] for row in rows] == found["confusion"]
    names = [roc.metadata["display_name"] for roc in artifacts["rocs"]]
    assert names == ["count <= 1", "count <= 2", "count <= 3", "count <= 4"]
    points = artifacts["rocs"][1].metadata["confidenceMetrics"]
    assert points[0]["recall"] == 0
    assert points[-1] == {"confidenceThreshold": pytest.approx(0, abs=0.5), "recall": 1, "falsePositiveRate": 1}
    assert "exact on 120 test bins" in Path(artifacts["summary"].path).read_text()
    for name in ("metrics", "confusion"):
        assert json.loads(Path(artifacts[name].path).read_text()) == artifacts[name].metadata, "a preview has a file"
    json.dumps([artifacts[name].metadata for name in ("metrics", "confusion")], allow_nan=False)


def test_the_report_opens_on_every_screen_with_nothing_from_outside(artifacts, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_bytes(Path(artifacts["report"].path).read_bytes())
    assert_self_contained(page)


def test_the_component_compiles(tmp_path: Path) -> None:
    compiler.Compiler().compile(evaluate, str(tmp_path / "evaluate.yaml"))
    assert "components.evaluate.artifacts" in (tmp_path / "evaluate.yaml").read_text()
