"""Predictions on labelled bins that a new revision must get right before anything depends on it.

*Right* means: the same as the bundle's own network in this process on the same bytes. Whether the count is the true
one is the evaluation's business; here it shows that photo, preprocessing, network and calibration arrived whole.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx

from components.client.endpoint import Endpoint, open_client
from components.client.query import NoModelError, ask, description
from components.common.errors import InventoryError
from components.common.retry import retry, wait_for
from components.common.store import Store
from components.counter.answers import Answer, answer
from components.counter.bundle import Bundle
from components.counter.dataset import DatasetManifest, open_shards
from components.counter.images.unusable import why_unusable
from components.counter.network import TOLERANCE, open_served, run
from components.counter.photo import brightness, preprocess
from components.documents.deployed import SmokeTest

BINS = 8
PAUSE_SECONDS = 0.1
ROUTE_SECONDS = 60.0
"""A gateway may answer 404, or lead to the model before, for a while after the service is ready (kserve#1658)."""


class _OtherModelError(InventoryError):
    """The address leads to another model, perhaps not for long."""


@dataclass(frozen=True)
class LabelledBin:
    """A bin with its true count."""

    id: str
    image: bytes
    expected_quantity: int


def labelled_bins(store: Store, manifest: DatasetManifest) -> list[LabelledBin]:
    """Takes a few validation bins, every count in turn, from the first shard that holds them.

    Raises:
        InventoryError: if the dataset has no validation bin.
    """
    bins = open_shards(store, manifest.split("validation").shards[:1])
    quantities = bins.table.column("expected_quantity").to_pylist()
    rows = sorted(range(len(bins)), key=lambda row: (list(bins.labels[:row]).count(bins.labels[row]), bins.labels[row]))
    return [LabelledBin(bins.ids[row], bytes(bins.image(row)), quantities[row]) for row in rows[:BINS]]


def smoke_test(endpoint: Endpoint, bundle: Bundle, folder: Path, bins: list[LabelledBin]) -> SmokeTest:
    """Asks the endpoint about at least one labelled bin and compares with the bundle's network in this process.

    Raises:
        InventoryError: if it cannot be reached, answers for another model, or answers differently.
    """
    times, correct = [], 0
    with open_client(endpoint) as client:
        for item, wanted in _expected(bundle, folder, bins):
            started = time.perf_counter()
            got = _ask(client, endpoint, item, wanted.model)
            times.append(time.perf_counter() - started)
            _compare(item, got, wanted)
            correct += got.count == item.expected_quantity
    return SmokeTest(
        bins=len(bins),
        correct=correct,
        ids=[item.id for item in bins],
        seconds=round(sorted(times)[len(times) // 2], 4),
    )


def _expected(bundle: Bundle, folder: Path, bins: list[LabelledBin]) -> Iterator[tuple[LabelledBin, Answer]]:
    session = open_served(folder, bundle, threads=1)
    for item in bins:
        image = preprocess(item.image, bundle.input)
        probabilities = bundle.probabilities(run(session, image[None]).tolist())[0]
        yield item, answer(bundle, probabilities, brightness(image), item.expected_quantity, why_unusable(image))


def _compare(item: LabelledBin, got: Answer, wanted: Answer) -> None:
    if got.model_fields_set != wanted.model_fields_set or set(got.probabilities) != set(wanted.probabilities):
        raise InventoryError(f"the service's answer for bin {item.id} has other fields than model {wanted.model}")
    apart = max(abs(got.probabilities[label] - value) for label, value in wanted.probabilities.items())
    if not apart <= TOLERANCE:
        raise InventoryError(
            f"the service's answer for bin {item.id} is not the model's own: probabilities differ by {apart:.3f}"
        )


def reachable(
    endpoints: Sequence[Endpoint],
    seconds: float,
    failure: Callable[[], str | None] = lambda: None,
    version: str | None = None,
) -> Endpoint:
    """Waits until a model answers that it is ready, at the first of several addresses that does.

    Args:
        endpoints: addresses of one revision, the likeliest first.
        seconds: how long to wait.
        failure: returns None while it may still come up, or else the reason why it will not.
        version: of the model that has to answer; None takes any.

    Raises:
        InventoryError: with the reason, or when the time is over.
    """
    last = {endpoint.url: "no answer" for endpoint in endpoints}
    with ExitStack() as stack:
        clients = [(endpoint, stack.enter_context(open_client(endpoint))) for endpoint in endpoints]

        def first_ready() -> Endpoint | None:
            for endpoint, client in clients:
                try:
                    response = client.get(f"/v2/models/{endpoint.model_name}/ready", timeout=5)
                    if response.status_code == 200:
                        if version is None or description(client, endpoint).version == version:
                            return endpoint
                        last[endpoint.url] = "another model"
                    else:
                        last[endpoint.url] = f"HTTP {response.status_code}"
                except (httpx.TransportError, InventoryError) as error:
                    last[endpoint.url] = type(error).__name__
            if reason := failure():
                raise InventoryError(reason)
            return None

        if ready := wait_for(first_ready, seconds, PAUSE_SECONDS):
            return ready
    answers = ", ".join(f"{url}: {what}" for url, what in last.items())
    raise InventoryError(f"the model was not reachable within {seconds:.0f} s ({answers})")


def _ask(client: httpx.Client, endpoint: Endpoint, item: LabelledBin, model: str) -> Answer:
    """Asks about a bin, again while the gateway has no way to the model, or still one to another model."""

    def once() -> Answer:
        got = ask(client, endpoint, item.image, item.expected_quantity)
        if got.model != model:
            raise _OtherModelError(f"the service answers for model {got.model}, not for {model}")
        return got

    pauses = itertools.repeat(PAUSE_SECONDS)
    return retry(once, (NoModelError, _OtherModelError), pauses, seconds=ROUTE_SECONDS)
