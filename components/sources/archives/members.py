"""What the archives have in common: files by name inside one file of a storage, read in place, never unpacked."""

import posixpath
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from components.common.errors import InventoryError
from components.sources.folder import within
from components.sources.source import UnreadableError
from components.sources.storage import File, Storage, Top

MOST_MEMBERS = 10_000_000
"""An archive with more is refused: its index would not fit into memory."""
MOST_LINKS = 40
"""As many links as Linux follows on one path."""


class Member(Protocol):
    """Where a file's content lies."""

    @property
    def size(self) -> int:
        """Bytes of the content."""

    @property
    def offset(self) -> int:
        """Tells members of one archive apart."""

    def read(self, storage: Storage, archive: str) -> bytes:
        """The content; raises as ``Files.read``."""


class Unusable(NamedTuple):
    """A member without a content that could be read."""

    why: str
    size: int = 0
    offset: int = 0

    def read(self, storage: Storage, archive: str) -> bytes:  # noqa: ARG002, D102, RUF100
        raise UnreadableError("cannot be read", self.why)


@dataclass(frozen=True)
class Archive:
    """The files of an archive."""

    storage: Storage
    name: str
    stamp: str
    """Changes with the archive: the members' own dates may all be equal."""
    members: Mapping[str, Member]

    can_list = True

    @property
    def is_remote(self) -> bool:  # noqa: D102
        return self.storage.is_remote

    @property
    def uri(self) -> str:  # noqa: D102
        return self.storage.address(self.name)

    def address(self, name: str) -> str:  # noqa: D102
        return f"{self.uri}#{name}"

    def files(self, under: str = "") -> Iterator[File]:  # noqa: D102
        return (self._file(name) for name in self.members if name.startswith(under))

    def top(self, under: str = "") -> Top:  # noqa: D102
        names = [name[len(under) :].partition("/") for name in self.members if name.startswith(under)]
        folders = {first for first, separator, _ in names if separator}
        return Top(sorted(folders), sorted(first for first, separator, _ in names if not separator))

    def known(self, names: Collection[str]) -> dict[str, File]:  # noqa: D102
        return {name: self._file(name) for name in names if name in self.members}

    def read(self, name: str, limit: int) -> bytes:  # noqa: D102
        member = self.members.get(name)
        if member is None:
            raise UnreadableError("missing", f"no member {name}")
        if member.size > limit:
            raise UnreadableError("too large", f"more than {limit:,} bytes")
        return within(member.read(self.storage, self.name), limit)

    def _file(self, name: str) -> File:
        member = self.members[name]
        return File(name, member.size, f"{self.stamp}@{member.offset}")


def inside(name: str) -> str | None:
    """A member's path from the archive's root, whichever way it is written; None when it leads out of it."""
    path = posixpath.normpath(name.lstrip("/"))
    return None if path == ".." or path.startswith("../") else path


def resolve(links: Mapping[str, str], members: dict[str, Member]) -> None:
    """Adds symbolic links to the members, with the content that they lead to in the archive; others are unusable."""
    for link in links:
        name = link
        for _ in range(MOST_LINKS):
            if name not in links:
                break
            target = links[name]
            outside = target.startswith("/")
            name = (None if outside else inside(posixpath.join(posixpath.dirname(name), target))) or ""
        members[link] = members.get(name) or Unusable(f"a link to {links[link][:200]}, which the archive lacks")


def check_number(archive: str, number: int) -> None:
    """Raises ``InventoryError`` for an archive of more than ``MOST_MEMBERS``."""
    if number > MOST_MEMBERS:
        raise InventoryError(f"{archive} has more than {MOST_MEMBERS:,} members; unpack it into a folder")
