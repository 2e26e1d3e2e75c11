"""The Python API: what is promised is there, says what it takes, and is what the page lists."""

import ast
import builtins
import inspect
import json
import re
from typing import Any

import pytest

from release.notebook import NOTEBOOK, page, run, tidy
from release.python_api import PAGE, promised, written

PROMISED = promised()
KEPT = json.loads(NOTEBOOK.read_text())
CELLS = KEPT["cells"]
CODE = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]
TEXT = "\n".join("".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "markdown")


def test_the_page_lists_what_the_code_has() -> None:
    assert PAGE.read_text() == written(), "run `python -m release.python_api`, and say it in the changelog"


@pytest.mark.parametrize("name", [name for name, thing in PROMISED.items() if inspect.isfunction(thing)])
def test_a_promised_function_is_typed_and_its_docstring_names_every_argument(name: str) -> None:
    function: Any = PROMISED[name]
    hints = inspect.get_annotations(inspect.unwrap(function))
    arguments = list(inspect.signature(function).parameters)
    assert set(arguments) | {"return"} <= set(hints)
    said = inspect.getdoc(function) or ""
    described = re.search(r"^Args:\n((?: +.*\n|\n)*)", f"{said}\n", re.MULTILINE)
    assert (re.findall(r"^ {4}(\w+): ", described[1], re.MULTILINE) if described else arguments[:1]) == arguments


def imported(sources: list[str]) -> set[str]:
    """The dotted names that some sources import from this project."""
    nodes = [node for source in sources for node in ast.walk(ast.parse(source))]
    froms = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names = [*plain, *(f"{node.module}.{alias.name}" for node in froms for alias in node.names)]
    return {name for name in names if name.startswith(("components.", "pipelines."))}


def test_the_notebook_uses_the_promised_api_and_nothing_else_of_the_project() -> None:
    examples = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    assert len(CODE) > 10
    assert len(examples) == 3
    used = imported([*CODE, *examples])
    assert used
    assert used - set(PROMISED) == set()


def names(tree: ast.AST) -> tuple[set[str], set[str]]:
    """What a piece of code binds, and what it uses."""
    nodes = list(ast.walk(tree))
    bound = {node.asname or node.name.partition(".")[0] for node in nodes if isinstance(node, ast.alias)}
    bound |= {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    bound |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    bound |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return bound, {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def test_every_cell_uses_what_it_or_a_cell_before_it_has_bound() -> None:
    known = set(dir(builtins))
    for source in CODE:
        bound, used = names(ast.parse(source))
        known |= bound
        assert used - known == set(), source


def test_links_of_the_notebook_lead_to_files() -> None:
    targets = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", TEXT)
    assert targets
    assert [target for target in targets if not (NOTEBOOK.parent / target).exists()] == []


def test_the_notebook_is_kept_with_its_pictures_and_without_a_path_of_a_machine() -> None:
    assert tidy(KEPT) == KEPT, "run `python -m release.notebook`"
    outputs = [output for cell in CELLS for output in cell.get("outputs", ())]
    assert sum("image/jpeg" in output.get("data", {}) for output in outputs) == 3
    said = "".join("".join(output.get("text", ())) for output in outputs)
    assert "counted exactly" in said
    assert not re.search(r"(^|[\s'\"])/\w+", said)


def test_what_is_kept_of_a_cell() -> None:
    printed = [{"output_type": "stream", "name": name, "text": text} for name, text in (
        ("stdout", "photos: 1 of 2,000\nshards: 2 of 2\n"), ("stderr", "a warning\n"),
        ("stdout", "list: /scratch/x/bins-a1_b2c3d/today/recount.csv; done\n"),
    )]  # fmt: skip
    drawn = [{"output_type": "display_data", "data": data} for data in (
        {"text/html": "<iframe>", "text/plain": "<HTML>"}, {"text/markdown": "| a |", "text/plain": "<Markdown>"},
    )]  # fmt: skip
    cell = {"cell_type": "code", "metadata": {"execution": {}}, "execution_count": 3, "outputs": [*printed, *drawn]}
    (kept,) = tidy({"cells": [cell]})["cells"]
    assert (kept["metadata"], kept["execution_count"]) == ({}, None)
    assert [output.get("text") or output["data"] for output in kept["outputs"]] == [
        ["list: bins/today/recount.csv; done\n"],
        {"text/markdown": "| a |"},
    ]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_notebook_runs_and_its_list_begins_with_wrong_records() -> None:
    said = page(tidy(run()))
    exact, most_frequent = (int(re.findall(says, said)[0]) for says in (r"(\d+)% counted exactly", r"count: (\d+)%"))
    assert exact > most_frequent
    wrong, _ = map(int, re.findall(r"(\d+) of (\d+) records are wrong", said)[0])
    found = int(re.findall(r"first fifth of the list holds (\d+)", said)[0])
    assert found > 2 * wrong / 5
    assert "| deploy | " in said
