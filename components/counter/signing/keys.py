"""Where the keys of signed bundles lie. A key passes by its path alone: what it says is read by who signs or verifies.

On a cluster a secret and a ConfigMap of fixed names are mounted where they exist, so that no run chooses its key.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from components.common.errors import InventoryError

SIGNING_VARIABLE, PUBLIC_VARIABLE = "INVENTORY_SIGNING_KEY", "INVENTORY_PUBLIC_KEY"
SIGNING_SECRET, PUBLIC_CONFIG_MAP = "inventory-signing", "inventory-public-key"
SIGNING_FOLDER, PUBLIC_FOLDER = "/etc/inventory/signing", "/etc/inventory/public-key"
"""Where they are mounted."""
PRIVATE_FILE, PUBLIC_FILE = "private.pem", "public.pem"
"""Their keys, and so the names of the files."""


def signing_key(
    given: str = "", environment: Mapping[str, str] = os.environ, mounted: str = SIGNING_FOLDER
) -> Path | None:
    """The private key with which bundles are signed; None where they are not.

    The folder of a mounted secret goes before the file that is ``given`` as an option ``--key``, and that before the
    one that the environment names.

    Raises:
        InventoryError: if one is named and there is none.
    """
    return _mounted(Path(mounted), PRIVATE_FILE) or _named("--key", given, SIGNING_VARIABLE, environment)


def public_key(
    given: str = "", environment: Mapping[str, str] = os.environ, mounted: str = PUBLIC_FOLDER
) -> Path | None:
    """The public key under which every bundle's signature must hold; None where none is asked for.

    It is found as ``signing_key``, with a mounted ConfigMap and the option ``--public-key``.
    """
    return _mounted(Path(mounted), PUBLIC_FILE) or _named("--public-key", given, PUBLIC_VARIABLE, environment)


def _mounted(folder: Path, name: str) -> Path | None:
    """A file of a mount that is optional: an absent object is an empty folder, and one without this file a mistake."""
    if (folder / name).is_file():
        return folder / name
    others = [entry.name for entry in folder.iterdir() if not entry.name.startswith("..")] if folder.is_dir() else []
    if others:
        raise InventoryError(f"what is mounted at {folder} holds {others[0]} and no {name}; name its key {name}")
    return None


def _named(option: str, given: str, variable: str, environment: Mapping[str, str]) -> Path | None:
    name = given or environment.get(variable)
    if name and not Path(name).is_file():
        raise InventoryError(f"{option if given else variable} names {name[:300]}, where no file is; name a key's file")
    return Path(name) if name else None
