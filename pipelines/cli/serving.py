"""The commands of ``inventory`` for people who use a served model: serve, query, shadow, reconcile and feedback."""

import argparse
import os
import sys
from typing import Any, NoReturn

from components.client.options import ATTEMPTS, add_endpoint_options
from components.counter.verdict import MISSED_COST, MOST_COST, WRONG_SHARE
from components.reconcile.options import add_feedback_arguments, add_reconcile_arguments
from components.reconcile.settings import ReconcileSettings, checked
from pipelines.cli.parser import number, port, whole

CONCURRENCY = 8


def add_commands(commands: Any) -> None:
    """Adds the commands to the command line."""
    _add_serve(commands)
    _add_query(commands)
    _add_shadow(commands)
    parser = commands.add_parser(
        "reconcile",
        help="rank bins by how likely their stock record is wrong",
        description="Asks a served model about every photo and ranks the records that a person should recount first.",
    )
    add_reconcile_arguments(parser)
    parser.set_defaults(command=_reconcile)
    parser = commands.add_parser(
        "feedback",
        help="turn recounted bins into labelled photos",
        description="Turns the recount list, filled in by the person who counted, into a source for the next training.",
    )
    add_feedback_arguments(parser)
    parser.set_defaults(command=_feedback)


def _add_query(commands: Any) -> None:
    parser = commands.add_parser(
        "query",
        help="ask a served model how many items photos show",
        description="Sends photos to a served model and prints count, confidence and probabilities. "
        "Exit code 1 if a photo could not be read or was refused.",
    )
    parser.add_argument("photos", nargs="+", help="photo files, folders of photos, or URLs of photos")
    parser.add_argument("--expected", type=whole(0), metavar="N", help="the count that the stock system says")
    parser.add_argument(
        "--missed-cost",
        type=number(1, MOST_COST),
        default=MISSED_COST,
        metavar="RECOUNTS",
        help=f"what an error that nobody finds costs, in recounts; decides the verdict [{MISSED_COST:g}]",
    )
    parser.add_argument(
        "--error-rate", type=float, help=f"share of all records that are wrong, where it is known [{WRONG_SHARE:g}]"
    )
    parser.add_argument(
        "--past-recounts",
        default="",
        metavar="WRONG/CHECKED",
        help="what recounts of bins taken at random found, such as 14/300; says the share of wrong records instead",
    )
    parser.add_argument(
        "--record",
        metavar="PATH",
        help="the products that the stock record names: a JSON file (a list of products, or a bin's metadata) for "
        "every photo, or a folder with one for each, named like the photo",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a line instead of a table")
    parser.add_argument(
        "--concurrency", type=whole(1), default=CONCURRENCY, metavar="N", help=f"at a time [{CONCURRENCY}]"
    )
    parser.add_argument(
        "--attempts", type=whole(1), default=ATTEMPTS, metavar="N", help=f"tries while the server is busy [{ATTEMPTS}]"
    )
    add_endpoint_options(parser)
    parser.set_defaults(command=_query)


def _query(options: argparse.Namespace) -> int:
    from components.client.chosen import chosen_endpoint
    from pipelines.cli.query import print_answers, refuse_missing

    share = checked(ReconcileSettings(error_rate=options.error_rate, past_recounts=options.past_recounts)).known_share
    refuse_missing(options.photos)
    return print_answers(
        options.photos,
        chosen_endpoint(options),
        options.expected,
        missed_cost=options.missed_cost,
        wrong_share=WRONG_SHARE if share is None else share,
        concurrency=options.concurrency,
        attempts=options.attempts,
        as_json=options.json,
        record=options.record,
    )


def _add_shadow(commands: Any) -> None:
    parser = commands.add_parser(
        "shadow",
        help="how far a second model agrees with the one in service",
        description="Asks a server how far its shadow, a model that gets copies of the photos and answers nobody, "
        "agrees with the one in service. Exit code 1 if the shadow has failed.",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    add_endpoint_options(parser)
    parser.set_defaults(command=_shadow)


def _shadow(options: argparse.Namespace) -> int:
    from components.client.chosen import chosen_endpoint
    from pipelines.cli.shadow import print_shadow

    return print_shadow(chosen_endpoint(options), as_json=options.json)


def _add_serve(commands: Any) -> None:
    parser = commands.add_parser(
        "serve",
        help="serve a model bundle over HTTP",
        description="Serves the model bundle of a finished run, such as runs/<id>/model, until Ctrl-C.",
    )
    parser.add_argument("bundle", help="folder of a model bundle")
    parser.add_argument(
        "--public-key",
        metavar="FILE",
        help="serve it only if its signature holds under this key [INVENTORY_PUBLIC_KEY]",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on [127.0.0.1]")
    parser.add_argument("--port", type=port, default=8080, help="[8080]")
    parser.add_argument(
        "--shadow", metavar="BUNDLE", help="a second bundle, which gets copies of the photos and answers nobody"
    )
    parser.set_defaults(command=_serve)


def _serve(options: argparse.Namespace) -> NoReturn:
    command = [sys.executable, "-m", "components.serve", "--bundle", options.bundle]
    command += ["--shadow", options.shadow] if options.shadow else []
    command += ["--public-key", options.public_key] if options.public_key else []
    os.execv(sys.executable, [*command, "--host", options.host, "--port", str(options.port)])  # noqa: S606


def _reconcile(options: argparse.Namespace) -> int:
    from components.reconcile.command import run_reconcile

    return run_reconcile(options)


def _feedback(options: argparse.Namespace) -> int:
    from components.reconcile.command import run_feedback

    return run_feedback(options)
