"""What a run on this machine is asked to do, checked before it leaves anything behind."""

from pathlib import Path
from typing import Any

from components.check_settings.step import check
from components.common.errors import InventoryError
from components.common.files import read_json
from components.common.store import Store
from components.settings.run import RunSettings
from components.settings.source import S3
from components.settings.training import TORCHVISION
from components.sources.open import open_source
from components.tracking.local_run import check_tracking
from pipelines.cli.options import TRAINING


def continued(path: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    """A continued run keeps the arguments and sections' options it was started with, apart from those given anew."""
    try:
        before = read_json(path)
    except OSError:  # a new run, or a folder that cannot be opened, as is said when it is
        before = {}
    except (ValueError, RecursionError):
        before = None
    if not isinstance(before, dict) or not isinstance(before.get(TRAINING, {}), dict):
        raise InventoryError(f"{path} is damaged; delete it, and give the run's options again")
    both = [name for name in arguments if isinstance(before.get(name), dict) and isinstance(arguments[name], dict)]
    return {**before, **arguments, **{name: {**before[name], **arguments[name]} for name in both}}


def check_here(arguments: dict[str, Any]) -> RunSettings:
    """The run's settings, checked before it leaves anything behind, its files and backbone on this machine included.

    Raises:
        InventoryError: naming the first argument that is refused and what is allowed.
    """
    chosen = check(arguments)
    check_tracking()
    if not chosen.data.source.startswith(S3):
        open_source(chosen.data.source)
    listed = chosen.data.file_list
    if listed and not listed.startswith(S3) and not Path(listed).expanduser().is_file():
        raise InventoryError(f"there is no file list '{listed}'; give a path or s3://…")
    if chosen.training.backbone not in TORCHVISION:
        # imported here: torch takes seconds, and the usual first run does not need it yet
        from components.train.model.network import make_backbone

        make_backbone(chosen.training.backbone, chosen.training.image_size)
    if chosen.training.weights != "none":
        from components.train.model.weights import check_weights

        check_weights(chosen.training.weights, chosen.training.backbone)
    return chosen


def check_with_store(chosen: RunSettings, store: Store) -> None:
    """Finds what may lie in the store: the source, and the weights."""
    if chosen.data.source.startswith(S3):
        open_source(chosen.data.source, chosen.data.source_endpoint)
    if chosen.training.weights != "none":
        from components.train.model.weights import find_weights

        find_weights(chosen.training.weights, chosen.training.backbone, store)
