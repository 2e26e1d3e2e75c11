"""What the project's pages of text name is there: files, modules, what Python examples import and use, commands."""

import ast
import builtins
import pkgutil
import re
from pathlib import Path

import pytest

from pipelines.cli.commands import COMMANDS
from pipelines.tables import ROOT

FOLDERS = ("benchmarks", "components", "docker", "docs", "manifests", "pipelines", "requirements", "tests")
PAGES = [*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))]
MODULES = [path.as_posix() for folder in ("components", "pipelines") for path in (ROOT / folder).rglob("*.py")]
IN_EVERY_STEP = ("component.py", "step.py")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def _is_there(page: Path, name: str) -> bool:
    """Whether a name leads to a file from the page's folder or from the root, or is the end of one module's path."""
    alone = sum(module.endswith(f"/{name}") for module in MODULES) == 1
    return (page.parent / name).exists() or (ROOT / name).exists() or alone or name in IN_EVERY_STEP


def _resolves(name: str) -> bool:
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def _imports(tree: ast.Module) -> list[str]:
    """The dotted names of what an example imports."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def _unknown(tree: ast.Module) -> set[str]:
    """The names that an example uses without having imported or assigned them."""
    aliases = [node for node in ast.walk(tree) if isinstance(node, ast.alias)]
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    bound = {alias.asname or alias.name.split(".")[0] for alias in aliases}
    bound |= {name.id for name in names if isinstance(name.ctx, ast.Store)}
    return {name.id for name in names} - bound - set(dir(builtins))


@pages
def test_links_lead_to_files(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pages
def test_files_that_a_page_names_are_there(page: Path) -> None:
    names = re.findall(rf"`([\w./-]+\.py|(?:{'|'.join(FOLDERS)})/[\w./-]*)`", page.read_text())
    assert [name for name in names if not _is_there(page, name)] == []


@pages
def test_modules_that_a_page_names_are_there(page: Path) -> None:
    names = re.findall(r"(?:`|-m )((?:components|pipelines|benchmarks)\.[\w.]*\w)", page.read_text())
    assert [name for name in names if not _resolves(name)] == []


@pages
def test_examples_import_what_is_there_and_use_what_they_import(page: Path) -> None:
    for example in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        tree = ast.parse(example)
        assert [name for name in _imports(tree) if not _resolves(name)] == []
        assert _unknown(tree) == set()


@pages
def test_commands_exist(page: Path) -> None:
    named = re.findall(r"(?:^\s*(?:\$ )?|`)inventory ([a-z]+)", page.read_text(), re.MULTILINE)
    assert set(named) <= set(COMMANDS)
