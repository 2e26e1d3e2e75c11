"""What the README promises about the pipeline and the commands."""

import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from components.settings.parameters import read_parameters
from pipelines.cli.commands import COMMANDS, EPILOG, parser_for
from pipelines.cli.make_run import NAMES_VARIABLE, options_of
from pipelines.cli.options import pipeline_arguments
from pipelines.compiler import compile_pipeline
from pipelines.kubeflow.arguments import read_arguments
from pipelines.kubeflow.package import read_package
from pipelines.tables import ROOT, TABLES, written

README = (Path(__file__).parents[2] / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ELSEWHERE = ("base64", "cosign", "curl", "diff", "export", "git", "jq", "kubectl", "openssl", "sha256sum", "source")
"""Commands that are not ours."""


def commands(page: Path) -> Iterator[list[str]]:
    """The commands that a page's console blocks show, as words; what they print is left out."""
    for block in re.findall(r"^```console\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        for line in re.findall(r"^\$ ((?:.*\\\n)*.*)", block, re.MULTILINE):
            for command in re.split(r" [|] | && ", line.replace("\\\n", " ")):
                yield shlex.split(command.rstrip(" &"), comments=True)


COMMANDS_SHOWN = [(page.name, words) for page in PAGES for words in commands(page)]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_pipeline(tmp_path_factory.mktemp("package") / "inventory.yaml")


@pytest.mark.parametrize(("page", "words"), COMMANDS_SHOWN, ids=[" ".join(words)[:60] for _, words in COMMANDS_SHOWN])
def test_every_command_that_a_page_shows_is_understood(page: str, words: list[str], package: Path) -> None:
    match words:
        case ["inventory", command, *_]:
            options = parser_for(command).parse_args(words[1:])
            if command == "run":
                read_parameters(pipeline_arguments(options))
            elif command == "submit" and str(options.package) == "inventory.yaml":
                read_arguments(read_package(package), options.arguments)
        case ["make", *targets]:
            given = dict(word.split("=", 1) for word in targets if "=" in word)
            named = [word for word in targets if "=" not in word]
            assert set(named) <= set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
            if named == ["run"]:
                options = options_of({**given, NAMES_VARIABLE: " ".join(given)})
                read_parameters(pipeline_arguments(parser_for("run").parse_args(["run", *options])))
            else:
                assert set(given) <= set(re.findall(r"^([A-Z_]+) [?:]?=", MAKEFILE, re.MULTILINE)) | {"PUSH"}
        case ["python", "-m", module, *_]:
            assert find_spec(module)
        case [word, *_]:
            assert word in ELSEWHERE, page


def test_the_readme_activates_the_environment_before_it_calls_what_lies_in_it() -> None:
    for section in README.split("\n## ")[1:]:
        calls = [match.start() for match in re.finditer(r"^\$ inventory ", section, re.MULTILINE)]
        activated = section.find("$ source .venv/bin/activate")
        assert not calls or -1 < activated < calls[0], section.splitlines()[0]


def test_the_readme_leads_in_this_order_and_each_path_fits_a_screen() -> None:
    titles = ["Two commands", "For the machine learning", "For the platform", "For the stock", "Where to read on"]
    places = [README.index(f"\n## {title}") for title in titles]
    assert README.index("](docs/recount.png)") < places[0]
    assert places == sorted(places)
    for section in README.split("\n## For ")[1:]:
        assert len(section.partition("\n## ")[0].splitlines()) <= 42


def test_links_inside_a_page_lead_to_its_headings() -> None:
    for page in PAGES:
        text = page.read_text()
        headings = re.findall(r"^#+ (.*)", text, re.MULTILINE)
        slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= slugs, page.name


@pytest.mark.parametrize("file", TABLES)
def test_the_tables_of_options_are_those_of_the_settings(file: str) -> None:
    assert written(file) == (ROOT / file).read_text(), "write them again: python -m pipelines.tables"
    assert TABLES[file][1] in written(file)


def test_every_command_of_the_readme_exists() -> None:
    known = set(COMMANDS)
    named = set(re.findall(r"(?:^\s*(?:\$ )?|`)inventory ([a-z]+)", README + EPILOG, re.MULTILINE))
    assert named <= known
    assert len(named) > 8


def test_links_lead_to_files() -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README):
        assert (Path(__file__).parents[2] / target).exists(), target
