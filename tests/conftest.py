import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.common.local_store import local_store
from components.common.store import Store, open_store

SAMPLE = Path(__file__).resolve().parents[2] / "shared" / "abid" / "abid-sample-224.tar"


@pytest.fixture(scope="session")
def store_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment variables that name a real object store on loopback, one for the whole session."""
    with local_store(tmp_path_factory.mktemp("store")) as environment:
        yield environment


@pytest.fixture
def store(store_environment: dict[str, str], request: pytest.FixtureRequest) -> Store:
    """An empty bucket of the real object store, one for each test."""
    bucket = f"test-{abs(hash(request.node.nodeid)):x}-{os.getpid()}"
    return open_store({**store_environment, "INVENTORY_BUCKET": bucket})


@pytest.fixture(scope="session")
def real_sample() -> Path:
    """The tar of real bins beside the checkout."""
    if not SAMPLE.exists():
        pytest.skip("the real sample of bins does not lie beside this checkout")
    return SAMPLE


@pytest.fixture(autouse=True)
def _private_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or fills the user's cache."""
    monkeypatch.setenv("INVENTORY_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
