"""The site: what its navigation names is there, links lead somewhere, and it is built as `make docs` builds it."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from release.docs import CONFIG, stage
from release.environments import ROOT
from release.python_api import promised
from release.reference import PAGES
from tests.release.programs import clone, run, tools


def navigated(part: Any) -> Iterator[str]:
    """The pages below a part of the navigation."""
    if isinstance(part, str):
        yield part
    for below in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from navigated(below)


NAVIGATION = set(navigated(yaml.safe_load(CONFIG.read_text())["nav"]))


def test_the_navigation_leads_to_pages_that_are_there_and_to_all_that_a_reader_looks_for() -> None:
    assert [page for page in NAVIGATION if page not in PAGES and not (ROOT / page).is_file()] == []
    rooms = [*(ROOT / "components").glob("*/README.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")]
    assert {page.relative_to(ROOT).as_posix() for page in rooms} | set(PAGES) <= NAVIGATION


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stage")
    stage(folder)
    return folder


def test_every_link_of_the_site_leads_to_a_file_of_the_site(staged: Path) -> None:
    broken = [
        (page.relative_to(staged).as_posix(), target)
        for page in staged.rglob("*.md")
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / target).is_file()
    ]
    assert broken == []


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("parameters", r"\| `gate.minimum_effect` \| .* \| 0 <= number"),
        ("parameters", r"\| `split_method` \| `products` \| products, blocks, random"),
        ("command-line", r"## reconcile\n\n```text\nusage: inventory reconcile"),
        ("command-line", r"--gate.minimum_effect X"),
        ("documents", r"## BinsManifest: `inventory-bins/\d+`"),
        ("documents", r"\| `selected` \| `int` \| Bins in the blocks. \|"),
        ("http", r"\| 413 \| the body is too large"),
        ("http", r"\| `label` \| The count as text"),
        ("versions", r"\| numpy \| [\d.]+ \| [\d.]+"),
        ("measurements", r"\]\(\.\./benchmarks/results/serving\.md\)"),
    ],
)
def test_the_reference_is_made_from_the_code(page: str, said: str, staged: Path) -> None:
    assert re.search(said, (staged / "reference" / f"{page}.md").read_text())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_site_is_built_and_a_broken_link_ends_the_build(tmp_path: Path) -> None:
    cloned = clone(tmp_path)
    make = partial(run, "docs", cloned, tools(tmp_path, "docs.txt"), tmp_path / "site")
    done = make()
    assert done.returncode == 0, done.stderr
    made = (tmp_path / "site" / "reference" / "python" / "index.html").read_text()
    assert all(f'id="{name}"' in made for name in promised())
    page = cloned / "docs" / "run.md"
    page.write_text(f"{page.read_text()}\n[nowhere](run.md#no-such-heading)\n")
    refused = make()
    assert refused.returncode == 1
    assert "no-such-heading" in refused.stderr
