"""Asking a served model over HTTP; ``inventory query``, the deploy step and reconciliation use it."""

import base64
import socket
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

import httpx
from pydantic import ValidationError

from components.client.endpoint import Endpoint, open_client
from components.client.options import ATTEMPTS
from components.common.document import Document, first_error
from components.common.errors import InventoryError
from components.common.prefetch import prefetch
from components.common.retry import back_off, retry
from components.counter.answers import Answer
from components.counter.bundle import Bundle
from components.counter.images.kinds import format_of
from components.counter.record.model import RECORD_FILE, RecordModel
from components.counter.record.record import NamedProducts
from components.documents.shadow_report import ShadowReport

BACK_OFF_SECONDS = 0.25
LONGEST_WAIT_SECONDS = 10.0
RETRIED = (408, 429, 502, 503, 504)
REFUSED = (400, 408, 413, 415, 422)

Key = TypeVar("Key")
D = TypeVar("D", bound=Document)


class PhotoError(InventoryError):
    """This one photo cannot be read or is refused by the server; others may be fine."""


class NoModelError(InventoryError):
    """There is no such model at the address."""


class _AwayError(Exception):
    """Nobody answers, or the server is busy; it may pass."""

    def __init__(self, reason: str, retry_after: float | None = None, status: int | None = None) -> None:
        super().__init__(reason)
        self.retry_after, self.status = retry_after, status


def query(
    url: str,
    image: bytes,
    expected_quantity: int | None = None,
    record: NamedProducts | None = None,
) -> Answer:
    """Asks the only model at a URL for one photo.

    Args:
        url: ``http(s)://host[:port]``.
        image: the bytes of a JPEG, PNG or WebP file.
        expected_quantity: what the stock record says, when known.
        record: which products the stock record names, when known; the answer then has ``with_record``.

    Raises:
        PhotoError: if the server refuses this photo (no image, too large).
        InventoryError: if the server cannot be reached, stays busy, or does not answer like a model server.
    """
    unnamed = Endpoint(url, "")
    with open_client(unnamed) as client:
        named = replace(unnamed, model_name=served_model(client, unnamed))
        return ask(client, named, image, expected_quantity, record=record)


def served_model(client: httpx.Client, endpoint: Endpoint, attempts: int = ATTEMPTS) -> str:
    """The name of the only model at an endpoint, of which it is asked so often while nobody answers.

    Raises:
        InventoryError: if there is none or more than one, or the address is no model server.
    """
    names = _json(_send(client, endpoint, client.build_request("GET", "/v1/models"), attempts), endpoint).get("models")
    if not isinstance(names, list) or len(names) != 1:
        found = ", ".join(map(str, names)) if isinstance(names, list) and names else "none"
        raise InventoryError(f"{endpoint.url} does not serve exactly one model (found: {found}); name the model")
    return str(names[0])


def description(client: httpx.Client, endpoint: Endpoint) -> Bundle:
    """What the served model says of itself: its bundle, whose files are hashed: two models differ in it.

    Raises:
        InventoryError: as ``query``.
    """
    request = client.build_request("GET", f"/v1/models/{endpoint.model_name}/bundle")
    return Bundle.of(_json(_send(client, endpoint, request, ATTEMPTS), endpoint), str(request.url))


def record_model(client: httpx.Client, endpoint: Endpoint, model: Bundle) -> RecordModel | None:
    """What the served model, of this ``description``, has learnt of stock records' products; raises as ``query``.

    None when it has learnt nothing, or the server tells nobody.
    """
    if RECORD_FILE not in model.files:
        return None
    return _told(client, endpoint, "record", RecordModel)


def shadow_report(client: httpx.Client, endpoint: Endpoint) -> ShadowReport | None:
    """How far the model's shadow agrees with it; None when it has none.

    Raises:
        InventoryError: as ``query``.
    """
    return _told(client, endpoint, "shadow", ShadowReport)


