"""What a retention removes from a real object store, and what it never touches."""

import time
from pathlib import Path
from typing import Any

import pytest

from components.common.errors import InventoryError
from components.common.files import content_hash, sha256_bytes
from components.common.step.run_step import run_step
from components.common.store import Store
from components.counter import bundle as bundles
from components.counter.bundle import Bundle, InputTransform
from components.counter.dataset import DatasetManifest, ShardInfo, SplitInfo
from components.registry.entry import Event
from components.registry.registry import Registry, facts_of, open_registry, put_in_service, read_index, register
from components.registry.retention import RetentionPlan, carry_out, plan

NAME = "bin-counter"
TOMORROW = time.time() + 86_400


class Project:
    """Runs and what they leave in the store."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder = store, folder
        self.registry: Registry = open_registry(store, {})

    def dataset(self, name: str) -> DatasetManifest:
        """A dataset of three shards, with features of its training bins, and the split's promise of it."""
        root = f"datasets/{sha256_bytes(name.encode())}"
        splits = {}
        for split in ("train", "validation", "test"):
            data, key = f"{name} {split}".encode() * 10, f"{root}/{split}/00000.arrow"
            self.store.put_bytes(key, data)
            shard = ShardInfo(key=key, sha256=sha256_bytes(data), bytes=len(data), rows=1)
            splits[split] = SplitInfo(bins=1, per_count={"1": 1}, ids_sha256="0", shards=[shard])
        content = content_hash([splits["train"].shards[0].sha256])
        self.store.put_bytes(f"features/network/{content}/0/000000000", b"features")
        manifest = DatasetManifest(
            dataset_id=root.partition("/")[2],
            source=name,
            counts=[1],
            open_top=False,
            short_side=32,
            method="products",
            ratios=[0.6, 0.2, 0.2],
            seed=0,
            splits=splits,
            exclusions={},
            exclusions_key=f"{root}/excluded.jsonl",
            shared_products={"validation": 0, "test": 0},
        )
        run_step(self.store, "split", {"source": name}, manifest.model_dump)
        return manifest

    def run(self, run_id: str, dataset: DatasetManifest, registered: bool = True) -> None:
        """A run with its bundle, manifests and report."""
        provenance = {"dataset_id": dataset.dataset_id, "dataset_key": f"runs/{run_id}/dataset.json"}
        folder = self.folder / run_id
        folder.mkdir()
        (folder / "model.onnx").write_bytes(run_id.encode() * 100)
        bundle = Bundle(
            version=run_id, backbone="none", counts=[1], input=InputTransform(size=32), provenance=provenance
        )
        bundle = bundles.save(bundle, folder)
        key = f"runs/{run_id}/model"
        bundles.upload(self.store, folder, key)
        for manifest_key in ("dataset.json", "train/dataset.json"):
            self.store.put_bytes(f"runs/{run_id}/{manifest_key}", dataset.model_dump_json().encode())
        self.store.put_bytes(f"runs/{run_id}/report.html", b"a report")
        run_step(self.store, "train", {"run": run_id}, lambda: {"bundle_key": key, "uri": self.store.uri(key)})
        if registered:
            register(self.registry, NAME, facts_of(self.store, key, bundle, run_id))

    def serve(self, run_id: str) -> None:
        put_in_service(self.registry, self.store, NAME, f"runs/{run_id}/model")

    def plan(self, keep: int = 0, days: float = 0.5, **options: Any) -> RetentionPlan:
        return plan(self.store, read_index(self.registry, NAME), keep, days, now=TOMORROW, **options)

    def prune(self, **options: Any) -> list[str]:
        return [entry.version for entry in carry_out(self.store, self.registry, NAME, self.plan(**options))]

    def versions(self) -> list[str]:
        return list(read_index(self.registry, NAME).entries)

    def promises(self) -> int:
        return len(list(self.store.list("completions/")))


