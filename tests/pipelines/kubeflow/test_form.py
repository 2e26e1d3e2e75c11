from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from components.settings.parameters import PARAMETERS
from pipelines.compiler import PIPELINES
from pipelines.kubeflow.form import completed, description, knows_drop_downs, without_drop_downs

GOLDEN = {name: Path(__file__).parents[1] / f"{name}.golden.yaml" for name in PIPELINES}


def ir_of(name: str) -> dict[str, Any]:
    ir: dict[str, Any] = next(yaml.safe_load_all(GOLDEN[name].read_text()))
    return ir


@pytest.mark.parametrize("name", PIPELINES)
def test_every_parameter_is_described_where_a_person_sees_it(name: str) -> None:
    ir = ir_of(name)
    rows = [line.split("|")[1:] for line in description(ir).splitlines() if line.startswith("|**")]
    shown = {cells[0].strip("*\N{NO-BREAK SPACE}"): cells for cells in rows}
    parameters = ir["root"]["inputDefinitions"]["parameters"]
    assert set(shown) == set(parameters)
    for each, cells in shown.items():
        assert "|".join(cells[2:-1]).replace("\\|", "|") == parameters[each]["description"]
    assert len(quote(description(ir))) < 6000, "it travels in an address"


def test_what_matters_first_stands_at_the_top_although_the_form_goes_by_name() -> None:
    rows = [line for line in description(ir_of("inventory")).splitlines() if line.startswith("|**")]
    assert [row.split("**")[1] for row in rows] == list(PARAMETERS)
    assert "rendered\N{NO-BREAK SPACE}|Bin photos" in rows[0]


def test_a_run_gets_every_default_and_what_is_asked_for_goes_before() -> None:
    ir = ir_of("inventory")
    defaults = completed(ir, {})
    assert set(defaults) == set(PARAMETERS)
    asked = completed(ir, {"epochs": 3, "cluster": {"workers": 2}, "counts": ""})
    assert asked == {**defaults, "epochs": 3, "cluster": {**defaults["cluster"], "workers": 2}, "counts": ""}
    assert "photos" not in completed(ir_of("reconciliation"), {}), "a parameter without a default stays missing"


@pytest.mark.parametrize(
    ("release", "known"),
    [("2.17.0", True), ("2.16.0", True), ("2.15.0", False), ("2.5.0", False), ("3.0.0-rc.1", True),
     ("", False), ("dev", False)],
)  # fmt: skip
def test_drop_downs_came_with_a_release_of_kubeflow_pipelines(release: str, known: bool) -> None:
    """``git grep literals`` in api/v2alpha1/pipeline_spec.proto of its tags."""
    assert knows_drop_downs(release) is known


def test_a_package_for_an_older_release_lacks_the_drop_downs_and_nothing_else() -> None:
    with_them = GOLDEN["inventory"].read_text()
    plain = list(yaml.safe_load_all(without_drop_downs(with_them)))
    expected = list(yaml.safe_load_all(with_them))
    for parameter in expected[0]["root"]["inputDefinitions"]["parameters"].values():
        parameter.pop("literals", None)
    assert plain == expected != list(yaml.safe_load_all(with_them))
