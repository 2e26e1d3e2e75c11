"""Which MLflow run a run on this machine logs into."""

from typing import ClassVar

from components.common.document import Document


class TrackedRun(Document):
    """Kept in the run's folder, so that a run which is continued goes on in its MLflow run."""

    KIND: ClassVar[str] = "tracked-run"
    mlflow_run_id: str
    tracking_uri: str
    """Of the server, without credentials."""
    settings_sha256: str
    """Of the run's settings: MLflow keeps parameters for good, so that other ones are another MLflow run."""
