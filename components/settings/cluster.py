"""The pipeline's ``cluster`` parameter: what a training asks of a Kubernetes cluster, typed, with defaults."""

from decimal import Decimal
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from components.settings.section import Section

Quantity = Annotated[
    str,
    Field(
        pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$",
        json_schema_extra={"allowed": "a quantity such as 4, 500m or 8Gi"},
    ),
]
Name = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        max_length=253,
        json_schema_extra={"allowed": "a Kubernetes name: lower-case letters, digits, hyphens and dots"},
    ),
]
SecretName = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",  # Kubeflow Pipelines calls a volume by it, which takes no dots
        max_length=63,
        json_schema_extra={"allowed": "at most 63 lower-case letters, digits and hyphens"},
    ),
]
UNITS = {"m": Decimal("0.001"), "": Decimal(1)}
UNITS |= {unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", 1)}
UNITS |= {f"{unit.upper()}i": Decimal(1024) ** power for power, unit in enumerate("kMGTPE", 1)}
MOST_PODS = 1000
MOST_GPUS = 256
"""Of all pods of a run at once; so are the next two."""
MOST_CPUS = 8192
MOST_MEMORY_BYTES = 64 * 2**40
"""Also of the scratch space of one pod."""
MOST_SECONDS = 31 * 86_400
DEFAULT_STORE_SECRET = "inventory-store"  # noqa: S105 - a secret's name


def amount(quantity: str) -> Decimal:
    """A Kubernetes quantity as a number: ``500m`` is 0.5, ``1Ki`` is 1024."""
    number = quantity.rstrip("mkKMGTPEi")
    return Decimal(number) * UNITS[quantity[len(number) :]]


class Toleration(Section):
    """A taint that pods put up with, as in a pod's ``spec.tolerations``; checked as Kubernetes does (validation.go)."""

    key: str | None = None
    operator: Literal["Exists", "Equal"] | None = None
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    tolerationSeconds: int | None = None  # noqa: N815 - Kubernetes' own name

    @model_validator(mode="after")
    def _as_kubernetes_takes_it(self) -> "Toleration":
        if not self.key and self.operator != "Exists":
            raise ValueError("a toleration without a key, of every taint, has the operator Exists")
        if self.operator == "Exists" and self.value:
            raise ValueError("a toleration with the operator Exists has no value")
        if self.tolerationSeconds is not None and self.effect != "NoExecute":
            raise ValueError("tolerationSeconds belong to the effect NoExecute")
        return self


class ClusterSettings(Section):
    """Every option of a training on a cluster."""

    called: ClassVar[str] = "cluster"

    launcher: Literal["auto", "pytorchjob", "trainjob"] = Field(
        "auto", description="auto takes PyTorchJob where the cluster has it, else TrainJob"
    )
    workers: int = Field(1, ge=1, le=MOST_PODS, description="pods that train together")
    processes_per_worker: int = Field(1, ge=1, le=64, description="training processes in each pod, one per GPU")
    min_workers: int | None = Field(None, ge=1, le=MOST_PODS, description="elastic: go on with as few pods as this")
    max_workers: int | None = Field(None, ge=1, le=MOST_PODS, description="elastic: take up to this many pods")
    max_restarts: int = Field(
        10, ge=0, le=1000, description="elastic: how often the workers regroup before the job fails"
    )

    gpu_resource: str = Field(
        "nvidia.com/gpu",
        pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$",
        description="GPU resource",
        json_schema_extra={"allowed": "a resource such as nvidia.com/gpu"},
    )
    gpus_per_worker: int = Field(0, ge=0, le=64, description="GPUs of each pod")
    cpu: Quantity = Field("4", description="CPUs of each pod")
    memory: Quantity = Field("8Gi", description="memory of each pod")
    ephemeral_storage: Quantity = Field("20Gi", description="scratch space of each pod (shard cache)")
    shared_memory: Quantity = Field("2Gi", description="size of /dev/shm, counted as memory")
    node_selector: dict[str, str] = Field({}, description="labels that a node must have")
    tolerations: list[Toleration] = Field([], description="taints to put up with, such as nvidia.com/gpu:NoSchedule")

    step_cpu: Quantity = Field("500m", description="CPUs that each step's own pod asks for")
    step_cpu_limit: Quantity = Field("4", description="CPUs that it may use")
    step_memory: Quantity = Field("1Gi", description="memory that each step's own pod asks for")
    step_memory_limit: Quantity = Field("8Gi", description="memory that it may use")

    image: str | None = Field(None, description="the workers' image; default the train image of this pipeline")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field("IfNotPresent", description="pull policy")
    image_pull_secrets: list[str] = Field([], description="names of secrets for the registry")
    service_account: Name = Field("inventory-worker", description="the workers' ServiceAccount")
    store_secret: SecretName = Field(
        DEFAULT_STORE_SECRET, description="secret with the object store's endpoint and credentials"
    )
    runtime: Name = Field("torch-distributed", description="TrainJob: the ClusterTrainingRuntime")

    queue: Name | None = Field(
        None, description="Kueue: the LocalQueue that training and trials wait in, for as long as it takes"
    )
    scheduler_name: Name | None = Field(
        None, description="PyTorchJob: who schedules the workers, such as a gang scheduler"
    )
    pending_seconds: int = Field(
        1800,
        ge=1,
        le=MOST_SECONDS,
        description="give up when pods cannot start for this long; time in a queue does not count",
    )
    deadline_seconds: int = Field(86_400, ge=1, le=MOST_SECONDS, description="the cluster ends the job after this long")
    ttl_seconds: int = Field(
        86_400, ge=0, le=MOST_SECONDS, description="the finished job is removed after this long, or with its Workflow"
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
        for name in ("step_cpu", "step_memory"):
            least, most = getattr(self, name), getattr(self, f"{name}_limit")
            if amount(least) > amount(most):
                raise ValueError(f"{name} {least} is more than {name}_limit {most}")
        self.check_amounts()
        return self

    @property
    def most_pods(self) -> int:
        """How many pods train together at most."""
        return max(self.workers, self.max_workers or 0)

    def check_amounts(self, jobs: int = 1) -> None:
        """Refuses what no run should ask of a cluster for jobs at the same time, such as a search's trials.

        Raises:
            ValueError: naming what is too much.
        """
        pods = self.most_pods * jobs
        amounts = {
            "GPUs": (Decimal(self.gpus_per_worker), MOST_GPUS),
            "CPUs": (amount(self.cpu), MOST_CPUS),
            "bytes of memory": (amount(self.memory) + amount(self.shared_memory), MOST_MEMORY_BYTES),
        }
        for what, (each, most) in amounts.items():
            if each * pods > most:
                raise ValueError(f"{pods:,} pods with {each:,.0f} {what} each are more than the {most:,} of a run")
        if amount(self.ephemeral_storage) > MOST_MEMORY_BYTES:
            raise ValueError(f"ephemeral_storage {self.ephemeral_storage} is more than the 64Ti of a pod")
        for name, most in (("step_cpu_limit", MOST_CPUS), ("step_memory_limit", MOST_MEMORY_BYTES)):
            if amount(getattr(self, name)) > most:
                raise ValueError(f"{name} {getattr(self, name)} is more than the {most:,} of a run")
        for name in ("cpu", "memory", "step_cpu", "step_memory"):
            if not amount(getattr(self, name)):
                raise ValueError(f"{name} is nothing; give a pod some")

    @property
    def elastic(self) -> bool:
        """Whether the number of workers may change while the job runs."""
        return self.min_workers is not None
