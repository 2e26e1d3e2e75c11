"""What the README promises about the pipeline and the commands."""

import re
from pathlib import Path

import pytest

from pipelines.tables import ROOT, TABLES, written

README = (Path(__file__).parents[2] / "README.md").read_text()


@pytest.mark.parametrize("file", TABLES)
def test_the_tables_of_options_are_those_of_the_settings(file: str) -> None:
    assert written(file) == (ROOT / file).read_text(), "write them again: python -m pipelines.tables"
    assert TABLES[file][1] in written(file)


def test_every_command_of_the_readme_exists() -> None:
    from pipelines.cli.commands import COMMANDS, EPILOG

    known = set(COMMANDS)
    named = set(re.findall(r"(?:^\s*(?:\$ )?|`)inventory ([a-z]+)", README + EPILOG, re.MULTILINE))
    assert named <= known
    assert len(named) > 8


def test_links_lead_to_files() -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README):
        assert (Path(__file__).parents[2] / target).exists(), target