def _told(client: httpx.Client, endpoint: Endpoint, what: str, document: type[D]) -> D | None:
    request = client.build_request("GET", f"/v1/models/{endpoint.model_name}/{what}")
    try:
        content = _json(_send(client, endpoint, request, ATTEMPTS), endpoint)
    except NoModelError:
        return None
    return document.of(content, str(request.url))


def ask(
    client: httpx.Client,
    endpoint: Endpoint,
    image: bytes,
    expected_quantity: int | None = None,
    attempts: int = ATTEMPTS,
    record: NamedProducts | None = None,
) -> Answer:
    """Asks for one photo over an open client.

    Tries again after 408, 429, 502, 503, 504 and connection errors, with exponential back-off or as ``Retry-After``
    says. A photo that the server fails on (500), or that never reaches it in time (408), is that photo's error.

    Args:
        client: from ``open_client``.
        endpoint: where the model is served.
        image: the bytes of a JPEG, PNG or WebP file.
        expected_quantity: what the stock record says, when known.
        attempts: tries in all.
        record: which products the stock record names, when known.

    Raises:
        PhotoError, InventoryError: as ``query``.
    """
    quantity = {} if expected_quantity is None else {"expected_quantity": expected_quantity}
    path = f"/v1/models/{endpoint.model_name}:predict"
    if record is None:
        headers = {"content-type": f"image/{(format_of(image) or 'JPEG').lower()}"}
        request = client.build_request("POST", path, content=image, params=quantity or None, headers=headers)
    else:
        instance = {"b64": base64.b64encode(image).decode(), **quantity, "record": record.as_sent()}
        request = client.build_request("POST", path, json={"instances": [instance]})
    response = _send(client, endpoint, request, attempts)
    if response.status_code == 500:
        raise PhotoError("the server failed on this photo (HTTP 500); its log says more")
    predictions = _json(response, endpoint).get("predictions")
    what, wrong = "check the address and the model", f"{endpoint.url} answers, but not like a bin counter"
    if not isinstance(predictions, list) or len(predictions) != 1:
        raise InventoryError(f"{wrong}; {what}")
    try:
        return Answer.model_validate(predictions[0])
    except ValidationError as error:
        raise InventoryError(f"{wrong} ({first_error(error)}); {what}") from error


def ask_many(
    client: httpx.Client,
    endpoint: Endpoint,
    photos: Iterable[tuple[Key, Callable[[], bytes], int | None]],
    concurrency: int,
    attempts: int = ATTEMPTS,
    record_of: Callable[[Key], NamedProducts | None] = lambda _: None,
) -> Iterator[tuple[Key, Answer | PhotoError]]:
    """Asks for many photos, several at a time, holding only those in flight.

    Args:
        client: from ``open_client`` with the same concurrency.
        endpoint: where the model is served.
        photos: (any key, a function that reads the file's bytes, expected quantity or None); taken as fast as answers
            come. The function is called in a worker thread and may raise ``PhotoError``.
        concurrency: requests in flight.
        attempts: tries for each photo.
        record_of: which products the stock record of a photo's bin names, by key; called like the function.

    Yields:
        (key, answer) in the order of ``photos``; instead of an answer the error, for a photo that has none.

    Raises:
        InventoryError: as ``query``, for what concerns the server and not one photo.
    """

    def one(photo: tuple[Key, Callable[[], bytes], int | None]) -> tuple[Key, Answer | PhotoError]:
        key, read, expected_quantity = photo
        try:
            return key, ask(client, endpoint, read(), expected_quantity, attempts, record_of(key))
        except PhotoError as error:
            return key, error

    with ThreadPoolExecutor(concurrency) as pool:
        yield from prefetch(lambda photo: pool.submit(one, photo), photos, ahead=2 * concurrency)


