"""An object whose store breaks off while it is read."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from components.common import store as store_module
from components.common.errors import InventoryError
from components.common.s3.client import connect
from components.common.store import READ_TRIES, Store
from tests.loopback import Answering, serving

CONTENT = bytes(range(256)) * 20_000


@dataclass
class BreakingStore:
    """A store of one object that ends each of its first bodies after a third of it, as S3 does what it is asked for."""

    breaks: int = 0
    changes: bool = False
    """Whether the object is another one from the second request on."""
    url: str = ""
    asked: list[int] = field(default_factory=list)
    """Where the object was read from, for each request."""

    def open(self) -> Store:
        """The store, as the workflow sees it."""
        return Store(connect(self.url, region="us-east-1"), "bucket", self.url)


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> Iterator[BreakingStore]:
    monkeypatch.setattr(store_module, "READ_PAUSE", 0.01)
    breaking = BreakingStore()

    class Handler(Answering):
        def do_GET(self) -> None:
            tag = '"new"' if breaking.changes and breaking.asked else '"old"'
            start = int(re.sub(r"bytes=(\d+)-", r"\1", self.headers.get("range", "bytes=0-")))
            breaking.asked.append(start)
            if self.headers.get("if-match", tag) != tag:
                error = b"<Error><Code>PreconditionFailed</Code><Message>it has changed</Message></Error>"
                self.answer(412, error, "application/xml")
                return
            rest = CONTENT[start:]
            is_broken = len(breaking.asked) <= breaking.breaks
            body = rest[: len(rest) // 3] if is_broken else rest
            headers = {"etag": tag, "Content-Length": str(len(rest))}
            self.answer(206 if start else 200, body, "application/xml", headers)
            self.close_connection = is_broken

    with serving(Handler) as breaking.url:
        yield breaking


@pytest.mark.parametrize("breaks", range(READ_TRIES))
def test_only_the_rest_is_asked_for_again(breaking: BreakingStore, tmp_path: Path, breaks: int) -> None:
    breaking.breaks = breaks
    breaking.open().get_file("key", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert len(breaking.asked) == breaks + 1
    assert breaking.asked == sorted(breaking.asked)


def test_a_store_that_always_breaks_off_is_one_line_and_leaves_no_file(breaking: BreakingStore, tmp_path: Path) -> None:
    breaking.breaks = 100
    with pytest.raises(InventoryError, match=r"cannot read s3://bucket/key: .* cannot be reached or broke off"):
        breaking.open().get_file("key", tmp_path / "file")
    assert len(breaking.asked) == READ_TRIES
    assert not list(tmp_path.iterdir())


def test_halves_of_two_objects_are_never_put_together(breaking: BreakingStore) -> None:
    breaking.breaks, breaking.changes = 1, True
    with pytest.raises(InventoryError, match="answered PreconditionFailed: it has changed"):
        breaking.open().get_bytes("key")
