"""Download: bins from a source, checked and packed into blocks in the store."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from components.common import progress
from components.common.errors import InventoryError
from components.common.files import content_hash, sha256_bytes
from components.common.step.code import of_this_code
from components.common.step.run_step import document_step
from components.common.store import Store, is_address
from components.documents.downloaded import BinsManifest, BlockInfo
from components.download.fetch import is_passing
from components.download.group_cache import FORMAT, find
from components.download.groups import Download
from components.download.selection import Selection, by_entry, parse_file_list
from components.download.share import Share
from components.settings.data import DataSettings
from components.sources.folder import read_file
from components.sources.open import open_source
from components.sources.s3.find import read_object
from components.sources.source import Entry, Source, TransientError, UnreadableError

MAX_FILE_LIST_BYTES = 100_000_000


def download_bins(
    store: Store,
    data: DataSettings,
    environment: Mapping[str, str] = os.environ,
) -> BinsManifest:
    """Fetches the selected bins of a source into blocks in the store, under ``downloads/``.

    What an attempt has put into the store is not fetched again, whether the attempt ended or was killed; what the
    source refused or did not deliver is asked for again. Bins that cannot be used are listed in the object
    ``skipped_key``, and so are kept bins whose quantity is doubtful.

    Args:
        store: receives ``downloads/``.
        data: which bins of which source.
        environment: names the object store and the source's credentials; see ``open_source``.

    Raises:
        InventoryError: if the source or the store cannot be used, or no bin is selected.
    """
    asked = _look(data, environment)
    inputs = asked.inputs
    is_new = False

    def work() -> BinsManifest:
        nonlocal is_new
        is_new = True
        return asked.download(store).run(asked.entries, f"downloads/skipped/{content_hash(of_this_code(inputs))}.jsonl")

    outcome = document_step(store, "download", inputs, BinsManifest, work)
    has_skipped = not outcome.skipped_key or store.exists(outcome.skipped_key)
    if not has_skipped or not all(_is_intact(store, block) for block in outcome.blocks):
        progress.note("download: the store has lost blocks or holds other ones; fetching those again")
        outcome = document_step(store, "download", inputs, BinsManifest, work, always=True)
    elif not is_new and any(map(is_passing, outcome.skipped)):
        progress.note("download: asking again for the bins that the source did not deliver before")
        outcome = document_step(store, "download", inputs, BinsManifest, work, always=True)
    return outcome


def fetch_share(store: Store, data: DataSettings, share: Share) -> int:
    """Fetches one share of the selected bins into the store, where ``download_bins`` finds it.

    What is there is not fetched again, so that a share that was cut off goes on where it stood. Nothing else is left:
    which bins cannot be used, ``download_bins`` says of them all. With so many bins of each count and no list of them
    nothing is fetched: they are chosen in one order.

    Returns:
        Usable bins of the share.

    Raises:
        InventoryError: if the source or the store cannot be used.
    """
    if data.limit_per_count and not data.file_list:
        progress.note("fetch: with a limit_per_count and no file_list, the step download chooses and fetches alone")
        return 0
    asked = _look(data, os.environ)
    blocks = asked.download(store).fetch(asked.entries, share)
    rows = sum(block.rows for block in blocks)
    progress.note(f"fetch: share {share} is in the store, {rows:,} bins in {len(blocks):,} blocks")
    return rows


def download_to(path: str, store: Store, data: DataSettings) -> BinsManifest:
    """Does ``download_bins`` and writes the manifest to a file; an error of the disk is an ``InventoryError``, too."""
    manifest = download_bins(store, data)
    try:
        manifest.write(Path(path))
    except OSError as error:
        raise InventoryError(
            f"cannot write the manifest {path}: {error.strerror}; make room or choose another disk"
        ) from error
    return manifest


@dataclass(frozen=True)
class _Asked:
    """What is to be downloaded, as the source lists it now."""

    data: DataSettings
    source: Source
    entries: list[Entry]
    listed: dict[str, int] | None
    list_sha256: str

    @property
    def inputs(self) -> dict[str, Any]:
        """Everything that decides the outcome."""
        extra, extra_top = self.data.trained_only
        inputs = {
            "format": FORMAT,
            "source": self.source.uri,
            "listing": _fingerprint(self.entries),
            "counts": self.data.answered,
            "open_top": self.data.open_top,
            "limit_per_count": self.data.limit_per_count,
            "extra": [extra, extra_top],
            "file_list": self.list_sha256,
        }
        if self.source.left_out or self.source.notes:
            inputs["beside"] = [list(self.source.left_out), list(self.source.notes)]
        return inputs

    def download(self, store: Store) -> Download:
        """A pass that has not begun."""
        data = self.data
        selection = Selection(data.answered, data.open_top, data.limit_per_count, *data.trained_only)
        return Download(store, self.source, selection, self.listed)


def _look(data: DataSettings, environment: Mapping[str, str]) -> _Asked:
    """Opens and lists the source."""
    list_bytes = _read_file_list(data.file_list, data.source_endpoint, environment) if data.file_list else b""
    listed = parse_file_list(list_bytes, data.file_list) if data.file_list else None
    source = open_source(data.source, data.source_endpoint, environment, listed or ())
    entries = source.entries(listed)
    progress.note(f"download: {len(entries):,} bins in {source.uri}")
    return _Asked(data, source, entries, listed and by_entry(listed, entries), sha256_bytes(list_bytes))


def _is_intact(store: Store, block: BlockInfo) -> bool:
    cached = find(store, block.key)
    return cached is not None and cached.sha256 == block.sha256


def _read_file_list(file_list: str, endpoint: str, environment: Mapping[str, str]) -> bytes:
    if is_address(file_list):
        return read_object(file_list, MAX_FILE_LIST_BYTES, endpoint, environment)
    try:
        return read_file(Path(file_list).expanduser(), MAX_FILE_LIST_BYTES)
    except (UnreadableError, TransientError) as error:
        raise InventoryError(
            f"cannot read the file list '{file_list}': {error.args[-1]}; give a path or s3://…"
        ) from error


def _fingerprint(entries: Iterable[Entry]) -> str:
    digest = sha256()
    for entry in entries:
        digest.update(f"{entry.id}\n{entry.version}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
