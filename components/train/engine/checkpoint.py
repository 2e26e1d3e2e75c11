"""Checkpoints in the object store: whole or not at all, verified, and only used for the training they belong to.

``index.json`` lists the checkpoints, newest first, and is written after them; the newest two are kept, so that a
damaged one costs only the steps since the one before. The weights of the best epoch are an object of their own.
"""

import io
from typing import Any

import torch
from pydantic import BaseModel, TypeAdapter

from components.common.errors import InventoryError
from components.common.files import content_hash, sha256_bytes
from components.common.progress import note
from components.common.retry import retry
from components.common.store import Store
from components.train.engine.dispensable import dispensable, read_list

FORMAT = "inventory-checkpoint/2"
KEPT = 2
READ_PAUSES = (1, 2, 4)
"""Seconds between the tries to read one; a store that cannot be reached is no reason to begin anew."""


class Unusable(Exception):  # noqa: N818 - never leaves this module
    """A checkpoint that is missing, damaged or of another training."""


def pack(content: dict[str, Any]) -> bytes:
    """Serialises tensors and plain values."""
    out = io.BytesIO()
    torch.save(content, out)
    return out.getvalue()


def unpack(data: bytes) -> dict[str, Any]:
    """Reads what ``pack`` wrote; never runs code."""
    content: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return content


class Best(BaseModel):
    """The weights of the best epoch, as an object."""

    key: str
    sha256: str
    epoch: int


class Entry(BaseModel):
    """One checkpoint in the index."""

    key: str
    sha256: str
    steps: int
    """Optimiser steps taken."""
    best: Best | None
    identity: str = ""
    """Hash of what it was made for."""


INDEX = TypeAdapter(list[Entry])


class Checkpoints:
    """The checkpoints of one job, which were made for ``identity``, JSON-serialisable; ``prefix`` begins their keys."""

    def __init__(self, store: Store, prefix: str, identity: dict[str, Any]) -> None:
        self.store, self.prefix, self.identity = store, prefix, identity
        self._made_for = content_hash(identity)
        self._index_key = f"{prefix}/index.json"
        self._entries: list[Entry] | None = None

    def entries(self) -> list[Entry]:
        """What the index lists, newest first; a damaged index lists nothing."""
        if self._entries is None:
            damaged = f"the list of checkpoints {self.store.uri(self._index_key)} is damaged; the training begins anew"
            self._entries = read_list(self.store, self._index_key, INDEX, damaged)
        return self._entries

    def write(self, content: dict[str, Any], steps: int, best: tuple[int, dict[str, torch.Tensor]] | None) -> bool:
        """Stores a checkpoint, named by its steps; when the store refuses, says so, and what was there before stays.

        ``best`` is the epoch that validated best so far and its weights, stored once. Returns whether it was stored.
        """
        with dispensable(f"the checkpoint of step {steps} was"):
            old = [known for known in self.entries() if known.steps != steps]
            stored = self._put_best(*best) if best else None
            packed = {"format": FORMAT, "identity": self.identity, "content": content}
            data = pack({**packed, "best": stored.model_dump() if stored else None})
            key, sha256 = f"{self.prefix}/{steps:08d}.pt", sha256_bytes(data)
            kept = [Entry(key=key, sha256=sha256, steps=steps, best=stored, identity=self._made_for), *old[: KEPT - 1]]
            self.store.put_bytes(key, data)
            self.store.put_bytes(self._index_key, INDEX.dump_json(kept, indent=1))
            self._entries = kept
            for key in _keys(old) - _keys(kept):
                try:
                    self.store.delete(key)
                except InventoryError as error:
                    note(f"an old checkpoint stays in the store: {error}")
            return True
        return False

    def _put_best(self, epoch: int, tensors: dict[str, torch.Tensor]) -> Best:
        for known in self.entries():
            if known.identity == self._made_for and known.best and known.best.epoch == epoch:
                return known.best
        data = pack(tensors)
        key = f"{self.prefix}/best-{self._made_for[:8]}-{epoch:05d}.pt"
        self.store.put_bytes(key, data)
        return Best(key=key, sha256=sha256_bytes(data), epoch=epoch)

    def read_newest(self) -> tuple[dict[str, Any], dict[str, torch.Tensor]] | None:
        """Content and best weights of the newest checkpoint that is intact and belongs to this training.

        What is wrong with the ones passed over is said in a note. Nothing writes while workers resume, so all of them
        find the same one.
        """
        for entry in self.entries():
            try:
                packed = self._verified(entry.key, entry.sha256)
                if packed.get("format") != FORMAT or packed["identity"] != self.identity:
                    raise Unusable(f"is of another training ({self._difference(packed.get('identity', {}))})")
                best = packed["best"]
                return packed["content"], self._verified(best["key"], best["sha256"]) if best else {}
            except Unusable as error:
                note(f"checkpoint {entry.key} is not used: {error}")
        return None

    def _verified(self, key: str, sha256: str) -> dict[str, Any]:
        data = retry(
            lambda: self.store.get_bytes_or_none(key),
            InventoryError,
            READ_PAUSES,
            line=lambda error, pause: f"reading checkpoint {key} failed, trying again in {pause} s: {error}",
        )
        if data is None:
            raise Unusable(f"{key} is missing")
        if sha256_bytes(data) != sha256:
            raise Unusable("it is damaged (sha256 differs)")
        return unpack(data)

    def _difference(self, other: dict[str, Any]) -> str:
        names = [name for name in self.identity if other.get(name) != self.identity[name]]
        return ", ".join(f"{name} {other.get(name)!r}, here {self.identity[name]!r}" for name in names[:3])


def _keys(entries: list[Entry]) -> set[str]:
    """Every object that these checkpoints consist of."""
    return {part.key for entry in entries for part in (entry, entry.best) if part}
