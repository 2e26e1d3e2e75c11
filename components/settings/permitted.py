"""Which secrets, service accounts, images and such a run may name: those that its pipeline was compiled for.

A step creates pods with the rights of its own service account, so that whoever may start a run could otherwise have a
pod of any image read any secret of the namespace. Who compiles and uploads a pipeline decides; the names are fixed in
its first step's environment.
"""

import os
from collections.abc import Mapping
from fnmatch import fnmatchcase

from components.common.errors import InventoryError
from components.common.step.container_images import image
from components.settings.cluster import DEFAULT_STORE_SECRET, ClusterSettings
from components.settings.run import RunSettings
from components.settings.serving import ServingSettings

STORE_SECRETS, SERVICE_ACCOUNTS = "INVENTORY_STORE_SECRETS", "INVENTORY_SERVICE_ACCOUNTS"
WORKER_IMAGES, TOKEN_SECRETS = "INVENTORY_WORKER_IMAGES", "INVENTORY_TOKEN_SECRETS"
SERVING_SECRETS, SERVING_ENV = "INVENTORY_SERVING_SECRETS", "INVENTORY_SERVING_ENV"
SERVING_LABELS, SERVING_ANNOTATIONS = "INVENTORY_SERVING_LABELS", "INVENTORY_SERVING_ANNOTATIONS"
DEFAULT_TOKEN_SECRET = "inventory-query"  # noqa: S105 - a secret's name
DEFAULT_SERVING_SECRET = "inventory-serving"  # noqa: S105 - a secret's name
DEFAULTS = {
    STORE_SECRETS: DEFAULT_STORE_SECRET,
    SERVICE_ACCOUNTS: f"{ClusterSettings().service_account},{ServingSettings().service_account}",
    WORKER_IMAGES: image("train"),
    TOKEN_SECRETS: DEFAULT_TOKEN_SECRET,
    SERVING_SECRETS: DEFAULT_SERVING_SECRET,
    # none that says which code runs (LD_PRELOAD, PYTHONPATH) or where requests go (HTTPS_PROXY, AWS_ENDPOINT_URL)
    SERVING_ENV: "OMP_*,MALLOC_*,TZ",
    # none that another's Service or policy may select by
    SERVING_LABELS: "team,owner,environment,cost-center,kueue.x-k8s.io/queue-name",
    # none that puts a side-car or a role beside the server
    SERVING_ANNOTATIONS: "prometheus.io/*,serving.kserve.io/enable-*,karpenter.sh/do-not-disrupt,"
    "cluster-autoscaler.kubernetes.io/safe-to-evict",
}
"""Names separated by commas, ``*`` for any characters, by the variable that holds others."""


def permitted(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What is allowed by the environment, for each variable of ``DEFAULTS``: to be fixed in a compiled pipeline."""
    return {variable: environment.get(variable) or default for variable, default in DEFAULTS.items()}


def check_permitted(run: RunSettings, environment: Mapping[str, str] = os.environ) -> None:
    """Refuses a run that names what its pipeline was not compiled for.

    Raises:
        InventoryError: naming the option, what was given and what is allowed.
    """
    cluster, serving = run.cluster, run.serving
    for option, names, variable in (
        ("store_secret", [run.store_secret], STORE_SECRETS),
        ("cluster.store_secret", [cluster.store_secret], STORE_SECRETS),
        ("serving.store_secret", [serving.store_secret], STORE_SECRETS),
        ("cluster.service_account", [cluster.service_account], SERVICE_ACCOUNTS),
        ("serving.service_account", [serving.service_account], SERVICE_ACCOUNTS),
        ("cluster.image", [] if cluster.image is None else [cluster.image], WORKER_IMAGES),
        ("serving.env", [*serving.env], SERVING_ENV),
        ("serving.secret_env", [*serving.secret_env], SERVING_ENV),
        ("serving.secret_env", [place.split("/")[0] for place in serving.secret_env.values()], SERVING_SECRETS),
        ("serving.labels", [*serving.labels], SERVING_LABELS),
        ("serving.annotations", [*serving.annotations], SERVING_ANNOTATIONS),
    ):
        for name in names:
            check_name(option, name, variable, environment)


def check_name(option: str, given: str, variable: str, environment: Mapping[str, str] = os.environ) -> None:
    """Refuses a name that is none of those in a variable; see ``check_permitted``."""
    names = [name.strip() for name in permitted(environment)[variable].split(",")]
    if not any(fnmatchcase(given, name) for name in names):
        raise InventoryError(
            f"{option} = {given[:120]!r} is refused; this pipeline was compiled for {', '.join(names)} "
            f"(compile it with {variable} for others)"
        )
