import io
import re
from collections.abc import Callable
from contextlib import redirect_stdout

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from components.common.errors import InventoryError
from components.counter import bundle as bundles
from components.documents.evaluated import EvaluationFile
from components.evaluate.report.page import settings_in_groups
from components.evaluate.report.published import published_beside
from components.evaluate.step import evaluate
from components.settings.training import TrainingSettings
from tests.evaluate.conftest import Made, split_rows

Make = Callable[..., Made]


def test_a_model_is_scored_calibrated_and_reported(make: Make, tmp_path) -> None:
    made = make(sharpness=6)
    model = made.publish()
    with redirect_stdout(io.StringIO()) as printed:
        outcome = evaluate(made.store, made.dataset, model, "run-1")

    found = outcome.evaluation
    assert found.n == 120
    assert 0.7 < found.accuracy < 1
    low, high = found.intervals["accuracy"]
    assert low < found.accuracy < high
    assert np.trace(found.confusion) == round(found.accuracy * 120)
    assert found.calibration.temperature > 1.5  # the network was made too sure of itself
    assert found.calibration.nll_after < found.calibration.nll_before
    assert f"Testing Accuracy: {100 * found.accuracy:.2f}" in printed.getvalue()
    assert f"Testing Loss: {found.loss:.4f}" in printed.getvalue()

    bundle = bundles.fetch(made.store, model.bundle_key, tmp_path / "fetched")
    assert bundle.temperature == pytest.approx(found.calibration.temperature)
    assert (
        f"{100 * found.verdict.rows[0].recount:.1f}\N{NO-BREAK SPACE}%"
        in made.store.get_bytes(outcome.report_key).decode()
    )
    assert bundle.metrics.test.accuracy == found.accuracy
    assert "model.int8.onnx" in bundle.files
    page = made.store.get_bytes(outcome.report_key).decode()
    assert found.engine == "onnxruntime"
    assert f"{bundle.serve_file} (run by onnxruntime)" in page
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert EvaluationFile.fetch(made.store, outcome.evaluation_key).evaluation == found


def test_a_finished_evaluation_is_not_repeated(make: Make) -> None:
    made = make()
    model = made.publish()
    first = evaluate(made.store, made.dataset, model, "run-1")
    made.store.delete("shards/test.arrow")
    made.store.delete(f"{model.bundle_key}/model.onnx")
    assert evaluate(made.store, made.dataset, model, "run-1") == first


def test_a_count_that_no_test_bin_holds_is_named_and_divides_nothing(make: Make) -> None:
    made = make(test={1: 10, 2: 10, 4: 10, 5: 10})
    found = evaluate(made.store, made.dataset, made.publish(), "run-1").evaluation
    assert found.per_count["3"].recall is None
    assert found.intervals["recall 3"] is None
    assert found.warnings == ["no bin here holds 3 items, so nothing can be said about that count"]


def test_a_test_split_of_one_bin_still_gives_a_report(make: Make) -> None:
    made = make(test={2: 1})
    outcome = evaluate(made.store, made.dataset, made.publish(), "run-1")
    assert outcome.evaluation.intervals["accuracy"] is None
    assert "Result on the test bins" in made.store.get_bytes(outcome.report_key).decode()


def test_an_empty_test_split_is_refused(make: Make) -> None:
    made = make()
    made.add("test", [])
    with pytest.raises(InventoryError, match=r"the test split of dataset .* holds no bin"):
        evaluate(made.store, made.dataset, made.publish(), "run-1")


def test_a_model_with_other_counts_is_refused(make: Make) -> None:
    made = make()
    other = make_dataset_of_counts(made, [1, 2, 3])
    with pytest.raises(InventoryError, match="answers the counts 1, 2, 3, 4, 5, the dataset holds 1, 2, 3;"):
        evaluate(made.store, other, made.publish(), "run-1")


def make_dataset_of_counts(made: Made, counts: list[int]):
    for name in ("train", "validation", "test"):
        made.add(name, split_rows(name, dict.fromkeys(counts, 4), counts))
    return made.dataset.model_copy(update={"counts": counts})


