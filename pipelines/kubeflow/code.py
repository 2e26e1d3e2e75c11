"""A compiled pipeline whose steps run a working tree's code on their images."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from components.common.progress import note
from components.common.step.code import CODE_VARIABLE, check_code_permitted, put_code
from components.common.store import open_store
from pipelines.kubeflow.arguments import environment_of
from pipelines.kubeflow.package import changed

OWN_NAME = "-code"
"""Ends the name of a pipeline of other code: of the pipeline itself, the form and some recurring runs take the newest
version."""


@contextmanager
def with_code(package: Path, folder: Path | None) -> Iterator[Path]:
    """The package to upload: as it is without a folder, else named apart and with that checkout's code in every step.

    The steps of the package's images must have the interface of the code.

    Raises:
        InventoryError: if the pipeline was compiled for the code of its images alone, the folder is no checkout, or the
            store of the environment cannot be written to.
    """
    if folder is None:
        yield package
        return
    ir, *platform = yaml.safe_load_all(package.read_text())
    check_code_permitted(environment_of(ir))
    sha256 = put_code(open_store(), folder)
    note(f"the steps run the code of {folder}, sha256 {sha256}; the predictor runs that of its image")
    ir["pipelineInfo"]["name"] += OWN_NAME
    for executor in ir["deploymentSpec"]["executors"].values():
        executor["container"].setdefault("env", []).append({"name": CODE_VARIABLE, "value": sha256})
    with changed(package, yaml.safe_dump_all([ir, *platform], sort_keys=True)) as file:
        yield file
