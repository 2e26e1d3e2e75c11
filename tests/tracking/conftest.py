from collections.abc import Iterator

import pytest

from components.tracking.client import is_installed
from tests.tracking.mlflow_stand_in import TrackingServer, tracking_server


@pytest.fixture
def tracking(monkeypatch: pytest.MonkeyPatch) -> Iterator[TrackingServer]:
    """A tracking server that the environment names."""
    if not is_installed():
        pytest.skip("mlflow-skinny is not installed; pip install -r requirements/mlflow.txt")
    with tracking_server() as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
        yield server
