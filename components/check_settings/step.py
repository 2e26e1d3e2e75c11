"""The first step of a run: turns what the user asked for into complete, checked settings.

A run that asks for something impossible ends here, in seconds, before a photo is fetched or a GPU waited for.
"""

import os
from collections.abc import Mapping
from typing import Any

from components.common.step.run_step import run_step
from components.common.store import Store
from components.documents.search_plan import make_search_plan
from components.settings.parameters import read_parameters
from components.settings.permitted import check_permitted
from components.settings.run import FORMAT, RunSettings, is_settings


def resolve_settings(store: Store, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Checks and completes a run's settings once for these parameters; asks a cluster by dry runs whether it takes it.

    See ``check`` and ``components.cluster.dry_run``.
    """
    asked = {"format": FORMAT, "parameters": dict(parameters)}
    resolved = run_step(store, "settings", asked, lambda: check(parameters).model_dump(mode="json"), usable=is_settings)
    if "KUBERNETES_SERVICE_HOST" in os.environ:  # in a pod; the Kubernetes client takes half a second to import
        from components.cluster.dry_run import dry_run_here

        run = RunSettings.model_validate(resolved)
        check_permitted(run)
        dry_run_here(run.cluster, run.serving)
    return resolved


def check(parameters: Mapping[str, Any], on_cluster: bool | None = None) -> RunSettings:
    """Checks everything about a run that can be known without its photos, its network and its cluster.

    Args:
        parameters: the pipeline's parameters; those not given have their defaults.
        on_cluster: whether the run's search is done by Katib; None asks where this process runs.

    Returns:
        Every section with every option.

    Raises:
        InventoryError: naming the first field that is refused, what was given and what is allowed.
    """
    run = read_parameters(parameters)
    if run.tune:
        _check_search(run, on_cluster)
    return run


def _check_search(run: RunSettings, on_cluster: bool | None) -> None:
    """Refuses a search that would be refused later, by describing it as the step train does."""
    # imported here: the Kubernetes client takes half a second, which only a run that tunes should wait for
    from components.cluster.jobs.choose import runs_on_cluster

    # neither run nor dataset matters to the checks
    plan = make_search_plan("", "", run.training, run.explicit, run.tuning)
    if runs_on_cluster() if on_cluster is None else on_cluster:
        from components.cluster.jobs.experiment import experiment
        from components.cluster.jobs.pytorchjob import pytorchjob
        from components.cluster.jobs.trainjob import trainjob

        describe = trainjob if run.cluster.launcher == "trainjob" else pytorchjob
        experiment(plan, run.cluster, namespace="", job="", describe=describe)
