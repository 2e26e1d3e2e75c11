"""Everything that a run is asked to do, as one tree; ``components.settings.parameters`` is the way to it."""

import json
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from components.common.checked import checked
from components.common.errors import InventoryError
from components.settings.cluster import DEFAULT_STORE_SECRET, ClusterSettings, SecretName
from components.settings.data import DataSettings
from components.settings.gate import GatePolicy
from components.settings.presets import Preset
from components.settings.section import Section
from components.settings.serving import ServingSettings
from components.settings.split import SplitSettings
from components.settings.training import TrainingSettings
from components.settings.tuning import TuningSettings

FORMAT: Literal[2] = 2
"""Of the settings artifact; 1 had neither ``data`` nor ``split``."""


class Trained(Section):
    """A training that the search has done already with these very settings."""

    outcome_key: str = Field(description="its outcome in the object store")


class RunSettings(Section):
    """A run's complete, checked settings: what the first step hands to every other step."""

    format: Literal[2] = FORMAT
    data: DataSettings = Field(default_factory=DataSettings, description="the bins")
    split: SplitSettings = Field(default_factory=SplitSettings, description="the split")
    preset: Preset = Field(
        "auto", description="Training recipe: auto, default, accurate, rendered, published or published-tuned."
    )
    tune: bool = Field(False, description="Search better hyperparameters before the training.")
    training: TrainingSettings = Field(
        default_factory=TrainingSettings,
        description='Any other training option by name, such as {"learning_rate": 0.001, "batch_size": 64}.',
    )
    tuning: TuningSettings = Field(
        default_factory=TuningSettings,
        description='The search of hyperparameters, such as {"max_trials": 20, "objective": "accuracy"}.',
    )
    gate: GatePolicy = Field(
        default_factory=GatePolicy,
        description='What a model must show before it goes into service, such as {"minimum_effect": 0.01}.',
    )
    cluster: ClusterSettings = Field(
        default_factory=ClusterSettings,
        description='On a cluster, what the training gets, such as {"workers": 2, "gpus_per_worker": 1}.',
    )
    serving: ServingSettings = Field(
        default_factory=ServingSettings,
        description='On a cluster, the service, such as {"name": "bin-counter", "canary_percent": 10, '
        '"max_replicas": 3}.',
    )
    store_secret: SecretName = Field(
        DEFAULT_STORE_SECRET,
        description="On a cluster, the secret with the object store's endpoint and credentials.",
    )
    explicit: tuple[str, ...] = Field((), description="training options that the user gave; tuning leaves them alone")
    trained: Trained | None = Field(None, description="what the search has trained already")

    @model_validator(mode="after")
    def _trials_fit_together(self) -> Self:
        if self.tune:
            self.cluster.check_amounts(self.tuning.parallel_trials)
        return self

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads the settings artifact.

        Raises:
            InventoryError: if another version wrote it.
        """
        try:
            values = json.loads(Path(path).read_bytes())
        except (ValueError, RecursionError) as error:
            raise InventoryError(f"the settings {path} are damaged ({error}); start the run anew") from error
        if not isinstance(values, dict):
            raise InventoryError(f"the settings {path} are damaged; start the run anew")
        if values.get("format") != FORMAT:
            found = values.get("format", 1)
            raise InventoryError(f"settings of format {found} cannot be read, only {FORMAT}; start the run anew")
        return checked(cls, "settings", values)


def is_settings(values: Any) -> bool:
    """Whether these are a run's settings, such as an earlier step has left them."""
    try:
        RunSettings.model_validate(values)
    except ValidationError:
        return False
    return True
