from pathlib import Path

import pytest

from components.common.store import Store
from components.counter.dataset import Bins, DatasetManifest, open_split


@pytest.fixture
def drawn_path(drawn: DatasetManifest, tmp_path: Path) -> Path:
    """The dataset artifact of ``drawn``."""
    path = tmp_path / "dataset.json"
    path.write_text(drawn.model_dump_json())
    return path


@pytest.fixture
def training_bins(store: Store, drawn: DatasetManifest) -> Bins:
    """The training split of ``drawn``."""
    return open_split(store, drawn, "train")
