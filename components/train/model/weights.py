"""Where a backbone's weights come from, and loading them so that a misfit is one clear line.

``imagenet`` is looked up in ``weights.json`` (backbone -> URI and sha256). The object store is asked first, under
``weights/<sha256>``, so that a cluster without internet trains from a mirror; a download is put there for the next.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urldefrag, urlsplit

import certifi
import safetensors
import safetensors.torch
import torch
import urllib3

from components.common.errors import InventoryError
from components.common.files import sha256_file
from components.common.progress import Counter, note
from components.common.store import Store, is_address
from components.counter.dataset import cache_folder

MAX_BYTES = 4 * 1024**3
"""Larger files are refused: no backbone that trains here comes near."""
TABLE = Path(__file__).with_name("weights.json")
CHUNK = 1 << 20


@dataclass(frozen=True)
class WeightsFile:
    """A local file of weights and what it is."""

    path: Path
    sha256: str
    origin: str


@cache
def imagenet_table() -> dict[str, dict[str, str]]:
    """The published ImageNet weights that we know: backbone -> ``uri`` and ``sha256``."""
    table: dict[str, dict[str, str]] = json.loads(TABLE.read_text())
    return table


def check_weights(weights: str, backbone: str) -> None:
    """Refuses weights that cannot be found whatever the store and the network hold.

    Raises:
        InventoryError: if the table has no entry for ``imagenet``, a file is not there, or a hash is none.
    """
    if weights == "imagenet" and backbone not in imagenet_table():
        raise InventoryError(
            f"no ImageNet weights are listed for {backbone} (listed: {', '.join(imagenet_table())}); "
            "give a file or URI as weights, or none"
        )
    if urlsplit(weights).scheme in ("http", "https"):
        fragment = urldefrag(weights).fragment
        if fragment and not fragment.startswith("sha256="):
            raise InventoryError(f"weights {weights}: after # only sha256=<hex> is understood")
    elif weights not in ("none", "imagenet") and not is_address(weights) and not _local(weights).is_file():
        raise InventoryError(f"weights: there is no file {_local(weights)}; give none, imagenet, a file or a URI")


def _local(weights: str) -> Path:
    return Path(weights.removeprefix("file://")).expanduser()


def find_weights(weights: str, backbone: str, store: Store) -> WeightsFile | None:
    """Brings the weights that a setting names onto this machine.

    Args:
        weights: ``none``, ``imagenet``, a path, ``s3://bucket/key``, or ``http(s)://…``, the latter optionally with
            ``#sha256=<hex>`` to verify.
        backbone: which entry of the table ``imagenet`` means.
        store: asked first for the mirror, and for ``s3://`` addresses.

    Returns:
        The file, or None for ``none``.

    Raises:
        InventoryError: if there is no such file or entry, it cannot be fetched, or it does not match its hash.
    """
    check_weights(weights, backbone)
    if weights == "none":
        return None
    if weights == "imagenet":
        entry = imagenet_table()[backbone]
        return _published(entry["uri"], entry["sha256"], store)
    if urlsplit(weights).scheme in ("http", "https"):
        uri, fragment = urldefrag(weights)
        if fragment:
            return _published(uri, fragment.removeprefix("sha256=").lower(), store)
        return _keep(uri, _download, uri)
    if is_address(weights):
        place, key = store.elsewhere(weights)
        return _keep(weights, place.get_file, key)
    path = _local(weights)
    return WeightsFile(path, sha256_file(path), weights)


def _folder() -> Path:
    folder = cache_folder() / "weights"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def _temporary() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=_folder(), prefix="fetch-") as folder:
        yield Path(folder) / "weights"


def _keep(origin: str, fetch: Callable[[str, Path], None], address: str) -> WeightsFile:
    """Fetches into the cache, where a file's name is its hash."""
    with _temporary() as path:
        fetch(address, path)
        digest = sha256_file(path)
        kept = path.replace(_folder() / digest)
    return WeightsFile(kept, digest, origin)


