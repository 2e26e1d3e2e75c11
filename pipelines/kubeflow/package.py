"""The file of a compiled pipeline: reading it, and a copy that is changed on its way to a cluster."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from components.common.errors import InventoryError
from components.common.files import sha256_bytes
from components.common.step.code import CODE_VARIABLE
from pipelines.compiler import images
from pipelines.kubeflow.arguments import environment_of


def read_package(package: Path) -> dict[str, Any]:
    """The IR document of a compiled pipeline.

    Raises:
        InventoryError: if the file cannot be read or is no compiled pipeline.
    """
    try:
        text = package.read_text()
        ir = next(yaml.safe_load_all(text))
        if not (ir["root"] and ir["pipelineInfo"]["name"] and images(text)):
            raise ValueError
    except OSError as error:
        raise InventoryError(f"cannot read {package}: {error.strerror}; make it with `inventory compile`") from error
    except (LookupError, AttributeError, ValueError, TypeError, StopIteration, yaml.YAMLError) as error:
        raise InventoryError(f"{package} is no compiled pipeline; make it with `inventory compile`") from error
    return dict(ir)


def default_version(package: Path) -> str:
    """The images' tag, code that is not theirs, and the file's hash, shortened: the same file, the same version."""
    tag = images(package.read_text())[0].rpartition(":")[2][:20]
    code = environment_of(read_package(package)).get(CODE_VARIABLE)
    return "-".join([tag, *([f"code.{code[:12]}"] if code else []), sha256_bytes(package.read_bytes())[:8]])


@contextlib.contextmanager
def changed(package: Path, text: str) -> Iterator[Path]:
    """A file of the package's name and another text, as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="package-") as folder:
        file = Path(folder) / package.name
        file.write_text(text)
        yield file
