"""What the server does with a stock list: reads it, finds its photos, and ranks its records."""

import base64
import json
import re
import sqlite3
import tracemalloc

import numpy as np
import pytest

from components.counter.answers import answer
from components.counter.bundle import Bundle
from components.reconcile import answer_store
from components.reconcile.answer_store import Checked
from components.serve import stock
from components.serve.requests import RequestError
from components.serve.stock import rank_records, read_stock
from components.tables.stock import Record
from tests.record_model import as_many_as_products
from tests.tiny_model import write_bundle
from tests.workbook import workbook


def asked(table: bytes, *photos: str, name: str = "stock.csv") -> bytes:
    return json.dumps({"name": name, "table": base64.b64encode(table).decode(), "photos": photos}).encode()


@pytest.mark.parametrize(
    "table",
    [
        b"Lagerplatz;Bestand;Artikel\r\n00176;3,0;cup\r\n00177;1;mug\r\n",
        "id\texpected\tproducts\n176\t3\tcup\n177\t1\tmug\n".encode("utf-16"),
        workbook(("bin", "qty", "sku"), (176, 3, "cup"), (177, 1, "mug")),
    ],
    ids=["semicolons", "tabs in UTF-16 without zeros", "xlsx"],
)
def test_a_stock_list_of_any_dialect_finds_its_photos(table):
    read = read_stock(asked(table, "00177.PNG", "00176.jpg", "00200.jpg"))
    assert [(row["id"], row["expected_quantity"], row["products"], row["photo"]) for row in read["records"]] == [
        ("00176", 3, "cup", 1),
        ("00177", 1, "mug", 0),
    ]
    assert read["left_out"] == []


def test_every_row_is_a_record_or_has_a_reason():
    read = read_stock(asked(b"id,expected\nA,2\nA,2\nB,many\n,4\nC,1\nC,5\nTotal,14\n", "A.jpg"))
    said = {row["id"]: (row["expected_quantity"], row["problem"]) for row in read["records"]}
    assert said["A"] == (2, "")
    assert said["B"] == (None, "'many' is not a quantity")
    assert said["C"][0] is None
    assert "contradict" in said["C"][1]
    assert [text.split(" (")[0] for text in read["left_out"]] == [
        "line 5 has no id",
        "line 7 names a bin a second time, with another quantity",
        "line 8 is a total",
    ]


def test_of_two_photos_of_one_name_the_later_is_taken():
    (row,) = read_stock(asked(b"id,expected\nA,2\n", "A.jpg", "B.jpg", "A.jpg"))["records"]
    assert row["photo"] == 2


@pytest.mark.parametrize(
    ("body", "message", "status"),
    [
        (asked(b"%PDF-1.7 ..."), "stock.csv is no table but a PDF", 400),
        (asked(b"name,colour\nA,red\n"), "needs the columns id,expected", 400),
        (asked(b"id,expected\n,\n"), "names no bin", 400),
        (asked(b""), "needs the columns", 400),
        (asked(b"id,expected\n" + b"A,1\n" * 20_001), "more than 20,000", 400),
        (asked(b"x" * (stock.MOST_TABLE_BYTES + 1)), "larger than 4 MiB", 413),
        (asked(b"id,expected\nA,1\n", *map(str, range(5001))), "photos: List should have at most 5000", 400),
        (b'{"photos": []}', "table: Field required", 400),
        (b'{"table": "%%%"}', "not valid base64", 400),
        (b"[]", "must be a JSON object", 400),
    ],
)
def test_what_is_no_stock_list_is_one_clear_line(body, message, status):
    with pytest.raises(RequestError, match=message) as refused:
        read_stock(body)
    assert refused.value.status == status