def _published(uri: str, sha256: str, store: Store) -> WeightsFile:
    """Weights with a known hash: from the local cache, the mirror in the store, or their publisher."""
    kept = _folder() / sha256
    if kept.exists() and sha256_file(kept) == sha256:
        return WeightsFile(kept, sha256, uri)
    mirror = f"weights/{sha256}"
    mirrored = store.exists(mirror)
    with _temporary() as path:
        if mirrored:
            store.get_file(mirror, path)
        else:
            _download(uri, path, hint=f"or put the file into the object store as {store.uri(mirror)}")
        found = sha256_file(path)
        if found != sha256:
            source = store.uri(mirror) if mirrored else uri
            raise InventoryError(f"weights from {source} have sha256 {found[:12]}…, expected {sha256[:12]}…; not used")
        if not mirrored:
            store.put_file(mirror, path)
        path.replace(kept)
    return WeightsFile(kept, sha256, uri)


def _download(uri: str, path: Path, hint: str = "check the address and the network") -> None:
    note(f"fetching weights from {uri}")
    pool = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=10, read=60),
        retries=urllib3.Retry(total=3, backoff_factor=0.5, status_forcelist=(500, 502, 503, 504)),
        ca_certs=certifi.where(),
    )
    try:
        with pool.request("GET", uri, preload_content=False) as response, path.open("wb") as file:
            if response.status != 200:
                raise InventoryError(f"weights: {uri} answered {response.status}; {hint}")
            count = Counter("weights bytes", int(response.headers.get("Content-Length") or 0))
            for chunk in response.stream(CHUNK):
                count(len(chunk))
                if count.at > MAX_BYTES:
                    raise InventoryError(f"weights: {uri} is larger than {MAX_BYTES:,} bytes; refused")
                file.write(chunk)
    except urllib3.exceptions.HTTPError as error:
        raise InventoryError(f"weights: {uri} cannot be fetched ({type(error).__name__}); {hint}") from error


def read_state(file: WeightsFile) -> dict[str, torch.Tensor]:
    """Reads tensors from a safetensors file, or from a torch file with ``weights_only=True``.

    Raises:
        InventoryError: if the file is neither, or holds anything but tensors.
    """
    try:
        with file.path.open("rb") as opened:
            is_torch = opened.read(2) == b"PK"
        if not is_torch:
            return safetensors.torch.load_file(file.path)
        state = torch.load(file.path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InventoryError(f"weights {file.origin} are no readable safetensors or torch file of tensors") from error
    if isinstance(state, Mapping):
        state = state.get("state_dict", state)
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InventoryError(f"weights {file.origin} hold no state dict of tensors")
    return dict(state)


def load_backbone(
    features: torch.nn.Module, state: Mapping[str, torch.Tensor], heads: tuple[str, ...], origin: str
) -> None:
    """Loads weights into a headless backbone; the classifier in the file is left out, since the head is new.

    The state dict is of the bare architecture, whose own classifier has the name prefixes ``heads``, or of one of our
    own bundles (``features.…``).

    Raises:
        InventoryError: naming ``origin`` and the first tensor that does not fit.
    """
    if any(name.startswith("features.") for name in state) and "head.weight" in state:
        state = {name.removeprefix("features."): value for name, value in state.items() if name.startswith("features.")}
    own = features.state_dict()
    given = {name: value for name, value in state.items() if not name.startswith(heads)}
    for name, value in own.items():
        if name not in given:
            if name.endswith("num_batches_tracked"):
                continue  # absent from old files, and only counts
            raise InventoryError(f"weights {origin} do not fit the backbone: they lack {name}")
        if given[name].shape != value.shape:
            raise InventoryError(
                f"weights {origin} do not fit the backbone: {name} is {list(given[name].shape)} there "
                f"and {list(value.shape)} in the network"
            )
    for name in given:
        if name not in own:
            raise InventoryError(f"weights {origin} do not fit the backbone: it has no {name}")
    features.load_state_dict(given, strict=False)
