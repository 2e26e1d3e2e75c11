"""The model as a KServe InferenceService."""

import time
from collections.abc import Callable
from typing import Any

from kubernetes.client import ApiClient

from components.client.endpoint import Endpoint
from components.cluster import inference_service as services
from components.cluster.kube import Resource, patiently
from components.common.errors import InventoryError
from components.common.progress import note
from components.deploy.deployer import Candidate, Revision
from components.deploy.smoke import reachable
from components.documents.deployed import Service
from components.settings.serving import ServingSettings

Object = dict[str, Any]

REACH_SECONDS = 120.0
"""A service that is ready may answer 404 for a while, until the gateway has its route (kserve#1658)."""
WAIT_SECONDS = 30.0


class ClusterDeployer:
    """Serves as an InferenceService; a new model is a canary until it is promoted."""

    def __init__(self, api: ApiClient, namespace: str, settings: ServingSettings) -> None:
        self._services = Resource(api, services.GROUP, services.VERSION, services.PLURAL, namespace)
        self._settings = settings

    def start(self, candidate: Candidate) -> Revision:
        """Creates the service, or the new model as a canary beside the one in service.

        Raises:
            InventoryError: if the new model is not ready in time or cannot be reached; it gets no requests then.
        """
        if self._get() is None:
            body = services.inference_service(self._services.namespace, candidate.uri, self._settings)
            patiently(lambda: self._services.create(body))
        changed = self._change(lambda service: services.start_canary(service, candidate.uri, self._settings))
        before = services.revision_before(changed) if changed else ""
        old_failure = services.failure(changed, candidate.uri) if changed else None
        try:
            service = self._wait(
                lambda current: services.canary_ready(current, candidate.uri, before), candidate.uri, old_failure
            )
            urls = services.canary_urls(service, candidate.uri)
            endpoint = reachable([Endpoint(url, self._settings.name) for url in urls], REACH_SECONDS)
        except BaseException:
            self._change(lambda service: services.take_out(service, candidate.uri))
            raise
        service_here = Service(
            namespace=self._services.namespace, uri=candidate.uri, url=endpoint.url, model_name=endpoint.model_name
        )
        return Revision(endpoint, service_here)

    def promote(self, revision: Revision) -> str:
        """Gives the revision all requests and waits until it gets them."""
        uri = revision.service.uri or ""
        self._change(lambda current: services.promote_canary(current, uri, self._settings))
        service = self._wait(services.fully_rolled_out, uri)
        return (services.service_urls(service) or [revision.endpoint.url])[0]

    def roll_back(self, revision: Revision) -> None:
        """Takes the revision out; what was in service before gets all requests again."""
        self._change(lambda current: services.take_out(current, revision.service.uri or ""))

    def _get(self) -> Object | None:
        return patiently(lambda: self._services.get(self._settings.name))

    def _change(self, change: Callable[[Object], Object]) -> Object | None:
        """Makes a change against the newest version of the object, again when somebody else was faster.

        Returns:
            The object as it was before, or None if its spec has not changed.
        """
        before: list[Object] = []

        def once() -> bool:
            current = self._services.get(self._settings.name)
            if current is None:
                raise InventoryError(f"InferenceService {self._settings.name} was deleted by somebody else")
            body = change(current)
            if not body:
                return True
            body.setdefault("metadata", {})["resourceVersion"] = current["metadata"]["resourceVersion"]
            changed = self._services.patch(self._settings.name, body)
            if changed is None:
                return False
            if body.get("spec", {}).get("canary") and not changed["spec"].get("canary"):
                raise InventoryError("this KServe does not know spec.canary; Standard mode needs KServe 0.20 or later")
            if changed["metadata"]["generation"] != current["metadata"]["generation"]:
                before.append(current)
            return True

        while not patiently(once):
            note(f"InferenceService {self._settings.name} was changed by somebody else meanwhile; trying again")
        return before[0] if before else None

    def _wait(self, arrived: Callable[[Object], bool], uri: str, old_failure: str | None = None) -> Object:
        """Waits until the controller has done something.

        Args:
            arrived: whether it has.
            uri: of the new model.
            old_failure: what the status said of an earlier model; until the controller has looked it says so still.

        Raises:
            InventoryError: if it says that it cannot, or the time is over.
        """
        deadline = time.monotonic() + self._settings.ready_seconds
        said = ""
        while True:
            service = self._get()
            if service is None:
                raise InventoryError(f"InferenceService {self._settings.name} was deleted by somebody else")
            if arrived(service):
                return service
            reason = services.failure(service, uri)
            if reason and reason != old_failure:
                raise InventoryError(f"InferenceService {self._settings.name} cannot serve {uri}: {reason}")
            waiting = services.waiting_for(service)
            left = deadline - time.monotonic()
            if left <= 0:
                raise InventoryError(
                    f"InferenceService {self._settings.name} was not ready within {self._settings.ready_seconds} s: "
                    f"{waiting}"
                )
            if waiting != said:
                said = waiting
                note(f"waiting for InferenceService {self._settings.name}: {waiting}")
            self._services.wait(self._settings.name, service["metadata"]["resourceVersion"], min(WAIT_SECONDS, left))
