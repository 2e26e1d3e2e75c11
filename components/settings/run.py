"""Everything that a run is asked to do, as one tree, and the pipeline's parameters that lead to it.

The pipeline's signature, the options of the command line, the variables of make and the tables of the READMEs are
derived from ``PARAMETERS``, which is derived from ``RunSettings``.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self, get_args, get_origin

from pydantic import Field, TypeAdapter, ValidationError

from components.common.checked import allowed, checked, did_you_mean, without_none
from components.common.errors import InventoryError
from components.settings.cluster import DEFAULT_STORE_SECRET, ClusterSettings, Name
from components.settings.data import DataSettings
from components.settings.gate import GatePolicy
from components.settings.presets import Preset, choose, resolve
from components.settings.section import Section
from components.settings.serving import ServingSettings
from components.settings.split import SplitSettings
from components.settings.training import GROUPS, TrainingSettings
from components.settings.tuning import TuningSettings

FORMAT: Literal[2] = 2
"""Of the settings artifact; 1 had neither ``data`` nor ``split``."""


class Trained(Section):
    """A training that the search has done already with these very settings."""

    outcome_key: str = Field(description="its outcome in the object store")


class RunSettings(Section):
    """A run's complete, checked settings: what the first step hands to every other step."""

    format: Literal[2] = FORMAT
    data: DataSettings = Field(DataSettings(), description="the bins")
    split: SplitSettings = Field(SplitSettings(), description="the split")
    preset: Preset = Field(
        "auto", description="Training recipe: auto, default, rendered, published or published-tuned."
    )
    tune: bool = Field(False, description="Search better hyperparameters before the training.")
    training: TrainingSettings = Field(
        TrainingSettings(),
        description='Any other training option by name, such as {"learning_rate": 0.001, "batch_size": 64}.',
    )
    tuning: TuningSettings = Field(
        TuningSettings(),
        description='The search of hyperparameters, such as {"max_trials": 20, "objective": "accuracy"}.',
    )
    gate: GatePolicy = Field(
        GatePolicy(),
        description='What a model must show before it goes into service, such as {"minimum_effect": 0.01}.',
    )
    cluster: ClusterSettings = Field(
        ClusterSettings(),
        description='On a cluster, what the training gets, such as {"workers": 2, "gpus_per_worker": 1}.',
    )
    serving: ServingSettings = Field(
        ServingSettings(),
        description='On a cluster, the service, such as {"name": "bin-counter", "canary_percent": 10, '
        '"max_replicas": 3}.',
    )
    store_secret: Name = Field(
        DEFAULT_STORE_SECRET,
        description="On a cluster, the secret with the object store's endpoint and credentials.",
    )
    explicit: tuple[str, ...] = Field((), description="training options that the user gave; tuning leaves them alone")
    trained: Trained | None = Field(None, description="what the search has trained already")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads the settings artifact.

        Raises:
            InventoryError: if another version wrote it.
        """
        values = json.loads(Path(path).read_text())
        if values.get("format") != FORMAT:
            found = values.get("format", 1)
            raise InventoryError(f"settings of format {found} cannot be read, only {FORMAT}; start the run anew")
        return checked(cls, "settings", values)


@dataclass(frozen=True)
class Parameter:
    """One parameter of the pipeline, or one training option, as every place where a user meets it needs it."""

    name: str
    kind: type
    """``str``, ``int``, ``float``, ``bool`` or ``dict``."""
    default: Any
    description: str
    allowed: str
    group: str
    """Under which heading it is listed."""
    choices: tuple[str, ...] = ()
    section: type[Section] | None = None
    """What a ``dict`` may hold."""


BY_NAME = ("backbone", "weights", "epochs")
"""Training options with a parameter of their own; empty, they take the preset's value."""
RESULTS = ("format", "explicit", "trained")
"""What nobody asks for: the checks or the search put it there."""


