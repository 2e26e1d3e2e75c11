"""The gate step on real bundles in a real store: what is in service, what is decided, what is registered."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.common.errors import InventoryError
from components.common.store import Store
from components.counter import bundle as bundles
from components.counter.dataset import DatasetManifest
from components.documents.gated import GatedModel
from components.gate.step import gate
from components.registry.entry import Index
from components.registry.registry import open_registry, put_in_service, read_index
from components.settings.gate import GatePolicy
from components.settings.serving import ServingSettings
from tests.documents import rule, trained
from tests.evaluate.conftest import Made
from tests.gate.test_challenge import put

POLICY = {"draws": 500}
Make = Callable[..., Made]


@pytest.fixture
def made(make: Make) -> Made:
    return make(test=dict.fromkeys([1, 2, 3, 4, 5], 60))


def ask(made: Made, key: str, dataset: DatasetManifest | None = None, **evaluated: Any) -> GatedModel:
    """The gate's answer about a model whose run has the name of its bundle."""
    policy = {**POLICY, **evaluated.pop("policy", {})}
    return gate(made.store, dataset or made.dataset, trained(key, **evaluated), key, GatePolicy.read(policy))


def models(store: Store) -> Index:
    return read_index(open_registry(store, {}), "bin-counter")


def serve(made: Made, key: str) -> None:
    put_in_service(open_registry(made.store, {}), made.store, "bin-counter", key)


def known(made: Made, accuracy: float = 0.5) -> dict[str, Any]:
    return {"provenance": {"dataset_id": made.dataset.dataset_id}, "metrics": {"test": {"accuracy": accuracy}}}


def test_the_first_model_is_approved_and_registered_as_a_candidate(made: Made, tmp_path: Path) -> None:
    outcome = ask(made, put(made, tmp_path / "new", "new", made.counts, **known(made)))
    assert outcome.approved == "yes"
    assert outcome.in_service is None
    entry = models(made.store).get("new")
    assert (entry.state, entry.run_id, entry.dataset_id) == ("candidate", "new", made.dataset.dataset_id)
    assert entry.decision.summary == "Promoted: first in service"
    assert models(made.store).in_service is None  # only a deployment puts it there
    assert GatedModel.fetch(made.store, "runs/new/gate.json") == outcome
    assert outcome.decision.engine == "onnxruntime"
    page = made.store.get_bytes("runs/new/gate.html").decode()
    assert "first in service" in page
    assert "<dt>engine</dt><dd>onnxruntime</dd>" in page


def test_a_better_model_is_approved_and_a_worse_one_rejected_with_power_and_reasons(made: Made, tmp_path: Path) -> None:
    new = put(made, tmp_path / "new", "new", made.counts, **known(made))
    old = put(made, tmp_path / "old", "old", made.counts, bias=2, **known(made))
    serve(made, old)
    better = ask(made, new)
    assert (better.approved, better.in_service) == ("yes", "old")
    assert 0 < better.decision.power.at_5_points <= 1
    serve(made, new)
    worse = put(made, tmp_path / "worse", "worse", made.counts, bias=2, **known(made))
    refused = ask(made, worse)
    assert refused.approved == "no"
    assert any("exact accuracy -" in reason for reason in refused.reasons)
    assert models(made.store).get("worse").state == "rejected"
    assert "points better passes the comparison" in made.store.get_bytes("runs/worse/gate.html").decode()
    assert models(made.store).in_service.version == "new"


def test_a_run_that_is_tried_again_after_its_deployment_is_not_refused(made: Made, tmp_path: Path) -> None:
    new = put(made, tmp_path / "new", "new", made.counts, **known(made))
    first = ask(made, new)
    serve(made, new)
    again = ask(made, new)
    assert again.approved == "yes"
    assert again.decision.summary == "Promoted: new is in service already"
    assert again.decision.engine is None  # no network was run
    entry = models(made.store).get("new")
    assert entry.state == "in service"
    assert entry.decision == first.decision


@pytest.mark.parametrize(("accuracy", "approved"), [(0.2, "yes"), (0.99, "no")])
def test_a_training_that_overwrote_the_model_in_service_is_measured_by_its_record(
    made: Made, tmp_path: Path, accuracy: float, approved: str
) -> None:
    serve(made, put(made, tmp_path / "first", "same", made.counts, bias=2, **known(made, accuracy)))
    other = put(made, tmp_path / "second", "same", made.counts, **known(made))
    outcome = ask(made, other)
    assert outcome.approved == approved
    assert "a later training of the same run has overwritten its files" in outcome.decision.model_dump_json()


def test_a_model_in_service_whose_files_are_gone_is_measured_by_its_record(made: Made, tmp_path: Path) -> None:
    serve(made, put(made, tmp_path / "old", "old", made.counts, **known(made, 0.99)))
    made.store.delete("old/model.onnx")
    outcome = ask(made, put(made, tmp_path / "new", "new", made.counts, **known(made)))
    assert outcome.approved == "no"
    assert "old cannot be run any more" in outcome.reasons[0]