def test_a_spreadsheet_that_unpacks_to_too_much_is_refused_unread(monkeypatch):
    monkeypatch.setattr(stock, "MOST_UNPACKED_BYTES", 1000)
    with pytest.raises(RequestError, match="unpacks to more than"):
        read_stock(asked(workbook(("id", "expected"), *[(number, 1) for number in range(50)]), name="stock.xlsx"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Bundle:
    return write_bundle(tmp_path_factory.mktemp("bundle"))


def judged(*bins: tuple[int, list[float]], **cost: float) -> bytes:
    labels = ["1", "2", "3", "4", "5"]
    listed = [
        {"expected_quantity": quantity, "probabilities": dict(zip(labels, shares, strict=True))}
        for quantity, shares in bins
    ]
    return json.dumps({"bins": listed, **cost}).encode()


@pytest.mark.parametrize("cost", [1, 3, 20])
def test_the_page_ranks_and_judges_as_reconcile_does(bundle, cost):
    random = np.random.default_rng(3)
    shares = random.dirichlet(np.full(5, 0.3), 60)
    bins = [(int(random.integers(1, 6)), row.tolist()) for row in shares]
    ranked = rank_records(judged(*bins, missed_cost=cost), bundle)

    database = sqlite3.connect(":memory:", isolation_level=None)
    database.row_factory = sqlite3.Row
    answer_store.begin(database)
    answers = [answer(bundle, row, 0.5, quantity) for quantity, row in bins]
    records = [Record(str(place), quantity) for place, (quantity, _) in enumerate(bins)]
    answer_store.add(database, [Checked(place, *pair) for place, pair in enumerate(zip(records, answers, strict=True))])
    rate = answer_store.rate_with(database, sum(row["wrong_probability"] for row in ranked["bins"]))
    answer_store.judge(database, rate, cost)
    rows = list(answer_store.ranked(database, rate))
    by_rank = sorted(range(60), key=lambda place: ranked["bins"][place]["rank"])
    assert [int(row["id"]) for row in rows] == by_rank
    assert [row["wrong"] for row in rows] == pytest.approx(
        [ranked["bins"][place]["wrong_probability"] for place in by_rank], abs=1e-3
    )
    assert [row["verdict"] for row in rows] == [ranked["bins"][place]["verdict"] for place in by_rank]
    database.close()


def test_the_summary_names_a_number_where_the_photos_tell_one(bundle):
    sure = np.full((5, 5), 0.0025) + np.eye(5) * 0.9875
    right = [(place % 5 + 1, sure[place % 5].tolist()) for place in range(200)]
    wrong = [((place + 2) % 5 + 1, sure[place % 5].tolist()) for place in range(10)]
    summary = rank_records(judged(*right, *wrong), bundle)["summary"]
    assert re.match(r"About \d+ of 210 records are wrong \(\d+ to 1\d with 95\s% confidence\)\.", summary)
    vague = [(place % 5 + 1, [0.2] * 5) for place in range(50)]
    assert rank_records(judged(*vague), bundle)["summary"].startswith("At most ")


@pytest.mark.parametrize(
    ("body", "message", "status"),
    [
        (judged((40, [0.2] * 5)), "beyond what this model counts", 400),
        (judged((3, [0.9] * 5)), "not the answers of this model", 409),
        (json.dumps({"bins": [{"expected_quantity": 1, "probabilities": {"1": 1}}]}).encode(), "not the answers", 409),
        (b'{"bins": [{"expected_quantity": 1, "probabilities": {"1": 7}}]}', "less than or equal to 1", 400),
        (b'{"bins": []}', "at least 1 item", 400),
        (judged((3, [0.2] * 5), missed_cost=0.5), "missed_cost: .* greater than or equal to 1", 400),
    ],
)
def test_what_cannot_be_ranked_is_one_clear_line(bundle, body, message, status):
    with pytest.raises(RequestError, match=message) as refused:
        rank_records(body, bundle)
    assert refused.value.status == status


def test_both_are_paths_of_the_server(server, http):
    read = http.post(f"{server.url}/stock/read", content=asked(b"id,expected\nA,2\n", "A.jpg"))
    assert (read.status_code, read.json()["records"][0]["photo"]) == (200, 0)
    ranked = http.post(f"{server.url}/stock/rank", content=judged((3, [0.1, 0.1, 0.6, 0.1, 0.1])))
    assert (ranked.status_code, ranked.json()["bins"][0]["rank"]) == (200, 1)
    refused = http.post(f"{server.url}/stock/read", content=asked(b"\xff\xd8\xff"))
    assert (refused.status_code, refused.json()["error"]) == (
        400,
        "stock.csv is no table but a photo; save the table as CSV or .xlsx",
    )


def test_a_row_for_each_product_is_one_record_with_its_products():
    text = "id,asin,quantity,length_cm,weight (kg)\nA,B1,2,2.54,\nA,B2,1,,x\nB,B1,4,,\n"
    read = read_stock(asked(text.encode(), "A.jpg", "B.jpg"))
    assert [(row["id"], row["expected_quantity"], row["products"]) for row in read["records"]] == [
        ("A", 3, "B1; B2"),
        ("B", 4, "B1"),
    ]
    assert read["records"][0]["record"] == [
        {"asin": "B1", "length": {"value": 2.54, "unit": "cm"}},
        {"asin": "B2"},
    ]
    assert len(read["on_products"]) == 1
    (text_beside,) = read_stock(asked(b"id,expected,products\nA,2,cup\n", "A.jpg"))["records"]
    assert text_beside["record"] == []


def with_records(*bins: tuple[int, list[float], list[dict[str, object]]]) -> bytes:
    sent = json.loads(judged(*[(quantity, shares) for quantity, shares, _ in bins]))
    for bin_, (_, _, record) in zip(sent["bins"], bins, strict=True):
        bin_["record"] = record
    return json.dumps(sent).encode()


TWO_OR_THREE = [0.02, 0.47, 0.47, 0.02, 0.02]


def test_products_move_a_bin_where_the_photo_cannot_tell(bundle):
    two, three = ([{"asin": f"P{place}"} for place in range(number)] for number in (2, 3))
    body = with_records((2, TWO_OR_THREE, two), (2, TWO_OR_THREE, three), (2, TWO_OR_THREE, []))
    agreeing, doubtful, silent = rank_records(body, bundle, as_many_as_products())["bins"]
    assert (doubtful["rank"], silent["rank"], agreeing["rank"]) == (1, 2, 3)
    assert (doubtful["with_products"]["label"], agreeing["with_products"]["label"]) == ("3", "2")
    assert (doubtful["verdict"], agreeing["verdict"], silent["with_products"]) == ("recount", "agrees", None)
    alone = rank_records(body, bundle)["bins"]
    assert [(bin_["rank"], bin_["with_products"]) for bin_ in alone] == [(1, None), (2, None), (3, None)]


@pytest.mark.parametrize(("products", "ranked"), [([200] * 2 + [99], True), ([200] * 2 + [101], False)])
def test_the_products_of_all_bins_together_are_bounded(bundle, monkeypatch, products, ranked):
    monkeypatch.setattr(stock, "MOST_LISTED", 500)
    body = with_records(*[(2, TWO_OR_THREE, [{"asin": f"P{place}"} for place in range(each)]) for each in products])
    if ranked:
        assert len(rank_records(body, bundle, as_many_as_products())["bins"]) == 3
    else:
        with pytest.raises(RequestError, match="hold 501 products; at most 500") as refused:
            rank_records(body, bundle, as_many_as_products())
        assert refused.value.status == 413


def one_bin(probabilities: dict[str, float]) -> dict[str, object]:
    return {"expected_quantity": 1, "probabilities": probabilities}


@pytest.mark.parametrize(
    "bins",
    [
        [one_bin({f"{place}": 7.0 for place in range(100_000)})],
        [one_bin({f"{place}": 7.0 for place in range(900)})] * 200,
        [one_bin({"x" * 1_000_000: 7.0})],
    ],
    ids=["many shares", "many bins", "a long label"],
)
def test_what_is_wrong_takes_no_more_memory_than_what_was_sent(bundle, bins):
    body = json.dumps({"bins": bins}).encode()
    tracemalloc.start()
    with pytest.raises(RequestError) as refused:
        rank_records(body, bundle)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 40 * 2**20
    assert len(str(refused.value)) < 400


def test_quantities_in_a_record_change_nothing(bundle):
    plain = [{"asin": "P1"}, {"asin": "P2"}]
    counted = [{**product, "quantity": 9} for product in plain]
    said = [
        rank_records(with_records((2, TWO_OR_THREE, record)), bundle, as_many_as_products())
        for record in (plain, counted)
    ]
    assert said[0] == said[1]
