"""Which extra of the package ``bin-inventory`` a command needs, and the line that says so where it is not installed."""

from collections.abc import Iterable
from importlib.machinery import PathFinder
from importlib.util import find_spec

from components.common.errors import InventoryError

CLIENT, CONTROL, RUN, SERVE = "client", "control", "control,train,serve", "serve"
SIGNS = {"client": ("httpx", "numpy"), "control": ("kfp", "kubernetes"), "train": ("torch",), "serve": ("kserve",)}
"""Packages that tell whether an extra is installed."""
KATIB = {"kubeflow.katib": "kubeflow-katib==0.19.0", "kubeflow.training": "kubeflow-training==1.9.0", "grpc": "grpcio"}
"""Katib's SDK and what it imports beside the extra ``control``: in no extra, since pip takes what the SDK says of
protobuf for a contradiction to kfp."""


def check_installed(command: str, extra: str) -> None:
    """Looks for what a command needs, some extras separated by commas, without importing it.

    Raises:
        InventoryError: naming what to install.
    """
    missing = [name for part in filter(None, extra.split(",")) for name in SIGNS[part] if not _is_installed(name)]
    if missing:
        raise not_installed(command, missing, extra)
    if command == "preflight" and not all(map(_is_installed, KATIB)):
        raise katib_not_installed(command)


def _is_installed(module: str) -> bool:
    """As ``find_spec`` says it, which for a part of a package would import the package."""
    package, *parts = module.split(".")
    found = find_spec(package)
    for part in parts:
        found = found and PathFinder.find_spec(f"{found.name}.{part}", found.submodule_search_locations)
    return found is not None


def katib_not_installed(command: str) -> InventoryError:
    """What to say where a command misses Katib's SDK."""
    return InventoryError(
        f"`inventory {command}` also needs Katib's SDK: pip install --no-deps {' '.join(KATIB.values())}"
    )


def not_installed(command: str, packages: Iterable[str], extra: str) -> InventoryError:
    """What to say where a command misses packages, which an extra brings."""
    names = ", ".join(packages)
    return InventoryError(f"`inventory {command}` needs {names}; pip install 'bin-inventory[{extra}]'")
