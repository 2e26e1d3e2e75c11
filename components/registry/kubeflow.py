"""Kubeflow's Model Registry, through its own client, with the same fields as the index in the store.

A model is a ``RegisteredModel`` of the serving name, a version a ``ModelVersion`` whose custom properties are the
fields of ``ModelFacts``, and the bundle its ``ModelArtifact``. The events of a version lie in its property ``events``,
and a promotion writes that version only, so that two at once lose nothing. What follows from the events is also told in
the properties ``in_service`` and ``before`` of the model, for people who look at the registry's pages.
"""

import asyncio
import json
import logging
import time
import warnings
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import aiohttp
from model_registry import ModelRegistry
from model_registry.exceptions import StoreError
from model_registry.types import ModelVersion
from mr_openapi import ModelVersionState
from mr_openapi.exceptions import OpenApiException

from components.cluster.predictor import MODEL_FORMAT
from components.common.errors import InventoryError, first_line
from components.registry.entry import Event, ModelFacts, index

T = TypeVar("T")

AUTHOR = "bin-inventory"
SECONDS = 60.0
TEXTS = ("bundle_key", "uri", "model_sha256", "dataset_id", "dataset_key", "run_id")
DOCUMENTS = ("metrics", "decision")
"""Stored as JSON: custom properties are texts and numbers."""
SHOWN = ("accuracy", "within_one", "mae")
"""Metrics that are also properties of their own, for the registry's pages."""


class KubeflowRegistry:
    """The Model Registry at an address."""

    def __init__(self, url: str, token: str | None) -> None:
        self._url = url
        with self._plain_errors(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a registry without a login wants no token
            self._client = ModelRegistry(
                url, author=AUTHOR, user_token=token, log_level=logging.ERROR, async_runner=_wait
            )

    def events(self, name: str) -> list[Event]:
        """Reads the events of all versions; see ``Registry``."""
        return [event for version in self._versions(name) for event in _events(version)]

    def record(self, name: str, event: Event) -> None:
        """Adds an event to its version, which must be registered; see ``Registry``."""
        versions = self._versions(name)
        last = max((said.time for version in versions for said in _events(version)), default=0.0)
        # after all that are there, also where this machine's clock is behind another's
        event = event.model_copy(update={"time": max(time.time(), last + 1e-6)})
        found = {version.name: version for version in versions}
        known = found.get(event.version)
        with self._plain_errors():
            if known is None:
                if event.facts is None:
                    raise InventoryError(f"model {event.version} is not in the Model Registry at {self._url}")
                self._client.register_model(
                    name,
                    event.facts.uri,
                    version=event.version,
                    model_format_name=MODEL_FORMAT,
                    model_format_version="1",
                    metadata=_properties(event.facts, [event]),
                )
            else:
                self._change(known, event)
        self._say_what_serves(name)

    def _change(self, version: ModelVersion, event: Event) -> None:
        before = _events(version)
        first = before[0]
        facts = event.facts or first.facts
        if facts is None:
            raise InventoryError(f"version {version.name} in the Model Registry at {self._url} was not made by this")
        if event.facts is None:
            events = [*before, event]
        elif before[-1].kind == "removed" or (first.facts and event.facts.model_sha256 != first.facts.model_sha256):
            events = [event]  # another network, or one that was pruned: what was in service under this version is gone
            version.state = ModelVersionState.LIVE
        else:
            events = [first.model_copy(update={"facts": facts}), *before[1:]]
        if event.kind == "removed":
            version.state = ModelVersionState.ARCHIVED
        version.custom_properties = {**(version.custom_properties or {}), **_properties(facts, events)}
        self._client.update(version)

    def _say_what_serves(self, name: str) -> None:
        found = index(self.events(name))
        said = {
            "in_service": found.in_service.version if found.in_service else "",
            "before": found.before.version if found.before else "",
        }
        with self._plain_errors():
            model = self._client.get_registered_model(name)
            if model is not None:
                model.custom_properties = {**(model.custom_properties or {}), **said}
                self._client.update(model)

    def _versions(self, name: str) -> list[ModelVersion]:
        """The versions that this project has registered, oldest first."""
        with self._plain_errors():
            try:
                versions = self._client.get_model_versions(name)
            except StoreError:  # there is no such model yet
                return []
            return [
                version
                for version in versions.order_by_creation_time().ascending()
                if "events" in (version.custom_properties or {})
            ]

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        try:
            yield
        except (OpenApiException, StoreError, aiohttp.ClientError, OSError, TimeoutError) as error:
            status = getattr(error, "status", None)
            reason = f"HTTP {status}" if status else first_line(error)
            raise InventoryError(
                f"the Model Registry at {self._url} cannot be used ({reason}); "
                "check MODEL_REGISTRY_URL, MODEL_REGISTRY_TOKEN and the network"
            ) from error


def _properties(facts: ModelFacts, events: list[Event]) -> dict[str, str | float]:
    plain = facts.model_dump(mode="json")
    return {
        **{name: plain[name] for name in TEXTS},
        **{name: json.dumps(plain[name]) for name in DOCUMENTS},
        **{name: plain["metrics"][name] for name in SHOWN if name in plain["metrics"]},
        "events": json.dumps([event.model_dump(exclude={"facts"}) for event in events]),
    }


def _events(version: ModelVersion) -> list[Event]:
    properties = version.custom_properties or {}
    try:
        first, *others = [Event.model_validate(event) for event in json.loads(str(properties["events"]))]
        fields: dict[str, Any] = {name: str(properties[name]) for name in TEXTS}
        fields |= {name: json.loads(str(properties[name])) for name in DOCUMENTS}
        facts = ModelFacts(version=version.name, **fields)
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise InventoryError(
            f"version {version.name} in the Model Registry has damaged properties ({first_line(error)}); "
            "remove their 'events' there"
        ) from error
    return [first.model_copy(update={"facts": facts}), *others]


def _wait(work: Coroutine[Any, Any, T]) -> T:
    """Runs the client's coroutine on a thread, so that it also works inside a notebook's event loop."""

    async def bounded() -> T:
        return await asyncio.wait_for(work, SECONDS)

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, bounded()).result()
