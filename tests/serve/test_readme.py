"""What the server's README and its OpenAPI text say of an answer is what the answer is."""

from pathlib import Path

from components.counter.answers import Answer
from components.serve import openapi

README = Path(openapi.__file__).parent / "README.md"


def test_the_readme_names_every_field_of_an_answer_with_its_meaning() -> None:
    lines = README.read_text().splitlines()
    begin = lines.index("| field of an answer | what it says |") + 2
    rows = [f"| `{name}` | {field.description} |" for name, field in Answer.model_fields.items()]
    assert lines[begin : begin + len(rows) + 1] == [*rows, ""]


def test_the_openapi_text_of_an_answer_has_its_fields_and_no_nulls() -> None:
    content = openapi.V1_PREDICT["responses"]["200"]["content"]["application/json"]
    said = content["schema"]["properties"]["predictions"]["items"]
    assert said["properties"].keys() == Answer.model_fields.keys()
    assert said["required"] == ["count", "label", "probabilities", "confidence", "brightness", "model"]
    assert said["properties"]["expected_quantity"]["type"] == "integer"
    assert "not countable" in str(said["properties"]["verdict"])
    assert "null" not in str(said)
