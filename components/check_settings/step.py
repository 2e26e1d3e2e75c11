"""The first step of a run: turns what the user asked for into complete, checked settings.

A run that asks for something impossible ends here, in seconds, before a photo is fetched or a GPU waited for.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from components.common.run_step import run_step
from components.common.store import Store
from components.documents.search_plan import make_search_plan
from components.settings.cluster import cluster_settings
from components.settings.gate import gate_policy
from components.settings.presets import choose, resolve
from components.settings.serving import serving_settings
from components.settings.training import make_settings
from components.settings.tuning import tuning_settings

Section = Mapping[str, Any]

SECTIONS: dict[str, Callable[[dict[str, Any]], BaseModel]] = {
    "cluster": cluster_settings,
    "serving": serving_settings,
    "tuning": tuning_settings,
    "gate": gate_policy,
}
"""What checks each structured parameter beside ``training``."""


def settle(
    store: Store,
    source: str,
    preset: str,
    training: Section,
    sections: Mapping[str, Section],
    tune: bool = False,
) -> dict[str, Any]:
    """Checks and completes a run's settings, and asks a cluster by dry runs whether it takes what the run will create.

    See ``complete`` for arguments, result and errors.
    """
    asked = {"source": source, "preset": preset, "training": dict(training), "tune": tune, **sections}
    settled: dict[str, Any] = run_step(
        store, "settings", asked, lambda: complete(source, preset, training, sections, tune)
    )
    if "KUBERNETES_SERVICE_HOST" in os.environ:  # in a pod; the Kubernetes client takes half a second to import
        from components.cluster.rehearsal import rehearse_here

        rehearse_here(cluster_settings(settled["cluster"]), serving_settings(settled["serving"]))
    return settled


def complete(
    source: str, preset: str, training: Section, sections: Mapping[str, Section], tune: bool = False
) -> dict[str, Any]:
    """Completes a run's settings with presets and defaults.

    Args:
        source: where the bins come from; decides what the preset ``auto`` stands for.
        preset: a training recipe.
        training: training options that replace the preset's.
        sections: the structured parameters of ``SECTIONS``, by name; one that is missing has its defaults.
        tune: whether the run searches hyperparameters; then the search must go with the training options.

    Returns:
        ``training`` with every option, ``explicit`` (names of the training options that the user gave; tuning leaves
        them alone), and the other sections with every field.

    Raises:
        InventoryError: naming the first field that is refused, and what is allowed.
    """
    settled = {
        "training": resolve(choose(preset, source), training).model_dump(mode="json"),
        "explicit": sorted(training),
        **{name: check(dict(sections.get(name, {}))).model_dump(mode="json") for name, check in SECTIONS.items()},
    }
    if tune:
        _check_search(settled)
    return settled


def _check_search(settled: dict[str, Any]) -> None:
    """Refuses a search that the tune step would refuse, by describing it as that step does."""
    # imported here: the Kubernetes client takes half a second, which only a run that tunes should wait for
    from components.cluster.jobs.choose import runs_on_cluster

    training, tuning = make_settings(settled["training"]), tuning_settings(settled["tuning"])
    plan = make_search_plan(
        "", "", training, settled["explicit"], tuning
    )  # neither run nor dataset matters to the checks
    if runs_on_cluster():
        from components.cluster.jobs.experiment import experiment

        experiment(plan, cluster_settings(settled["cluster"]), namespace="", job="")
