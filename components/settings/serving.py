"""The deploy step's ``serving`` parameter: what the service asks of a Kubernetes cluster, typed, with defaults."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from components.common.checked import checked
from components.settings.cluster import NAME, QUANTITY


class ServingSettings(BaseModel):
    """Every option of a service on a cluster."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field("bin-counter", pattern=r"^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$", description="InferenceService")
    canary_percent: int = Field(10, ge=0, le=100, description="share of requests for a new model until it is promoted")
    min_replicas: int = Field(1, ge=0, description="0 scales to zero (Knative mode only)")
    max_replicas: int = Field(3, ge=1, description="scales out up to this many pods")
    scale_metric: Literal["default", "cpu", "memory", "concurrency", "rps"] = Field(
        "default", description="what it scales on; default: CPU in Standard mode, concurrency in Knative mode"
    )
    scale_target: int | None = Field(
        None, ge=1, description="the metric's value for one pod, such as 70 (percent of CPU)"
    )
    cpu: str = Field("1", pattern=QUANTITY, description="CPUs of each pod")
    memory: str = Field("2Gi", pattern=QUANTITY, description="memory of each pod")
    service_account: str = Field("inventory-serve", pattern=NAME, description="ServiceAccount with the store's secret")
    ready_seconds: int = Field(900, ge=1, description="give up when the new model is not ready after this long")

    @model_validator(mode="after")
    def _fits_together(self) -> "ServingSettings":
        if self.min_replicas > self.max_replicas:
            raise ValueError(f"min_replicas {self.min_replicas} is more than max_replicas {self.max_replicas}")
        return self


def serving_settings(values: dict[str, Any]) -> ServingSettings:
    """Checks the ``serving`` parameter.

    Raises:
        InventoryError: as ``checked``.
    """
    return checked(ServingSettings, "serving", values)
