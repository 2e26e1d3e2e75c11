"""A photo is asked about together with the products that its stock record names."""

import base64
import json
import struct
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.client.query import query
from components.counter.record.answer import NO_PRODUCT, TOO_MANY, UNKNOWN_TO_MODEL
from components.counter.record.record import NamedProducts, read_record
from pipelines.cli.main import main
from tests.record_model import SURE
from tests.tiny_model import Served, photo

PHOTO = base64.b64encode(photo(2.5)).decode()
"""Two or three items are equally likely."""
TWO = [{"asin": "B000000001", "length": 3, "weight": {"value": 300, "unit": "g"}}, {"asin": "B000000002"}]


def asked(http: httpx.Client, server: Served, **instance: Any) -> dict[str, Any]:
    response = http.post(server.predict, json={"instances": [{"b64": PHOTO, **instance}]})
    assert response.status_code == 200, response.text
    (only,) = response.json()["predictions"]
    return dict(only)


def test_the_record_tips_the_balance_and_the_photos_own_answer_stays(knowing: Served, http: httpx.Client) -> None:
    alone = asked(http, knowing, expected_quantity=2)
    for products, count in ((TWO, 2), ([*TWO, {}], 3)):
        both = asked(http, knowing, expected_quantity=2, record=products)
        with_record = both.pop("with_record")
        assert both == alone
        assert with_record["count"] == count
        assert with_record["products"] == count
        assert with_record["confidence"] > max(SURE, alone["confidence"])
        assert sum(with_record["probabilities"].values()) == pytest.approx(1)
        assert with_record["mismatch_probability"] == pytest.approx(1 - with_record["probabilities"]["2"])
        assert "ignored" not in with_record


def test_quantities_in_a_record_change_nothing(knowing: Served, http: httpx.Client) -> None:
    said = [asked(http, knowing, record=[{"quantity": each}, {"quantity": 9}]) for each in (1, 5, None, "x")]
    assert all(each == said[0] for each in said)


@pytest.mark.parametrize(("products", "why"), [([], NO_PRODUCT), ([{}] * 6, TOO_MANY)])
def test_a_record_that_tells_nothing_gives_the_photos_answer(
    knowing: Served, http: httpx.Client, products: list[Any], why: str
) -> None:
    answer = asked(http, knowing, record=products)
    assert answer["with_record"]["ignored"] == why
    assert answer["with_record"]["probabilities"] == answer["probabilities"]


def test_a_model_without_a_record_model_says_so(server: Served, http: httpx.Client) -> None:
    answer = asked(http, server, record=TWO)
    assert answer["with_record"]["ignored"] == UNKNOWN_TO_MODEL
    assert answer["with_record"]["probabilities"] == answer["probabilities"]


@pytest.mark.parametrize(
    "odd",
    [
        *(0, -1, 2**70, 1e300, True, "wide", "", [1], [[[1]]], {}),
        *({"value": 3, "unit": unit} for unit in ("ells", "", 7, True, ["in"], {"in": 1}, "x" * 10_000)),
        *({"value": value, "unit": "in"} for value in (None, -3, "3", [3], {"value": 3}, False)),
    ],
    ids=lambda odd: str(odd)[:40],
)
def test_measures_that_are_odd_are_taken_as_missing(knowing: Served, http: httpx.Client, odd: Any) -> None:
    record = [dict.fromkeys(("length", "width", "height", "weight"), odd), {"asin": odd, "quantity": odd}]
    if isinstance(odd, str | int | float) and not isinstance(odd, bool):
        record[1] = {"quantity": odd}  # this one would be a name
    assert asked(http, knowing, record=record) == asked(http, knowing, record=[{}, {}])