def _send(client: httpx.Client, endpoint: Endpoint, request: httpx.Request, attempts: int) -> httpx.Response:
    pauses = back_off(attempts, BACK_OFF_SECONDS, LONGEST_WAIT_SECONDS)
    try:
        return retry(lambda: _send_once(client, endpoint, request), _AwayError, pauses)
    except _AwayError as away:
        if away.status == 408:
            raise PhotoError("did not reach the server in time (HTTP 408)") from away
        unknown = isinstance(_root(away), socket.gaierror)
        raise InventoryError(
            f"{endpoint.place} did not answer in {attempts} {'try' if attempts == 1 else 'tries'} (last: {away}); "
            + ("its host name does not resolve here" if unknown else "check that the model is served there")
        ) from away


def _send_once(client: httpx.Client, endpoint: Endpoint, request: httpx.Request) -> httpx.Response:
    try:
        response = client.send(request)
    except (httpx.TransportError, httpx.InvalidURL) as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise InventoryError(_distrust(endpoint, str(error))) from error
        raise _AwayError(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__) from error
    if response.status_code not in RETRIED:
        return response
    asked = response.headers.get("retry-after", "")
    pause = min(float(asked), LONGEST_WAIT_SECONDS) if asked.isdigit() else None
    raise _AwayError(f"HTTP {response.status_code}", pause, response.status_code)


def _root(error: BaseException | None) -> BaseException | None:
    while error and (error.__cause__ or error.__context__):
        error = error.__cause__ or error.__context__
    return error


def _distrust(endpoint: Endpoint, error: str) -> str:
    if "ostname mismatch" in error or "IP address mismatch" in error:
        return f"the certificate of {endpoint.place} is for another host; use the name that it is for"
    return f"the certificate of {endpoint.place} is not trusted; give the CA's certificates as a file"


def _json(response: httpx.Response, endpoint: Endpoint) -> dict[str, Any]:
    """The response's JSON object, or the one line that says what came instead."""
    status, kind = response.status_code, response.headers.get("content-type", "").partition(";")[0]
    if status in (401, 403):
        raise InventoryError(_refused(endpoint, status))
    if response.is_redirect:
        target = response.headers["location"].partition("?")[0]
        raise InventoryError(
            f"{endpoint.place} redirects to {target} (HTTP {status}): a login page, or where the service really is; "
            "give a bearer token, or that address"
        )
    if kind == "text/html" and status not in REFUSED:
        raise InventoryError(
            f"{endpoint.place} answered with a web page (HTTP {status}), probably a login page, not with JSON; "
            "give a bearer token, or use an address behind the login"
        )
    try:
        document = response.json()
    except ValueError:
        document = None
    message = document.get("error") or document.get("detail") if isinstance(document, dict) else None
    if status in REFUSED:
        raise PhotoError(str(message or _refused_on_the_way(status)))
    if status == 404:
        named = f"no model '{endpoint.model_name}'" if endpoint.model_name and message else "no model server"
        what = "the model's name" if message else "that the service is ready"
        raise NoModelError(f"there is {named} at {endpoint.place}; check the address and {what}")
    if status != 200 or not isinstance(document, dict):
        raise InventoryError(
            f"{endpoint.place} answered HTTP {status} ({kind or 'no content type'}), not a prediction: "
            f"{message or 'see the server log'}"
        )
    return document


def _refused_on_the_way(status: int) -> str:
    """What a refusal without the server's own words means: a gateway before it gave it."""
    if status == 413:
        return "the photo is too large for a gateway before the server (HTTP 413); send it smaller, or raise its limit"
    return f"refused with HTTP {status}, by a gateway before the server"


def _refused(endpoint: Endpoint, status: int) -> str:
    if not endpoint.has_token:
        return f"{endpoint.place} wants a bearer token (HTTP {status}), and none was given"
    if status == 401:
        return f"{endpoint.place} does not accept the bearer token (HTTP 401); renew it"
    return f"{endpoint.place} refused access (HTTP 403): the bearer token's owner may not use this service"
