"""Whatever the project reads back from a store or a folder may be cut, emptied or replaced.

What can be made again counts as absent; what cannot is named in one line. Nothing ends in a traceback, and no attempt
fails for ever.
"""

import importlib
import json
import pkgutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import components
from components.check_settings.step import resolve_settings
from components.common import lease
from components.common.document import Document
from components.common.errors import InventoryError
from components.common.step.run_step import document_step, run_step
from components.common.store import Store
from components.counter import bundle as bundles
from components.documents.search_plan import make_search_plan
from components.documents.trained import TrainedModel
from components.download.group_cache import find
from components.registry.entry import Event
from components.registry.store_index import StoreIndex
from components.settings.run import RunSettings
from components.settings.training import TrainingSettings
from components.settings.tuning import TuningSettings
from components.train.engine.checkpoint import Checkpoints
from components.train.engine.run_times import RunTimes
from components.train.engine.workers import Workers
from components.train.profile.records import read_records
from components.train.watch.saved_tensors import list_saved
from components.tune.trial_store import TrialStore
from pipelines.local.arguments import continued
from tests.documents import trained
from tests.tiny_model import write_bundle

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "half": lambda whole: whole[: len(whole) // 2],
    "empty": lambda _: b"",
    "binary": lambda _: b"\xff\x00\x9c" * 50,
    "list": lambda _: b"[]",
    "null": lambda _: b"null",
    "object": lambda _: b'{"a": {"b": [1]}}',
}


@pytest.fixture(params=DAMAGES)
def damage(request: pytest.FixtureRequest) -> Callable[[bytes], bytes]:
    return DAMAGES[request.param]


def documents() -> list[type[Document]]:
    """Every kind of document that there is."""
    for module in pkgutil.walk_packages(components.__path__, "components."):
        if module.name.startswith(("components.documents.", "components.counter.", "components.common.local_store.")):
            importlib.import_module(module.name)
    found, todo = [], [Document]
    while todo:
        kinds = [kind for kind in todo.pop().__subclasses__() if kind.__module__.startswith("components.")]
        found += kinds
        todo += kinds
    return found


