"""Chooses how a training runs, on this machine, as a PyTorchJob or as a TrainJob, and launches the job."""

from collections.abc import Callable
from dataclasses import dataclass

from kubernetes.client import ApiClient

from components.cluster import kube
from components.cluster.jobs.job import JobKind, job_name, run_training
from components.cluster.jobs.pytorchjob import PYTORCHJOB, pytorchjob
from components.cluster.jobs.trainjob import TRAINJOB, accepted_trainjob
from components.cluster.kube import Object, owner_references, with_retries
from components.common.errors import InventoryError
from components.common.store import Store
from components.documents.training_spec import Launcher, TrainingSpec
from components.settings.cluster import ClusterSettings


def runs_on_cluster() -> bool:
    """Whether this process should launch jobs on a cluster; see ``kube.is_chosen``."""
    return kube.is_chosen("INVENTORY_TRAIN_ON")


def cluster_launcher(settings: ClusterSettings) -> Launcher | None:
    """The launcher for where this process runs; None on one machine, which means worker processes here.

    Raises:
        InventoryError: for a cluster that has neither kind of job.
    """
    if not runs_on_cluster():
        return None
    api = kube.connect()
    kind = with_retries(lambda: choose(api, settings))
    return JobLauncher(api, kube.namespace(), settings, kind)


@dataclass(frozen=True)
class JobLauncher:
    """Runs the workers as a job of an operator."""

    api: ApiClient
    namespace: str
    settings: ClusterSettings
    kind: JobKind

    def description(self) -> Callable[..., Object]:
        """The function that describes such a job; refuses as ``accepted_trainjob`` does."""
        if self.kind is TRAINJOB:
            return accepted_trainjob(self.api, self.namespace, self.settings)
        return pytorchjob

    def run(self, job: TrainingSpec, store: Store) -> None:
        """See ``components.documents.training_spec.Launcher``."""
        owners = with_retries(lambda: owner_references(self.api, self.namespace))
        name, arguments = job_name(job.run_id), ["--job", store.uri(job.job_key)]
        body = self.description()(name, self.namespace, job.run_id, arguments, self.settings, owners)
        run_training(self.api, self.kind, body, self.settings, job, store)


def choose(api: ApiClient, settings: ClusterSettings) -> JobKind:
    """The kind of job that the settings ask for, or that the cluster has.

    Raises:
        InventoryError: if the cluster has no such kind.
    """
    kinds = {"pytorchjob": PYTORCHJOB, "trainjob": TRAINJOB}
    for name, kind in kinds.items():
        if settings.launcher in ("auto", name) and kind.is_served(api):
            return kind
    if settings.launcher != "auto":
        asked = kinds[settings.launcher]
        raise InventoryError(
            f"cluster.launcher is {settings.launcher}, and the cluster knows no {asked} "
            f"({asked.version}); set it to auto, or install their operator"
        )
    raise InventoryError(
        "the cluster has neither PyTorchJob (kubeflow.org/v1) nor TrainJob (trainer.kubeflow.org/v1alpha1); "
        "install the Kubeflow training operator or Kubeflow Trainer"
    )
