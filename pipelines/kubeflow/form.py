"""What Kubeflow's pages show of a compiled pipeline: its parameters in words, and what a run was asked to do."""

from collections.abc import Mapping
from typing import Any

import yaml

from components.settings.parameters import PARAMETERS
from pipelines.kubeflow.arguments import parameters_of

SPACE = "\N{NO-BREAK SPACE}"
"""Kubeflow's tables have no room between two cells."""


def description(ir: Mapping[str, Any]) -> str:
    """A compiled pipeline's parameters as a Markdown table, those that matter first at the top.

    The form lists them by name and explains none; the page of a pipeline shows what was said at its upload. It travels
    in the request's address, of which a proxy takes 8 KiB, so that a dictionary's default is left to the form.
    """
    known = parameters_of(ir)
    first = [name for name in PARAMETERS if name in known]
    rows = [_row(name, known[name]) for name in [*first, *sorted(set(known) - set(first))]]
    return "\n".join(["Parameters of a run", "", f"|parameter{SPACE}|default{SPACE}| |", "|-|-|-|", *rows])


def _row(name: str, parameter: Mapping[str, Any]) -> str:
    default = parameter.get("defaultValue", "")
    shown = "" if isinstance(default, Mapping) else f"{default:g}" if isinstance(default, float) else str(default)
    text = str(parameter.get("description", "")).replace("|", "\\|")
    return f"|**{name}**{SPACE}|{shown}{SPACE}|{text}|"


def completed(ir: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A run's arguments with every default, since Kubeflow shows and compares only what a run was given.

    An option of a dictionary that is not given has the default's value.
    """
    whole: dict[str, Any] = {
        name: parameter["defaultValue"]
        for name, parameter in parameters_of(ir).items()
        if parameter.get("defaultValue") is not None
    }
    for name, value in arguments.items():
        both = isinstance(value, Mapping) and isinstance(whole.get(name), Mapping)
        whole[name] = {**whole[name], **value} if both else value
    return whole


def knows_drop_downs(release: str) -> bool:
    """Whether a release of Kubeflow Pipelines, such as ``2.16.1``, knows ``literals``; an unknown one does not."""
    major, _, rest = release.partition(".")
    minor = rest.partition(".")[0]
    return major.isdecimal() and minor.isdecimal() and (int(major), int(minor)) >= (2, 16)


def without_drop_downs(package: str) -> str:
    """The package for a Kubeflow Pipelines older than 2.16, which refuses a pipeline with a field that is new to it.

    (``protojson.Unmarshal`` without ``DiscardUnknown``, backend/src/apiserver/template/v2_template.go.)
    """
    documents = list(yaml.safe_load_all(package))
    for parameter in parameters_of(documents[0]).values():
        parameter.pop("literals", None)
    return str(yaml.safe_dump_all(documents, sort_keys=True))
