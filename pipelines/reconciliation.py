"""Stock reconciliation as a pipeline of its own, to be run on a schedule."""

import inspect
from collections.abc import Iterator
from typing import Any

from kfp import dsl, kubernetes

from components.client.options import TOKEN_VARIABLE
from components.reconcile.component import reconcile as reconcile_step
from components.settings.cluster import DEFAULT_STORE_SECRET
from components.settings.permitted import DEFAULT_TOKEN_SECRET
from pipelines.platform import Amounts, on_cluster, with_permissions
from pipelines.signature import parameter, with_parameters

TOKEN_KEY = "token"  # noqa: S105 - a key's name
OWN = {
    "store_secret": (
        DEFAULT_STORE_SECRET,
        "On a cluster, the secret with the object store's endpoint and credentials.",
    ),
    "token_secret": (
        DEFAULT_TOKEN_SECRET,
        "On a cluster, a secret whose key token the service wants as bearer token; may be missing.",
    ),
    "cpu": ("500m", "CPUs that the step's pod asks for."),
    "cpu_limit": ("4", "CPUs that it may use."),
    "memory": ("1Gi", "Memory that the step's pod asks for."),
    "memory_limit": ("8Gi", "Memory that it may use."),
}
"""Default and description of the parameters that the step has not, or not with a default."""


def _parameters() -> Iterator[tuple[inspect.Parameter, str]]:
    """Those of the step but the run, and the pipeline's own."""
    of_step = inspect.signature(reconcile_step.python_func).parameters
    for name, given in reconcile_step.component_spec.inputs.items():
        if name not in ("run_id", *OWN):
            yield of_step[name], f"{given.description[0].upper()}{given.description[1:]}"
    for name, (default, text) in OWN.items():
        yield parameter(name, str, default), text


@dsl.pipeline(
    name="inventory-reconciliation",
    description="Compares every stock record with its bin's photo, and ranks what a person should recount first.",
)
@with_parameters(_parameters())
def inventory_reconciliation(*channels: Any) -> None:
    """Reconcile."""
    given = {each.name: channel for (each, _), channel in zip(_parameters(), channels, strict=True)}
    amounts = Amounts(**{name: given.pop(name) for name in Amounts._fields})
    reconciled = reconcile_step(run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER, **given)
    on_cluster(reconciled, store_secret=given["store_secret"], amounts=amounts)
    with_permissions(reconciled)
    kubernetes.use_secret_as_env(reconciled, given["token_secret"], {TOKEN_KEY: TOKEN_VARIABLE}, optional=True)
