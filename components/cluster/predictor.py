"""The predictor of an InferenceService: from the settings to its spec, back again, and from one to another."""

from components.cluster.pods import (
    STORE_FOLDER,
    STORE_REQUIRED,
    WITHOUT_ISTIO,
    WITHOUT_SIDE_CARS,
    Object,
    store_environment,
)
from components.settings.serving import NO_SHADOW, ServingSettings, is_reserved, like_a_secret

MODEL_FORMAT = "inventory-bundle"
LABELS = {"app.kubernetes.io/name": "bin-inventory", "app.kubernetes.io/component": "serve"}
"""On the service and its pods; the network policies in manifests/ select by them."""
ARGUMENTS = {
    "threads": "--threads",
    "engine": "--engine",
    "max_body_mib": "--max-body-mib",
    "max_photos": "--max-photos",
    "drift_window": "--drift-window",
    "shadow": "--shadow",
}
"""Settings that are options of the server; KServe puts them after those of the ServingRuntime, so that they win."""
ORIGIN, LOG = "--allow-origin", "--log-requests"
PORT, GRPC_PORT = 8080, 8081
GRPC = f"--grpc-port={GRPC_PORT}"
PORTS: list[Object] = [
    {"containerPort": PORT, "protocol": "TCP"},
    {"name": "h2c", "containerPort": GRPC_PORT, "protocol": "TCP"},
]
"""KServe's Standard mode puts each into the Service: the first as port 80, the others by their names and numbers."""
FIELDS = {
    "service_account": "serviceAccountName",
    "min_replicas": "minReplicas",
    "max_replicas": "maxReplicas",
    "scale_target": "scaleTarget",
    "timeout_seconds": "timeout",
    "container_concurrency": "containerConcurrency",
}
"""Settings that are fields of the predictor as they are."""
DEFAULTS = ServingSettings()
STORE_VOLUME = "store"
OF_STORE = frozenset(each["name"] for each in store_environment(""))
"""Variables that a server has which fetches a shadow from the store."""


def predictor(uri: str, settings: ServingSettings) -> Object:
    """The predictor that serves a bundle; what has gone into service is nobody's shadow any more.

    The security context is that of the ServingRuntime's container, which KServe's own containers take over: Knative
    refuses one of the pod unless ``kubernetes.podspec-securitycontext`` is on.
    """
    if settings.shadow in (uri, NO_SHADOW):
        settings = settings.model_copy(update={"shadow": None})
    amounts = {"cpu": settings.cpu, "memory": settings.memory}
    fields: Object = {name: getattr(settings, option) for option, name in FIELDS.items()}
    fields["scaleMetric"] = None if settings.scale_metric == "default" else settings.scale_metric
    fields["nodeSelector"] = dict(settings.node_selector)
    fields["tolerations"] = [each.model_dump(exclude_none=True) for each in settings.tolerations]
    fields["imagePullSecrets"] = [{"name": secret} for secret in settings.image_pull_secrets]
    container: Object = {"args": _arguments(settings), "env": _environment(settings)}
    if settings.shadow:
        fields["volumes"] = [{"name": STORE_VOLUME, "secret": {"secretName": settings.store_secret}}]
        container["volumeMounts"] = [{"name": STORE_VOLUME, "mountPath": STORE_FOLDER, "readOnly": True}]
    container["ports"] = [dict(port) for port in PORTS] if settings.grpc else []
    return {
        # the steps that ask it are outside of the mesh too, and a side-car would refuse them
        "labels": {**settings.labels, **LABELS, **WITHOUT_ISTIO},
        "annotations": {**settings.annotations, **WITHOUT_SIDE_CARS},
        **{name: value for name, value in fields.items() if value not in (None, {}, [])},
        "model": {
            "modelFormat": {"name": MODEL_FORMAT, "version": "1"},
            "protocolVersion": "v1",
            "storageUri": uri,
            "resources": {"requests": dict(amounts), "limits": dict(amounts)},
            **{name: value for name, value in container.items() if value},
        },
    }


