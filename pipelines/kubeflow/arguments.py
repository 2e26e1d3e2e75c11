"""What a run on a cluster is asked to do, checked before anything is sent."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from components.check_settings.step import check
from components.common.errors import InventoryError
from components.common.suggest import did_you_mean
from components.settings.parameters import PARAMETERS, TRAINING_OPTIONS
from components.settings.permitted import check_permitted

CHECKED = "bin-inventory"
"""The pipeline whose parameters are those of ``RunSettings``."""


def read_arguments(ir: Mapping[str, Any], texts: Iterable[str]) -> dict[str, Any]:
    """Reads and checks a run's arguments: ``PARAMETER=VALUE`` each, or ``DICTIONARY.OPTION=VALUE``.

    What is no text, as the compiled pipeline says, is JSON.

    Raises:
        InventoryError: for a text of another form, an unknown parameter, or a run that its first step would refuse.
    """
    known = parameters_of(ir)
    arguments: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InventoryError(f"'{text}' is not PARAMETER=VALUE, such as epochs=10")
        section, dot, option = name.partition(".")
        is_option = bool(dot) and known.get(section, {}).get("parameterType") == "STRUCT"
        check_parameters(ir, [section if is_option else name])
        if not is_option:
            arguments[name] = value if known[name]["parameterType"] == "STRING" else _from_json(value)
        elif isinstance(arguments.setdefault(section, {}), dict):  # else the check refuses the section as a whole
            arguments[section] = {**arguments[section], option: _from_json(value)}
    if ir["pipelineInfo"]["name"] == CHECKED:
        defaults = {name: known[name].get("defaultValue") for name in PARAMETERS if name in known}
        check_permitted(check({**defaults, **arguments}, on_cluster=True), environment_of(ir))
    return arguments


def environment_of(ir: Mapping[str, Any]) -> dict[str, str]:
    """The environment variables that are fixed in a compiled pipeline's steps."""
    executors = ir["deploymentSpec"]["executors"].values()
    given = [each for executor in executors for each in executor["container"].get("env", [])]
    return {each["name"]: each.get("value", "") for each in given}


def check_parameters(ir: Mapping[str, Any], names: Iterable[str]) -> None:
    """Refuses an argument that the compiled pipeline does not have."""
    known = parameters_of(ir)
    for name in names:
        if name not in known:
            if name in TRAINING_OPTIONS and "training" in known:
                raise InventoryError(f"{name} is an option of the training; write training.{name}=VALUE")
            hint = did_you_mean(name, sorted(known))
            listed = f"it has {', '.join(sorted(known))}"
            raise InventoryError(f"the pipeline has no parameter '{name}'; {f'{hint} ' if hint else ''}{listed}")


def parameters_of(ir: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The parameters of a compiled pipeline."""
    return dict(ir["root"].get("inputDefinitions", {}).get("parameters", {}))


def _from_json(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value
