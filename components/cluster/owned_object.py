"""One object that a run has in the cluster: created once, adopted by a retried step, deleted only as itself.

Its name is derived from the run, so that a retried step finds what the attempt before it has made; an annotation says
whose it is.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from components.cluster.kube import Object, with_retries
from components.cluster.resource import Resource
from components.common import lease
from components.common.errors import InventoryError
from components.common.progress import note

T = TypeVar("T")

RUN_ANNOTATION = "bin-inventory/run-id"
ROUNDS = 10
"""In which an object that has gone, or was made by somebody faster, is looked for again; two or three are usual."""


@dataclass(frozen=True)
class Timeouts:
    """How long to wait for what, in seconds."""

    poll: float = 5.0
    """Between two looks at an object that does not change."""
    removal: float = 300.0
    """For an object of that name to go, when it has to go first."""
    outcome: float = 120.0
    """For the outcome to appear after the work has ended well."""
    away: float = 900.0
    """For a Kubernetes API that does not answer."""
    renew: float = lease.RENEW_SECONDS
    """Between two renewals of the lease."""

    @property
    def apart(self) -> float:
        """Two looks at an object are no farther apart, unless the API is away; a watch lasts a second at least."""
        return 3 * max(1.0, self.poll)


@dataclass
class OwnedObject:
    """The object, as the step sees it that has to bring it to its end.

    Attributes:
        resource: the kind of object, in its namespace.
        body: the object to create.
        step: what the lines of the log begin with.
        timeouts: see ``Timeouts``.
    """

    resource: Resource
    body: Object
    step: str
    timeouts: Timeouts = field(default_factory=Timeouts)

    def __post_init__(self) -> None:
        self.kind: str = self.body["kind"]
        self.name: str = self.body["metadata"]["name"]
        self.namespace: str = self.body["metadata"]["namespace"]
        self.run_id: str = self.body["metadata"]["annotations"][RUN_ANNOTATION]
        self.title = f"{self.resource.name} {self.name}"

    def create_or_adopt(
        self, spoilt: Callable[[Object], bool], done: Callable[[], bool] = lambda: False
    ) -> Object | None:
        """Creates the object, or adopts the one that an earlier attempt of this step left.

        Args:
            spoilt: says of an object that was found whether it is of no use any more; then it is made anew.
            done: says whether the work is done although there is no object any more; then there is none to return.

        Raises:
            InventoryError: if the object is another run's, or one that has to go does not go.
        """
        for _ in range(ROUNDS):
            current = self.read()
            if current is None:
                if done():
                    return None
                if created := self.with_retries(lambda: self.resource.create(self.body)):
                    note(f"{self.step}: created {self.kind} {self.name} in namespace {self.namespace}")
                    return created
                time.sleep(min(1.0, self.timeouts.poll))
                continue  # another attempt, or an earlier try of this very request, was faster
            if current["metadata"].get("annotations", {}).get(RUN_ANNOTATION) != self.run_id:
                raise InventoryError(
                    f"{self.title} in namespace {self.namespace} belongs to another run; delete it first"
                )
            if "deletionTimestamp" in current["metadata"]:
                gone = self._goes(current)
            elif spoilt(current):
                note(f"{self.step}: {self.kind} {self.name} of an earlier attempt has failed; starting anew")
                gone = self.delete(current)
            else:
                note(f"{self.step}: adopted {self.kind} {self.name} of an earlier attempt of this step")
                return current
            if not gone:
                raise InventoryError(f"{self.title} of an earlier attempt does not go away: {self._finalizers()}")
        raise InventoryError(f"{self.title} comes and goes; look which other attempt of this step makes it")

    def _finalizers(self) -> str:
        return (
            "look for finalizers, or pods on a node that has gone, with "
            f"`kubectl -n {self.namespace} get {self.title} -o yaml`"
        )

    def read(self) -> Object | None:
        """Reads the object; None when there is none."""
        return self.with_retries(lambda: self.resource.get(self.name))

    def remove(self, item: Object, why: str) -> str:
        """Deletes this very object; returns why, and what became of the object, which must not hide the reason."""
        try:
            gone = self.delete(item)
        except InventoryError as error:
            return f"{why}; {error}"
        return f"{why}; the {self.kind} {'was removed' if gone else f'does not go away: {self._finalizers()}'}"

    def delete(self, item: Object) -> bool:
        """Deletes this very object, and waits until it has gone; returns whether it has."""
        uid = item["metadata"]["uid"]
        self.with_retries(lambda: self.resource.delete(self.name, uid))
        return self._goes(item)

    def _goes(self, item: Object) -> bool:
        """Waits until this very object has gone; returns whether it has, as the last look saw it."""
        deadline = time.monotonic() + self.timeouts.removal
        while True:
            current = self.read()
            if current is None or current["metadata"]["uid"] != item["metadata"]["uid"]:
                return True
            if time.monotonic() >= deadline:
                return False
            self.wait(current)

    def wait(self, item: Object) -> None:
        """Sleeps until the object is another than ``item``, or for one poll."""
        self.resource.wait(self.name, item["metadata"]["resourceVersion"], self.timeouts.poll)

    def with_retries(self, ask: Callable[[], T]) -> T:
        """Asks the API, again while it is away."""
        return with_retries(ask, self.timeouts.away, self.timeouts.poll)


def condition(item: Object, kind: str) -> Object:
    """A condition of an object's status; empty when its controller has not said it yet."""
    conditions = item.get("status", {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == kind), {})


def has_condition(item: Object, kind: str) -> bool:
    """Whether a condition of an object's status holds."""
    return bool(condition(item, kind).get("status") == "True")


def condition_message(item: Object, kind: str) -> str:
    """What the operator says about a condition."""
    found = condition(item, kind)
    return str(found.get("message") or found.get("reason") or "the operator gives no reason")