@pytest.mark.parametrize("kind", documents(), ids=lambda kind: kind.KIND)
def test_every_document_that_is_damaged_is_named_in_one_line(kind: type[Document], damage, tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    file.write_bytes(damage(b'{"format": "inventory-' + kind.KIND.encode() + b'/1", "some": 1}'))
    with pytest.raises(InventoryError, match=r"file.json is no .*delete it") as refused:
        kind.load(file)
    assert str(refused.value).isprintable()
    assert kind.load_if_whole(file) is None


@pytest.mark.parametrize("as_document", [False, True])
def test_an_unreadable_completion_is_an_absent_one(store: Store, damage, as_document: bool) -> None:
    calls = []

    def work() -> TrainedModel:
        calls.append(1)
        return trained()

    def step() -> Any:
        if as_document:
            return document_step(store, "count", {"a": 1}, TrainedModel, work)
        return run_step(store, "count", {"a": 1}, lambda: work().model_dump(mode="json"))

    first = step()
    [key] = store.list("completions/count/")
    store.put_bytes(key, damage(store.get_bytes(key)))
    assert step() == first
    assert step() == first
    assert len(calls) == 2


@pytest.mark.parametrize("outcome", [[], None, 7, "x", {}, {"a": {"b": [1]}}])
def test_a_completion_whose_outcome_is_no_such_document_is_an_absent_one(store: Store, outcome: Any) -> None:
    document_step(store, "train", {}, TrainedModel, trained)
    [key] = store.list("completions/train/")
    record = json.loads(store.get_bytes(key))
    store.put_bytes(key, json.dumps({**record, "outcome": outcome}).encode())
    assert document_step(store, "train", {}, TrainedModel, trained) == trained()


def test_an_outcome_of_a_newer_version_is_not_overwritten(store: Store) -> None:
    document_step(store, "train", {}, TrainedModel, trained)
    [key] = store.list("completions/train/")
    newer = store.get_bytes(key).replace(b"inventory-trained-model/1", b"inventory-trained-model/9")
    store.put_bytes(key, newer)
    with pytest.raises(InventoryError, match="newer version"):
        document_step(store, "train", {}, TrainedModel, trained)
    assert store.get_bytes(key) == newer


def read_lease(store: Store) -> Any:
    return lease.is_stale(store, "r")


def read_checkpoints(store: Store) -> Any:
    return Checkpoints(store, "r/checkpoints", {"of": "this"}).read_newest()


def read_run_times(store: Store) -> Any:
    return len(RunTimes(store, "r/runs.json", Workers(), "t").runs)


def read_tensors(store: Store) -> Any:
    return list_saved(store, "r/tensors")


def read_profile(store: Store) -> Any:
    return read_records(store, "r/profile").attempts


def read_group(store: Store) -> Any:
    return find(store, "downloads/block/a.arrow")


def read_bundle(store: Store) -> Any:
    return bundles.is_whole(store, "r/model")


@pytest.mark.parametrize(
    ("key", "content", "read", "absent"),
    [
        ("runs/r/lease.json", b'{"renewed": 1.0}', read_lease, False),
        (
            "r/checkpoints/index.json",
            b'[{"key": "k", "sha256": "0", "steps": 3, "best": null}]',
            read_checkpoints,
            None,
        ),
        ("r/runs.json", b'[{"start": 1, "end": 2, "hosts": 1, "training": "t"}]', read_run_times, 1),
        (
            "r/tensors/index.json",
            b'[{"kind": "train", "step": 1, "epoch": 1, "key": "k", "bytes": 3}]',
            read_tensors,
            [],
        ),
        ("r/profile/1-0.json", b'{"format": "inventory-profile/1", "began": 1}', read_profile, []),
        ("downloads/block/a.arrow.json", b'{"key": "a", "sha256": "0", "bytes": 3}', read_group, None),
        ("r/model/bundle.json", b'{"format": "inventory-bundle/2", "version": "v"}', read_bundle, False),
    ],
)
def test_what_can_be_made_again_counts_as_absent_at_once(
    store: Store, damage, key: str, content: bytes, read: Callable[[Store], Any], absent: Any
) -> None:
    store.put_bytes(key, damage(content))
    started = time.monotonic()
    assert read(store) == absent
    assert time.monotonic() - started < 5


def test_a_damaged_lease_becomes_stale_when_nobody_renews_it(store: Store, damage) -> None:
    store.put_bytes(lease.lease_key("r"), damage(b'{"renewed": 1.0}'))
    assert not lease.is_stale(store, "r")
    assert lease.is_stale(store, "r", stale_seconds=-1)


def test_a_checkpoint_is_written_over_a_damaged_list(store: Store, damage) -> None:
    mine = Checkpoints(store, "c", {"of": "this"})
    assert mine.write({"a": 1}, 5, (1, {"w": torch.ones(1)}))
    store.put_bytes("c/index.json", damage(store.get_bytes("c/index.json")))
    again = Checkpoints(store, "c", {"of": "this"})
    assert again.read_newest() is None
    assert again.write({"a": 2}, 7, None)
    found = Checkpoints(store, "c", {"of": "this"}).read_newest()
    assert found is not None
    assert found[0] == {"a": 2}


@pytest.mark.parametrize("spoiled", ["trial.json", "plan.json"])
def test_a_search_goes_on_beside_a_damaged_record(store: Store, damage, spoiled: str) -> None:
    plan = make_search_plan("r", "runs/r/tune/dataset.json", TrainingSettings(), (), TuningSettings())
    store.put_bytes(plan.dataset_key, b"{}")
    first = TrialStore(plan, store)
    for name in ("a", "b"):
        first.write(plan.trial(name, {}, status="running"))
    key = f"{first.trials['a'].output}/trial.json" if spoiled == "trial.json" else f"{plan.output}/plan.json"
    store.put_bytes(key, damage(store.get_bytes(key)))
    assert set(TrialStore(plan, store).trials) == ({"b"} if spoiled == "trial.json" else set())
    TrialStore(plan, store)


def test_a_damaged_event_of_the_registry_is_named_and_others_strange_objects_are_passed_over(
    store: Store, damage
) -> None:
    index = StoreIndex(store)
    index.record("m", Event(kind="in service", version="1"))
    store.put_bytes("registry/m/notes.txt", b"mine")
    index.record("m", Event(kind="in service", version="2"))
    assert [event.version for event in index.events("m")] == ["1", "2"]
    key = min(store.list("registry/m/"))
    store.put_bytes(key, damage(store.get_bytes(key)))
    with pytest.raises(InventoryError, match=f"{key} is no event .*remove it"):
        index.events("m")


def test_damaged_settings_and_arguments_are_named_in_one_line(tmp_path: Path, damage) -> None:
    file = tmp_path / "arguments.json"
    file.write_bytes(damage(b'{"source": "rendered", "training": {"epochs": 1}}'))
    with pytest.raises(InventoryError, match="settings") as refused:
        RunSettings.load(file)
    assert str(refused.value).isprintable()
    try:
        assert continued(file, {}) == {"a": {"b": [1]}}  # is an object, whose names are checked with all others
    except InventoryError as error:
        assert "arguments.json is damaged; delete it" in str(error)  # noqa: PT017


def test_damaged_settings_of_the_first_step_are_made_again(store: Store, damage) -> None:
    first = resolve_settings(store, {})
    [key] = store.list("completions/settings/")
    record = json.loads(store.get_bytes(key))
    store.put_bytes(key, json.dumps({**record, "outcome": {"source": 1}}).encode())
    assert resolve_settings(store, {}) == first
    store.put_bytes(key, damage(store.get_bytes(key)))
    assert resolve_settings(store, {}) == first


@pytest.mark.parametrize("name", ["bundle.json", "model.onnx"])
def test_a_bundle_with_a_cut_or_missing_object_is_not_whole(store: Store, tmp_path: Path, name: str) -> None:
    write_bundle(tmp_path)
    bundles.upload(store, tmp_path, "m")
    assert bundles.is_whole(store, "m")
    store.put_bytes(f"m/{name}", (tmp_path / name).read_bytes()[:50])
    assert not bundles.is_whole(store, "m")
    store.delete(f"m/{name}")
    assert not bundles.is_whole(store, "m")
