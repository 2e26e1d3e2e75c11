"""Chooses how a training runs: on this machine, as a PyTorchJob or as a TrainJob."""

import os

from kubernetes.client import ApiClient

from components.cluster import kube
from components.cluster.jobs.pytorchjob import PyTorchJobLauncher
from components.cluster.jobs.trainjob import TrainJobLauncher
from components.common.errors import InventoryError
from components.documents.training_spec import Launcher
from components.settings.cluster import ClusterSettings

WHERE_VARIABLE = "INVENTORY_TRAIN_ON"
"""``cluster`` or ``local``; unset, a pod with a service account means cluster."""


def runs_on_cluster() -> bool:
    """Whether this process should launch jobs on a cluster.

    Raises:
        InventoryError: if ``INVENTORY_TRAIN_ON`` is neither ``cluster`` nor ``local``.
    """
    where = os.environ.get(WHERE_VARIABLE)
    if where not in (None, "cluster", "local"):
        raise InventoryError(f"{WHERE_VARIABLE} is '{where}'; set it to cluster or local")
    return kube.in_cluster() if where is None else where == "cluster"


def cluster_launcher(settings: ClusterSettings) -> Launcher | None:
    """The launcher for where this process runs; None on one machine, which means worker processes here.

    Args:
        settings: the run's section ``cluster``.

    Raises:
        InventoryError: for a cluster that has neither kind of job.
    """
    if not runs_on_cluster():
        return None
    api, namespace = kube.connect(), kube.namespace()
    return choose(api, settings)(api, namespace, settings)


JobLauncher = PyTorchJobLauncher | TrainJobLauncher


def choose(api: ApiClient, settings: ClusterSettings) -> type[JobLauncher]:
    """Which launcher the settings ask for, or which kind of job the cluster has."""
    launchers: dict[str, type[JobLauncher]] = {"pytorchjob": PyTorchJobLauncher, "trainjob": TrainJobLauncher}
    if settings.launcher != "auto":
        return launchers[settings.launcher]
    for launcher in launchers.values():
        if kube.serves(api, launcher.kind.group, launcher.kind.version, launcher.kind.plural):
            return launcher
    raise InventoryError(
        "the cluster has neither PyTorchJob (kubeflow.org/v1) nor TrainJob (trainer.kubeflow.org/v1alpha1); "
        "install the Kubeflow training operator or Kubeflow Trainer"
    )