@pytest.mark.parametrize(
    ("record", "products"),
    [
        (["B000000001", "b000000001 ", {"asin": "B000000001", "length": 3}], 1),
        (["B000000001"] * 5000, 1),
        ([{"asin": 123}, {"asin": "0000000123"}], 1),
        (["", " ", "n/a"], 3),
        ([{"asin": None}, {"asin": ""}, {"asin": "B" * 1_000_000}], 3),
        ([{"asin": "never seen before", "name": None, "what": [1, {}]}], 1),
        ({"products": [{}, {}]}, 2),
        ({"BIN_FCSKU_DATA": {"A": {}, "B": {"asin": "A"}}}, 1),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_product_counts_once_and_one_without_a_name_is_its_own(
    knowing: Served, http: httpx.Client, record: Any, products: int
) -> None:
    assert asked(http, knowing, record=record)["with_record"]["products"] == products


@pytest.mark.parametrize("record", [{"products": None}, {"BIN_FCSKU_DATA": None}, {"BIN_FCSKU_DATA": {}}, {}, []])
def test_no_products_are_an_empty_record(knowing: Served, http: httpx.Client, record: Any) -> None:
    assert asked(http, knowing, record=record)["with_record"]["ignored"] == NO_PRODUCT


BAD = {
    "text": ('"B000000001"', "instances[0].record is no list of products"),
    "a number": ("7", "instances[0].record is no list of products"),
    "a product that is a number": ("[7]", "names as product 1 7, which is neither"),
    "no product": ("[null]", "names as product 1 null, which is neither"),
    "a list without end": ("[" * 1000 + "]" * 1000, "names as product 1 a list, which is neither"),
    "one product, not in a list": ('{"asin": "B000000001", "length": 3}', "instances[0].record is no list of products"),
    "a table that holds no products": ('{"BIN_FCSKU_DATA": {"A": 7}}', "instances[0].record is no list of products"),
    "text for products": ('{"products": "B000000001"}', "instances[0].record is no list of products"),
    "not a number": ('[{"length": NaN}]', "the body is neither a photo nor JSON"),
    "beyond all numbers": ('[{"length": 1e999}]', "the body is neither a photo nor JSON"),
    "300 products": (json.dumps([{}] * 300), "names 300 products; one bin holds at most 200"),
    "a megabyte of products": (json.dumps([{"asin": f"B{n}"} for n in range(60_000)]), "names 60000 products"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_record_gets_a_400_that_says_why(knowing: Served, http: httpx.Client, case: str) -> None:
    record, message = BAD[case]
    response = http.post(knowing.predict, content=f'{{"instances": [{{"b64": "{PHOTO}", "record": {record}}}]}}')
    assert response.status_code == 400
    assert message in response.json()["error"]


def infer(http: httpx.Client, server: Served, **tensor: Any) -> httpx.Response:
    images = {"name": "images", "datatype": "BYTES", "shape": [2], "data": [PHOTO, PHOTO]}
    record = {"name": "record", "datatype": "BYTES", "shape": [2], **tensor}
    return http.post(server.infer, json={"inputs": [images, record]})


def test_v2_takes_a_record_for_each_photo_as_json_text(knowing: Served, http: httpx.Client) -> None:
    response = infer(http, knowing, data=[json.dumps([*TWO, {}]), ""])
    assert response.status_code == 200, response.text
    outputs = {output["name"]: output for output in response.json()["outputs"]}
    assert outputs["count_with_record"]["data"][0] == 3
    assert outputs["count_with_record"]["data"][1] == outputs["count"]["data"][1]
    assert outputs["probabilities_with_record"]["shape"] == [2, 5]
    both, alone = (outputs[name]["data"] for name in ("probabilities_with_record", "probabilities"))
    assert both[5:] == alone[5:]
    assert both[:5] != alone[:5]


def test_v2_takes_records_as_binary_data(knowing: Served, http: httpx.Client) -> None:
    texts = [json.dumps([{}, {}, {}]).encode(), b""]
    data = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    images = {"name": "images", "datatype": "BYTES", "shape": [2], "data": [PHOTO, PHOTO]}
    record = {"name": "record", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": len(data)}}
    head = json.dumps({"inputs": [images, record], "outputs": [{"name": "count_with_record"}]}).encode()
    length = {"inference-header-content-length": str(len(head))}
    response = http.post(knowing.infer, content=head + data, headers=length)
    assert response.status_code == 200, response.text
    (output,) = response.json()["outputs"]
    assert output["data"][0] == 3


def test_v2_without_a_record_answers_as_before(knowing: Served, http: httpx.Client) -> None:
    images = {"name": "images", "datatype": "BYTES", "shape": [1], "data": [PHOTO]}
    names = [output["name"] for output in http.post(knowing.infer, json={"inputs": [images]}).json()["outputs"]]
    assert names == ["count", "label", "confidence", "probabilities", "verdict", "unusable"]


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        ({"data": ["[", ""]}, "a record is no JSON"),
        ({"data": ["[7]", ""]}, "names as product 1 7"),
        ({"data": [[], ""]}, "must be 2 texts"),
        ({"data": [""]}, "must be 2 texts"),
        ({"data": [""], "shape": [1]}, "one text for each photo"),
        ({"datatype": "INT64", "data": [1, 2]}, "must be BYTES"),
        ({"datatype": "UINT8", "data": [1, 2]}, "must be BYTES"),
        ({"datatype": "UINT8", "shape": [2, 32, 32, 3], "data": [0] * 2 * 32 * 32 * 3}, "must be BYTES"),
        ({"datatype": "FP32", "data": [1.5, 2.5]}, "must be BYTES"),
        ({"data": [None, ""]}, "must be 2 texts"),
        ({"data": [{}, ""]}, "must be 2 texts"),
        ({"data": ['[{"length": NaN}]', ""]}, "a record is no JSON"),
        ({"data": ["[" * 1000 + "]" * 1000, ""]}, "names as product 1 a list"),
        ({"data": ["[" * 100_000, ""]}, "a record is no JSON"),
    ],
)
def test_a_bad_v2_record_gets_a_400_that_says_why(
    knowing: Served, http: httpx.Client, tensor: dict[str, Any], message: str
) -> None:
    response = infer(http, knowing, **tensor)
    assert response.status_code == 400, response.text
    assert message in response.json()["error"]


def test_the_client_sends_a_record_in_its_own_units(knowing: Served) -> None:
    answer = query(knowing.url, photo(2.5), expected_quantity=3, record=read_record([*TWO, {}]))
    assert answer.with_record is not None
    assert (answer.with_record.count, answer.expected_quantity) == (3, 3)
    assert query(knowing.url, photo(2.5), record=NamedProducts()).with_record is not None
    assert query(knowing.url, photo(2.5)).with_record is None


def test_a_record_survives_being_sent() -> None:
    record = read_record([*TWO, {"height": {"value": 7, "unit": "mm"}}])
    assert read_record(record.as_sent()) == record


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.jpg").write_bytes(photo(2.5))
    return folder


def test_query_takes_a_record_for_all_photos_or_a_folder_with_one_for_each(
    knowing: Served, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metadata = tmp_path / "metadata"
    metadata.mkdir()
    (metadata / "b.json").write_text(json.dumps({"BIN_FCSKU_DATA": {"X": {}, "Y": {}, "Z": {}}}))
    asked = ["query", str(photos), "--url", knowing.url, "--record"]
    assert main([*asked, str(metadata), "--json"]) == 0
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert "with_record" not in first
    assert second["with_record"]["count"] == 3
    assert main([*asked, str(metadata / "b.json")]) == 0
    assert capsys.readouterr().out.count("3 (9") == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read the record"),
        ("[", "is no JSON"),
        ("7", "is no list of products"),
        pytest.param("[" * 100_000, "is no JSON", id="JSON without end"),
    ],
)
def test_a_file_that_is_no_record_is_one_clear_line(
    knowing: Served, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, message: str
) -> None:
    file = tmp_path / "record.json"
    if content is not None:
        file.write_text(content)
    assert main(["query", str(photos), "--url", knowing.url, "--record", str(file)]) == 1
    line = capsys.readouterr().err
    assert message in line
    assert line.count("\n") == 1
