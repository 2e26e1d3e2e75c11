"""What ``inventory reconcile`` and ``inventory feedback`` do."""

import argparse
import sys
import tempfile
from collections import Counter
from contextlib import redirect_stdout
from pathlib import Path

from components.client.chosen import chosen_endpoint
from components.documents.reconciled import Feedback, Reconciliation
from components.pages.text import plural
from components.reconcile.coverage import check_coverage
from components.reconcile.feedback import labels_from_recounts
from components.reconcile.records import fetch_records, open_photos, open_records
from components.reconcile.results.page import beyond, how_far, how_many_wrong, how_ranked
from components.reconcile.settings import ReconcileSettings, checked
from components.reconcile.step import reconcile
from components.tables.rows import summary_of


def run_reconcile(options: argparse.Namespace) -> int:
    """Does ``inventory reconcile``; returns the exit code.

    Raises:
        InventoryError: if something that was named is not there, the server cannot be asked, or most bins could not be
            checked.
    """
    settings = checked(
        ReconcileSettings(
            options.concurrency, options.top, options.error_rate, options.past_recounts, options.missed_cost
        )
    )
    progress = redirect_stdout(sys.stderr if options.json else sys.stdout)
    with progress, tempfile.TemporaryDirectory(prefix="records-") as scratch:
        photos = open_photos(options.photos, options.source_endpoint)
        endpoint = chosen_endpoint(options)
        stock = fetch_records(options.records, Path(scratch), options.source_endpoint)
        records = open_records(stock, options.photos, options.source_endpoint)
        summary = reconcile(records, photos, endpoint, options.out, settings)
    if options.json:
        print(summary.to_json(), end="")
    else:
        _say(summary, records.describe_products)
    check_coverage(summary, photos, options.photos)
    if summary.not_checked:
        example = f"not checked is for example {summary.first_problem}; recount.csv names the reason of each"
        print(example, file=sys.stderr if options.json else sys.stdout)
    return 0


def _say(summary: Reconciliation, names_products: bool) -> None:
    """Tells a person the numbers, and what follows from them."""
    print(
        f"{plural(summary.bins, 'bin')}: {summary.verdicts.get('agrees', 0):,} agree, "
        f"{summary.verdicts.get('recount', 0):,} to recount, {summary.verdicts.get('unsure', 0):,} unsure, "
        f"{summary.not_countable:,} not countable, {summary.not_checked:,} not checked"
        + (f" ({plural(summary.unusable_photos, 'unusable photo')})" if summary.unusable_photos else "")
    )
    if names_products:
        print(how_ranked(summary))
    if summary.ranked:
        print(how_many_wrong(summary))
        print(how_far(summary))
    if summary.not_countable:
        print(beyond(summary))
    if summary.retrain:
        print("today's bins differ a lot from those the model was made with: retrain it (see the page)")


def run_feedback(options: argparse.Namespace) -> int:
    """Does ``inventory feedback``; returns the exit code.

    Raises:
        InventoryError: if the CSV or the photos are not there.
    """
    with redirect_stdout(sys.stderr if options.json else sys.stdout):
        photos = open_photos(options.photos, options.source_endpoint)
        outcome = labels_from_recounts(options.recounts, photos, options.out)
    if options.json:
        said = Feedback(
            labels=outcome.labels,
            wrong=outcome.wrong,
            rows_left_out=len(outcome.left_out),
            left_out=Counter(row.reason for row in outcome.left_out),
            source=str(outcome.source),
        )
        print(said.to_json(), end="")
        return 0
    print(f"{plural(outcome.labels, 'label')}, {outcome.wrong:,} of them differ from the record")
    if outcome.left_out:
        print(summary_of(outcome.left_out))
    print(f"learn from them: inventory run --source {outcome.source}")
    return 0