@pytest.fixture
def project(store: Store, tmp_path: Path) -> Project:
    """Four models: b is in service and a was before it, c shares their dataset, d has one of its own."""
    made = Project(store, tmp_path)
    shared, own = made.dataset("shared"), made.dataset("own")
    for run_id, dataset in (("a", shared), ("b", shared), ("c", shared), ("d", own)):
        made.run(run_id, dataset)
    made.serve("a")
    made.serve("b")
    return made


def test_what_serves_what_was_before_and_what_others_share_stays(project: Project) -> None:
    kept = project.store.sizes("runs/a/") | project.store.sizes("runs/b/")
    shared = [key for key in project.store.list("datasets/") if b"shared" in project.store.get_bytes(key)]
    before = sum(project.store.sizes("").values())
    assert project.prune() == ["c", "d"]
    assert project.store.sizes("runs/") == kept
    assert list(project.store.list("datasets/")) == shared
    assert len(list(project.store.list("features/"))) == 1
    assert project.versions() == ["a", "b"]
    assert project.promises() == 3  # the split of the shared dataset, the trainings of a and b
    assert sum(project.store.sizes("").values()) < before


def test_a_plan_says_what_would_go_and_touches_nothing(project: Project) -> None:
    before = project.store.sizes("")
    found = project.plan()
    assert [removal.entry.version for removal in found.models] == ["c", "d"]
    assert found.size == sum(
        size for key, size in before.items() if key in found.shared or key.startswith(("runs/c/", "runs/d/"))
    )
    assert {key.split("/")[0] for key in found.shared} == {"datasets", "features"}
    assert project.store.sizes("") == before


@pytest.mark.parametrize(
    ("options", "going"),
    [
        ({"keep": 1}, ["c"]),
        ({"keep": 10}, []),
        ({"days": 2}, []),
        ({"serving": ["runs/c/model"]}, ["d"]),
    ],
    ids=["the newest", "as many as there are", "younger than asked", "what an InferenceService serves"],
)
def test_the_newest_the_young_and_what_serves_elsewhere_stay(
    project: Project, options: dict[str, Any], going: list[str]
) -> None:
    assert [removal.entry.version for removal in project.plan(**options).models] == going


def test_a_dataset_of_a_run_that_registered_nothing_stays(project: Project) -> None:
    project.run("e", project.dataset("own"), registered=False)
    assert project.plan().shared == {}
    assert project.prune() == ["c", "d"]
    assert len([key for key in project.store.list("datasets/") if b"own" in project.store.get_bytes(key)]) == 3
    assert list(project.store.list("runs/e/"))


def test_a_name_that_begins_like_another_is_another_run(project: Project) -> None:
    project.run("cc", project.dataset("own"))
    assert project.prune(keep=1) == ["c", "d"]
    assert len(list(project.store.list("runs/cc/"))) == 5


def test_a_model_that_came_into_service_meanwhile_stays(project: Project) -> None:
    chosen = project.plan()
    project.serve("d")
    removed = [entry.version for entry in carry_out(project.store, project.registry, NAME, chosen)]
    assert removed == ["c"]
    assert len(list(project.store.list("runs/d/"))) == 5
    assert len(list(project.store.list("datasets/"))) == 6


def test_an_interrupted_removal_is_finished_by_the_next_one(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    record = project.registry.record

    def broken(name: str, event: Event) -> None:
        raise InventoryError("the store is away")

    monkeypatch.setattr(project.registry, "record", broken)
    with pytest.raises(InventoryError, match="away"):
        project.prune()
    monkeypatch.setattr(project.registry, "record", record)
    assert project.versions() == ["a", "b", "c", "d"]
    assert not list(project.store.list("runs/c/"))
    assert project.prune() == ["c", "d"]
    assert project.versions() == ["a", "b"]


def test_a_rollback_goes_past_a_removed_model(project: Project) -> None:
    project.serve("c")
    assert project.prune() == ["a", "d"]
    found = read_index(project.registry, NAME)
    assert (found.in_service.version, found.before.version) == ("c", "b")
