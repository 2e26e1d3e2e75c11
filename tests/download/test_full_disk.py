import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.common.errors import InventoryError
from components.common.local_store.server import local_store
from components.common.store import open_store
from tests.sources.bins_on_disk import metadata, photo, write_folder
from tests.steps import download_bins


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 48 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root can mount a small disk")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(folder)], capture_output=True).returncode:
        pytest.skip("this machine does not let us mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_of_the_store_is_one_line(small_disk, tmp_path):
    large = photo(400, 400, quality=100)
    bins = {f"bin-images/{index}.jpg": large for index in range(400)}
    source = write_folder(tmp_path / "bins", bins | {f"metadata/{index}.json": metadata(1) for index in range(400)})
    with local_store(small_disk / "store") as environment:
        store = open_store(environment)
        with pytest.raises(InventoryError, match=r"answers with server errors only; is its disk full\?") as caught:
            download_bins(store, str(source))
    assert "\n" not in str(caught.value)
