"""The model as a KServe InferenceService."""

import time
from collections.abc import Callable

from kubernetes.client import ApiClient

from components.client.address import PORT
from components.client.endpoint import Endpoint
from components.cluster import inference_service as services
from components.cluster import inference_status
from components.cluster.kube import Object, UnknownFieldError, in_cluster, with_retries
from components.cluster.tunnel import open_tunnel
from components.common.errors import InventoryError
from components.common.progress import note
from components.deploy.deployer import Candidate, Revision, undone
from components.deploy.smoke import reachable
from components.documents.deployed import Service
from components.settings.serving import ServingSettings

REACH_SECONDS = 120.0
"""A service that is ready may answer 404 for a while, until the gateway has its route (kserve#1658)."""
WAIT_SECONDS = 30.0


class ClusterDeployer:
    """Serves as an InferenceService; a new model stands beside the one in service until it is promoted."""

    def __init__(self, api: ApiClient, namespace: str, settings: ServingSettings) -> None:
        self._api, self._settings = api, settings
        self._services = services.KIND.resource(api, namespace)
        self._alone = False
        self._beside: ClusterDeployer | None = None

    def start(self, candidate: Candidate) -> Revision:
        """Creates the service, or starts the new model beside the one in service; see ``Deployer``.

        Raises:
            InventoryError: if KServe refuses the service, or the new model is not ready in time or cannot be reached.
        """
        service = self._get()
        if service is None or services.stopped(service):
            return self._start_alone(candidate, service)
        services.check_settings(service, self._settings)
        if services.mode(service) == "Standard":
            note(
                "KServe's Standard mode: clients inside the cluster reach only the model in service until the new one "
                "is promoted; serving.canary_percent counts at a Gateway API ingress alone"
            )
        uri = candidate.uri
        try:
            changed = self._change(lambda current: services.start_canary(current, uri, self._settings))
        except UnknownFieldError:
            note("this KServe knows no spec.canary (0.20 has it); the new model is tried as a second InferenceService")
            self._beside = ClusterDeployer(
                self._api, self._services.namespace, services.canary_settings(self._settings)
            )
            return self._beside._start_alone(candidate, self._beside._get())
        return self._started(candidate, changed)

    def promote(self, revision: Revision) -> str:
        """Gives the revision all requests and waits until it gets them."""
        uri = revision.candidate.uri
        if self._beside is None:
            self._change(lambda current: services.promote_canary(current, uri, self._settings))
        else:
            services.check_there(self._beside._get() or {}, uri)
            self._change(lambda current: services.start_alone(current, uri, self._settings))
        try:
            service = self._wait(inference_status.fully_rolled_out, uri)
            urls = inference_status.service_urls(service)
            addresses = self._addresses(service, uri, urls)
            url = reachable(addresses, self._settings.ready_seconds, version=revision.candidate.bundle.version).url
            return url if url in urls or not urls else urls[0]  # a tunnel ends with this process
        finally:
            if self._beside is not None:
                self._beside.roll_back(revision)

    def roll_back(self, revision: Revision) -> None:
        """Takes the revision out; what was in service before gets all requests again."""
        (self._beside or self)._take_out(revision.candidate.uri)

    def _take_out(self, uri: str) -> None:
        self._change(lambda current: services.rollback_patch(current, uri, alone=self._alone))

    def _start_alone(self, candidate: Candidate, service: Object | None) -> Revision:
        """Starts a model in a service that serves none: a new one, or one that was stopped."""
        self._alone = True
        if service is None:
            body = services.inference_service(self._services.namespace, candidate.uri, self._settings)
            planned = with_retries(lambda: self._services.create(body, dry_run=True))
            services.check_settings(planned or body, self._settings)
            with_retries(lambda: self._services.create(body))
        else:
            services.check_settings(service, self._settings)
        changed = self._change(lambda current: services.start_alone(current, candidate.uri, self._settings))
        return self._started(candidate, changed)

    def _started(self, candidate: Candidate, changed: Object | None) -> Revision:
        """Waits for the new model; ``changed`` is the service as it was before it was changed for it."""
        before = inference_status.revision_before(changed) if changed else ""
        old_failure = inference_status.failure(changed, candidate.uri) if changed else None
        with undone(lambda: self._take_out(candidate.uri)):
            service = self._wait(
                lambda current: inference_status.canary_ready(current, candidate.uri, before),
                candidate.uri,
                old_failure,
            )
            addresses = self._addresses(service, candidate.uri, inference_status.canary_urls(service, candidate.uri))
            endpoint = reachable(addresses, REACH_SECONDS)
        service_here = Service(
            namespace=self._services.namespace, uri=candidate.uri, url=endpoint.url, model_name=endpoint.model_name
        )
        return Revision(endpoint, candidate, service_here)

    def _addresses(self, service: Object, uri: str, urls: list[str]) -> list[Endpoint]:
        """Where the model can be reached; from outside the cluster also through its API."""
        if not in_cluster():
            labels = inference_status.pod_labels(service, uri)
            if tunnel := open_tunnel(self._api, self._services.namespace, labels, PORT):
                urls = [*urls, tunnel]
        return [Endpoint(url, self._settings.name) for url in urls]

    def _get(self) -> Object | None:
        return with_retries(lambda: self._services.get(self._settings.name))

    def _change(self, change: Callable[[Object], Object]) -> Object | None:
        """Makes a change against the newest version of the object, again when somebody else was faster.

        Returns the object as it was before, or None if its spec has not changed.
        """
        before: list[Object] = []
        tried: list[Object] = []

        def once() -> bool:
            current = self._services.get(self._settings.name)
            if current is None:
                raise InventoryError(f"InferenceService {self._settings.name} was deleted by somebody else")
            body = change(current)
            if not body:
                before.extend(tried[-1:])  # it was changed, and the answer that said so was lost
                return True
            body.setdefault("metadata", {})["resourceVersion"] = current["metadata"]["resourceVersion"]
            changed = self._services.patch(self._settings.name, body)
            if changed is None:
                tried.append(current)
                return False
            if changed["metadata"]["generation"] != current["metadata"]["generation"]:
                before.append(current)
            return True

        while not with_retries(once):
            note(f"InferenceService {self._settings.name} was changed by somebody else meanwhile; trying again")
        return before[0] if before else None

    def _wait(self, arrived: Callable[[Object], bool], uri: str, old_failure: str | None = None) -> Object:
        """Waits until the controller has done something.

        Until it has looked, the status still says ``old_failure`` of an earlier model.

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
            reason = inference_status.failure(service, uri)
            if reason and reason != old_failure:
                raise InventoryError(f"InferenceService {self._settings.name} cannot serve {uri}: {reason}")
            waiting = inference_status.waiting_for(service)
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
