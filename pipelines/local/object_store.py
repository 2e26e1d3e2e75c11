"""The object store that the commands use: the one that the environment names, or the embedded one of a runs folder."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from components.common.errors import InventoryError
from components.common.local_store.server import local_store
from components.common.store import Store, open_store

STORE_FOLDER = ".store"
"""Of the embedded store, in the folder of all runs."""


def _is_named() -> bool:
    return any(os.environ.get(name) for name in ("S3_ENDPOINT_URL", "AWS_ENDPOINT_URL"))


@contextlib.contextmanager
def store_environment(runs: Path) -> Iterator[dict[str, str]]:
    """Environment variables of the store in the folder of all runs, while it runs; none when the environment names one.

    Raises:
        InventoryError: if the store that the environment names refuses, or the embedded one does not start.
    """
    if _is_named():
        open_store()  # a wrong endpoint or credentials are told before anything else
        yield {}
        return
    with local_store(runs.resolve() / STORE_FOLDER) as environment:
        yield environment


@contextlib.contextmanager
def existing_store(runs: Path) -> Iterator[tuple[Store, dict[str, str]]]:
    """The store with what runs have left in it, and the environment that names it.

    Raises:
        InventoryError: as ``store_environment``, or if no run was ever made here.
    """
    if not _is_named() and not (runs / STORE_FOLDER).is_dir():
        raise InventoryError(
            f"there are no runs in {runs}; name their folder with --runs, or their object store with S3_ENDPOINT_URL"
        )
    with store_environment(runs) as environment:
        whole = {**os.environ, **environment}
        yield open_store(whole), whole
