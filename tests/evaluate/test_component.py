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
SEARCH = "<html><main><header><h1>What tuning found</h1></header><section>All trials</section></main></html>"


@pytest.fixture
def artifacts(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_environment: dict[str, str]):
    """What the component leaves for a small dataset, by output name."""
    made = make(noise=30)
    for name, value in {**store_environment, "INVENTORY_BUCKET": made.store.bucket}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "dataset.json").write_text(made.dataset.model_dump_json())
    made.publish().write(tmp_path / "model.json")
    made.store.put_bytes("runs/r1/tune/report.html", SEARCH.encode())
    kinds = {
        "evaluated": dsl.Model,
        "metrics": dsl.Metrics,
        "confusion": dsl.ClassificationMetrics,
        "roc": dsl.ClassificationMetrics,
        "summary": dsl.Markdown,
        "report": dsl.HTML,
    }
    out = {name: kind(name=name, uri=str(tmp_path / "out" / name)) for name, kind in kinds.items()}
    run(
        dataset=dsl.Dataset(uri=str(tmp_path / "dataset.json")),
        model=dsl.Model(uri=str(tmp_path / "model.json"), metadata={"search_page_key": "runs/r1/tune/report.html"}),
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
    supports = [row["support"] for row in found["per_count"].values()]
    evenest = min(range(4), key=lambda k: abs(2 * sum(supports[: k + 1]) - sum(supports)))
    assert artifacts["roc"].metadata["display_name"] == f"count <= {list(found['per_count'])[evenest]}"
    points = artifacts["roc"].metadata["confidenceMetrics"]
    assert points[0]["recall"] == 0
    assert points[-1] == {"confidenceThreshold": pytest.approx(0, abs=0.5), "recall": 1, "falsePositiveRate": 1}
    assert "exact on 120 test bins" in Path(artifacts["summary"].path).read_text()
    for name in ("metrics", "confusion", "roc"):
        assert json.loads(Path(artifacts[name].path).read_text()) == artifacts[name].metadata, "a preview has a file"
    json.dumps([artifacts[name].metadata for name in ("metrics", "confusion", "roc")], allow_nan=False)


def test_the_report_opens_on_every_screen_with_nothing_from_outside(artifacts, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_bytes(Path(artifacts["report"].path).read_bytes())
    assert_self_contained(page)
    assert page.read_text().count("<h1>") == page.read_text().count("</main>") == 1
    assert "<h2>What tuning found</h2></header><section>All trials</section>" in page.read_text()


def test_the_component_compiles(tmp_path: Path) -> None:
    compiler.Compiler().compile(evaluate, str(tmp_path / "evaluate.yaml"))
    assert "components.evaluate.artifacts" in (tmp_path / "evaluate.yaml").read_text()