def changed(before: Object, settings: ServingSettings, uri: str) -> Object:
    """The merge patch (RFC 7386) that gives a predictor other settings and another bundle.

    What its settings before had put there and these do not is taken out; what somebody has added by hand stays.
    """
    had = predictor(before.get("model", {}).get("storageUri", uri), shown(before, DEFAULTS.name))
    return _taken_out(had, made := predictor(uri, settings)) | made | _nested(had, made)


def _nested(had: Object, made: Object) -> Object:
    return {key: _taken_out(had.get(key, {}), value) | value for key, value in made.items() if isinstance(value, dict)}


def _taken_out(had: Object, made: Object) -> Object:
    return {key: None for key in had if key not in made}


def shown(part: Object, name: str) -> ServingSettings:
    """The settings with which a predictor, the ``spec.predictor`` of the service of that name, was made.

    They are as far as it shows them; the rest are defaults.
    """
    model = part.get("model", {})
    requests = model.get("resources", {}).get("requests", {})
    variables = model.get("env", [])
    arguments = _said(model.get("args", []))
    references = {each["name"]: each.get("valueFrom", {}).get("secretKeyRef") for each in variables}
    store = references.get(STORE_REQUIRED[0]) if arguments["shadow"] else None
    if store:
        variables = [each for each in variables if each["name"] not in OF_STORE]
        references = {name: where for name, where in references.items() if name not in OF_STORE}
    values = {each["name"]: each["value"] for each in variables if "value" in each}
    told = {option: part.get(field) for option, field in FIELDS.items()} | {
        "name": name,
        "scale_metric": part.get("scaleMetric"),
        "cpu": requests.get("cpu"),
        "memory": requests.get("memory"),
        "labels": _own(part.get("labels", {})),
        "annotations": _own(part.get("annotations", {})),
        "node_selector": part.get("nodeSelector"),
        "tolerations": part.get("tolerations"),
        "image_pull_secrets": [each["name"] for each in part.get("imagePullSecrets", [])],
        "env": {name: value for name, value in values.items() if not like_a_secret(name, value)},
        "secret_env": {name: f"{where['name']}/{where['key']}" for name, where in references.items() if where},
        "store_secret": store and store["name"],
        **arguments,
    }
    return ServingSettings.read({option: value for option, value in told.items() if value is not None})


def shadow_of(part: Object) -> str | None:
    """The address of the shadow's bundle; None when a predictor has none."""
    found: str | None = _said(part.get("model", {}).get("args", []))["shadow"]
    return found


def _own(entries: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in entries.items() if not is_reserved(key)}


def _arguments(settings: ServingSettings) -> list[str]:
    changed = {flag: getattr(settings, option) for option, flag in ARGUMENTS.items()}
    defaults = {flag: getattr(DEFAULTS, option) for option, flag in ARGUMENTS.items()}
    return [
        *(f"{flag}={value}" for flag, value in changed.items() if value != defaults[flag]),
        *(f"{ORIGIN}={origin}" for origin in settings.allow_origins),
        *([LOG] if settings.log_requests else []),
        *([GRPC] if settings.grpc else []),
    ]


def _said(arguments: list[str]) -> Object:
    """Settings out of the server's options."""
    pairs = [argument.partition("=") for argument in arguments]
    values = {flag: value for flag, _, value in pairs}
    return {
        "allow_origins": [value for flag, _, value in pairs if flag == ORIGIN],
        "log_requests": LOG in values,
        "grpc": GRPC in arguments,
        **{option: values.get(flag) for option, flag in ARGUMENTS.items()},
    }


def _environment(settings: ServingSettings) -> list[Object]:
    """Variables by value, and by reference to secrets, whose values never pass through our hands."""
    references = [(name, *place.split("/")) for name, place in settings.secret_env.items()]
    store = store_environment(settings.store_secret) if settings.shadow else []
    return (
        store
        + [{"name": name, "value": value} for name, value in settings.env.items()]
        + [
            {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
            for name, secret, key in references
        ]
    )
