"""What Katib calls things, and whether a cluster can run a search at all."""

import kubernetes
from kubernetes.client import ApiClient

from components.cluster import kube
from components.cluster.resource import Kind
from components.common.errors import InventoryError
from components.common.progress import note

GROUP, VERSION = "kubeflow.org", "v1beta1"
EXPERIMENTS, TRIALS, SUGGESTIONS = (Kind(GROUP, VERSION, plural) for plural in ("experiments", "trials", "suggestions"))
EXPERIMENT_LABEL = "katib.kubeflow.org/experiment"
"""On everything that belongs to an Experiment; its value is the Experiment's name."""
INJECTION_LABEL = "katib.kubeflow.org/metrics-collector-injection"
"""A namespace must have it, as ``enabled``: otherwise no trial reports a metric, and Katib waits for ever."""


def check_cluster(api: ApiClient, namespace: str) -> None:
    """Finds out at once what would otherwise be found out after the first trial.

    Raises:
        InventoryError: if Katib is not there, or the namespace lacks Katib's label.
    """
    if not EXPERIMENTS.is_served(api):
        raise InventoryError(f"the cluster knows no {EXPERIMENTS} ({VERSION}); install Katib, or do not tune")
    try:
        found = kube.ask(f"read namespace {namespace}", kubernetes.client.CoreV1Api(api).read_namespace, namespace)
    except kube.ClusterAwayError:
        raise
    except InventoryError as error:
        note(f"tuning: it is not known whether the namespace has the label {INJECTION_LABEL}: {error}")
        return
    if (found.metadata.labels or {}).get(INJECTION_LABEL) != "enabled":
        raise InventoryError(
            f"namespace {namespace} lacks the label {INJECTION_LABEL}=enabled, so trials would report no metric; run "
            f"`kubectl label namespace {namespace} {INJECTION_LABEL}=enabled --overwrite`"
        )
