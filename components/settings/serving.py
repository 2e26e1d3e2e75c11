"""The deploy step's ``serving`` parameter: what the service asks of a Kubernetes cluster, typed, with defaults."""

import re
from fnmatch import fnmatchcase
from functools import partial
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from components.counter.engines.names import Choice
from components.settings.cluster import (
    DEFAULT_STORE_SECRET,
    MOST_CPUS,
    MOST_MEMORY_BYTES,
    MOST_PODS,
    MOST_SECONDS,
    Name,
    Quantity,
    SecretName,
    Toleration,
    amount,
)
from components.settings.section import Section

RESERVED = (
    "app.kubernetes.io/*",
    "bin-inventory/*",
    "sidecar.istio.io/inject",
    "linkerd.io/inject",
    "serving.kserve.io/[!e]*",  # but for enable-metric-aggregation and the like
    "serving.kserve.io/enable-tag-routing",
)
"""Labels and annotations that this workflow or KServe's controller sets itself."""
NO_SHADOW = "none"
"""Takes the one out that there is."""
MOST_ENTRIES = 64
MOST_CHARACTERS = 4096
KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,252}")
SECRET_KEY = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/[-._a-zA-Z0-9]{1,253}")
ORIGIN = re.compile(r"https?://[A-Za-z0-9.:\[\]-]{1,260}")
LIKE_A_SECRET = re.compile(r"SECRET|TOKEN|PASSW|CREDENTIAL|PRIVATE|API_?KEY|ACCESS_?KEY|HEADERS", re.IGNORECASE)


def is_reserved(key: str) -> bool:
    """Whether a label or annotation is one that nobody sets for a service but this workflow and KServe."""
    return any(fnmatchcase(key, pattern) for pattern in RESERVED)


def like_a_secret(name: str, value: str) -> bool:
    """Whether an environment variable looks as if it held a secret, by its name or by a password in an address."""
    return bool(LIKE_A_SECRET.search(name) or re.search(r"://[^/@\s]*:[^/@\s]*@", value))


def _entries(keys: re.Pattern[str], what: str, values: re.Pattern[str] | None, given: dict[str, str]) -> dict[str, str]:
    if len(given) > MOST_ENTRIES:
        raise ValueError(f"{len(given):,} entries are more than {MOST_ENTRIES}")
    for key, value in given.items():
        if not keys.fullmatch(key):
            raise ValueError(f"'{key[:80]}' is no {what}")
        if values and not values.fullmatch(value):
            raise ValueError(f"{key} = '{value[:80]}' is no value of a {what}")
        if len(value) > MOST_CHARACTERS or "\0" in value:
            raise ValueError(f"the value of {key} is longer than {MOST_CHARACTERS:,} characters, or no text")
    return given


ARE_LABELS = AfterValidator(partial(_entries, KEY, "label", LABEL_VALUE))
ARE_ANNOTATIONS = AfterValidator(partial(_entries, KEY, "annotation", None))
ARE_VARIABLES = AfterValidator(partial(_entries, VARIABLE, "environment variable", None))


def _not_reserved(given: dict[str, str]) -> dict[str, str]:
    for key in filter(is_reserved, given):
        raise ValueError(f"{key} is set by this workflow or by KServe; leave it out")
    return given


def _no_secrets(given: dict[str, str]) -> dict[str, str]:
    for name, value in given.items():
        if like_a_secret(name, value):
            raise ValueError(f'{name} looks like a secret; name one instead: secret_env={{"{name}": "SECRET/KEY"}}')
    return given


def _secret_keys(given: dict[str, str]) -> dict[str, str]:
    for name, value in given.items():
        if not SECRET_KEY.fullmatch(value):  # it may be the secret itself: never shown
            raise ValueError(f"{name[:80]} must be SECRET/KEY, the name of a secret and of a key in it")
    return given


