"""Rendered bins as a source: drawn on demand, so that everything runs with no network and no data."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from components.common.files import sha256_bytes
from components.documents.block import LeftOut
from components.sources.rendered.bins import metadata, rendered_photo
from components.sources.source import Entry


@dataclass(frozen=True)
class RenderedSource:
    """The bins 0 to ``bins - 1`` of one seed."""

    bins: int
    seed: int

    keeps_busy = True
    is_remote = False
    left_out: ClassVar[Sequence[LeftOut]] = ()
    notes: ClassVar[Sequence[str]] = ()

    @property
    def uri(self) -> str:  # noqa: D102
        return f"rendered:{self.bins}:{self.seed}"

    def entries(self, wanted: Collection[str] | None = None) -> list[Entry]:  # noqa: ARG002, D102, RUF100
        # changes with the code that draws, so that no block of an older drawing is taken for the new one
        code = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
        version = sha256_bytes(code)[:16]
        # other seeds draw other bins, so they have other ids
        begin = f"{self.seed}-" if self.seed else ""
        return sorted(Entry(f"{begin}{index:05d}", version, 0) for index in range(self.bins))

    def metadata(self, id_: str) -> bytes:  # noqa: D102
        return json.dumps(metadata(_index(id_), self.seed)).encode()

    def image(self, id_: str) -> bytes:  # noqa: D102
        return rendered_photo(_index(id_), self.seed)


def _index(id_: str) -> int:
    return int(id_.rpartition("-")[2])  # our own ids: all of them end in a number
