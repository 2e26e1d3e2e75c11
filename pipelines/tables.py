"""Writes the READMEs' tables of parameters and options, made from the settings.

``python -m pipelines.tables`` writes them again between their marks; a test holds them equal to the code.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from components.settings.cluster import ClusterSettings
from components.settings.data import DataSettings
from components.settings.gate import GatePolicy
from components.settings.parameters import PARAMETERS, TRAINING_OPTIONS, Parameter, describe
from components.settings.serving import ServingSettings
from components.settings.split import SplitSettings
from components.settings.tuning import TuningSettings

ROOT = Path(__file__).parents[1]
HEAD, END = "| {} | default | allowed | |\n|---|---|---|---|\n", "<!-- end -->"


def _default(value: Any) -> str:
    if value is None or value == "":
        return ""
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def table(options: Iterable[Parameter], what: str = "option") -> str:
    """A table with a row for every option."""
    rows = [
        f"| `{option.name}` | {_default(option.default)} | {option.allowed} | {option.description} |\n"
        for option in options
    ]
    return HEAD.format(what) + "".join(rows)


def training_tables() -> str:
    """A table for every group of training options."""
    groups = dict.fromkeys(option.group for option in TRAINING_OPTIONS.values())
    return "\n".join(
        f"**{group}**\n\n{table(option for option in TRAINING_OPTIONS.values() if option.group == group)}"
        for group in groups
    )


TABLES = {
    "docs/run.md": ("parameters", table(PARAMETERS.values(), "parameter")),
    "components/download/README.md": ("data", table(describe(DataSettings), "parameter")),
    "components/split/README.md": ("split", table(describe(SplitSettings), "parameter")),
    "components/train/README.md": ("training", training_tables()),
    "components/tune/README.md": ("tuning", table(describe(TuningSettings))),
    "components/gate/README.md": ("gate", table(describe(GatePolicy))),
    "components/deploy/README.md": ("serving", table(describe(ServingSettings))),
    "manifests/README.md": ("cluster", table(describe(ClusterSettings))),
}
"""File -> the mark before its table, and the table."""


def written(file: str) -> str:
    """A file of ``TABLES`` as it should be: its own text, with the table between the marks."""
    mark, text = TABLES[file]
    begin = f"<!-- {mark}: written by `python -m pipelines.tables` -->\n"
    pattern = f"{re.escape(begin)}.*?{END}"
    return re.sub(pattern, lambda _: f"{begin}\n{text}\n{END}", (ROOT / file).read_text(), count=1, flags=re.DOTALL)


def main() -> None:
    """Writes the files."""
    for file in TABLES:
        (ROOT / file).write_text(written(file))


if __name__ == "__main__":
    main()
