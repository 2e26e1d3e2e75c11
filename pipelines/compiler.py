"""The pipeline as YAML for Kubeflow Pipelines: the IR, and the Kubernetes platform document behind it."""

import importlib
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from components.common.errors import InventoryError
from components.common.files import write_atomic

DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
DICTIONARY = re.compile(r"^(#    \w+: dict) \[Default: {.*}\]$", re.MULTILINE)
"""In the comment that begins the file; KFP writes a dictionary's keys there in another order each time."""
TAG = re.compile(r"^[^@:]+:([A-Za-z0-9_][A-Za-z0-9._-]{0,127})$")

FETCH = re.compile(r"fetch(-\d+)?")
"""Names of the tasks that fetch shares of the bins."""

PIPELINES = {
    "inventory": ("pipelines.inventory", "inventory"),
    "reconciliation": ("pipelines.reconciliation", "inventory_reconciliation"),
}
"""What `inventory compile` can compile: module and function, since the import fixes the images."""


def compile_pipeline(path: Path, pipeline: Callable[..., Any] | str = "inventory") -> Path:
    """Compiles a pipeline; the same sources give the same bytes.

    The images' registry and tag are ``INVENTORY_REGISTRY`` and ``INVENTORY_TAG``, read when the components are
    first imported.

    Args:
        path: the YAML file to write; is returned.
        pipeline: a pipeline, or one of ``PIPELINES`` by name.

    Raises:
        InventoryError: if an image has no tag or the tag ``latest``, or the file cannot be written.
    """
    from kfp.compiler import Compiler  # takes a second to import, and the command line needs only the names above

    if isinstance(pipeline, str):
        module, function = PIPELINES[pipeline]
        pipeline = getattr(importlib.import_module(module), function)
    with tempfile.TemporaryDirectory(prefix="compile-") as folder:
        file = Path(folder) / "pipeline.yaml"
        Compiler().compile(pipeline, str(file))
        text = DICTIONARY.sub(r"\1", file.read_text())
    for image in images(text):
        check_image(image)
    try:
        write_atomic(path, text)
    except OSError as error:
        raise InventoryError(f"cannot write {path}: {error.strerror}; give another --output") from error
    return path


def images(text: str) -> list[str]:
    """The images that a compiled pipeline's steps run in, each once, in alphabetical order."""
    ir = next(yaml.safe_load_all(text))
    return sorted({executor["container"]["image"] for executor in ir["deploymentSpec"]["executors"].values()})


def fetching_pods(text: str) -> int:
    """How many pods of a compiled pipeline fetch bins at a time."""
    tasks = next(yaml.safe_load_all(text))["root"]["dag"]["tasks"]
    return max(1, sum(1 for name in tasks if FETCH.fullmatch(name)))


def check_image(image: str) -> None:
    """Refuses an image whose content may change under its name.

    Kubeflow Pipelines keys its cache by the image's name, so a tag that moves gives results of old code.

    Raises:
        InventoryError: if there is neither a digest nor a tag, or the tag is ``latest``.
    """
    if DIGEST.search(image):
        return
    tag = TAG.match(image.rpartition("/")[2])
    if tag is None:
        raise InventoryError(f"image {image} has no tag; give --tag with a version or @sha256:… digest")
    if tag[1] == "latest":
        raise InventoryError(f"image {image}: the tag latest moves; give --tag with a version or @sha256:… digest")
