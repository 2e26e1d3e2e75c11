"""The custom objects of one kind in one namespace, as plain dictionaries."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import kubernetes
import urllib3
from kubernetes.client import ApiClient, ApiException

from components.cluster.kube import TIMEOUT_SECONDS, Object, UnknownFieldError, ask, is_of_an_object, message_of


class Resource:
    """One kind of custom object in one namespace, as plain dictionaries.

    Objects are written with ``fieldValidation=Strict``: without it an API server drops fields that its schema does not
    know, silently, and a security context or a deadline would be gone.
    """

    def __init__(self, api: ApiClient, group: str, version: str, plural: str, namespace: str) -> None:
        self._api = kubernetes.client.CustomObjectsApi(api)
        self._where = (group, version, namespace, plural)
        self.name = f"{plural}.{group}"
        self.namespace = namespace

    def get(self, name: str) -> Object | None:
        """Reads one object; None when there is none."""
        call = self._api.get_namespaced_custom_object
        found: Object | None = ask(f"read {self.name} {name}", call, *self._where, name, none_if=_no_such_object)
        return found

    def select(self, labels: str) -> list[Object]:
        """Reads all objects that a label selector names."""
        call = self._api.list_namespaced_custom_object
        return list(ask(f"list {self.name}", call, *self._where, label_selector=labels)["items"])

    def create(self, body: Object, *, dry_run: bool = False) -> Object | None:
        """Creates an object; None when one of that name is there. A dry run asks schema and webhooks alone.

        Raises:
            UnknownFieldError: if the cluster's schema lacks a field of it.
            InventoryError: if the cluster refuses it otherwise.
        """

        def says_nothing(error: ApiException) -> bool:
            # a webhook with side effects says nothing about a dry run: the creation itself will tell
            return error.status == 409 or (dry_run and "does not support dry run" in message_of(error))

        doing, call = f"create {self.name} {body['metadata']['name']}", self._api.create_namespaced_custom_object
        how = {"field_validation": "Strict", **({"dry_run": "All"} if dry_run else {})}
        made: Object | None = ask(doing, call, *self._where, body, none_if=says_nothing, **how)
        return made

    def first_accepted(self, shapes: Sequence[Object]) -> Object:
        """The first of several shapes of one object, the newest first, whose fields the cluster all knows, by dry runs.

        Raises:
            InventoryError: if a webhook refuses it, or the cluster knows none of them.
        """
        *newer, oldest = shapes
        for body in newer:
            try:
                self.create(body, dry_run=True)
            except UnknownFieldError:
                continue
            return body
        self.create(oldest, dry_run=True)
        return oldest

    def patch(self, name: str, body: Object) -> Object | None:
        """Merges ``body`` into an object; None when it has changed since the resourceVersion that ``body`` names.

        Raises:
            UnknownFieldError: if the cluster's schema lacks a field of it; nothing has changed then.
            InventoryError: if the cluster refuses it otherwise.
        """
        changed: Object | None = ask(
            f"change {self.name} {name}",
            self._api.patch_namespaced_custom_object,
            *self._where,
            name,
            body,
            none_if=lambda error: error.status == 409,
            field_validation="Strict",
        )
        return changed

    def delete(self, name: str, uid: str) -> None:
        """Deletes one object and then its pods, unless it has been replaced by another of that name meanwhile."""
        ask(
            f"delete {self.name} {name}",
            self._api.delete_namespaced_custom_object,
            *self._where,
            name,
            body={"propagationPolicy": "Foreground", "preconditions": {"uid": uid}},
            none_if=lambda error: error.status in (404, 409),
        )

    def wait(self, name: str, version: str, seconds: float) -> None:
        """Sleeps until the object changes after ``version``, or until ``seconds`` have passed.

        An alarm clock and nothing more: the caller reads the object again, whatever woke it. So a watch that is
        dropped, expires (410) or is refused costs a second, never an event.
        """
        try:
            events = kubernetes.watch.Watch().stream(
                self._api.list_namespaced_custom_object,
                *self._where,
                field_selector=f"metadata.name={name}",
                resource_version=version,
                timeout_seconds=max(1, round(seconds)),
                _request_timeout=(TIMEOUT_SECONDS[0], seconds + 10),
            )
            next(iter(events), None)
        except (ApiException, urllib3.exceptions.HTTPError, ValueError):
            time.sleep(min(1.0, seconds))


@dataclass(frozen=True)
class Kind:
    """A kind of objects, in the version in which we speak of it."""

    group: str
    version: str
    plural: str

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}"

    def is_served(self, api: ApiClient) -> bool:
        """Whether the cluster knows it, in this very version."""
        doing, call = f"ask which kinds of {self.group} the cluster knows", kubernetes.client.CustomObjectsApi(api)
        missing = {"none_if": lambda error: error.status == 404}
        found = ask(doing, call.get_api_resources, self.group, self.version, **missing)
        return found is not None and any(resource.name == self.plural for resource in found.resources)

    def resource(self, api: ApiClient, namespace: str) -> Resource:
        """Those of a namespace."""
        return Resource(api, self.group, self.version, self.plural, namespace)


def _no_such_object(error: ApiException) -> bool:
    return error.status == 404 and is_of_an_object(error)
