"""The served model that options of a command line name, and how to get in."""

import argparse
import os
from dataclasses import replace

from components.client.endpoint import Endpoint, bearer, checked_token, open_client, read_token
from components.client.options import ATTEMPTS, DEFAULT_URL, TOKEN_FILE_VARIABLE, TOKEN_VARIABLE, URL_VARIABLE
from components.client.query import served_model
from components.common.errors import InventoryError


def chosen_endpoint(options: argparse.Namespace) -> Endpoint:
    """The endpoint that the options name, with the model's name.

    Raises:
        InventoryError: if options contradict each other, a file cannot be read, there is no such service, or the
            address cannot be asked which model it serves.
    """
    token, token_file = credentials(options.token_file)
    if options.service:
        return _service(options, token, token_file)
    for name in ("namespace", "gateway"):
        if getattr(options, name):
            raise InventoryError(f"--{name} belongs to an InferenceService; give --service too, or leave it out")
    headers = bearer(token)
    if options.host:
        headers["Host"] = options.host
    url = options.url or os.environ.get(URL_VARIABLE) or DEFAULT_URL
    endpoint = Endpoint(url.rstrip("/"), options.model, headers, options.ca_file, token_file)
    if endpoint.model_name:
        return endpoint
    with open_client(endpoint) as client:
        attempts = getattr(options, "attempts", ATTEMPTS)  # an option of `query` alone
        return replace(endpoint, model_name=served_model(client, endpoint, attempts))


def credentials(token_file: str | None = None) -> tuple[str, str | None]:
    """The bearer token of the environment, or the file that holds it, checked; neither when there is none."""
    file = token_file or os.environ.get(TOKEN_FILE_VARIABLE)
    if file:
        read_token(file)  # what is wrong with it is told before anything is asked
        return "", file
    token = os.environ.get(TOKEN_VARIABLE, "")
    return (checked_token(token, f"${TOKEN_VARIABLE}") if token else ""), None


def _service(options: argparse.Namespace, token: str, token_file: str | None) -> Endpoint:
    from components.client.address import find_service  # the Kubernetes client takes half a second to import

    if options.host or options.model:
        raise InventoryError("--host and --model belong to --url; an InferenceService names both itself")
    return find_service(options.service, options.namespace, options.gateway, token, token_file, options.ca_file)
