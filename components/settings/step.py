"""The first step of a run: turns what the user asked for into complete, checked settings.

A run that asks for something impossible ends here, in seconds, before a photo is fetched or a GPU waited for.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from components.common.cluster_settings import cluster_settings
from components.common.steps import run_step
from components.common.store import Store
from components.deploy.serving_settings import serving_settings
from components.gate.policy import gate_policy
from components.train.presets import choose, resolve
from components.tune.settings import tuning_settings

Section = Mapping[str, Any]

SECTIONS: dict[str, Callable[[dict[str, Any]], BaseModel]] = {
    "cluster": cluster_settings,
    "serving": serving_settings,
    "tuning": tuning_settings,
    "gate": gate_policy,
}
"""What checks each structured parameter beside ``training``."""


def settle(
    store: Store,
    source: str,
    preset: str,
    training: Section,
    sections: Mapping[str, Section],
) -> dict[str, Any]:
    """Checks and completes a run's settings; see ``complete`` for arguments, result and errors."""
    asked = {"source": source, "preset": preset, "training": dict(training), **sections}
    return run_step(store, "settings", asked, lambda: complete(source, preset, training, sections))


def complete(source: str, preset: str, training: Section, sections: Mapping[str, Section]) -> dict[str, Any]:
    """Completes a run's settings with presets and defaults.

    Args:
        source: where the bins come from; decides what the preset ``auto`` stands for.
        preset: a training recipe.
        training: training options that replace the preset's.
        sections: the structured parameters of ``SECTIONS``, by name; one that is missing has its defaults.

    Returns:
        ``training`` with every option, ``explicit`` (names of the training options that the user gave; tuning leaves
        them alone), and the other sections with every field.

    Raises:
        InventoryError: naming the first field that is refused, and what is allowed.
    """
    return {
        "training": resolve(choose(preset, source), training).model_dump(mode="json"),
        "explicit": sorted(training),
        **{name: check(dict(sections.get(name, {}))).model_dump(mode="json") for name, check in SECTIONS.items()},
    }
