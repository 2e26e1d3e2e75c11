"""A training as a TrainJob (``trainer.kubeflow.org/v1alpha1``), for clusters with Kubeflow Trainer v2.

What the runtime's template lacks comes as a patch of it: ``runtimePatches`` since Trainer 2.2; Trainer 2.1 has
``podTemplateOverrides``, which carry no security context, and knows no deadline.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

from kubernetes.client import ApiClient

from components.cluster.jobs.job import JobKind, job_object
from components.cluster.jobs.pytorchjob import resources, worker_command
from components.cluster.kube import Object, with_retries
from components.cluster.pods import (
    container_security,
    pod_security,
    worker_environment,
    worker_template,
    worker_volumes,
)
from components.common.errors import InventoryError
from components.common.progress import note
from components.common.step.container_images import image
from components.settings.cluster import ClusterSettings

TRAINJOB = JobKind(
    group="trainer.kubeflow.org",
    version="v1alpha1",
    plural="trainjobs",
    kind="TrainJob",
    succeeded="Complete",
    pods="jobset.sigs.k8s.io/jobset-name={name}",
    leaders=("jobset.sigs.k8s.io/jobset-name={name},batch.kubernetes.io/job-completion-index=0",),
    makers=("{name}-node-0",),  # the Job that JobSet makes (pkg/util/placement/placement.go, GenJobName)
)
NODE = "node"
"""The replicated job and the container that ``torch-distributed`` and every runtime made after it call so."""
MANAGER = "bin-inventory/train"
DRY_RUN = "dry-run"
Patch = Literal["runtimePatches", "podTemplateOverrides"]
PATCHES: tuple[Patch, ...] = ("runtimePatches", "podTemplateOverrides")
"""The newest first."""


def trainjob(
    name: str,
    namespace: str,
    run_id: str,
    arguments: Sequence[str],
    settings: ClusterSettings,
    owners: Sequence[Object] = (),
    patch: Patch = "runtimePatches",
) -> Object:
    """Describes the job.

    How long a finished job stays, its restart policy and its clean-up are the runtime's; ``ttl_seconds``,
    ``clean_pod_policy`` and ``image_pull_policy`` do not apply.

    Args as of ``pytorchjob``; ``patch`` is the field of the API that carries what the runtime's template lacks.

    Raises:
        InventoryError: for an elastic job or a scheduler, which this API version cannot express.
    """
    if settings.scheduler_name:
        raise InventoryError(
            "cluster.scheduler_name: the scheduler of a TrainJob's pods is that of its runtime (podGroupPolicy); name "
            "such a runtime in cluster.runtime instead, or use launcher pytorchjob"
        )
    if settings.elastic:
        raise InventoryError(
            "cluster.min_workers: a TrainJob has a fixed number of workers; leave it and max_workers out, or use "
            "launcher pytorchjob"
        )
    volumes, mounts = worker_volumes(settings.store_secret, settings.shared_memory, settings.ephemeral_storage)
    container: Object = {"name": NODE, "volumeMounts": mounts}
    pod: Object = {"containers": [container], "serviceAccountName": settings.service_account, "volumes": volumes}
    template = worker_template(pod, settings)
    if patch == "runtimePatches":
        container["securityContext"], template["spec"]["securityContext"] = container_security(), pod_security()
        job_set = {"spec": {"replicatedJobs": [{"name": NODE, "template": {"spec": {"template": template}}}]}}
        shape: Object = {
            "activeDeadlineSeconds": settings.deadline_seconds,
            "runtimePatches": [{"manager": MANAGER, "trainingRuntimeSpec": {"template": job_set}}],
        }
    else:
        shape = {"podTemplateOverrides": [{"targetJobs": [{"name": NODE}], **template}]}
    trainer = {
        "image": settings.image or image("train"),
        "command": worker_command(settings, arguments),
        "env": worker_environment(settings.store_secret),
        "numNodes": settings.workers,
        "numProcPerNode": settings.processes_per_worker,
        "resourcesPerNode": resources(settings),
    }
    spec = {"runtimeRef": {"name": settings.runtime}, **shape, "trainer": trainer}
    return job_object(TRAINJOB, name, namespace, run_id, settings.queue, owners, spec)


def accepted_trainjob(api: ApiClient, namespace: str, settings: ClusterSettings) -> Callable[..., Object]:
    """``trainjob``, in the shape that this cluster's Trainer takes.

    Raises:
        InventoryError: if it takes none, in its own words.
    """
    shapes = [trainjob(DRY_RUN, namespace, DRY_RUN, (), settings, patch=patch) for patch in PATCHES]
    jobs = TRAINJOB.resource(api, namespace)
    patch = PATCHES[shapes.index(with_retries(lambda: jobs.first_accepted(shapes)))]
    if patch != PATCHES[0]:
        note("training: this Kubeflow Trainer is older than 2.2; the workers' pods have the runtime's own security")
    return partial(trainjob, patch=patch)
