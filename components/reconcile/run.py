"""Reconciliation as a step: the list lands in the object store and in artifacts, and a killed one goes on."""

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from components.client.chosen import credentials
from components.client.endpoint import Endpoint, bearer
from components.client.token_hosts import check_token_host
from components.common.errors import InventoryError
from components.common.progress import note
from components.common.step.run_step import document_step
from components.common.store import Store
from components.documents.reconciled import StoredReconciliation
from components.reconcile.asking.file import copy_to, open_answers
from components.reconcile.coverage import check_coverage
from components.reconcile.records import fetch_records, open_photos, open_records
from components.reconcile.settings import ReconcileSettings, checked
from components.reconcile.step import ANSWERS_FILE, CSV_FILE, JSON_FILE, PAGE_FILE, SUMMARY_FILE, reconcile
from components.settings.permitted import STORE_SECRETS, TOKEN_SECRETS, check_name

KEEP_SECONDS = 60.0
"""How much work a killed step loses at most."""
RESULTS = (CSV_FILE, JSON_FILE, PAGE_FILE, SUMMARY_FILE)


@dataclass(frozen=True)
class Stock:
    """What is reconciled."""

    photos: str
    """See ``open_photos``."""
    records: str = ""
    """A CSV, as a path or an ``s3://`` address; empty takes the bins' own metadata."""
    endpoint: str = ""
    """S3 endpoint of ``s3://`` photos and records; empty takes the object store's, then AWS."""


def check_secrets(store_secret: str, token_secret: str) -> None:
    """Refuses secrets that the pipeline was not compiled for; an empty name is none.

    Raises:
        InventoryError: naming the secret, and what is allowed.
    """
    given = {"store_secret": (store_secret, STORE_SECRETS), "token_secret": (token_secret, TOKEN_SECRETS)}
    for option, (name, variable) in given.items():
        if name:
            check_name(option, name, variable)


def find_endpoint(url: str, service: str, namespace: str) -> Endpoint:
    """Where the model is served; the bearer token comes from the step's environment.

    An empty URL asks the cluster for the InferenceService, and an empty namespace is the step's own.

    Raises:
        InventoryError: if there is no such service, what should hold a token does not, or the token is not for that
            server, see ``check_token_host``.
    """
    from components.cluster import kube  # the Kubernetes client takes half a second to import

    token, token_file = credentials()
    if url:
        found = Endpoint(url.rstrip("/"), service, bearer(token), token_file=token_file)
    else:
        from components.client.address import find_service

        found = find_service(service, namespace, token=token, token_file=token_file)
    if not kube.in_cluster():
        return found  # who chooses the server and whose token it is are one person
    own = kube.namespace()
    by_name = not url and namespace in ("", own)  # its address is what the own namespace says of itself
    return found if by_name else check_token_host(found, own)


def reconcile_run(
    store: Store, run_id: str, stock: Stock, endpoint: Endpoint, settings: ReconcileSettings, copies: Mapping[str, Path]
) -> StoredReconciliation:
    """Reconciles, and puts ``RESULTS`` into the store under ``runs/<run_id>/reconciliation/``.

    The answers are kept there too, so that the step, started again with the same ``run_id``, asks only for the rest.
    Each file of ``copies`` gets a copy of the result that names it.

    Raises:
        InventoryError: as ``reconcile``.
    """
    prefix = f"runs/{run_id}/reconciliation"
    inputs = {"run_id": run_id, "photos": stock.photos, "records": stock.records, "url": endpoint.url}

    def work() -> StoredReconciliation:
        with tempfile.TemporaryDirectory(prefix="reconcile-") as scratch:
            folder = Path(scratch)
            key = f"{prefix}/{ANSWERS_FILE}"
            _fetch_kept(store, key, folder / ANSWERS_FILE)
            photos = open_photos(stock.photos, stock.endpoint)
            table = fetch_records(stock.records, folder, stock.endpoint)
            records = open_records(table, stock.photos, stock.endpoint)
            try:
                keep = _copy_to_store(store, key, folder)
                summary = reconcile(records, photos, endpoint, folder, checked(settings), keep)
            except InventoryError:
                if (folder / ANSWERS_FILE).exists():
                    store.put_file(key, folder / ANSWERS_FILE)
                raise
            for name in RESULTS:
                store.put_file(f"{prefix}/{name}", folder / name)
            for name, path in copies.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder / name, path)
            store.put_file(key, folder / ANSWERS_FILE)
            check_coverage(summary, photos, stock.photos)
            keys = {name: f"{prefix}/{name}" for name in RESULTS}
            return StoredReconciliation(**summary.model_dump(exclude={"format"}), keys=keys)

    return document_step(store, "reconcile", inputs, StoredReconciliation, work, always=True)


def _fetch_kept(store: Store, key: str, path: Path) -> None:
    """Fetches the answers of an earlier attempt; whatever lies there, and is none, is no reason to fail."""
    if not store.exists(key):
        return
    try:
        store.get_file(key, path)
        open_answers(path).close()
    except InventoryError as error:
        note(f"the answers in {store.uri(key)} cannot be used, and every bin is asked anew ({error})")
        path.unlink(missing_ok=True)


def _copy_to_store(store: Store, key: str, folder: Path) -> Callable[[sqlite3.Connection], None]:
    """Copies the answers to the store once a while."""
    last = time.monotonic()

    def keep(database: sqlite3.Connection) -> None:
        nonlocal last
        if time.monotonic() - last > KEEP_SECONDS:
            copy_to(database, folder / "kept.sqlite")
            store.put_file(key, folder / "kept.sqlite")
            last = time.monotonic()

    return keep
