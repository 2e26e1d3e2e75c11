"""What happened to the models of one name, and what follows from it: which is in service and which was before.

Nothing is ever changed, only added: an event says that a model was registered, went into service, was taken back to,
or was removed. What is in service follows from the events alone, so that two writers cannot leave half a change, and
of two that promote at once exactly one is in service afterwards.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_serializer

from components.common.document import EMPTY_IS_NONE
from components.common.errors import InventoryError
from components.counter.bundle import ModelScores
from components.documents.gated import Decision

State = Literal["candidate", "in service", "archived", "rejected"]
Kind = Literal["registered", "in service", "rolled back", "removed"]


class ModelFacts(BaseModel):
    """What is known about a model when it is registered."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())
    version: str
    """The bundle's version."""
    bundle_key: str
    uri: str
    model_sha256: str
    """Of the network; another network under the same version is another model."""
    dataset_id: str
    dataset_key: str
    """Store key of the manifest of the dataset on which it was trained and tested."""
    run_id: str
    metrics: ModelScores
    """On the test bins."""
    decision: Annotated[Decision | None, EMPTY_IS_NONE] = None
    """Of the gate; None when it was not asked, which is written as an empty one."""

    @field_serializer("decision")
    def _none_is_empty(self, value: Decision | None) -> dict[str, Any]:
        return value.model_dump(mode="json") if value else {}


class Event(BaseModel):
    """One thing that happened."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Kind
    version: str
    time: float = Field(default_factory=time.time)
    """Unix time."""
    run_id: str = ""
    """The run that did it; empty for a person at the command line."""
    left: str = ""
    """``rolled back``: the version that went out of service."""
    facts: ModelFacts | None = None
    """Of ``registered``."""


class Period(BaseModel):
    """When a model was in service."""

    since: float
    until: float | None = None
    """None while it is."""
    run_id: str = ""
    """The run that put it there; empty for a person."""


class Entry(ModelFacts):
    """A registered model."""

    created: float
    """Unix time of its registration."""
    state: State = "candidate"
    served: tuple[Period, ...] = ()


@dataclass(frozen=True)
class Index:
    """The models of one name, oldest first, and the order in which they came into service."""

    entries: dict[str, Entry]
    service: tuple[str, ...]
    """Versions; the last is in service, the one before it is what a rollback goes back to."""

    @property
    def in_service(self) -> Entry | None:
        """What is in service; None when nothing is."""
        return self.entries[self.service[-1]] if self.service else None

    @property
    def before(self) -> Entry | None:
        """What a rollback goes back to; None when there is nothing."""
        return self.entries[self.service[-2]] if len(self.service) > 1 else None

    def get(self, version: str) -> Entry:
        """A registered model.

        Raises:
            InventoryError: if no model has this version.
        """
        if version not in self.entries:
            known = f"the newest are {', '.join(list(self.entries)[:-6:-1])}" if self.entries else "none is registered"
            raise InventoryError(f"there is no model {version}; {known} (`inventory models` lists them)")
        return self.entries[version]


def index(events: Iterable[Event]) -> Index:
    """What follows from the events.

    A rollback undoes the change that brought ``left`` into service, once: a second one from the same model, such as of
    two people at the same time, changes nothing. A version that is registered with another network takes the place of
    the model before, whose files it has overwritten.
    """
    entries: dict[str, Entry] = {}
    service: list[str] = []
    for event in sorted(events, key=lambda event: event.time):
        serving = service[-1] if service else None
        if event.kind == "registered" and event.facts is not None:
            known = entries.get(event.version)
            if known and known.model_sha256 != event.facts.model_sha256:
                service = [version for version in service if version != event.version]
            created, served = (known.created, known.served) if known else (event.time, ())
            entries[event.version] = Entry(**dict(event.facts), created=created, served=served)
        elif event.version not in entries:
            continue  # it was removed meanwhile
        elif event.kind == "removed":
            service = [version for version in service if version != event.version]
            del entries[event.version]
        elif event.kind == "in service" and serving != event.version:
            service.append(event.version)
        elif event.kind == "rolled back" and serving == event.left:
            service.pop()
            if service[-1:] != [event.version]:
                service.append(event.version)
        _hand_over(entries, serving, service[-1] if service else None, event)
    return Index({name: _stated(entry, service) for name, entry in entries.items()}, tuple(service))


def _hand_over(entries: dict[str, Entry], old: str | None, new: str | None, event: Event) -> None:
    if old == new:
        return
    if old in entries and entries[old].served:
        *earlier, last = entries[old].served
        ended = last.model_copy(update={"until": event.time})
        entries[old] = entries[old].model_copy(update={"served": (*earlier, ended)})
    if new is not None:
        served = (*entries[new].served, Period(since=event.time, run_id=event.run_id))
        entries[new] = entries[new].model_copy(update={"served": served})


def _stated(entry: Entry, service: list[str]) -> Entry:
    state: State = "candidate"
    if service[-1:] == [entry.version]:
        state = "in service"
    elif entry.served:
        state = "archived"
    elif entry.decision and not entry.decision.promote:
        state = "rejected"
    return entry.model_copy(update={"state": state})
