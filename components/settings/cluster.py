"""The pipeline's ``cluster`` parameter: what a training asks of a Kubernetes cluster, typed, with defaults."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from components.common.checked import checked

QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"
NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
DEFAULT_STORE_SECRET = "inventory-store"  # noqa: S105 - a secret's name


class Toleration(BaseModel):
    """A taint that the workers' pods put up with, as in a pod's ``spec.tolerations``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    key: str | None = None
    operator: Literal["Exists", "Equal"] | None = None
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    tolerationSeconds: int | None = None  # noqa: N815 - Kubernetes' own name


class ClusterSettings(BaseModel):
    """Every option of a training on a cluster."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    launcher: Literal["auto", "pytorchjob", "trainjob"] = Field(
        "auto", description="auto takes PyTorchJob where the cluster has it, else TrainJob"
    )
    workers: int = Field(1, ge=1, le=1000, description="pods that train together")
    processes_per_worker: int = Field(1, ge=1, le=64, description="training processes in each pod, one per GPU")
    min_workers: int | None = Field(None, ge=1, description="elastic: go on with as few pods as this")
    max_workers: int | None = Field(None, ge=1, description="elastic: take up to this many pods")
    max_restarts: int = Field(10, ge=0, description="elastic: how often the workers regroup before the job fails")

    gpu_resource: str = Field("nvidia.com/gpu", pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$", description="GPU resource")
    gpus_per_worker: int = Field(0, ge=0, le=64, description="GPUs of each pod")
    cpu: str = Field("4", pattern=QUANTITY, description="CPUs of each pod")
    memory: str = Field("8Gi", pattern=QUANTITY, description="memory of each pod")
    ephemeral_storage: str = Field("20Gi", pattern=QUANTITY, description="scratch space of each pod (shard cache)")
    shared_memory: str = Field("2Gi", pattern=QUANTITY, description="size of /dev/shm, counted as memory")
    node_selector: dict[str, str] = Field({}, description="labels that a node must have")
    tolerations: list[Toleration] = Field([], description="taints to put up with, such as nvidia.com/gpu:NoSchedule")

    image: str | None = Field(None, description="the workers' image; default the train image of this pipeline")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field("IfNotPresent", description="pull policy")
    image_pull_secrets: list[str] = Field([], description="names of secrets for the registry")
    service_account: str = Field("inventory-worker", pattern=NAME, description="the workers' ServiceAccount")
    store_secret: str = Field(
        DEFAULT_STORE_SECRET, pattern=NAME, description="secret with the object store's endpoint and credentials"
    )
    runtime: str = Field("torch-distributed", pattern=NAME, description="TrainJob: the ClusterTrainingRuntime")

    pending_seconds: int = Field(1800, ge=1, description="give up when pods cannot start for this long")
    deadline_seconds: int = Field(86_400, ge=1, description="the cluster ends the job after this long")
    ttl_seconds: int = Field(
        86_400, ge=0, description="the finished job is removed after this long, or with its Workflow"
    )
    clean_pod_policy: Literal["None", "Running", "All"] = Field("Running", description="pods removed at the job's end")

    @model_validator(mode="after")
    def _fits_together(self) -> "ClusterSettings":
        low, high = self.min_workers, self.max_workers
        if (low is None) != (high is None):
            raise ValueError("min_workers and max_workers belong together: give both or neither")
        if low is not None and high is not None and not low <= self.workers <= high:
            raise ValueError(f"min_workers <= workers <= max_workers does not hold: {low}, {self.workers}, {high}")
        if self.gpus_per_worker and self.processes_per_worker > self.gpus_per_worker:
            raise ValueError(
                f"processes_per_worker {self.processes_per_worker} is more than gpus_per_worker {self.gpus_per_worker}"
            )
        return self

    @property
    def elastic(self) -> bool:
        """Whether the number of workers may change while the job runs."""
        return self.min_workers is not None


def cluster_settings(values: dict[str, Any]) -> ClusterSettings:
    """Checks the ``cluster`` parameter.

    Raises:
        InventoryError: as ``checked``.
    """
    return checked(ClusterSettings, "cluster", values)
