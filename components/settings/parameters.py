"""The pipeline's parameters, derived from the tree of settings, and the way from what a user gives to the checked tree.

The pipeline's signature, the options of the command line, the variables of make and the tables of the READMEs are
derived from ``PARAMETERS``.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from components.common.checked import allowed, checked, fields_of, without_none
from components.common.errors import InventoryError
from components.common.suggest import did_you_mean
from components.settings.data import DataSettings
from components.settings.presets import choose, resolve
from components.settings.run import RunSettings
from components.settings.section import Section
from components.settings.split import SplitSettings
from components.settings.training import GROUPS, TrainingSettings


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
    for name, field in fields_of(model).items():
        kind = without_none(field.annotation)
        text = str(field.description)
        section = kind if isinstance(kind, type) and issubclass(kind, Section) else None
        choices = tuple(map(str, get_args(kind))) if get_origin(kind) is Literal else ()
        plain = kind if kind in (str, int, float, bool) else str if choices else dict
        default = {} if section else field.default
        yield Parameter(name, plain, default, text, allowed(field), group, choices, section)


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
                empty = "empty" if option.kind is str else "0"
                text = f"{option.description[0].upper()}{option.description[1:]}; {empty} takes the preset's."
                allowed_too = f"{option.allowed}, or {empty}"
                yield replace(option, default=option.kind(), description=text, allowed=allowed_too)


PARAMETERS: dict[str, Parameter] = {parameter.name: parameter for parameter in _parameters()}
"""Every parameter of the pipeline, in the order in which a person reads them; Kubeflow's form sorts them by name."""

TRAINING_OPTIONS: dict[str, Parameter] = {
    option.name: option for group in GROUPS for option in describe(group, (group.__doc__ or "").rstrip("."))
}
"""Every training option, in groups."""

SECTION_OPTIONS: dict[str, Parameter] = {
    f"{parameter.name}.{option.name}": replace(option, name=f"{parameter.name}.{option.name}")
    for parameter in PARAMETERS.values()
    if parameter.section
    for option in describe(parameter.section, parameter.name)
}
"""Every option of every section that is one dictionary, such as ``gate.minimum_effect``."""


def form_default(parameter: Parameter) -> Any:
    """A parameter's default as Kubeflow's form shows it: a section with every option, so that nobody has to look it up.

    What has no value of its own is empty text, which ``read_parameters`` takes for not given, since KFP refuses null in
    a default: so is every option of ``training``, whose value comes from the preset, and which the search leaves alone
    once it is given. ``cluster`` and ``serving`` lack the secret, which is a parameter of its own, and ``cluster`` the
    workers' image, of which an empty name is one that the pipeline was not compiled for.
    """
    if parameter.section is None:
        return parameter.default
    hidden = {*PARAMETERS, "image"}
    options = {name: field.default for name, field in fields_of(parameter.section).items() if name not in hidden}
    if parameter.section is TrainingSettings:
        return dict.fromkeys(options, "")
    return {name: "" if value is None else value for name, value in options.items()}


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
    """Checks and completes what a user asks for; parameters that are not given have their defaults.

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
        if parameter.section:
            empty = {option for option, default in form_default(parameter).items() if default == ""}
            values[name] = {
                option: value for option, value in values[name].items() if value != "" or option not in empty
            }
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
            "serving": {"store_secret": values["store_secret"], **values["serving"]},
            **{name: values[name] for name in ("tuning", "gate")},
        },
    )
