"""What a step's pod needs on a Kubernetes cluster; a run on one machine ignores it."""

import os
from typing import NamedTuple

from kfp import kubernetes
from kfp.dsl import PipelineTask
from kfp.dsl.pipeline_channel import PipelineParameterChannel

from components.client.token_hosts import TOKEN_HOSTS_VARIABLE
from components.cluster.pods import (
    STEP_LABELS,
    STORE_FOLDER,
    STORE_OPTIONAL,
    STORE_REQUIRED,
    USER,
    WITHOUT_ISTIO,
    WITHOUT_SIDE_CARS,
)
from components.common.s3.identity import FOLDER_VARIABLE
from components.common.step.code import CODE_ALLOWED
from components.common.step.container_images import REGISTRY, TAG
from components.counter.signing.keys import PUBLIC_CONFIG_MAP, PUBLIC_FOLDER, SIGNING_FOLDER, SIGNING_SECRET
from components.settings.permitted import permitted

STEP_SECONDS = 2 * 86_400
"""The longest that a step may take; a training's own limits are in the ``cluster`` parameter."""
SEARCH_SECONDS = 2 * STEP_SECONDS
"""Of the step that may search before it trains."""


class Amounts(NamedTuple):
    """What a step's pod asks for, and its limits: a namespace with a ResourceQuota takes no pod without."""

    cpu: str | PipelineParameterChannel
    cpu_limit: str | PipelineParameterChannel
    memory: str | PipelineParameterChannel
    memory_limit: str | PipelineParameterChannel


FIRST_STEP = Amounts("250m", "1", "512Mi", "2Gi")
"""Of the step that checks what the others are to get."""

MODEL_REGISTRY_SECRET = "inventory-model-registry"  # noqa: S105 - a secret's name


def on_cluster(*tasks: PipelineTask, store_secret: str | PipelineParameterChannel, amounts: Amounts) -> None:
    """Gives tasks the object store by reference to its secret, and a pod that may run under ``restricted``.

    Args:
        tasks: of the pipeline that is being described.
        store_secret: name of the store's secret (manifests/secrets/), or the parameter that holds it.
        amounts: what each task's pod asks for; each a Kubernetes quantity, or the parameter or output that holds it.
    """
    for task in tasks:
        kubernetes.use_secret_as_env(task, store_secret, {key: key for key in STORE_REQUIRED})
        kubernetes.use_secret_as_env(task, store_secret, {key: key for key in STORE_OPTIONAL}, optional=True)
        kubernetes.use_secret_as_volume(task, store_secret, mount_path=STORE_FOLDER)
        task.set_env_variable(FOLDER_VARIABLE, STORE_FOLDER)
        kubernetes.set_security_context(task, run_as_user=USER, run_as_group=USER, run_as_non_root=True)
        kubernetes.set_image_pull_policy(task, "IfNotPresent")
        kubernetes.set_timeout(task, STEP_SECONDS)
        # known to the task, so that they also reach one that stands under a condition
        task.register_pipeline_channels([each for each in amounts if isinstance(each, PipelineParameterChannel)])
        task.set_cpu_request(amounts.cpu).set_cpu_limit(amounts.cpu_limit)
        task.set_memory_request(amounts.memory).set_memory_limit(amounts.memory_limit)
        # the images of workers and trials that a step starts are those of the pipeline
        task.set_env_variable("INVENTORY_REGISTRY", REGISTRY).set_env_variable("INVENTORY_TAG", TAG)
        if allowed := os.environ.get(CODE_ALLOWED):
            task.set_env_variable(CODE_ALLOWED, allowed)
        # a step looks at its source and at the store, which Kubeflow's cache does not know
        task.set_caching_options(False)
        for key, value in {**STEP_LABELS, **WITHOUT_ISTIO}.items():
            kubernetes.add_pod_label(task, key, value)
        for key, value in WITHOUT_SIDE_CARS.items():
            kubernetes.add_pod_annotation(task, key, value)


def with_permissions(task: PipelineTask) -> None:
    """Fixes which secrets, accounts, images and hosts a run may name, by the environment that compiles."""
    for name, value in {**permitted(), TOKEN_HOSTS_VARIABLE: os.environ.get(TOKEN_HOSTS_VARIABLE)}.items():
        if value:
            task.set_env_variable(name, value)


def with_keys(signer: PipelineTask, verifier: PipelineTask) -> None:
    """Gives the signer alone the key that signs bundles, the verifier the public one, if the namespace has them."""
    kubernetes.use_secret_as_volume(signer, SIGNING_SECRET, mount_path=SIGNING_FOLDER, optional=True)
    kubernetes.use_config_map_as_volume(verifier, PUBLIC_CONFIG_MAP, mount_path=PUBLIC_FOLDER, optional=True)


def with_model_registry(*tasks: PipelineTask) -> None:
    """Gives tasks the address of Kubeflow's Model Registry, and a token, where the namespace has their secret."""
    for task in tasks:
        names = {name: name for name in ("MODEL_REGISTRY_URL", "MODEL_REGISTRY_TOKEN")}
        kubernetes.use_secret_as_env(task, MODEL_REGISTRY_SECRET, names, optional=True)
