"""The options by which ``inventory query`` and ``inventory reconcile`` find a served model and get in.

Nothing slow is imported here: ``--help`` needs only this.
"""

import argparse

URL_VARIABLE = "INVENTORY_URL"
TOKEN_VARIABLE = "INVENTORY_TOKEN"  # noqa: S105 - a variable's name
TOKEN_FILE_VARIABLE = "INVENTORY_TOKEN_FILE"  # noqa: S105
DEFAULT_URL = "http://127.0.0.1:8080"
ATTEMPTS = 6
"""Tries for each photo while the server is busy or away."""


def add_endpoint_options(parser: argparse.ArgumentParser) -> None:
    """Adds what says where the model is served; a token never comes on the command line, where others can read it."""
    group = parser.add_argument_group(
        "the served model", f"A bearer token is read from ${TOKEN_VARIABLE}, or from a file."
    )
    place = group.add_mutually_exclusive_group()
    place.add_argument("--url", help=f"address of the server [${URL_VARIABLE} or {DEFAULT_URL}]")
    place.add_argument("--service", metavar="NAME", help="an InferenceService; its address is asked of the cluster")
    group.add_argument("--namespace", default="", metavar="NAME", help="of the InferenceService [the kubeconfig's]")
    group.add_argument(
        "--gateway",
        default="",
        metavar="URL",
        help="the cluster's gateway, where the service's host does not resolve",
    )
    group.add_argument("--host", default="", metavar="NAME", help="sent as Host header to --url, for a gateway")
    group.add_argument("--model", default="", metavar="NAME", help="the model's name [the only one at --url]")
    group.add_argument("--token-file", metavar="FILE", help=f"holds a bearer token [${TOKEN_FILE_VARIABLE}]")
    group.add_argument("--ca-file", metavar="FILE", help="certificates to trust instead of the system's")
