"""Code that came into the object store instead of into an image: a working tree, tried on the published images.

``inventory submit --code .`` packs the package ``components`` and names the pack by its hash in the variable
``INVENTORY_CODE`` of every step, which hands it to its workers. Where that is set, ``import components`` goes on with
the pack's code: see ``components/__init__.py``.
"""

import gzip
import io
import os
import re
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.common.errors import InventoryError
from components.common.files import sha256_bytes
from components.common.store import Store, open_store

CODE_VARIABLE = "INVENTORY_CODE"
CODE_ALLOWED = "INVENTORY_CODE_ALLOWED"
"""``no`` in the environment that compiles: the pipeline's steps run the code of their images alone."""
PACKAGE = "components"
SUFFIXES = (".py", ".html", ".css", ".js", ".json", ".j2", ".svg", ".md")
"""What an image has of the package."""
MOST_BYTES = 8 * 2**20
"""Of a pack; that of the package is a sixteenth of it."""
SHA256 = re.compile(r"[0-9a-f]{64}")


def pack(folder: Path) -> bytes:
    """Packs a working tree's package; the same files give the same bytes.

    Raises:
        InventoryError: if the folder has no such package, or more of it than ``MOST_BYTES``.
    """
    package = folder / PACKAGE
    if not (package / "__init__.py").is_file():
        raise InventoryError(f"--code {folder}: there is no {PACKAGE}/__init__.py; give the folder of a checkout")
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for path in sorted(package.rglob("*")):
            if path.suffix not in SUFFIXES or "__pycache__" in path.parts or not path.is_file():
                continue
            data = path.read_bytes()
            entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
            if packed.tell() > MOST_BYTES:
                break
    if packed.tell() > MOST_BYTES:
        raise InventoryError(f"--code {folder}: {PACKAGE} is larger than {MOST_BYTES >> 20} MiB; is it code alone?")
    return packed.getvalue()


def put_code(store: Store, folder: Path) -> str:
    """Puts a working tree's package, see ``pack``, into the store; returns the pack's sha256, which names it."""
    data = pack(folder)
    sha256 = sha256_bytes(data)
    store.put_bytes(_key(sha256), data)
    return sha256


def check_code_permitted(environment: Mapping[str, str] = os.environ) -> None:
    """Raises ``InventoryError`` where a pipeline was compiled to run no other code than that of the images."""
    if environment.get(CODE_ALLOWED, "yes") != "yes":
        raise InventoryError(
            f"--code is refused; this pipeline was compiled with {CODE_ALLOWED}={environment[CODE_ALLOWED]}: it runs "
            "the code of its images alone"
        )


def take_code(sha256: str, store: Store | None = None) -> Path:
    """Fetches and unpacks the pack that ``put_code`` named so, once on each machine; returns the folder of the package.

    Raises:
        InventoryError: if it is refused here, is not there, or is not what its name says.
    """
    check_code_permitted()
    if not SHA256.fullmatch(sha256):
        raise InventoryError(f"{CODE_VARIABLE} = {sha256[:80]!r} is no sha256; submit the run again with --code")
    folder = Path(tempfile.gettempdir()) / f"inventory-code-{sha256}"
    if not folder.is_dir():
        data = (store or open_store()).get_bytes(_key(sha256), most=MOST_BYTES)
        if sha256_bytes(data) != sha256:
            raise InventoryError(f"the code {_key(sha256)} is damaged; submit the run again with --code")
        with tempfile.TemporaryDirectory(dir=folder.parent) as fresh:
            _unpack(data, Path(fresh) / "code")
            try:
                (Path(fresh) / "code").rename(folder)
            except OSError:
                if not folder.is_dir():  # else another process of this machine was faster
                    raise
    return folder / PACKAGE


def _unpack(data: bytes, folder: Path) -> None:
    """What ``pack`` has made, file by file: ``extractall`` knows a safe filter only since Python 3.11.4."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for entry in archive:
            content, name = archive.extractfile(entry) if entry.isreg() else None, Path(entry.name)
            if content is None or name.is_absolute() or ".." in name.parts:
                raise InventoryError(f"the code holds {entry.name[:80]!r}, which is no file of a package")
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.read())


def of_this_code(value: Any) -> Any:
    """What a result is named by: ``value``, and beside it the code where that came over the store.

    So a run of other code takes nothing that the images' code has made, and leaves nothing that such a run would take.
    """
    code = os.environ.get(CODE_VARIABLE)
    return {"of": value, "code": code} if code else value


def _key(sha256: str) -> str:
    return f"code/{sha256}.tar.gz"
