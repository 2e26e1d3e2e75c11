"""Reconciliation: every record of the stock system against its bin's photo, and the list to recount."""

import sqlite3
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import httpx

from components.client.endpoint import Endpoint, open_client
from components.client.query import PhotoError, ask_many, description
from components.common.progress import Counter, note
from components.counter.answers import Answer
from components.counter.bundle import Bundle
from components.counter.statistics.drift import Drift, ObservedDistribution, drift
from components.counter.statistics.wrong_records import WrongRecords, wrong_records
from components.documents.reconciled import Reconciliation
from components.reconcile import answer_store, coverage, report
from components.reconcile.page import render
from components.reconcile.records import Photos, Record, Records
from components.reconcile.settings import ReconcileSettings

WRITE_SECONDS = 1.0
ANSWERS_FILE, SUMMARY_FILE = "answers.sqlite", "summary.json"
PAGE_FILE, CSV_FILE, JSON_FILE = "recount.html", "recount.csv", "recount.json"


def reconcile(
    records: Iterable[Record],
    total: int,
    photos: Photos,
    endpoint: Endpoint,
    folder: Path,
    settings: ReconcileSettings,
    keep: Callable[[sqlite3.Connection], None] = lambda _: None,
    listed: Records | None = None,
) -> Reconciliation:
    """Asks about every record, and writes the ranked list.

    What is answered is kept in ``folder/answers.sqlite`` at once, so that a reconciliation that was killed goes on when
    it is started again with the same records. Memory does not grow with the number of bins.

    Args:
        records: the stock system's view, in a fixed order.
        total: how many, for the progress.
        photos: the bins' photos.
        endpoint: where the model is served.
        folder: for ``recount.csv``, ``recount.json`` and ``recount.html``, ``summary.json`` and the answers.
        settings: how to.
        keep: called with the answers whenever some were added.
        listed: what was done with the rows of the stock list, for the report.

    Raises:
        InventoryError: if the server cannot be reached or the folder holds the answers for other records.
    """
    database = answer_store.open_answers(folder / ANSWERS_FILE)
    try:
        with open_client(endpoint, settings.concurrency) as client:
            model = description(client, endpoint)
            _ask_all(client, endpoint, database, records, total, photos, settings, keep)
        wrong = _wrong_records(database, settings)
        rate = answer_store.rate_with(database, wrong.all.mean) if wrong else None
        drifts = _drift(database, model)
        with (
            (folder / CSV_FILE).open("w", newline="", encoding="utf-8") as csv_file,
            (folder / JSON_FILE).open("w", encoding="utf-8") as json_file,
        ):
            curve = report.write_lists(database, rate, csv_file, json_file)
        summary = report.summarise(database, model, wrong, settings, curve, drifts)
        summary = summary.model_copy(update=coverage.of_rows(database, listed))
        summary.write(folder / SUMMARY_FILE)
        (folder / PAGE_FILE).write_text(render(database, summary, rate, curve, photos), encoding="utf-8")
    finally:
        database.close()
    note(f"recount list: {folder / CSV_FILE}; page: {folder / PAGE_FILE}")
    return summary


def _ask_all(
    client: httpx.Client,
    endpoint: Endpoint,
    database: sqlite3.Connection,
    records: Iterable[Record],
    total: int,
    photos: Photos,
    settings: ReconcileSettings,
    keep: Callable[[sqlite3.Connection], None],
) -> None:
    counter = Counter("bins", total)
    rows: list[tuple[int, Record, Answer | PhotoError]] = []
    written = time.monotonic()
    done = 0
    questions = (
        ((position, record), partial(_read, photos, record), record.expected_quantity)
        for position, record in answer_store.remaining(database, records)
    )
    try:
        for (position, record), answer in ask_many(client, endpoint, questions, settings.concurrency):
            if not done and position:
                note(f"{position:,} of {total:,} bins were answered before; going on from there")
                counter(position)
            done += 1
            counter()
            rows.append((position, record, answer))
            if time.monotonic() - written > WRITE_SECONDS:
                answer_store.add(database, rows)
                rows, written = [], time.monotonic()
                keep(database)
    finally:
        answer_store.add(database, rows)


def _read(photos: Photos, record: Record) -> bytes:
    if record.expected_quantity is None:
        raise PhotoError(record.problem)
    return photos.read(record.id)


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
