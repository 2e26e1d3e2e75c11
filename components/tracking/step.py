"""What a step logs into MLflow: into the run that its environment names, and nothing where it names none.

On one machine `inventory run` makes that run (``local_run.py``); on a cluster the MLflow plugin of Kubeflow Pipelines
makes one for every step and sets the same variables in its pod (``RetrieveUserContainerEnvVars`` of
backend/src/v2/common/plugins/mlflow/handler.go there, from release 2.17). Making and ending runs is theirs.
"""

import os
from collections.abc import Callable, Mapping, MutableMapping

from components.common.progress import note
from components.tracking.client import RUN_VARIABLE, URI_VARIABLE, open_client, plain, within
from components.tracking.mlflow_run import MlflowRun

MOST_SECONDS = 120.0
"""That a step waits for one thing it logs, the upload of a model included."""


def is_tracked(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment names a tracking server and a run."""
    return bool(environment.get(URI_VARIABLE) and environment.get(RUN_VARIABLE))


def log_to_mlflow(
    work: Callable[[MlflowRun], object],
    environment: MutableMapping[str, str] = os.environ,
    most_seconds: float = MOST_SECONDS,
) -> None:
    """Logs something into the run that the environment names.

    A server that is away, slow or refuses costs one line and so many seconds: the variable that names the run is then
    removed, so that neither this process nor one that it starts tries again.
    """
    if not is_tracked(environment):
        return
    run_id = environment[RUN_VARIABLE]
    try:
        within(most_seconds, lambda: work(MlflowRun(open_client(environment), run_id)))
    except Exception as error:  # noqa: BLE001, RUF100 - whatever it is, the step's own work is worth more
        environment.pop(RUN_VARIABLE, None)
        note(f"warning: MLflow gets nothing more of this step: {plain(error)}")
