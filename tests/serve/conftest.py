from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.tiny_model import Served, serving, write_bundle


@pytest.fixture(scope="session")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    write_bundle(folder)
    return folder


@pytest.fixture(scope="session")
def server(bundle_folder: Path) -> Iterator[Served]:
    with serving(bundle_folder) as served:
        yield served


@pytest.fixture(scope="session")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60, limits=httpx.Limits(max_connections=64)) as client:
        yield client
