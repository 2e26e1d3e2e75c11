"""What a release left in a store, read by today's code: a run to continue, models to promote, roll back and serve.

A folder holds what one small run of rendered bins left with a version, as it was written. Its files never change; a
release whose documents differ adds a folder of its own.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from components.common.document import Document
from components.common.store import Store
from components.counter.bundle import Bundle, fetch_description
from components.counter.dataset import DatasetManifest
from components.documents.deployed import DeployedModel
from components.documents.downloaded import BinsManifest
from components.documents.evaluated import EvaluatedModel
from components.documents.gated import GatedModel
from components.documents.trained import TrainedModel
from components.documents.training_profile import WorkerRecord
from components.documents.training_spec import TrainingSpec
from components.registry.registry import open_registry, put_in_service, read_index
from components.settings.run import RunSettings

RELEASES = sorted(Path(__file__).parent.glob("left_by_*"))
EACH = pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)
DOCUMENTS: dict[str, type[Document]] = {
    "bins": BinsManifest,
    "dataset": DatasetManifest,
    "job": TrainingSpec,
    "model": TrainedModel,
    "evaluated": EvaluatedModel,
    "gate": GatedModel,
    "service": DeployedModel,
    "bundle": Bundle,
    "profile": WorkerRecord,
}
"""What the files are."""


def written(release: Path, name: str) -> Any:
    return json.loads((release / f"{name}.json").read_text())


@EACH
@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_document_is_read_and_nothing_of_it_is_lost(release: Path, name: str) -> None:
    document = DOCUMENTS[name].load(release / f"{name}.json")
    kept = json.loads(document.to_json())
    assert lost(written(release, name) | {"format": kept["format"]}, kept) == []


def lost(before: Any, after: Any, place: str = "") -> list[str]:
    """Where a value of before is another one now; what is new may stand beside it."""
    if isinstance(before, dict) and isinstance(after, dict):
        missing = [f"{place}.{key}" for key in before.keys() - after.keys()]
        return missing + [one for key in before.keys() & after.keys()
                          for one in lost(before[key], after[key], f"{place}.{key}")]  # fmt: skip
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [one for at, pair in enumerate(zip(before, after, strict=True)) for one in lost(*pair, f"{place}[{at}]")]
    return [] if before == after else [f"{place}: {before!r} is {after!r}"]


@EACH
def test_a_run_that_is_under_way_goes_on_with_its_settings(release: Path) -> None:
    settings = RunSettings.load(release / "settings.json")
    assert lost(written(release, "settings"), settings.model_dump(mode="json")) == []


@EACH
def test_its_models_are_listed_and_a_newer_one_takes_over_with_a_way_back(release: Path, store: Store) -> None:
    for name, event in written(release, "registry").items():
        store.put_bytes(f"registry/bin-counter/{name}", json.dumps(event).encode())
    store.put_bytes("runs/t1/model/bundle.json", (release / "bundle.json").read_bytes())
    bundle = fetch_description(store, "runs/t1/model")  # whose own checksum still holds
    registry = open_registry(store, {})
    found = read_index(registry, "bin-counter")
    assert found.in_service
    assert (found.in_service.version, found.in_service.bundle_key) == (bundle.version, "runs/t1/model")
    newer = bundle.model_copy(update={"version": "newer"})
    newer.model_copy(update={"checksum": newer.own_checksum()}).put(store, "runs/newer/model/bundle.json")
    assert put_in_service(registry, store, "bin-counter", "runs/newer/model") == found.in_service
    after = read_index(registry, "bin-counter")
    assert [entry and entry.version for entry in (after.in_service, after.before)] == ["newer", bundle.version]
