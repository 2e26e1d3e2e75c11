"""Explore: a page that shows what a model will learn from, and what was left out."""

from pathlib import Path
from typing import Any

from components.common.errors import InventoryError
from components.common.step.run_step import run_step
from components.common.store import Store
from components.counter.dataset import DatasetManifest, open_shards
from components.counter.splits import SPLITS
from components.documents.downloaded import BinsManifest
from components.explore.page import render


def explore(store: Store, bins: BinsManifest, dataset: DatasetManifest) -> dict[str, Any]:
    """Writes the page of a dataset into the store: ``page_key`` of the outcome, beside ``dataset_id``.

    Only the first shard of each split is fetched, whatever the size of the dataset.
    """
    inputs = {"dataset": dataset.model_dump(), "selected": bins.selected, "notes": bins.notes}
    return run_step(
        store,
        "explore",
        inputs,
        lambda: _explore(store, dataset),
        usable=lambda done: isinstance(key := done.get("page_key"), str) and store.exists(key),
    )


def write_page(store: Store, bins: BinsManifest, dataset: DatasetManifest, path: Path) -> None:
    """Explores a dataset and writes the page to a file too."""
    store.get_file(explore(store, bins, dataset)["page_key"], path)


def _explore(store: Store, dataset: DatasetManifest) -> dict[str, Any]:
    opened = {split: open_shards(store, dataset.split(split).shards[:1]) for split in SPLITS}
    excluded = store.get_bytes(dataset.exclusions_key)
    key = f"datasets/{dataset.dataset_id}/explore.html"
    try:
        page = render(dataset, opened, excluded.splitlines())
    except (ValueError, LookupError, TypeError) as error:
        raise InventoryError(f"{store.uri(dataset.exclusions_key)} is damaged; delete it and run again") from error
    store.put_bytes(key, page.encode())
    return {"page_key": key, "dataset_id": dataset.dataset_id}
