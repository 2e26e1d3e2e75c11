"""Which models may go, what goes with them, and what must not.

The model in service and the one before it always stay. A dataset and the features of its bins stay as long as any run
names them.
"""

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from components.common.progress import note
from components.common.store import Store
from components.counter.dataset import DatasetManifest, content_of
from components.registry.entry import Entry, Event, Index
from components.registry.registry import Registry, read_index

DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Removal:
    """A model that may go, and the objects that are its own."""

    entry: Entry
    objects: dict[str, int]
    """Key -> bytes."""


@dataclass(frozen=True)
class RetentionPlan:
    """What a retention would free."""

    models: list[Removal]
    shared: dict[str, int]
    """Objects of datasets and feature caches that nothing uses once the models have gone; key -> bytes."""

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(self.shared.values()) + sum(sum(removal.objects.values()) for removal in self.models)


def plan(
    store: Store,
    found: Index,
    keep: int,
    older_than_days: float,
    serving: Collection[str] = (),
    now: float | None = None,
) -> RetentionPlan:
    """Finds the models of a name that may go.

    Args:
        store: holds the bundles and what belongs to them.
        found: the registered models.
        keep: as many of the newest stay, whatever their age.
        older_than_days: those that were registered later stay.
        serving: further bundle keys that must stay, such as that of an InferenceService.
        now: Unix time.
    """
    newest = list(found.entries)[-keep:] if keep else []
    limit = (time.time() if now is None else now) - older_than_days * DAY_SECONDS
    going = [
        entry
        for entry in found.entries.values()
        if entry.version not in {*found.service[-2:], *newest}
        and entry.bundle_key not in serving
        and entry.created < limit
    ]
    staying = [entry for entry in found.entries.values() if entry not in going]
    models = [Removal(entry, _own_objects(store, entry, staying)) for entry in going]
    return RetentionPlan(models, _unused_shared(store, models))


def carry_out(store: Store, registry: Registry, name: str, chosen: RetentionPlan) -> Iterator[Entry]:
    """Removes what a plan names, and yields each removed model; a second call finishes what an interrupted one left."""
    going = [removal for removal in chosen.models if not _serves_now(registry, name, removal.entry)]
    whole = len(going) == len(chosen.models)
    shared = chosen.shared if whole else {}  # a model that came into service meanwhile may need them
    roots = {"/".join(key.split("/")[:2]) + "/" for key in shared}
    _remove_promises(store, [*(prefix for removal in going for prefix in _prefixes(removal.entry)), *roots])
    for key in shared:
        store.delete(key)
    for removal in going:
        if _serves_now(registry, name, removal.entry):
            note(f"model {removal.entry.version} has come into service and stays")
            continue
        for key in removal.objects:
            store.delete(key)
        registry.record(name, Event(kind="removed", version=removal.entry.version))
        yield removal.entry


def _serves_now(registry: Registry, name: str, entry: Entry) -> bool:
    return entry.version in read_index(registry, name).service[-2:]


def _prefixes(entry: Entry) -> list[str]:
    return [f"runs/{entry.run_id}/", f"{entry.bundle_key}/"]


def _own_objects(store: Store, entry: Entry, staying: list[Entry]) -> dict[str, int]:
    needed = tuple(prefix for other in staying for prefix in [*_prefixes(other), other.dataset_key] if prefix)
    found = {key: size for prefix in _prefixes(entry) for key, size in store.sizes(prefix).items()}
    return {key: size for key, size in found.items() if not key.startswith(needed)}


def _unused_shared(store: Store, models: list[Removal]) -> dict[str, int]:
    """Datasets that only these models name, and features of their bins."""
    own = {key for removal in models for key in removal.objects}
    going: list[DatasetManifest] = []
    used: list[DatasetManifest] = []
    for key in store.list("runs/"):  # all runs: some never came to a model, or have not yet
        if key.endswith("/dataset.json"):
            manifest = DatasetManifest.fetch(store, key)
            (going if key in own else used).append(manifest)
    used_keys = {shard.key for manifest in used for shard in manifest.shards}
    roots = {f"datasets/{manifest.dataset_id}/" for manifest in going}
    roots -= {f"datasets/{manifest.dataset_id}/" for manifest in used}
    roots = {root for root in roots if not any(key.startswith(root) for key in used_keys)}
    freed = [manifest for manifest in going if f"datasets/{manifest.dataset_id}/" in roots]
    contents = {content for manifest in freed for content in _contents(manifest)}
    contents -= {content for manifest in used for content in _contents(manifest)}
    found = {key: size for root in sorted(roots) for key, size in store.sizes(root).items()}
    if contents:
        features = store.sizes("features/").items()
        found |= {key: size for key, size in features if key.split("/")[2:3] and key.split("/")[2] in contents}
    return found


def _contents(manifest: DatasetManifest) -> set[str]:
    """Names of the bins under which features of a dataset are cached."""
    alone = [(part,) for part in manifest.splits.values()]
    together = [(manifest.splits["train"], manifest.extra)] if manifest.extra else []
    return {content_of(parts) for parts in [*alone, *together]}


def _remove_promises(store: Store, gone: list[str]) -> None:
    """Removes the completion objects that promise what goes, so that a run which needs it does the work again."""
    for key in list(store.list("completions/")):
        text = store.get_bytes_or_none(key)
        if text and any(f'"{prefix}'.encode() in text or f"/{prefix}".encode() in text for prefix in gone):
            store.delete(key)