@pytest.mark.parametrize(
    ("counts", "size", "provenance", "approved"),
    [
        ([1, 2, 3], 32, True, "yes"),
        ([1, 2, 3, 4, 5, 6], 32, True, "no"),
        ([1, 2, 3, 4, 5], 64, True, "yes"),
        ([1, 2, 3, 4, 5], 32, False, "yes"),
    ],
    ids=["fewer counts", "more counts", "another input size", "unknown training set"],
)
def test_the_model_in_service_may_be_of_another_kind(
    made: Made, tmp_path: Path, counts: list[int], size: int, provenance: bool, approved: str
) -> None:
    old = put(
        made,
        tmp_path / "old",
        "old",
        counts,
        bias=4,
        size=size,
        **{**known(made), **({} if provenance else {"provenance": {}})},
    )
    serve(made, old)
    outcome = ask(made, put(made, tmp_path / "new", "new", made.counts, **known(made)))
    assert outcome.approved == approved, outcome.reasons


def test_rules_refuse_a_model_when_its_weights_are_not_to_be_trusted(made: Made, tmp_path: Path) -> None:
    rules = [
        rule("exploding_tensor", "fired", action="stop"),
        rule("dead_relu"),
        rule("overfit", "fired"),  # the epoch before it was kept
    ]
    outcome = ask(made, put(made, tmp_path / "new", "new", made.counts, **known(made)), rules=rules)
    assert (outcome.approved, outcome.reasons) == ("no", ["training failed the rules exploding_tensor"])


def test_a_gate_that_is_not_enforced_says_what_it_thinks_and_lets_pass(made: Made, tmp_path: Path) -> None:
    rules = [rule("exploding_tensor", "fired", action="stop")]
    key = put(made, tmp_path / "new", "new", made.counts, **known(made))
    outcome = ask(made, key, rules=rules, policy={"enforce": False})
    assert (outcome.approved, outcome.decision.promote) == ("yes", False)
    assert "Deployed all the same" in made.store.get_bytes(outcome.page_key).decode()


def test_a_test_split_that_lacks_a_count_promotes_nothing(make: Make, tmp_path: Path) -> None:
    made = make(test={1: 60, 2: 60, 4: 60, 5: 60})
    new = put(made, tmp_path / "new", "new", made.counts, **known(made))
    first = ask(made, new)
    assert (first.approved, first.reasons) == ("no", ["no test bin holds 3 items"])
    serve(made, put(made, tmp_path / "old", "old", made.counts, bias=2, **known(made)))
    assert "no comparable test bin holds 3 items" in ask(made, new).reasons[0]


@pytest.mark.parametrize("trouble", ["no test bin", "NaN", "other counts"])
def test_what_cannot_be_judged_is_one_line_and_promotes_nothing(made: Made, tmp_path: Path, trouble: str) -> None:
    dataset, bias, counts = made.dataset, 0.0, made.counts
    if trouble == "no test bin":
        made.add("test", [])
        dataset, words = made.dataset, r"the test split of dataset .* holds no bin"
    elif trouble == "NaN":
        bias, words = float("nan"), r"model.onnx answers 300 of 300 bins with NaN or infinity"
    else:
        counts, words = [1, 2, 3], r"model new answers the counts 1, 2, 3, the dataset holds 1, 2, 3, 4, 5;"
    new = put(made, tmp_path / "new", "new", counts, bias=bias, **known(made))
    with pytest.raises(InventoryError, match=words) as error:
        ask(made, new, dataset)
    assert "\n" not in str(error.value)
    assert not models(made.store).entries


@pytest.mark.parametrize(
    ("name", "where", "command"),
    [
        ("bin-counter", "local", "inventory promote weak"),
        ("north", "local", "inventory promote weak --name north"),
        ("bin-counter", "cluster", "inventory promote weak --namespace bins"),
    ],
)
def test_a_refusal_names_the_command_that_overrules_it(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, where: str, command: str
) -> None:
    monkeypatch.setattr("components.gate.step.serves_on_cluster", lambda: where == "cluster")
    monkeypatch.setenv("INVENTORY_NAMESPACE", "bins")
    weak = put(made, tmp_path / "weak", "weak", made.counts, bias=20, **known(made))
    policy, serving = GatePolicy.read(POLICY), ServingSettings(name=name)
    outcome = gate(made.store, made.dataset, trained(weak), "weak", policy, serving)
    assert outcome.decision.summary.endswith(f". To overrule: {command}")
    assert command in made.store.get_bytes(outcome.page_key).decode()


def test_a_refused_option_is_named() -> None:
    with pytest.raises(InventoryError, match=r"gate\.metric = 'f1' is refused; allowed: accuracy, within_one, mae"):
        GatePolicy.read({"metric": "f1"})


def test_models_are_registered_under_the_name_of_their_service(made: Made, tmp_path: Path) -> None:
    new = put(made, tmp_path / "new", "new", made.counts, **known(made))
    gate(
        made.store,
        made.dataset,
        trained(new),
        "new",
        GatePolicy.read(POLICY),
        ServingSettings(name="bin-counter-north"),
    )
    assert not models(made.store).entries
    assert list(read_index(open_registry(made.store, {}), "bin-counter-north").entries) == ["new"]
    assert bundles.fetch_description(made.store, new).version == "new"