def _origins(given: list[str]) -> list[str]:
    for origin in given:
        if origin != "*" and not ORIGIN.fullmatch(origin):
            raise ValueError(f"'{origin[:80]}' is no origin such as https://stock.example")
    return given


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

    threads: int = Field(0, ge=0, le=256, description="threads of the network, and of decoding; 0: one for each CPU")
    engine: Choice = Field(
        "auto", description="what runs the network; auto: the faster of those that the image has and that answer alike"
    )
    max_body_mib: int = Field(20, ge=1, le=256, description="largest request in MiB; larger ones get 413")
    max_photos: int = Field(128, ge=1, le=4096, description="photos at work in one pod; more get 429")
    allow_origins: Annotated[list[str], AfterValidator(_origins)] = Field(
        [], max_length=MOST_ENTRIES, description="web pages of these origins may ask, such as https://stock.example"
    )
    drift_window: int = Field(
        1000, ge=0, le=100_000, description="last photos that are compared with the bundle's drift reference; 0: none"
    )
    shadow: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/+@~-]{0,999}$",  # an argument of a container: $(NAME) would be a variable
        description="a registered model, or its bundle's address in the store, that gets copies of the photos and "
        "answers nobody",
        json_schema_extra={"allowed": f"a version, s3://BUCKET/FOLDER, or {NO_SHADOW}"},
    )
    store_secret: SecretName = Field(
        DEFAULT_STORE_SECRET, description="the store's secret, with which the server fetches a shadow [the run's]"
    )
    log_requests: bool = Field(False, description="a line of JSON in the pod's log for each prediction request")
    grpc: bool = Field(
        False,
        description="also the V2 protocol over gRPC, on port 8081, in messages of at most 4 MiB (Standard mode only)",
    )
    timeout_seconds: int | None = Field(
        None,
        ge=1,
        le=3600,
        description="longest request: of the revision (Knative), of the Gateway API's route (Standard)",
    )
    container_concurrency: int | None = Field(
        None, ge=0, le=1000, description="requests in one pod at once, 0 for any number (Knative mode only)"
    )

    env: Annotated[dict[str, str], ARE_VARIABLES, AfterValidator(_no_secrets)] = Field(
        {}, description="environment variables of the server; INVENTORY_SERVING_ENV says which"
    )
    secret_env: Annotated[dict[str, str], AfterValidator(_secret_keys), ARE_VARIABLES] = Field(
        {},
        description='the same out of secrets, such as {"NAME": "SECRET/KEY"}; INVENTORY_SERVING_SECRETS says which',
    )
    labels: Annotated[dict[str, str], ARE_LABELS, AfterValidator(_not_reserved)] = Field(
        {}, description="labels of the pods; INVENTORY_SERVING_LABELS says which"
    )
    annotations: Annotated[dict[str, str], ARE_ANNOTATIONS, AfterValidator(_not_reserved)] = Field(
        {},
        description="annotations of the pods, such as prometheus.io/scrape; INVENTORY_SERVING_ANNOTATIONS says which",
    )
    node_selector: Annotated[dict[str, str], ARE_LABELS] = Field(
        {}, description="labels that a node must have (Knative: needs its feature kubernetes.podspec-nodeselector)"
    )
    tolerations: list[Toleration] = Field(
        [],
        max_length=MOST_ENTRIES,
        description="taints to put up with (Knative: needs its feature kubernetes.podspec-tolerations)",
    )
    image_pull_secrets: list[SecretName] = Field(
        [], max_length=MOST_ENTRIES, description="names of secrets for the registry"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "ServingSettings":
        if self.min_replicas > self.max_replicas:
            raise ValueError(f"min_replicas {self.min_replicas} is more than max_replicas {self.max_replicas}")
        for name, most in (("cpu", MOST_CPUS), ("memory", MOST_MEMORY_BYTES)):
            if not 0 < amount(getattr(self, name)) * self.max_replicas <= most:
                raise ValueError(f"{self.max_replicas:,} pods with {name} {getattr(self, name)} are none or too much")
        return self
