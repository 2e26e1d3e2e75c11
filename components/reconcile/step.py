"""Reconciliation: every record of the stock system against its bin's photo, and the list to recount."""

import io
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir
from typing import IO

from components.client.endpoint import Endpoint
from components.common.errors import InventoryError
from components.common.files import new_file, set_aside, sha256_file
from components.common.progress import note
from components.counter.bundle import Bundle
from components.counter.statistics.drift import Drift, ObservedDistribution, drift
from components.counter.statistics.wrong_records import WrongRecords, wrong_records
from components.documents.reconciled import Reconciliation
from components.reconcile import answer_store, coverage
from components.reconcile.asking import kept
from components.reconcile.asking.ask import Asking
from components.reconcile.asking.file import open_answers
from components.reconcile.records import Photos, Records
from components.reconcile.results import report
from components.reconcile.results.page import render
from components.reconcile.settings import ReconcileSettings

ANSWERS_FILE, SUMMARY_FILE = "answers.sqlite", "summary.json"
PAGE_FILE, CSV_FILE, JSON_FILE = "recount.html", "recount.csv", "recount.json"


def reconcile(
    records: Records,
    photos: Photos,
    endpoint: Endpoint,
    folder: Path,
    settings: ReconcileSettings,
    keep: Callable[[sqlite3.Connection], None] = lambda _: None,
) -> Reconciliation:
    """Asks about every record, and writes the ranked list, its page and its numbers into the folder.

    What is answered is kept in ``folder/answers.sqlite`` at once, and no model is asked twice about the same photo: a
    reconciliation that was killed goes on when it is started again, and a second one on the same day asks about new
    photos and what failed. Memory does not grow with the number of bins.

    Args:
        records: of ``open_records``.
        photos: of ``open_photos``.
        endpoint: where the model is served.
        folder: for the list, its page, its numbers and the answers.
        settings: how to.
        keep: called with the answers whenever some were added.

    Raises:
        InventoryError: if the server cannot be asked, or the folder cannot be written or is in use.
    """
    database = open_answers(folder / ANSWERS_FILE)
    try:
        model = Asking(endpoint, database, records, photos, settings.concurrency, keep).ask_all()
        wrong = _wrong_records(database, settings)
        rate = answer_store.rate_with(database, wrong.all.mean) if wrong else None
        if rate is not None:
            answer_store.judge(database, rate, settings.missed_cost)
        drifts = _drift(database, model)
        _set_counts_aside(folder)
        with _whole(folder / CSV_FILE) as csv_file, _whole(folder / JSON_FILE) as json_file:
            curve = report.write_lists(database, rate, csv_file, json_file)
        summary = report.summarise(database, model, wrong, settings, curve, drifts)
        fields = {**coverage.of_rows(database, records), "list_sha256": sha256_file(folder / CSV_FILE)}
        summary = summary.model_copy(update=fields)
        summary.write(folder / SUMMARY_FILE)
        kept.keep_only_used(database, kept.identity(model))
        (folder / PAGE_FILE).write_text(render(database, summary, rate, curve, photos), encoding="utf-8")
    except sqlite3.Error as error:
        raise InventoryError(
            f"the answers in {folder / ANSWERS_FILE} cannot be written ({error}); is the disk or {gettempdir()} full?"
        ) from error
    finally:
        database.close()
    note(f"recount list: {folder / CSV_FILE}; page: {folder / PAGE_FILE}")
    return summary


@contextmanager
def _whole(path: Path) -> Iterator[IO[str]]:
    """A text file that takes its name when the block ends, so that a killed reconciliation leaves no part of a list."""
    with new_file(path) as file, io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
        yield text


def _set_counts_aside(folder: Path) -> None:
    """A list in which somebody has written since, such as counts, is kept under another name."""
    path = folder / CSV_FILE
    if not path.exists():
        return
    try:
        written = Reconciliation.load(folder / SUMMARY_FILE).list_sha256
    except (InventoryError, OSError):
        written = ""
    if sha256_file(path) != written:
        note(f"{path} was changed since it was written; it is kept as {set_aside(path).name}")


def _wrong_records(database: sqlite3.Connection, settings: ReconcileSettings) -> WrongRecords | None:
    """The number of wrong records; None when no bin is countable."""
    probabilities, recorded = answer_store.countable(database)
    if not len(recorded):
        return None
    return wrong_records(probabilities, recorded, settings.top, settings.prior, settings.error_rate)


def _drift(database: sqlite3.Connection, model: Bundle) -> list[Drift]:
    stored, bins = model.drift_reference, answer_store.tallies(database).answered
    if stored is None or not bins:
        return []
    today = ObservedDistribution(
        bins=bins,
        count=answer_store.label_shares(database),
        confidence=answer_store.shares(database, "confidence", stored.confidence.edges),
        brightness=answer_store.shares(database, "brightness", stored.brightness.edges),
    )
    return drift(stored, today)
