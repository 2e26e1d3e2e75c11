"""The options of ``inventory reconcile`` and ``inventory feedback``; nothing slow is imported for ``--help``."""

import argparse
from datetime import datetime
from pathlib import Path

from components.client.options import add_endpoint_options
from components.reconcile.settings import ReconcileSettings


def add_reconcile_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what ``inventory reconcile`` takes."""
    defaults = ReconcileSettings()
    _add_photos(parser)
    parser.add_argument(
        "--records",
        default="",
        help="table id,expected[,products] (.csv, .xlsx), a file or s3:// [the bins' own metadata]",
    )
    _add_out(parser, "results", "reconciliation")
    parser.add_argument("--top", type=int, default=defaults.top, help="bins on the page [%(default)s]")
    parser.add_argument(
        "--concurrency", type=int, default=defaults.concurrency, help="requests in flight [%(default)s]"
    )
    parser.add_argument(
        "--error-rate", type=float, help="share of records that are wrong, where it is known [estimated]"
    )
    parser.add_argument(
        "--past-recounts",
        default=defaults.past_recounts,
        metavar="WRONG/CHECKED",
        help="what recounts of bins taken at random found, such as 14/300; makes the estimate closer",
    )
    parser.add_argument(
        "--missed-cost",
        type=float,
        default=defaults.missed_cost,
        metavar="RECOUNTS",
        help="what an error that nobody finds costs, in recounts; decides which bins to recount [%(default)s]",
    )
    parser.add_argument("--json", action="store_true", help="print the numbers of summary.json instead of lines")
    add_endpoint_options(parser)


def add_feedback_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what ``inventory feedback`` takes."""
    parser.add_argument("recounts", type=Path, help="recount.csv with the column 'counted' filled in, also as .xlsx")
    _add_photos(parser)
    _add_out(parser, "labels", "recounted")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON instead of lines")


def _add_out(parser: argparse.ArgumentParser, what: str, parent: str) -> None:
    """A folder for each day; whoever starts a second time on one day goes on in it."""
    today = Path(parent) / datetime.now().astimezone().date().isoformat()
    parser.add_argument("--out", type=Path, default=today, help=f"folder for the {what} of the day [%(default)s]")


def _add_photos(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--photos", required=True, help="folder or s3:// of photos named by id, or a folder, .tar or s3:// of bins"
    )
    parser.add_argument("--source-endpoint", default="", help="S3 endpoint of s3:// photos")
