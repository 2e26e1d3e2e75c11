"""Refuses arguments that cannot work before anything is downloaded."""

import inspect
from typing import Any

from components.check_settings.step import SECTIONS, complete
from components.common.errors import InventoryError
from components.common.store import Store
from components.counter.assignment import check_method
from components.download.selection import parse_counts
from components.settings.split import parse_ratios
from components.settings.training import TrainingSettings
from components.sources.open import open_source
from pipelines.inventory import inventory

QUICKLY_KNOWN = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")


def check_arguments(arguments: dict[str, Any], store: Store) -> None:
    """Checks what can be checked without reading a photo.

    Args:
        arguments: the pipeline's arguments; those not given have the pipeline's defaults.
        store: where weights with an ``s3://`` address or a mirror would be.

    Raises:
        InventoryError: naming the first argument that is refused and what is allowed.
    """
    parameters = inspect.signature(inventory.pipeline_func).parameters
    unknown = set(arguments) - set(parameters)
    if unknown:
        raise InventoryError(f"the pipeline has no parameter '{min(unknown)}'; it has {', '.join(parameters)}")
    values = {name: arguments.get(name, parameter.default) for name, parameter in parameters.items()}
    parse_counts(values["counts"])
    parse_ratios(values["split"])
    check_method(values["split_method"])
    named = {name: values[name] for name in ("backbone", "weights", "epochs") if values[name]}
    sections = {name: values[name] for name in SECTIONS}
    completed = complete(values["source"], values["preset"], {**values["training"], **named}, sections, values["tune"])
    settings = TrainingSettings.read(completed["training"])
    open_source(values["source"], values["source_endpoint"])
    if settings.backbone not in QUICKLY_KNOWN or settings.weights != "none":
        _check_network(settings, store)


def _check_network(settings: TrainingSettings, store: Store) -> None:
    # imported here: torch takes seconds, and the usual first run does not need it yet
    from components.train.model.network import make_backbone
    from components.train.model.weights import find_weights

    make_backbone(settings.backbone, settings.image_size)
    find_weights(settings.weights, settings.backbone, store)
