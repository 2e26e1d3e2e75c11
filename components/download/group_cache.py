"""What an earlier attempt left in the store: groups of bins under keys that say what is in them.

A group is two objects: the Arrow file and, written after it, its description. A group counts as there when the
description is and the file is still the one that it describes.
"""

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, ValidationError

from components.common.files import content_hash, sha256_bytes
from components.common.step.code import of_this_code
from components.common.store import Store
from components.documents.block import LeftOut
from components.download.fetch import Packed
from components.sources.source import Entry

FORMAT = 3
"""Changes with the meaning of a group's content, so that older groups are not taken for new ones."""


class CachedGroup(BaseModel):
    """What is known of a kept group without reading it."""

    model_config = ConfigDict(extra="forbid")
    key: str
    sha256: str
    bytes: int
    rows: int
    etag: str
    """The store's own tag of the file's content."""
    per_quantity: dict[str, int]
    skips: list[LeftOut]


def group_key(kind: str, uri: str, entries: Iterable[Entry]) -> str:
    """The key of a group: a hash of the source and of the bins' ids and versions."""
    content = [FORMAT, uri, [[entry.id, entry.version] for entry in entries]]
    return f"downloads/{kind}/{content_hash(of_this_code(content))}.arrow"


def find(store: Store, key: str) -> CachedGroup | None:
    """The description of a group that is there and intact, else None."""
    data = store.get_bytes_or_none(_description_key(key))
    if data is None:
        return None
    try:
        cached = CachedGroup.model_validate_json(data)
    except ValidationError:
        return None  # damaged: the group is fetched again
    return cached if store.tag(key) == (cached.etag, cached.bytes) else None


def keep(store: Store, key: str, packed: Packed) -> CachedGroup:
    """Puts a group into the store and returns its description."""
    store.put_bytes(key, packed.arrow)
    tag = store.tag(key)
    cached = CachedGroup(
        key=key,
        sha256=sha256_bytes(packed.arrow),
        bytes=len(packed.arrow),
        rows=packed.rows,
        etag=tag[0] if tag else "",
        per_quantity=packed.per_quantity,
        skips=packed.skips,
    )
    store.put_bytes(_description_key(key), cached.model_dump_json().encode())
    return cached


def _description_key(key: str) -> str:
    return f"{key}.json"
