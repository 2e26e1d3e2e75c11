"""The search space: which training options are tuned, and over which values.

One description for Katib and for Optuna, checked against ``TrainingSettings``: what a training would refuse is refused
here, before anything runs.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from pydantic import TypeAdapter

from components.common.checked import allowed
from components.common.errors import InventoryError
from components.common.suggest import did_you_mean
from components.settings.training import MACHINE_OPTIONS, TrainingSettings

Value = float | int | str | bool
Described = Mapping[str, Mapping[str, Any]]

DEFAULT_SPACE: dict[str, dict[str, Any]] = {
    "learning_rate": {"min": 1e-5, "max": 1e-2, "log": True},
    "batch_size": {"values": [32, 64, 128, 256]},
    "epochs": {"min": 10, "max": 20},
}
"""What the replaced workflow searched."""
NOT_TUNED = {
    **dict.fromkeys(MACHINE_OPTIONS, "says how a training is computed, not what it learns"),
    "seed": "is chance, not skill",
    "select_by": "follows tuning.objective",
}
MOST_VALUES = 1000
HYPERBAND_RESOURCE = "epochs"
HYPERBAND_ETA = 3


@dataclass(frozen=True)
class Continuous:
    """A number between two bounds, both included; ``log`` searches its logarithm evenly, ``step`` only a grid."""

    min: float
    max: float
    log: bool = False
    step: float | None = None


@dataclass(frozen=True)
class Integer:
    """A whole number between two bounds, both included."""

    min: int
    max: int
    log: bool = False
    step: int = 1


@dataclass(frozen=True)
class Choice:
    """One of some values, in no order."""

    values: tuple[Value, ...]


Parameter = Continuous | Integer | Choice
Space = dict[str, Parameter]


def read_space(described: Described) -> Space:
    """Reads a search space: training option -> ``{"min", "max", "log", "step"}`` or ``{"values": […]}``.

    Whole numbers may come as floats, as KFP passes them.

    Raises:
        InventoryError: naming the field, such as ``tuning.space.learning_rate.min``, and what is allowed.
    """
    return {name: _read(name, description, f"tuning.space.{name}") for name, description in described.items()}


def describe(parameter: Parameter) -> dict[str, Any]:
    """The description that ``read_space`` reads, without what has its default."""
    if isinstance(parameter, Choice):
        return {"values": list(parameter.values)}
    return {name: value for name, value in asdict(parameter).items() if value not in (None, False) and
            (name, value) != ("step", 1)}  # fmt: skip


def contains(parameter: Parameter, value: Value) -> bool:
    """Whether a search may come upon a value."""
    if isinstance(parameter, Choice):
        return value in parameter.values
    if not isinstance(value, int | float) or not parameter.min <= value <= parameter.max:
        return False
    if parameter.step is None:
        return True
    steps = (value - parameter.min) / parameter.step
    return abs(steps - round(steps)) < 1e-9


def free_space(space: Space, training: TrainingSettings, explicit: Collection[str]) -> Space:
    """What is left to tune of a space: the options of ``training`` that the user gave, ``explicit``, keep their value.

    Raises:
        InventoryError: if nothing is left, or the training would refuse one of the space's values beside the others.
    """
    free = {name: parameter for name, parameter in space.items() if name not in explicit}
    if not free:
        raise InventoryError(
            f"tuning.space: nothing is left to tune, since the run itself gives {', '.join(space) or 'no option'}; "
            "leave some of them out of the training options, or add others to the space"
        )
    for name, parameter in free.items():
        for value in parameter.values if isinstance(parameter, Choice) else (parameter.min, parameter.max):
            try:
                TrainingSettings.read({**training.model_dump(), name: value})
            except InventoryError as error:
                raise InventoryError(f"tuning.space.{name}: {value!r} is impossible here: {error}") from error
    return free


def hyperband_parallel(space: Space) -> int:
    """How many trials Katib's hyperband must be able to run at once: eta ** floor(log_eta(most epochs)).

    Li et al., "Hyperband", JMLR 18 (2018), algorithm 1; the epochs are the resource, and eta is Katib's 3.

    Raises:
        InventoryError: if the epochs are not searched between two bounds, so that there is no resource to share out.
    """
    epochs = space.get(HYPERBAND_RESOURCE)
    if not isinstance(epochs, Integer):
        raise InventoryError(
            f"tuning.space.{HYPERBAND_RESOURCE}: hyperband shares out epochs, so they must be in the space with "
            "min and max"
        )
    return HYPERBAND_ETA ** int(math.log(epochs.max) / math.log(HYPERBAND_ETA))


def check_cmaes(space: Space) -> None:
    """Raises ``InventoryError`` unless there are two numbers to search, which cmaes needs."""
    numbers = [name for name, parameter in space.items() if not isinstance(parameter, Choice)]
    if len(numbers) < 2:
        raise InventoryError(
            "tuning.algorithm: cmaes needs two or more options with min and max to search "
            f"(given: {', '.join(numbers) or 'none'})"
        )


def _read(name: str, description: Mapping[str, Any], where: str) -> Parameter:
    fields = TrainingSettings.model_fields
    if name not in fields:
        raise InventoryError(f"{where}: training has no such option; {did_you_mean(name, fields, 'the options are')}")
    if name in NOT_TUNED:
        raise InventoryError(f"{where}: {name} {NOT_TUNED[name]}; leave it out of the space")
    known = ("values",) if "values" in description else ("min", "max", "log", "step")
    for key in description:
        if key not in known:
            hint = did_you_mean(key, known) or "give min and max, or values"
            raise InventoryError(f"{where}.{key}: not allowed here; {hint}")
    if "values" in description:
        return _choice(name, description["values"], f"{where}.values")
    return _range(name, description, where)


def _choice(name: str, values: Any, where: str) -> Choice:
    if not isinstance(values, list | tuple):
        raise InventoryError(f"{where}: must be a list (given: {values!r})")
    if not 0 < len(values) <= MOST_VALUES:
        raise InventoryError(f"{where}: give at least one value and at most {MOST_VALUES} (given: {len(values)})")
    taken = tuple(_value(name, value, where) for value in values)
    if len(set(taken)) < len(taken):
        raise InventoryError(f"{where}: a value is there twice (given: {list(values)})")
    return Choice(taken)


def _range(name: str, description: Mapping[str, Any], where: str) -> Parameter:
    kind = TrainingSettings.model_fields[name].annotation
    if kind not in (int, float):
        raise InventoryError(
            f"{where}: {name} is no number; give values, out of {allowed(TrainingSettings.model_fields[name])}"
        )
    for bound in ("min", "max"):
        if bound not in description:
            raise InventoryError(f"{where}.{bound}: is missing")
    low, high = (_value(name, description[bound], f"{where}.{bound}") for bound in ("min", "max"))
    if not low < high:  # type: ignore[operator]  # both are numbers
        raise InventoryError(f"{where}.min: must be below max (given: {low!r} and {high!r})")
    log, step = description.get("log", False), description.get("step")
    if not isinstance(log, bool):
        raise InventoryError(f"{where}.log: must be true or false (given: {log!r})")
    if log and low <= 0:  # type: ignore[operator]
        raise InventoryError(f"{where}.min: a log range cannot start at {low!r}; take a small positive number")
    if step is not None:
        _check_step(step, high - low, kind, log, f"{where}.step")  # type: ignore[operator]
    if kind is int:
        return Integer(int(low), int(high), log, int(step or 1))
    return Continuous(float(low), float(high), log, None if step is None else float(step))


def _check_step(step: Any, span: float, kind: Any, log: bool, where: str) -> None:
    number = isinstance(step, int | float) and not isinstance(step, bool)
    if not number or not 0 < step <= span or (kind is int and step != int(step)):
        what = "a whole number" if kind is int else "a number"
        raise InventoryError(f"{where}: must be {what} above 0 and at most max - min (given: {step!r})")
    if log and (kind is float or step != 1):
        raise InventoryError(f"{where}: a log range has no steps; leave step or log out")


def _value(name: str, value: Any, where: str) -> Value:
    """A value as ``TrainingSettings`` takes it."""
    field = TrainingSettings.model_fields[name]
    adapter: TypeAdapter[Value] = TypeAdapter(Annotated[field.annotation, field])  # type: ignore[arg-type]
    try:
        taken = adapter.validate_python(value)
        if isinstance(taken, float) and not math.isfinite(taken):
            raise ValueError("not finite")
    except ValueError as error:  # which a ``ValidationError`` is
        raise InventoryError(f"{where}: {value!r} is refused; allowed: {allowed(field)}") from error
    return taken
