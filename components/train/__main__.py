"""``python -m components.train``: a laptop run, a Katib trial and a PyTorchJob worker are this one command."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from components.common.checked import allowed
from components.common.errors import InventoryError
from components.common.parent_process import end_with_run
from components.common.step.run_step import main_step
from components.common.store import open_store
from components.documents.training_spec import TrainingSpec, load_job, read_object
from components.settings.presets import PRESETS, resolve
from components.settings.training import TrainingSettings
from components.train.launchers.local import ERROR_FILE_VARIABLE
from components.train.worker import run_job


def parser() -> argparse.ArgumentParser:
    """The command line: where job and results are, and an option for every field of ``TrainingSettings``."""
    made = argparse.ArgumentParser("python -m components.train", description=__doc__)
    made.add_argument("--job", help="job description: file, store key or s3:// address")
    made.add_argument("--dataset", help="without --job: dataset.json as a file, store key or s3:// address")
    made.add_argument("--output", help="store prefix for the results; with --job, instead of the job's own")
    made.add_argument("--preset", default="default", help=f"without --job: {', '.join(PRESETS)}")
    options = made.add_argument_group("training options")
    for name, field in TrainingSettings.model_fields.items():
        options.add_argument(f"--{name}", metavar=name.upper(), help=f"{field.description} ({allowed(field)})")
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains as the arguments say, in this process.

    Raises:
        InventoryError: for arguments that do not go together or are refused.
    """
    given = parser().parse_args(arguments)
    training = {name: value for name in TrainingSettings.model_fields if (value := getattr(given, name)) is not None}
    store = open_store()
    if given.job:
        job = load_job(given.job, store)
        settings = TrainingSettings.read({**job.settings.model_dump(), **training})
        job = job.model_copy(update={"settings": settings, "output": given.output or job.output})
    elif given.dataset and given.output:
        manifest = read_object(given.dataset, store)
        job = TrainingSpec(
            run_id=given.output.rsplit("/", 1)[-1],
            dataset_key=f"{given.output}/train/dataset.json",
            output=given.output,
            settings=resolve(given.preset, training),
        )
        store.put_bytes(job.dataset_key, manifest)
    else:
        raise InventoryError("give --job, or --dataset and --output")
    run_job(job, store)


def _main() -> None:
    end_with_run()
    try:
        main()
    except InventoryError as error:
        if path := os.environ.get(ERROR_FILE_VARIABLE):
            Path(path).write_text(str(error))
            sys.exit(1)
        raise


if __name__ == "__main__":
    main_step(_main)
