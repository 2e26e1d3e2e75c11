"""Putting a model into service without touching what is in service before the new one has proved itself."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from components.client.query import Endpoint
from components.common.errors import InventoryError
from components.common.progress import note
from components.counter.bundle import Bundle
from components.deploy.smoke import LabelledBin, smoke_test
from components.documents.deployed import DeployedModel, Service


@dataclass(frozen=True)
class Candidate:
    """The model that should go into service."""

    bundle: Bundle
    folder: Path
    """The bundle's files on this machine."""
    uri: str
    """The bundle in the object store."""


@dataclass(frozen=True)
class Revision:
    """A started candidate that answers at an address of its own and gets few requests yet, or none."""

    endpoint: Endpoint
    candidate: Candidate
    service: Service
    """Where it runs."""


class Deployer(Protocol):
    """Where models are served: a process on this machine, or an InferenceService."""

    def start(self, candidate: Candidate) -> Revision:
        """Starts the candidate beside what is in service and waits until it is ready.

        Raises:
            InventoryError: if it does not come up; nothing of it is left.
        """

    def promote(self, revision: Revision) -> str:
        """Gives the revision all requests and returns the address; the one before ends after its last answer."""

    def roll_back(self, revision: Revision) -> None:
        """Removes the revision; what was in service stays."""


@contextmanager
def undone(undo: Callable[[], None]) -> Iterator[None]:
    """Undoes what was begun when the block fails; what prevents that is told beside the reason, never in its place.

    Raises:
        InventoryError: with both reasons, if it cannot be undone.
    """
    try:
        yield
    except BaseException as error:
        try:
            undo()
        except InventoryError as another:
            raise InventoryError(f"{error}; and the model could not be taken out: {another}") from error
        raise


def put_into_service(deployer: Deployer, candidate: Candidate, bins: list[LabelledBin]) -> DeployedModel:
    """Starts a candidate, asks it about labelled bins, and promotes it or rolls it back.

    Raises:
        InventoryError: if the candidate does not come up or fails the smoke test; it has been rolled back then.
    """
    revision = deployer.start(candidate)
    with undone(lambda: deployer.roll_back(revision)):
        smoke = smoke_test(revision.endpoint, candidate.bundle, candidate.folder, bins)
    url = deployer.promote(revision)
    note(
        f"serving {revision.endpoint.model_name} (model {candidate.bundle.version}) at {url}; "
        f"{smoke.bins} labelled bins answered as the model does, {smoke.correct} with the right count"
    )
    place = revision.service.model_dump(exclude={"format", "url"})
    return DeployedModel(**place, url=url, version=candidate.bundle.version, smoke=smoke)
