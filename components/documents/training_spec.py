"""The description of one training job.

It lies in the object store, so that a laptop run, a Katib trial and a PyTorchJob worker are the same command with
one address. This module does without torch: whoever only starts jobs need not have it.
"""

from pathlib import Path
from typing import ClassVar, Protocol

from components.common.document import Document
from components.common.store import Store, is_address
from components.settings.training import TrainingSettings


class TrainingSpec(Document):
    """What to train, on which dataset, and where the results go."""

    KIND: ClassVar[str] = "training-job"
    run_id: str
    dataset_key: str
    """Store key of the dataset's manifest."""
    output: str
    """Store prefix: the bundle is ``<output>/model``, everything else ``<output>/train/…``."""
    settings: TrainingSettings

    @property
    def bundle_key(self) -> str:
        """Store prefix of the model bundle."""
        return f"{self.output}/model"

    @property
    def outcome_key(self) -> str:
        """Store key of the outcome, written last: the job is done when it exists."""
        return f"{self.output}/train/outcome.json"

    @property
    def checkpoints_key(self) -> str:
        """Store prefix of the checkpoints."""
        return f"{self.output}/train/checkpoints"

    @property
    def events_key(self) -> str:
        """Store prefix of the TensorBoard event files."""
        return f"{self.output}/train/events"

    @property
    def profile_key(self) -> str:
        """Store prefix of the profiler's records and page."""
        return f"{self.output}/train/profile"

    @property
    def tensors_key(self) -> str:
        """Store prefix of the saved tensors."""
        return f"{self.output}/train/tensors"

    @property
    def runs_key(self) -> str:
        """Store key of the times when the training ran."""
        return f"{self.output}/train/runs.json"

    @property
    def job_key(self) -> str:
        """Store key of this description."""
        return f"{self.output}/train/job.json"


class Launcher(Protocol):
    """Runs all workers of a job until its outcome is in the store."""

    def run(self, job: TrainingSpec, store: Store) -> None:
        """Starts the workers of a job whose description is at ``job.job_key``, and waits for them.

        Raises:
            InventoryError: if they fail for a reason that the user can mend.
            SystemExit: with 128 + N when they were ended by signal N; a new start goes on from their checkpoint.
        """


def read_object(address: str, store: Store) -> bytes:
    """Reads a small file: a path, ``s3://bucket/key`` of our bucket, or a bare key.

    Raises:
        InventoryError: if there is none.
    """
    if Path(address).is_file():
        return Path(address).read_bytes()
    return store.get_bytes(store.key(address) if is_address(address) else address)


def load_job(address: str, store: Store) -> TrainingSpec:
    """Reads a job description.

    Raises:
        InventoryError: if there is none or it is not one.
    """
    return TrainingSpec.parse(read_object(address, store), address)
