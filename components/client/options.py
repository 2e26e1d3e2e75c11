"""The options by which ``inventory query`` and ``inventory reconcile`` find a served model and get in."""

import argparse
import os
from collections.abc import Mapping
from dataclasses import replace

from components.client.endpoint import Endpoint, bearer, checked_token, open_client, read_token
from components.client.query import served_model
from components.common.errors import InventoryError

URL_VARIABLE = "INVENTORY_URL"
TOKEN_VARIABLE = "INVENTORY_TOKEN"  # noqa: S105 - a variable's name
TOKEN_FILE_VARIABLE = "INVENTORY_TOKEN_FILE"  # noqa: S105
DEFAULT_URL = "http://127.0.0.1:8080"


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


def chosen_endpoint(options: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> Endpoint:
    """The endpoint that the options name, with the model's name.

    Raises:
        InventoryError: if options contradict each other, a file cannot be read, there is no such service, or the
            address cannot be asked which model it serves.
    """
    token, token_file = credentials(options.token_file, environment)
    if options.service:
        return _service(options, token, token_file)
    for name in ("namespace", "gateway"):
        if getattr(options, name):
            raise InventoryError(f"--{name} belongs to an InferenceService; give --service too, or leave it out")
    headers = bearer(token)
    if options.host:
        headers["Host"] = options.host
    url = options.url or environment.get(URL_VARIABLE) or DEFAULT_URL
    endpoint = Endpoint(url.rstrip("/"), options.model, headers, options.ca_file, token_file)
    if endpoint.model_name:
        return endpoint
    with open_client(endpoint) as client:
        return replace(endpoint, model_name=served_model(client, endpoint))


def credentials(token_file: str | None = None, environment: Mapping[str, str] = os.environ) -> tuple[str, str | None]:
    """The bearer token of the environment, or the file that holds it; neither when there is none.

    Raises:
        InventoryError: if what should hold a token does not.
    """
    file = token_file or environment.get(TOKEN_FILE_VARIABLE)
    if file:
        read_token(file)  # what is wrong with it is told before anything is asked
        return "", file
    token = environment.get(TOKEN_VARIABLE, "")
    return (checked_token(token, f"${TOKEN_VARIABLE}") if token else ""), None


def _service(options: argparse.Namespace, token: str, token_file: str | None) -> Endpoint:
    from components.client.address import find_service  # the Kubernetes client takes half a second to import

    if options.host or options.model:
        raise InventoryError("--host and --model belong to --url; an InferenceService names both itself")
    return find_service(options.service, options.namespace, options.gateway, token, token_file, options.ca_file)
