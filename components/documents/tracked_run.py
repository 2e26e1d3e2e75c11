"""Which MLflow run a run on this machine logs into."""

from typing import ClassVar

from components.common.document import Document


class TrackedRun(Document):
    """Kept in the run's folder, so that a run which is continued goes on in its MLflow run."""

    KIND: ClassVar[str] = "tracked-run"
    mlflow_run_id: str
    experiment_id: str
    tracking_uri: str
    """Of the server, without credentials."""
    settings_sha256: str
    """Of the run's settings: MLflow keeps parameters for good, so that other ones are another MLflow run."""

    @property
    def page(self) -> str:
        """Where a browser shows the run; its id where the address is none for browsers."""
        if not self.tracking_uri.startswith(("http://", "https://")):
            return self.mlflow_run_id
        return f"{self.tracking_uri.rstrip('/')}/#/experiments/{self.experiment_id}/runs/{self.mlflow_run_id}"
