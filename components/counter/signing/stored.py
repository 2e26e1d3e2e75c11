"""Signed bundles in the object store."""

import tempfile
from pathlib import Path

from components.common.errors import InventoryError
from components.common.files import new_file
from components.common.store import Store
from components.counter import bundle as bundles
from components.counter.bundle import SIGNATURE_FILE, Bundle
from components.counter.signing.signature import MOST_SIGNATURE_BYTES, load, refuse_others, sign


def sign_stored(store: Store, prefix: str, private_key: Path, expected: Bundle) -> None:
    """Signs the bundle under ``prefix``, which shall be the expected one, and puts the signature beside it.

    The key goes nowhere.

    Raises:
        InventoryError: if the store holds another bundle by now, or as ``sign``.
    """
    with tempfile.TemporaryDirectory(prefix="sign-") as scratch:
        folder = Path(scratch) / expected.name
        if bundles.fetch(store, prefix, folder) != expected:
            raise InventoryError(f"{store.uri(prefix)} was changed meanwhile, and is not signed; run again")
        sign(folder, private_key)
        store.put_file(f"{prefix}/{SIGNATURE_FILE}", folder / SIGNATURE_FILE)


def fetch(store: Store, prefix: str, folder: Path, public_key: Path | None) -> Bundle:
    """Fetches the bundle under ``prefix`` into a folder, with its signature, if it has one, and verifies both.

    Raises:
        InventoryError: as ``bundle.fetch`` and ``load``, or if there is anything beside it that is not signed, which a
            server would find.
    """
    bundle = bundles.fetch(store, prefix, folder)
    signature = store.get_bytes_or_none(f"{prefix}/{SIGNATURE_FILE}", MOST_SIGNATURE_BYTES)
    if signature is None:
        (folder / SIGNATURE_FILE).unlink(missing_ok=True)
    else:
        with new_file(folder / SIGNATURE_FILE) as file:
            file.write(signature)
    if public_key is None:
        return bundle
    names = {key.removeprefix(f"{prefix}/") for key in store.sizes(f"{prefix}/")}
    refuse_others(names, bundle, store.uri(prefix))
    return load(folder, public_key)
