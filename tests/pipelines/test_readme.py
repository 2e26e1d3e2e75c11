"""What the README promises about the pipeline and the commands."""

import inspect
import json
import re
from pathlib import Path

from components.settings.cluster import ClusterSettings
from pipelines.cli.options import argument_texts
from pipelines.inventory import inventory

README = (Path(__file__).parents[2] / "README.md").read_text()


def parameter_table() -> str:
    """The README's table of every parameter of the pipeline."""
    texts = argument_texts(inventory.pipeline_func.__doc__ or "")
    rows = []
    for name, parameter in inspect.signature(inventory.pipeline_func).parameters.items():
        default = {"": "", "{}": "{}"}.get(str(parameter.default), str(parameter.default))
        rows.append(f"| `{name}` | {f'`{default}`' if default else ''} | {texts[name]} |")
    return "\n".join(["| parameter | default | |", "|---|---|---|", *rows])


def test_the_table_of_parameters_is_that_of_the_pipeline() -> None:
    assert parameter_table() in README, f"put this into README.md:\n{parameter_table()}"


def test_every_command_of_the_readme_exists() -> None:
    from pipelines.cli.main import EPILOG, _parser

    known = set(_parser(for_run=False)._subparsers._group_actions[0].choices)  # type: ignore[union-attr]
    named = set(re.findall(r"(?:^\s*(?:\$ )?|`)inventory ([a-z]+)", README + EPILOG, re.MULTILINE))
    assert named <= known
    assert len(named) > 8


def test_links_lead_to_files() -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README):
        assert (Path(__file__).parents[2] / target).exists(), target


def cluster_table() -> str:
    """The table of ``cluster`` options in manifests/README.md."""
    rows = [
        f"| `{name}` | {json.dumps(field.default)} | {field.description} |"
        for name, field in ClusterSettings.model_fields.items()
    ]
    return "\n".join(["| option | default | |", "|---|---|---|", *rows])


def test_the_table_of_cluster_options_is_that_of_the_code() -> None:
    text = (Path(__file__).parents[2] / "manifests" / "README.md").read_text()
    assert cluster_table() in text, f"put this into manifests/README.md:\n{cluster_table()}"
