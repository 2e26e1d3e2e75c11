"""What a check is, and how a cluster is asked for one."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from components.cluster import kube
from components.common.errors import InventoryError
from components.settings.cluster import ClusterSettings
from components.settings.serving import ServingSettings
from pipelines.kubeflow.access import Access

WEBHOOK_AWAY = r'failed calling webhook "(?P<what>[^"]+)".*?https://(?P<service>[^./]+)\.(?P<where>[^./:]+)'
"""How the API server says that nobody answers behind the Service of a webhook."""
START_OPERATOR = "kubectl -n {where} get pods, and start its operator again"
State = Literal["ok", "problem", "warning", "unknown"]
"""A problem stops runs; a warning says what is lost; unknown is what these credentials, or this machine, cannot see."""


@dataclass(frozen=True)
class Check:
    """One line: what was looked at, how it is, and what to do about it."""

    name: str
    state: State
    message: str
    fix: str = ""

    @classmethod
    def problem(cls, name: str, error: InventoryError, fix: str = "") -> Self:
        """What was refused, with what the refusal says to do about it, or else this."""
        message, _, told = str(error).partition("; ")
        return cls(name, "problem", message, told or fix)

    def line(self) -> str:
        """The line that a person reads."""
        fix = f"; fix: {self.fix}" if self.fix else ""
        return f"{self.state:<8} {self.name}: {self.message}{fix}"


@dataclass(frozen=True)
class Question:
    """What a run is going to need.

    Attributes:
        namespace: where runs are to go.
        settings: what the training is going to ask for.
        serving: what the service is going to ask for.
        images: of the compiled pipeline, and the predictor's.
        service_account: that steps run as: its rights are asked for, which needs the right to impersonate it; None
            asks for one's own.
        pipelines: the Kubeflow Pipelines API, when runs are to be submitted from here.
        download_pods: that fetch the bins together, as the pipeline was compiled.
    """

    namespace: str
    settings: ClusterSettings = field(default_factory=lambda: ClusterSettings())
    images: tuple[str, ...] = ()
    service_account: str | None = None
    pipelines: Access | None = None
    serving: ServingSettings = field(default_factory=lambda: ServingSettings())
    download_pods: int = 1

    @property
    def install(self) -> str:
        """The command that brings what manifests/ has; keys that are there stay."""
        return f"inventory manifests --namespace {self.namespace} --no-secrets … | kubectl apply -f -"


def ask(call: Callable[..., Any], *what: str, **options: Any) -> Any:
    """What a method of the Kubernetes client answers; None where there is no such object.

    Raises:
        InventoryError: for every other refusal.
    """
    return kube.ask("ask the cluster", call, *what, none_if=lambda error: error.status == 404, **options)


def listed(call: Callable[..., Any], *what: str, **options: Any) -> list[Any]:
    """What a method of the client lists, as ``ask``; none where there is no such kind."""
    found = ask(call, *what, **options)
    return found.items if found else []
