"""What the project's pages of text name is there: files, modules of Python examples, commands."""

import ast
import importlib
import importlib.util
import re
from pathlib import Path

import pytest

from pipelines.cli.main import _parser
from pipelines.tables import ROOT

FOLDERS = ["benchmarks", "components", "docker", "docs", "manifests", "pipelines"]
PAGES = [*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))]
MODULES = [path for folder in ("components", "pipelines") for path in (ROOT / folder).rglob("*.py")]

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def _blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def _is_there(page: Path, name: str) -> bool:
    """Whether a name leads to a file from the page's folder or from the root, or ends one module's path alone."""
    ending = [path for path in MODULES if path.as_posix().endswith(f"/{name}")]
    return (page.parent / name).exists() or (ROOT / name).exists() or len(ending) == 1


def _missing_names(example: str) -> list[str]:
    """What an example imports that is not there, and what it uses without importing it from this project."""
    missing = []
    for node in ast.walk(ast.parse(example)):
        if isinstance(node, ast.Import):
            missing += [alias.name for alias in node.names if importlib.util.find_spec(alias.name) is None]
        elif isinstance(node, ast.ImportFrom):
            module = importlib.import_module(str(node.module))
            missing += [f"{node.module}.{alias.name}" for alias in node.names if not hasattr(module, alias.name)]
    return missing


def _used_without_import(example: str) -> set[str]:
    """Names of classes and functions called in an example that are neither imported nor built in."""
    tree = ast.parse(example)
    bound = {alias.asname or alias.name.partition(".")[0] for node in ast.walk(tree) for alias in getattr(node, "names", [])}
    roots = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            while isinstance(function, ast.Attribute | ast.Call):
                function = function.value if isinstance(function, ast.Attribute) else function.func
            if isinstance(function, ast.Name):
                roots.add(function.id)
    assigned = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return roots - bound - assigned - set(dir(__builtins__) if not isinstance(__builtins__, dict) else __builtins__)


@pages
def test_links_lead_to_files(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pages
def test_python_files_that_a_page_names_are_there(page: Path) -> None:
    names = re.findall(r"`([\w./-]+\.py)`", page.read_text())
    assert [name for name in names if not _is_there(page, name)] == []


@pages
def test_examples_import_what_there_is_and_use_what_they_import(page: Path) -> None:
    for example in _blocks(page, "python"):
        assert _missing_names(example) == []
        assert _used_without_import(example) == set()


@pages
def test_commands_exist(page: Path) -> None:
    known = _parser(for_run=False)._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    named = re.findall(r"(?:^\s*(?:\$ )?|`)inventory ([a-z]+)", page.read_text(), re.MULTILINE)
    assert set(named) <= set(known)
