"""The command lines of ``inventory reconcile`` and ``inventory feedback``."""

import argparse
import tempfile
from pathlib import Path

from components.client.chosen import chosen_endpoint
from components.client.options import add_endpoint_options
from components.pages.text import plural
from components.reconcile.feedback import labels_from_recounts
from components.reconcile.records import fetch_records, open_photos, open_records
from components.reconcile.settings import ReconcileSettings, checked
from components.reconcile.step import reconcile


def add_reconcile_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what ``inventory reconcile`` takes."""
    defaults = ReconcileSettings()
    _add_photos(parser)
    parser.add_argument(
        "--records", default="", help="CSV id,expected[,products], a file or s3:// [the bins' own metadata]"
    )
    parser.add_argument("--out", type=Path, default=Path("reconciliation"), help="folder for the results [%(default)s]")
    parser.add_argument("--top", type=int, default=defaults.top, help="bins on the page [%(default)s]")
    parser.add_argument(
        "--concurrency", type=int, default=defaults.concurrency, help="requests in flight [%(default)s]"
    )
    parser.add_argument(
        "--error-rate", type=float, help="share of records that are usually wrong [estimated from the photos]"
    )
    add_endpoint_options(parser)


def add_feedback_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what ``inventory feedback`` takes."""
    parser.add_argument("recounts", type=Path, help="recount.csv with a column 'counted' filled in")
    _add_photos(parser)
    parser.add_argument("--out", type=Path, default=Path("recounted"), help="folder for the labels [%(default)s]")


def _add_photos(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--photos", required=True, help="folder or s3:// of photos named by id, or a folder, .tar or s3:// of bins"
    )
    parser.add_argument("--source-endpoint", default="", help="S3 endpoint of s3:// photos")


def run_reconcile(options: argparse.Namespace) -> int:
    """Does ``inventory reconcile``; returns the exit code.

    Raises:
        InventoryError: if something that was named is not there, or the server cannot be asked.
    """
    settings = checked(ReconcileSettings(options.concurrency, options.top, options.error_rate))
    endpoint = chosen_endpoint(options)
    photos = open_photos(options.photos, options.source_endpoint)
    with tempfile.TemporaryDirectory(prefix="records-") as scratch:
        stock = fetch_records(options.records, Path(scratch), options.source_endpoint)
        total, records = open_records(stock, options.photos, options.source_endpoint)
        summary = reconcile(records, total, photos, endpoint, options.out, settings)
    print(
        f"{plural(summary.bins, 'bin')}: {summary.verdicts.get('agrees', 0):,} agree, "
        f"{summary.verdicts.get('recount', 0):,} to recount, {summary.verdicts.get('unsure', 0):,} unsure, "
        f"{summary.not_countable:,} not countable, {summary.not_checked:,} not checked"
    )
    if summary.ranked:
        print(
            f"about {plural(summary.expected_wrong, 'record is', 'records are')} expected to be wrong, "
            f"{summary.expected_wrong_in_top:.0f} of them among the first {summary.top:,} of the list"
        )
    if summary.retrain:
        print("today's bins differ a lot from those the model was made with: retrain it (see the page)")
    return 0


def run_feedback(options: argparse.Namespace) -> int:
    """Does ``inventory feedback``; returns the exit code.

    Raises:
        InventoryError: if the CSV or the photos are not there.
    """
    photos = open_photos(options.photos, options.source_endpoint)
    outcome = labels_from_recounts(options.recounts, photos, options.out)
    print(f"{outcome.labels:,} labels, {outcome.wrong:,} of them differ from the record")
    print(f"learn from them: inventory run --source {outcome.source}")
    return 0
