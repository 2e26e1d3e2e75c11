"""Looks at a cluster before a run does: one line for each thing that a run needs, and what to do where it lacks.

Every check asks the live system; the rights to ask for are read from the Role that we ship.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict

from kubernetes.client import ApiClient

from components.cluster import kube
from components.common.errors import InventoryError
from pipelines.kubeflow.access import Access, api_version, check_access
from pipelines.kubeflow.image_registry import resolve_image
from pipelines.preflight.check import Check, Question
from pipelines.preflight.cluster import cluster_version, granted_rights, kinds, namespace
from pipelines.preflight.installed import PIPELINES, older, versions
from pipelines.preflight.network import dns, policies
from pipelines.preflight.nodes import nodes
from pipelines.preflight.operators import search, serving, training
from pipelines.preflight.pods import pods
from pipelines.preflight.store import secrets_and_store
from pipelines.preflight.volume import volume

KUBERNETES = "1.25"
"""The oldest that refuses fields which a kind does not know, when it is asked to (fieldValidation)."""


def preflight(question: Question, context: str | None = None) -> list[Check]:
    """Makes every check, on the cluster of a kubeconfig's context; None takes the pod's account, or the current one.

    Returns:
        The checks in the order of a run. When the API cannot be reached, that one alone (and Kubeflow Pipelines).
    """
    checks = [_pipelines(question.pipelines)] if question.pipelines else []
    try:
        api = kube.connect(context)
        version = cluster_version(api)
    except InventoryError as error:
        return [Check.problem("kubernetes", error), *checks]
    checks = [_kubernetes(version, api.configuration.host), *checks]
    place = namespace(api, question)
    checks += place
    if place[0].state == "problem":
        return checks
    for look in LOOKS:
        try:
            checks += look(api, question)
        except InventoryError as error:  # one question that cannot be asked must not hide the others
            checks.append(Check(look.__name__.replace("_", " "), "unknown", str(error)))
    return checks


def report(checks: Sequence[Check], *, as_json: bool = False) -> str:
    """The checks as lines, or as a JSON list."""
    if as_json:
        return json.dumps([asdict(check) for check in checks], indent=1)
    return "\n".join(check.line() for check in checks)


def exit_code(checks: Sequence[Check]) -> int:
    """1 if anything is a problem, otherwise 0."""
    return int(any(check.state == "problem" for check in checks))


def _pipelines(access: Access) -> Check:
    try:
        mode = check_access(access)
    except InventoryError as error:
        return Check.problem("kubeflow pipelines", error)
    if mode == "multi-user" and not access.namespace:
        return Check("kubeflow pipelines", "problem", f"{access.host} serves several users", "give --namespace")
    version = api_version(access)
    said = f"{mode} at {access.host}, " + (
        f"found {version}, needed {PIPELINES}" if version else "which hides its version"
    )
    if older(version, PIPELINES):
        return Check("kubeflow pipelines", "problem", said, f"install Kubeflow Pipelines {PIPELINES} or newer")
    return Check("kubeflow pipelines", "ok", said)


def _kubernetes(version: str, host: str) -> Check:
    if older(version, KUBERNETES):
        message = f"found {version}, needed {KUBERNETES}: what a kind does not know would be dropped unsaid"
        return Check("kubernetes", "problem", message, f"run it on Kubernetes {KUBERNETES} or newer")
    return Check("kubernetes", "ok", f"version {version} at {host}")


def images(_: ApiClient, question: Question) -> list[Check]:
    """Asks each image's registry for it."""
    checks = []
    for image in question.images:
        state, message, fix = resolve_image(image)
        checks.append(Check(f"image {image}", state, message, fix))
    return checks


LOOKS = (
    kinds,
    versions,
    granted_rights,
    dns,
    training,
    search,
    serving,
    pods,
    policies,
    volume,
    secrets_and_store,
    images,
    nodes,
)
"""Every look, in the order of a report."""
