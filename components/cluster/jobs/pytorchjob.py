"""A training as a PyTorchJob (``kubeflow.org/v1``), as a pure function of the settings."""

from collections.abc import Sequence

from components.cluster.jobs.job import JobKind, job_object
from components.cluster.kube import Object
from components.cluster.pods import (
    container_security,
    pod_security,
    worker_environment,
    worker_template,
    worker_volumes,
)
from components.common.step.container_images import image
from components.settings.cluster import ClusterSettings

PYTORCHJOB = JobKind(
    group="kubeflow.org",
    version="v1",
    plural="pytorchjobs",
    kind="PyTorchJob",
    succeeded="Succeeded",
    pods="training.kubeflow.org/job-name={name}",
    leaders=(
        "training.kubeflow.org/job-name={name},training.kubeflow.org/job-role=master",
        "training.kubeflow.org/job-name={name},training.kubeflow.org/replica-index=0",  # elastic: there is no master
    ),
)
CONTAINER = "pytorch"  # the operator looks for this name
PORT = 23456
"""Where the workers meet; the operator looks for a port named ``pytorchjob-port``."""


def worker_command(settings: ClusterSettings, arguments: Sequence[str]) -> list[str]:
    """The command of every worker.

    ``components.train.launchers.host`` reads the host's rank and the meeting point from what the operator puts into the
    environment (``PET_NODE_RANK``, ``PET_MASTER_ADDR`` or ``PET_RDZV_ENDPOINT``). Sizes are given here, since
    operators disagree about ``PET_NNODES`` (trainer#2277) and about ``PET_NPROC_PER_NODE`` with an elastic policy.
    """
    nodes = f"{settings.min_workers}:{settings.max_workers}" if settings.elastic else str(settings.workers)
    return [
        "python",
        "-m",
        "components.train.launchers.host",
        f"--nnodes={nodes}",
        f"--nproc-per-node={settings.processes_per_worker}",
        f"--max-restarts={settings.max_restarts if settings.elastic else 0}",
        "--module",
        "components.train",
        *arguments,
    ]


def resources(settings: ClusterSettings) -> Object:
    """Requests and limits of one worker; equal, so that a worker is the last to be evicted."""
    amounts = {"cpu": settings.cpu, "memory": settings.memory, "ephemeral-storage": settings.ephemeral_storage}
    if settings.gpus_per_worker:
        amounts[settings.gpu_resource] = str(settings.gpus_per_worker)
    return {"requests": amounts, "limits": dict(amounts)}


def _pod_template(settings: ClusterSettings, arguments: Sequence[str]) -> Object:
    volumes, mounts = worker_volumes(settings.store_secret, settings.shared_memory, settings.ephemeral_storage)
    container = {
        "name": CONTAINER,
        "image": settings.image or image("train"),
        "imagePullPolicy": settings.image_pull_policy,
        "command": worker_command(settings, arguments),
        "env": worker_environment(settings.store_secret),
        "ports": [{"name": "pytorchjob-port", "containerPort": PORT}],
        "resources": resources(settings),
        "securityContext": container_security(),
        "volumeMounts": mounts,
    }
    spec: Object = {
        "automountServiceAccountToken": False,
        "containers": [container],
        "securityContext": pod_security(),
        "serviceAccountName": settings.service_account,
        "volumes": volumes,
    }
    return worker_template(spec, settings)


def pytorchjob(
    name: str,
    namespace: str,
    run_id: str,
    arguments: Sequence[str],
    settings: ClusterSettings,
    owners: Sequence[Object] = (),
) -> Object:
    """Describes the job.

    A fixed number of workers is one Master and the rest Workers. An elastic job has Workers only: the operator leaves
    the Master out of ``PET_NNODES``. Restart policy ``ExitCode`` starts a worker again that ended with 128 or more
    (killed, evicted, preempted); any other code fails the job.

    Args:
        name: of the job, derived from the run.
        namespace: where it is to run.
        run_id: the pipeline run, kept in an annotation.
        arguments: of ``python -m components.train``.
        settings: what the job asks of the cluster.
        owners: owner references, so that the job goes when the run goes.
    """

    def replicas(count: int) -> Object:
        return {"replicas": count, "restartPolicy": "ExitCode", "template": _pod_template(settings, arguments)}

    if settings.elastic:
        specs = {"Worker": replicas(settings.workers)}
    else:
        specs = {"Master": replicas(1)}
        if settings.workers > 1:
            specs["Worker"] = replicas(settings.workers - 1)
    spec: Object = {
        "nprocPerNode": str(settings.processes_per_worker),
        "pytorchReplicaSpecs": specs,
        "runPolicy": {
            "activeDeadlineSeconds": settings.deadline_seconds,
            "cleanPodPolicy": settings.clean_pod_policy,
            "ttlSecondsAfterFinished": settings.ttl_seconds,
        },
    }
    if settings.elastic:
        spec["elasticPolicy"] = {
            "minReplicas": settings.min_workers,
            "maxReplicas": settings.max_workers,
            "maxRestarts": settings.max_restarts,
            "rdzvBackend": "c10d",
            "rdzvId": name,
        }
    return job_object(PYTORCHJOB, name, namespace, run_id, settings.queue, owners, spec)
