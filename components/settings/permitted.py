"""Which secrets, service accounts and images a run may name: those that its pipeline was compiled for.

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
DEFAULT_TOKEN_SECRET = "inventory-query"  # noqa: S105 - a secret's name
DEFAULTS = {
    STORE_SECRETS: DEFAULT_STORE_SECRET,
    SERVICE_ACCOUNTS: f"{ClusterSettings().service_account},{ServingSettings().service_account}",
    WORKER_IMAGES: image("train"),
    TOKEN_SECRETS: DEFAULT_TOKEN_SECRET,
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
    check_name("store_secret", run.store_secret, STORE_SECRETS, environment)
    check_name("cluster.store_secret", run.cluster.store_secret, STORE_SECRETS, environment)
    check_name("cluster.service_account", run.cluster.service_account, SERVICE_ACCOUNTS, environment)
    check_name("serving.service_account", run.serving.service_account, SERVICE_ACCOUNTS, environment)
    if run.cluster.image is not None:
        check_name("cluster.image", run.cluster.image, WORKER_IMAGES, environment)


def check_name(option: str, given: str, variable: str, environment: Mapping[str, str] = os.environ) -> None:
    """Refuses a name that is none of those in a variable; see ``check_permitted``."""
    names = [name.strip() for name in permitted(environment)[variable].split(",")]
    if not any(fnmatchcase(given, name) for name in names):
        raise InventoryError(
            f"{option} = {given[:120]!r} is refused; this pipeline was compiled for {', '.join(names)} "
            f"(compile it with {variable} for others)"
        )
