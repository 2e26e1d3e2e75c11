"""The deploy step's ``serving`` parameter: what the service asks of a Kubernetes cluster, typed, with defaults."""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from components.settings.cluster import (
    MOST_CPUS,
    MOST_MEMORY_BYTES,
    MOST_PODS,
    MOST_SECONDS,
    Name,
    Quantity,
    amount,
)
from components.settings.section import Section


class ServingSettings(Section):
    """Every option of a service on a cluster."""

    called: ClassVar[str] = "serving"

    name: str = Field(
        "bin-counter",
        pattern=r"^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$",
        description="the InferenceService, and the model's name in URLs",
        json_schema_extra={"allowed": "at most 40 lower-case letters, digits and hyphens, a letter first"},
    )
    canary_percent: int = Field(
        10, ge=0, le=100, description="share of requests for a new model until it is promoted (not in Standard mode)"
    )
    min_replicas: int = Field(1, ge=0, le=MOST_PODS, description="0 scales to zero (Knative mode only)")
    max_replicas: int = Field(3, ge=1, le=MOST_PODS, description="scales out up to this many pods")
    scale_metric: Literal["default", "cpu", "memory", "concurrency", "rps"] = Field(
        "default", description="what it scales on: cpu, memory in Standard mode; concurrency, rps in Knative mode"
    )
    scale_target: int | None = Field(
        None, ge=1, le=1_000_000, description="the metric's value for one pod, such as 70 (percent of CPU)"
    )
    cpu: Quantity = Field("1", description="CPUs of each pod")
    memory: Quantity = Field("2Gi", description="memory of each pod")
    service_account: Name = Field("inventory-serve", description="ServiceAccount with the store's secret")
    ready_seconds: int = Field(
        900, ge=1, le=MOST_SECONDS, description="give up when the new model is not ready after this long"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "ServingSettings":
        if self.min_replicas > self.max_replicas:
            raise ValueError(f"min_replicas {self.min_replicas} is more than max_replicas {self.max_replicas}")
        for name, most in (("cpu", MOST_CPUS), ("memory", MOST_MEMORY_BYTES)):
            if not 0 < amount(getattr(self, name)) * self.max_replicas <= most:
                raise ValueError(f"{self.max_replicas:,} pods with {name} {getattr(self, name)} are none or too much")
        return self
