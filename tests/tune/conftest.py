from pathlib import Path

import pytest

from components.common.store import Store
from components.counter.dataset import DatasetManifest
from tests.drawn_bins import make_dataset


@pytest.fixture
def shared_store(
    store: Store, store_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Store:
    """The test's store, named in the environment as well, for worker processes."""
    for name, value in {**store_environment, "INVENTORY_BUCKET": store.bucket, "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)
    return store


@pytest.fixture
def drawn(store: Store, tmp_path: Path) -> DatasetManifest:
    """96 training, 48 validation and 6 test bins with 1 to 3 squares, each a product group of its own."""
    return make_dataset(store, tmp_path / "drawn", {"train": 96, "validation": 48, "test": 6})
