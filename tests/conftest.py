import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, settings

from components.common.local_store.server import local_store
from components.common.store import Store, open_store
from components.counter.dataset import DatasetManifest
from tests.drawn_bins import make_dataset
from tests.record_model import write_with_record
from tests.tiny_model import Served, serving, write_bundle

# Before torch is imported: threads that compute on networks as small as these mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Started in the background of a shell, the tests would hand an ignored Ctrl-C down to what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
# How fast inputs are made says how busy the machine is.
settings.register_profile("any-machine", suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.load_profile("any-machine")

SAMPLE = Path(__file__).resolve().parents[2] / "shared" / "abid" / "abid-sample-224.tar"


@pytest.fixture(scope="session")
def store_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment variables that name a real object store on loopback, one for the whole session."""
    with local_store(tmp_path_factory.mktemp("store")) as environment:
        yield environment


@contextmanager
def temporary_bucket(environment: dict[str, str], name: str) -> Iterator[Store]:
    """A bucket that goes when the block ends: each takes a volume of 1 GiB out of the disk's free space."""
    opened = open_store({**environment, "INVENTORY_BUCKET": name})
    yield opened
    for key in list(opened.list("")):
        opened.delete(key)
    opened.client.remove_bucket(name)


@pytest.fixture
def store(store_environment: dict[str, str], request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty bucket of the real object store, one for each test."""
    with temporary_bucket(store_environment, f"test-{abs(hash(request.node.nodeid)):x}-{os.getpid()}") as opened:
        yield opened


@pytest.fixture
def other_store(store_environment: dict[str, str], request: pytest.FixtureRequest) -> Iterator[Store]:
    """Another bucket of the same object store."""
    with temporary_bucket(store_environment, f"other-{abs(hash(request.node.nodeid)):x}-{os.getpid()}") as opened:
        yield opened


@pytest.fixture
def drawn(store: Store, tmp_path: Path) -> DatasetManifest:
    """96 training and 24 validation bins with 1 to 3 squares."""
    return make_dataset(store, tmp_path / "drawn", {"train": 96, "validation": 24, "test": 6})


@pytest.fixture(scope="session")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a network that counts redness."""
    folder = tmp_path_factory.mktemp("bundle")
    write_bundle(folder)
    return folder


@pytest.fixture(scope="session")
def server(bundle_folder: Path) -> Iterator[Served]:
    """A real server of that bundle, for tests that leave it as it is."""
    with serving(bundle_folder) as served:
        yield served


@pytest.fixture(scope="session")
def knowing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The same of a bundle that also knows what a stock record's products tell."""
    folder = tmp_path_factory.mktemp("knowing") / "model"
    write_with_record(folder)
    with serving(folder) as served:
        yield served


@pytest.fixture(scope="session")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60, limits=httpx.Limits(max_connections=64)) as client:
        yield client


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


@pytest.fixture(autouse=True)
def _no_tracking_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test logs into the user's MLflow runs."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