def test_a_network_that_answers_nan_is_refused(make: Make) -> None:
    made = make()
    file = made.model_folder / "model.onnx"
    network = onnx.load(str(file))
    offset = next(tensor for tensor in network.graph.initializer if tensor.name == "offset")
    offset.CopyFrom(numpy_helper.from_array(np.array([0, 0, np.nan, 0, 0], np.float32), "offset"))
    onnx.save(network, str(file))
    bundles.save(made.bundle, made.model_folder)
    with pytest.raises(InventoryError, match=r"model.onnx answers 120 of 120 bins with NaN or infinity"):
        evaluate(made.store, made.dataset, made.publish(), "run-1")


def test_a_file_that_is_no_network_is_refused(make: Make) -> None:
    made = make()
    (made.model_folder / "model.onnx").write_bytes(b"not a network")
    bundles.save(made.bundle, made.model_folder)
    with pytest.raises(InventoryError, match="not a model that ONNX Runtime can load"):
        evaluate(made.store, made.dataset, made.publish(), "run-1")


def test_shared_products_are_found_in_the_test_split(make: Make) -> None:
    made = make()
    trained_on = {row: f"train-{row}" for row in range(6)}
    rows = split_rows(
        "test", dict.fromkeys(made.counts, 8), made.counts, product=lambda row: trained_on.get(row, f"new-{row}")
    )
    made.add("test", rows)
    found = evaluate(made.store, made.dataset, made.publish(), "run-1").evaluation.leakage
    assert found.shared == 6
    assert [row.n for row in found.accuracy] == [40, 6, 34]
    assert {row.method for row in found.methods} == {"products", "blocks", "random"}


def test_a_test_split_without_products_is_not_said_to_share_none(make: Make) -> None:
    made = make()
    outcome = evaluate(made.store, made.dataset, made.publish(), "run-1")
    assert "no product of a test bin was trained on" in made.store.get_bytes(outcome.report_key).decode()
    for name in ("train", "test"):
        rows = split_rows(name, dict.fromkeys(made.counts, 24), made.counts)
        made.add(name, [{**row, "products": []} for row in rows])
    outcome = evaluate(made.store, made.dataset, made.publish(), "run-2")
    page = made.store.get_bytes(outcome.report_key).decode()
    assert outcome.evaluation.leakage.known == 0
    assert "no product of a test bin was trained on" not in page
    assert "Not to be relied on: the test bins list no products" in page


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("rendered:500", False),
        ("photos.csv", False),
        ("stock/Photos.XLSX", False),
        ("s3://aft-vbi-pds", True),
        ("bins.tar", True),
    ],
)
def test_published_results_stand_beside_what_may_be_of_the_same_photos(source: str, shown: bool) -> None:
    assert bool(published_beside(source)) == shown


def test_each_published_result_says_where_it_stands_and_whether_its_split_leaks(make: Make) -> None:
    made = make()
    page = made.store.get_bytes(evaluate(made.store, made.dataset, made.publish(), "run-1").report_key).decode()
    rows = published_beside("s3://aft-vbi-pds")
    for row in rows:
        assert row.link.startswith("https://")
        assert row.leaks
        assert f'<a href="{row.link}">{row.source}</a>' in page


def test_the_report_lists_its_sections_and_what_was_set_before_what_was_not(make: Make) -> None:
    made = make()
    page = made.store.get_bytes(evaluate(made.store, made.dataset, made.publish(), "run-1").report_key).decode()
    titles = re.findall(r'<h2 id="[\w-]+">(.*?)</h2>', page)
    assert re.findall(r'<li><a href="#[\w-]+">(.*?)</a></li>', page) == titles
    assert len(titles) > 8
    changed, others = settings_in_groups(TrainingSettings(epochs=3, loss="corn"))
    assert changed == [("epochs", 3), ("loss", "corn")]
    named = [name for name, _ in changed] + [name for rows in others.values() for name, _ in rows]
    assert sorted(named) == sorted(TrainingSettings.model_fields)
