"""Pages of the site that are made from the code: parameters, command line, HTTP, documents, Python, versions."""

import argparse
import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import components.documents
from components.common.document import Document, Part
from components.serve.openapi import V1_PREDICT
from components.settings.parameters import PARAMETERS, SECTION_OPTIONS
from pipelines.cli.commands import COMMANDS, parser_for
from pipelines.cli.run import explained_parser
from pipelines.tables import table
from release import notebook
from release.environments import ENVIRONMENTS, ROOT
from release.python_api import PYTHON_API

MATRIX = ("torch", "kfp", "kubernetes", "kubeflow-katib", "kserve", "onnxruntime", "numpy", "pydantic")


def parameters() -> str:
    """Every parameter of the pipeline, and every option of its dictionaries."""
    parts = [f"# Parameters and options\n\n## The pipeline's parameters\n\n{table(PARAMETERS.values(), 'parameter')}"]
    for name, parameter in PARAMETERS.items():
        if parameter.section:
            options = [option for option in SECTION_OPTIONS.values() if option.group == name]
            parts.append(f"## `{name}`\n\n{parameter.description}\n\n{table(options)}")
    return "\n".join(parts)


def command_line() -> str:
    """The help of every command."""
    parts = ["# Command line\n", _block(parser_for(None).format_help())]
    for command in COMMANDS:
        (commands,) = [
            action for action in parser_for(command)._actions if isinstance(action, argparse._SubParsersAction)
        ]
        parser = explained_parser("inventory run") if command == "run" else commands.choices[command]
        parts.append(f"## {command}\n\n{_block(parser.format_help())}")
    return "\n".join(parts)


def _block(text: str) -> str:
    return f"```text\n{text.strip()}\n```\n"


def http() -> str:
    """The requests of prediction and the fields of an answer; a server's `/openapi.json` says all of it."""
    responses = V1_PREDICT["responses"]
    answer = responses["200"]["content"]["application/json"]["schema"]["properties"]["predictions"]["items"]
    fields = "".join(f"| `{name}` | {_cell(kind['description'])} |\n" for name, kind in answer["properties"].items())
    statuses = "".join(f"| {status} | {response['description']} |\n" for status, response in responses.items())
    kinds = "".join(f"| `{kind}` |\n" for kind in V1_PREDICT["requestBody"]["content"])
    return (
        "# HTTP\n\nA server describes itself at `/openapi.json`; "
        "[Server](../components/serve/README.md) has examples.\n\n"
        f"## What `:predict` takes\n\n| content type |\n|---|\n{kinds}\n"
        f"## Statuses\n\n| status | |\n|---|---|\n{statuses}\n## An answer\n\n| field | |\n|---|---|\n{fields}"
    )


def documents() -> str:
    """The fields of every document that steps hand to each other."""
    parts = ["# Documents\n\nWhat steps hand to each other, as JSON; `format` says kind and version.\n"]
    for module in pkgutil.iter_modules(components.documents.__path__):
        loaded = importlib.import_module(f"components.documents.{module.name}")
        kinds = [kind for kind in vars(loaded).values() if isinstance(kind, type) and issubclass(kind, Part)]
        own = [kind for kind in kinds if kind.__module__ == loaded.__name__]
        for kind in sorted(own, key=lambda kind: not issubclass(kind, Document)):
            parts.append(f"{_heading(kind)}\n\n{inspect.getdoc(kind)}\n\n{''.join(_fields(kind))}")
    return "\n".join(parts)


def _heading(kind: type[Part]) -> str:
    if issubclass(kind, Document) and hasattr(kind, "KIND"):
        return f"## {kind.__name__}: `inventory-{kind.KIND}/{kind.VERSION}`"
    return f"### {kind.__name__}"


def _fields(kind: type[Part]) -> Iterator[str]:
    """The rows of a table: a field's name, its type as written, and the text beneath it."""
    (defined,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(defined, ast.ClassDef)
    yield "| field | type | |\n|---|---|---|\n"
    for node, below in zip(defined.body, [*defined.body[1:], None], strict=True):
        if (
            isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and node.target.id in kind.model_fields
        ):
            said = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
            text = str(below.value.value) if said else ""  # type: ignore[union-attr]
            yield f"| `{node.target.id}` | `{_cell(ast.unparse(node.annotation))}` | {_cell(text)} |\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


def python() -> str:
    """The docstrings of the Python API, which the site's generator reads."""
    parts = ["# Python\n\n[From Python](../docs/python.md) says what is promised of these.\n"]
    for heading, modules in PYTHON_API.items():
        parts.append(f"## {heading}\n")
        parts += [f"::: {module}.{name}\n" for module, names in modules.items() for name in names]
    return "\n".join(parts)


def measurements() -> str:
    """Every page of results, with what it measured."""
    rows = [
        f"- [{page.read_text().partition(chr(10))[0].removeprefix('# ')}](../benchmarks/results/{page.name})\n"
        for page in sorted((ROOT / "benchmarks" / "results").glob("*.md"))
    ]
    return f"# What was measured\n\nEach with machine, date, commit and command.\n\n{''.join(rows)}"


def versions() -> str:
    """What each environment is pinned to."""
    pinned = {name: requirements.read_text() for name, requirements in ENVIRONMENTS.items()}
    rows = []
    for package in MATRIX:
        cells = [re.search(rf"^{package}==([^\s;]+)", text, re.MULTILINE) for text in pinned.values()]
        rows.append(f"| {package} | {' | '.join(cell[1] if cell else '' for cell in cells)} |\n")
    head = f"| package | {' | '.join(pinned)} |\n|---|{'---|' * len(pinned)}\n"
    return f"# Versions\n\nPython 3.11 or newer. What `requirements/` pins:\n\n{head}{''.join(rows)}"


PAGES = {
    "docs/notebook.md": notebook.page,
    "reference/parameters.md": parameters,
    "reference/command-line.md": command_line,
    "reference/http.md": http,
    "reference/documents.md": documents,
    "reference/python.md": python,
    "reference/versions.md": versions,
    "reference/measurements.md": measurements,
}
"""Every page that is made, and what makes it."""


def write(folder: Path) -> None:
    """Writes all of them below a folder."""
    for name, page in PAGES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(page())
