"""The gate on real bundles and bins in the store."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from components.counter import bundle as bundles
from components.counter.bundle import Bundle, InputTransform, Provenance
from components.gate.challenge import challenge
from components.gate.trained_on import trained_on
from components.settings.gate import GatePolicy
from tests.evaluate.conftest import SIZE, Made, network, split_rows

Make = Callable[..., Made]
POLICY = GatePolicy(draws=500)


def put(
    made: Made, folder: Path, key: str, counts: list[int], bias: float = 0.0, size: int = SIZE, **changes: object
) -> str:
    """Uploads a model; ``bias`` makes it name too many items."""
    folder.mkdir()
    network(folder / "model.onnx", counts, size=size)
    if bias:
        model = onnx.load(str(folder / "model.onnx"))
        offset = next(tensor for tensor in model.graph.initializer if tensor.name == "offset")
        values = numpy_helper.to_array(offset) + bias * np.arange(len(counts), dtype=np.float32)
        offset.CopyFrom(numpy_helper.from_array(values.astype(np.float32), "offset"))
        onnx.save(model, str(folder / "model.onnx"))
    bundle = Bundle(version=key, backbone="brightness", counts=counts, input=InputTransform(size=size))
    bundles.save(Bundle.model_validate({**bundle.model_dump(), **changes}), folder)
    bundles.upload(made.store, folder, key)
    return key


@pytest.fixture
def made(make: Make) -> Made:
    return make(test=dict.fromkeys([1, 2, 3, 4, 5], 60))


def known(made: Made) -> dict[str, object]:
    return {"provenance": {"dataset_id": made.dataset.dataset_id}}


def test_a_better_model_replaces_the_one_in_service(made: Made, tmp_path: Path) -> None:
    new = put(made, tmp_path / "new", "new", made.counts)
    old = put(made, tmp_path / "old", "old", made.counts, bias=2, **known(made))
    decision = challenge(made.store, made.dataset, new, old, POLICY)
    assert decision.promote, decision.summary
    assert decision.summary == "Promoted: replaces old"
    assert decision.n == 300
    assert not challenge(made.store, made.dataset, old, new, POLICY).promote


def test_the_first_model_is_measured_by_floors(made: Made, tmp_path: Path) -> None:
    new = put(made, tmp_path / "new", "new", made.counts)
    assert challenge(made.store, made.dataset, new, None, POLICY).promote
    weak = put(made, tmp_path / "weak", "weak", made.counts, bias=20)
    assert "exact accuracy floor" not in challenge(made.store, made.dataset, new, None, POLICY).summary
    assert not challenge(made.store, made.dataset, weak, None, POLICY).promote


def test_bins_that_the_model_in_service_was_trained_on_do_not_count(made: Made, tmp_path: Path) -> None:
    other = made.dataset.model_copy(
        update={"dataset_id": "another", "splits": {**made.splits, "train": made.splits["test"]}}
    )
    made.store.put_bytes("another.json", other.model_dump_json().encode())
    old = put(
        made,
        tmp_path / "old",
        "old",
        made.counts,
        bias=2,
        provenance={"dataset_id": "another", "dataset_key": "another.json"},
    )
    new = put(made, tmp_path / "new", "new", made.counts)
    decision = challenge(made.store, made.dataset, new, old, POLICY)
    assert decision.n == 0
    assert not decision.promote
    assert "0 comparable test bins" in decision.summary


HERE, ELSEWHERE = "drawn for this test", "file:///other"


def put_trained_on(made: Made, folder: Path, rows: list[dict[str, object]], source: str) -> str:
    """Uploads a model that was trained on such bins of such a source."""
    others = Made(made.store, folder / "others", made.counts, sharpness=1.0)
    others.add("others-train", rows)
    others.splits = {"train": others.splits["others-train"], "validation": made.splits["validation"]}
    dataset = others.dataset.model_copy(update={"source": source})
    made.store.put_bytes("others.json", dataset.model_dump_json().encode())
    provenance = {"dataset_id": dataset.dataset_id, "dataset_key": "others.json", "source": source}
    return put(made, folder / "old", "old", made.counts, bias=2, provenance=provenance)


@pytest.mark.parametrize(
    ("source", "same_ids", "same_photos", "left_out"),
    [
        pytest.param(ELSEWHERE, True, False, 0, id="equal ids of another source"),
        pytest.param(ELSEWHERE, False, True, 100, id="a copy under other ids"),
        pytest.param(ELSEWHERE, True, True, 100, id="a copy"),
        pytest.param(HERE, True, False, 100, id="the bins themselves, stored anew"),
        pytest.param(HERE, False, True, 100, id="the bins themselves, named anew"),
        pytest.param(HERE, False, False, 0, id="other bins"),
    ],
)
def test_a_bin_is_its_photo_or_its_id_in_one_source(
    made: Made, tmp_path: Path, source: str, same_ids: bool, same_photos: bool, left_out: int
) -> None:
    test = split_rows("test", dict.fromkeys([1, 2, 3, 4, 5], 60), made.counts)
    fresh = split_rows("fresh", dict.fromkeys([1, 2, 3, 4, 5], 60), made.counts)
    rows = [
        {**other, "id": (row if same_ids else other)["id"], "image": (row if same_photos else other)["image"]}
        for row, other in zip(test[::3], fresh, strict=False)
    ]
    folder = tmp_path / "trained"
    (folder / "others").mkdir(parents=True)
    old = put_trained_on(made, folder, rows, source)
    decision = challenge(made.store, made.dataset, put(made, tmp_path / "new", "new", made.counts), old, POLICY)
    assert decision.n == 300 - left_out
    assert (f"{left_out} more are left out" in decision.criteria[0].reason) == bool(left_out)


@pytest.mark.parametrize(("served", "promote"), [("rendered:4000:0", True), ("file:///photos", False)])
def test_a_model_of_rendered_bins_does_not_compete_with_one_of_photos(
    made: Made, tmp_path: Path, served: str, promote: bool
) -> None:
    """Whatever it counts and can do: here it is better and counts further, and its files are gone."""
    old = put(made, tmp_path / "old", "old", [1, 2, 3, 4, 5, 6], provenance={"source": served})
    made.store.delete("old/model.onnx")
    dataset = made.dataset.model_copy(update={"source": "file:///photos" if promote else "rendered:10:0"})
    new = put(made, tmp_path / "new", "new", made.counts, bias=1)
    decision = challenge(made.store, dataset, new, old, POLICY, recorded_accuracy=1.0)
    assert decision.promote == promote, decision.summary
    assert "trained on rendered bins" in decision.summary or "serving.name" in decision.summary


@pytest.mark.parametrize(
    "provenance",
    [{}, {"dataset_id": "x"}, {"dataset_id": "x", "dataset_key": "nowhere.json"}],
    ids=["nothing recorded", "no key", "manifest gone"],
)
def test_an_unknown_training_set_is_said_and_does_not_stop_a_better_model(
    made: Made, tmp_path: Path, provenance: dict[str, str]
) -> None:
    new = put(made, tmp_path / "new", "new", made.counts)
    old = put(made, tmp_path / "old", "old", made.counts, bias=2, provenance=provenance)
    decision = challenge(made.store, made.dataset, new, old, POLICY)
    assert decision.promote, decision.summary
    assert any("its training bins are unknown" in criterion.reason for criterion in decision.criteria)


def test_shards_that_are_gone_make_the_training_set_unknown(made: Made) -> None:
    shard = made.splits["train"].shards[0].model_copy(update={"key": "gone.arrow", "sha256": "0" * 64})
    train = made.splits["train"].model_copy(update={"shards": [shard]})
    other = made.dataset.model_copy(update={"splits": {**made.splits, "train": train}})
    made.store.put_bytes("other.json", other.model_dump_json().encode())
    model = made.bundle.model_copy(update={"provenance": Provenance(dataset_id="x", dataset_key="other.json")})
    assert trained_on(made.store, model, made.dataset) is None


@pytest.mark.parametrize("damage", ["missing", "truncated", "not a bundle"])
def test_a_model_in_service_whose_files_are_gone_is_replaced_on_its_record(
    made: Made, tmp_path: Path, damage: str
) -> None:
    new = put(made, tmp_path / "new", "new", made.counts)
    old = put(made, tmp_path / "old", "old", made.counts)
    if damage == "missing":
        made.store.delete("old/model.onnx")
    elif damage == "truncated":
        made.store.put_bytes("old/model.onnx", (tmp_path / "old" / "model.onnx").read_bytes()[:100])
    else:
        made.store.put_bytes("old/bundle.json", b'{"format": "something else"}')
    assert challenge(made.store, made.dataset, new, old, POLICY, recorded_accuracy=0.3).promote
    decision = challenge(made.store, made.dataset, new, old, POLICY, recorded_accuracy=0.99)
    assert not decision.promote
    assert "old cannot be run any more" in decision.summary


def test_models_with_other_counts_are_compared_where_both_can_answer(made: Made, tmp_path: Path) -> None:
    new = put(made, tmp_path / "new", "new", made.counts)
    narrow = put(made, tmp_path / "narrow", "narrow", [1, 2, 3], bias=4, **known(made))
    decision = challenge(made.store, made.dataset, new, narrow, POLICY)
    assert decision.n == 180  # bins with 1 to 3 items
    assert decision.promote, decision.summary
    wide = put(made, tmp_path / "wide", "wide", [1, 2, 3, 4, 5, 6], bias=2, **known(made))
    decision = challenge(made.store, made.dataset, new, wide, POLICY)
    assert not decision.promote
    assert "cannot answer 6 items, which wide can" in decision.summary


def test_a_model_in_service_that_answers_nan_counts_as_gone(made: Made, tmp_path: Path) -> None:
    new = put(made, tmp_path / "new", "new", made.counts)
    old = put(made, tmp_path / "old", "old", made.counts, bias=float("nan"))
    decision = challenge(made.store, made.dataset, new, old, POLICY)
    assert any("NaN or infinity" in criterion.reason for criterion in decision.criteria)
