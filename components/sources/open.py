"""Which source a text names."""

import os
from collections.abc import Mapping
from pathlib import Path

from components.common.errors import InventoryError
from components.common.store import is_address
from components.settings.source import KINDS, check_endpoint, check_source, is_rendered, read_rendered
from components.sources.folder import FolderSource, layout_folder
from components.sources.own_photos import open_folders_by_count, open_table, table_in
from components.sources.rendered.source import RenderedSource
from components.sources.s3 import find_bucket
from components.sources.source import Source
from components.sources.tar import open_tar
from components.tables.read import SUFFIXES as TABLE_SUFFIXES


def open_source(text: str, endpoint: str = "", environment: Mapping[str, str] = os.environ) -> Source:
    """Finds out what a source's name means and opens it.

    Args:
        text: ``rendered``, ``rendered:N``, ``rendered:N:SEED``, ``s3://bucket/prefix``, or the path of a directory, a
            ``.tar`` or a table (``.csv``, ``.xlsx``, ``.jsonl``, …).
        endpoint: of an ``s3://`` source; empty takes the object store's if it has the bucket, else AWS.
        environment: names the object store and its credentials (``components.common.store``), and optionally
            ``SOURCE_AWS_ACCESS_KEY_ID`` and ``SOURCE_AWS_SECRET_ACCESS_KEY`` for the source.

    Raises:
        InventoryError: if the text names no source, or the source cannot be opened.
    """
    check_source(text)
    check_endpoint(endpoint, text)
    if is_rendered(text):
        return RenderedSource(*read_rendered(text))
    if is_address(text):
        return find_bucket(text, endpoint, environment)
    path = Path(text).expanduser()
    if not path.exists():
        raise InventoryError(f"the source '{text}' does not exist; give {KINDS}")
    if path.is_dir():
        layout, table = layout_folder(path), table_in(path)
        if layout:
            return FolderSource(layout)
        return open_table(table) if table else open_folders_by_count(path)
    if path.suffix.lower() in TABLE_SUFFIXES:
        return open_table(path)
    return open_tar(path)
