"""What every pod that we describe has in common: the restricted Pod Security Standard and the store's secret."""

import os
from typing import Any

from components.common.s3.identity import FOLDER_VARIABLE
from components.common.step.code import CODE_VARIABLE
from components.common.store import BUCKET_VARIABLE, PREFIX_VARIABLE
from components.settings.cluster import ClusterSettings

Object = dict[str, Any]

USER = 1000
STORE_FOLDER = "/etc/inventory/store"
"""Where the store's secret is mounted: a private authority's ``ca.crt`` is read from here, and keys once renewed."""
STORE_REQUIRED = ("S3_ENDPOINT_URL",)
"""Keys of the store's secret, and the environment variables that they become."""
STORE_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
STORE_OPTIONAL = (
    *STORE_KEYS,  # a service account with a role has none; a cloud names it in variables that must not be set here too
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_CA_BUNDLE",
    "AWS_ENDPOINT_URL_STS",
    BUCKET_VARIABLE,
    PREFIX_VARIABLE,
)

WITHOUT_ISTIO = {"sidecar.istio.io/inject": "false"}
"""As label and as annotation, since versions of Istio differ: a side-car would keep a finished job running."""
WITHOUT_SIDE_CARS = {**WITHOUT_ISTIO, "linkerd.io/inject": "disabled"}
"""As annotations: Linkerd's injector reads no labels (linkerd2, pkg/inject/report.go, disabledByAnnotation)."""

TRAIN_LABELS = {"app.kubernetes.io/name": "bin-inventory", "app.kubernetes.io/component": "train"}
"""On training jobs and on their pods; the network policies in manifests/ select by them."""
STEP_LABELS = {"app.kubernetes.io/name": "bin-inventory", "app.kubernetes.io/component": "step"}
"""On the pods of steps, for the same."""


def store_environment(secret: str) -> list[Object]:
    """Environment variables by reference to the store's secret; no value ever passes through our hands."""
    references = [(key, False) for key in STORE_REQUIRED] + [(key, True) for key in STORE_OPTIONAL]
    folder = {"name": FOLDER_VARIABLE, "value": STORE_FOLDER}
    return [folder] + [
        {
            "name": key,
            "valueFrom": {"secretKeyRef": {"name": secret, "key": key, **({"optional": True} if optional else {})}},
        }
        for key, optional in references
    ]


def worker_environment(secret: str) -> list[Object]:
    """Environment of a training's worker: the store, and the code that this step itself runs, where no image has it."""
    code = os.environ.get(CODE_VARIABLE)
    return store_environment(secret) + ([{"name": CODE_VARIABLE, "value": code}] if code else [])


def pod_security() -> Object:
    """A pod's security context under the ``restricted`` Pod Security Standard."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> Object:
    """A container's security context under the ``restricted`` standard, with a root file system that cannot change."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def worker_template(spec: Object, settings: ClusterSettings) -> Object:
    """The template of a training's pods, of a pod's ``spec`` and of where the settings let it run."""
    placed = dict(spec)
    if settings.node_selector:
        placed["nodeSelector"] = dict(settings.node_selector)
    if settings.tolerations:
        placed["tolerations"] = [toleration.model_dump(exclude_none=True) for toleration in settings.tolerations]
    if settings.scheduler_name:
        placed["schedulerName"] = settings.scheduler_name
    if settings.image_pull_secrets:
        placed["imagePullSecrets"] = [{"name": secret} for secret in settings.image_pull_secrets]
    metadata = {"labels": {**TRAIN_LABELS, **WITHOUT_ISTIO}, "annotations": dict(WITHOUT_SIDE_CARS)}
    return {"metadata": metadata, "spec": placed}


def worker_volumes(secret: str, shared_memory: str, scratch: str) -> tuple[list[Object], list[Object]]:
    """Volumes and mounts of a training worker: ``/dev/shm`` in memory, ``/tmp`` to write to, the store's secret.

    Args:
        secret: the store's.
        shared_memory: size of ``/dev/shm``; the 64 MiB of a container are too little for data loading workers.
        scratch: largest size of ``/tmp``.
    """
    volumes: list[Object] = [
        {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": shared_memory}},
        {"name": "scratch", "emptyDir": {"sizeLimit": scratch}},
        {"name": "store", "secret": {"secretName": secret, "defaultMode": 0o440}},
    ]
    mounts: list[Object] = [
        {"name": "shared-memory", "mountPath": "/dev/shm"},  # noqa: S108 - the kernel's own name
        {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108
        {"name": "store", "mountPath": STORE_FOLDER, "readOnly": True},
    ]
    return volumes, mounts