def describe(model: type[Section], group: str = "") -> Iterator[Parameter]:
    """A section's options, by the names that users know."""
    for name, field in model.model_fields.items():
        kind = without_none(field.annotation)
        text = str(field.description)
        section = kind if isinstance(kind, type) and issubclass(kind, Section) else None
        choices = tuple(map(str, get_args(kind))) if get_origin(kind) is Literal else ()
        plain = kind if kind in (str, int, float, bool) else str if choices else dict
        default = {} if section else field.default
        yield Parameter(field.alias or name, plain, default, text, allowed(field), group, choices, section)


def _parameters() -> Iterator[Parameter]:
    """Sections ``data`` and ``split`` option by option, each other section as one dictionary."""
    named = {option.name: option for option in describe(TrainingSettings, "the run")}
    for parameter in describe(RunSettings, "the run"):
        if parameter.section in (DataSettings, SplitSettings):
            yield from describe(parameter.section, parameter.description)
        elif parameter.name not in RESULTS:
            yield replace(parameter, group="sections of options") if parameter.section else parameter
        if parameter.name == "preset":
            for option in map(named.__getitem__, BY_NAME):
                nothing = option.kind()
                start = f"{option.description[0].upper()}{option.description[1:]}"
                text = f"{start}; {'empty' if nothing == '' else nothing} takes the preset's."
                allowed_too = f"{option.allowed}, or {'empty' if nothing == '' else nothing}"
                yield replace(option, default=nothing, description=text, allowed=allowed_too)


PARAMETERS: dict[str, Parameter] = {parameter.name: parameter for parameter in _parameters()}
"""Every parameter of the pipeline, in the order in which the Kubeflow UI shows them."""

TRAINING_OPTIONS: dict[str, Parameter] = {
    option.name: option for group in GROUPS for option in describe(group, (group.__doc__ or "").rstrip("."))
}
"""Every training option, in groups."""


def parameter_from_text(name: str, text: str) -> Any:
    """A parameter's value as somebody types it: JSON for a dictionary, yes or no, a number, or the text itself.

    What is not of the parameter's kind stays text, so that ``read_parameters`` refuses it with what is allowed.
    """
    kind = PARAMETERS[name].kind
    try:
        return json.loads(text) if kind is dict else TypeAdapter(kind).validate_python(text)
    except (ValueError, ValidationError):
        return text


def read_parameters(given: Mapping[str, Any]) -> RunSettings:
    """Checks and completes what a user asks for.

    Args:
        given: the pipeline's parameters; those not given have their defaults.

    Raises:
        InventoryError: naming the first field that is refused, what was given and what is allowed.
    """
    for name in given:
        if name not in PARAMETERS:
            hint = did_you_mean(name, PARAMETERS, "it has")
            raise InventoryError(f"the pipeline has no parameter '{name}'; {hint}")
    values = {name: given.get(name, parameter.default) for name, parameter in PARAMETERS.items()}
    for name, parameter in PARAMETERS.items():
        if parameter.kind is dict and not isinstance(values[name], Mapping):
            raise InventoryError(
                f'{name} = {values[name]!r} is refused; allowed: a JSON object such as {{"option": 1}}'
            )
    data = DataSettings.read({name: values[name] for name in DataSettings.model_fields})
    split = SplitSettings.read({name: values[name] for name in ("split", "split_method", "split_seed")})
    rest = {name: values[name] for name in ("preset", "tune", "store_secret")}
    preset = checked(RunSettings, "", rest).preset
    training = {**values["training"], **{name: values[name] for name in BY_NAME if values[name]}}
    return checked(
        RunSettings,
        "",
        {
            **rest,
            "data": data,
            "split": split,
            "training": resolve(choose(preset, data.source), training),
            "explicit": sorted(training),
            "cluster": {"store_secret": values["store_secret"], **values["cluster"]},
            **{name: values[name] for name in ("tuning", "gate", "serving")},
        },
    )
