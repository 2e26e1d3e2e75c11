"""Bins whose metadata describe the products are ranked by photo and products together."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from components.client.endpoint import Endpoint
from components.documents.reconciled import Reconciliation
from components.reconcile.photos import open_photos
from components.reconcile.records import open_records
from components.reconcile.settings import ReconcileSettings
from components.reconcile.step import reconcile
from pipelines.cli.main import main
from tests.sources.bins_on_disk import write_folder
from tests.tiny_model import Served, photo

PRODUCTS = {"a": 2, "b": 3, "c": 2, "d": 3, "many": 7, "none": 0}
"""How many products each bin holds; every photo shows two or three items, alike, and every record says two."""


@pytest.fixture
def bins(tmp_path: Path) -> Path:
    for id_, number in PRODUCTS.items():
        table = {f"P{place}": {"name": "Socks", "quantity": place, "weight": "?"} for place in range(number)}
        content = {"EXPECTED_QUANTITY": 2, "BIN_FCSKU_DATA": table}
        there = {f"bin-images/{id_}.jpg": photo(2.5), f"metadata/{id_}.json": json.dumps(content).encode()}
        write_folder(tmp_path / "bins", there)
    return tmp_path


def reconciled(
    folder: Path, server: Served, stock: Path | None = None
) -> tuple[Reconciliation, dict[str, dict[str, Any]]]:
    place = str(folder / "bins")
    records = open_records(stock, place)
    endpoint = Endpoint(server.url, server.name)
    summary = reconcile(records, open_photos(place), endpoint, folder / "out", ReconcileSettings())
    with (folder / "out" / "recount.csv").open(newline="") as file:
        return summary, {row["id"]: row for row in csv.DictReader(file)}


def test_products_that_contradict_the_record_bring_its_bin_to_the_front(knowing: Served, bins: Path) -> None:
    summary, rows = reconciled(bins, knowing)
    assert list(rows)[:2] == ["b", "d"]
    assert rows["b"]["note"].startswith("photo and products together: 3 (9")
    assert rows["a"]["note"].startswith("photo and products together: 2 (9")
    assert rows["many"]["note"] == rows["none"]["note"] == ""
    doubts = {id_: float(row["wrong_probability"]) for id_, row in rows.items() if row["rank"]}
    assert doubts["b"] > doubts["none"] == doubts["many"] > doubts["a"]
    for column in ("mismatch_probability", "predicted_count", "confidence"):
        assert len({row[column] for row in rows.values()}) == 1  # they are of the photo alone
    # The verdict follows from the probability that the list is ordered by.
    assert (rows["b"]["verdict"], rows["a"]["verdict"]) == ("recount", "agrees")
    assert (summary.ranked, summary.with_products) == (6, 4)
    page = (bins / "out" / "recount.html").read_text()
    assert "with its products: 3 (9" in page


def test_a_model_that_knows_nothing_of_products_ranks_by_photos_alone(server: Served, bins: Path) -> None:
    summary, rows = reconciled(bins, server)
    assert summary.with_products == 0
    assert {row["note"] for row in rows.values() if row["rank"]} == {""}
    assert "with its products" not in (bins / "out" / "recount.html").read_text()


def test_what_was_answered_before_is_ranked_with_products_too(knowing: Served, bins: Path) -> None:
    _, first = reconciled(bins, knowing)
    (bins / "bins" / "metadata" / "a.json").write_text(
        json.dumps({"EXPECTED_QUANTITY": 2, "BIN_FCSKU_DATA": {name: {} for name in "xyz"}})
    )
    _, second = reconciled(bins, knowing)
    assert list(second)[:3] == ["a", "b", "d"]
    assert first["c"]["note"] == second["c"]["note"]


@pytest.mark.parametrize(
    "metadata", ["[" * 100_000, '{"a":' * 100_000, '{"EXPECTED_QUANTITY": 1' + "0" * 5000 + "}", "\udcff"]
)
def test_metadata_that_cannot_be_read_is_that_bins_problem_alone(bins: Path, metadata: str) -> None:
    (bins / "bins" / "metadata" / "c.json").write_bytes(metadata.encode(errors="surrogateescape"))
    records = open_records(None, str(bins / "bins"))
    problems = {record.id: record.problem for record in records}
    assert (problems["c"] or "").startswith("no readable metadata")
    assert [id_ for id_, problem in problems.items() if problem] == ["c"]


def test_a_stock_list_with_a_row_for_each_product_ranks_as_the_metadata_do(knowing: Served, bins: Path) -> None:
    """Every bin's rows sum to two; which row says how much changes nothing."""
    _, by_metadata = reconciled(bins, knowing)
    for first in (2, 0):
        lines = ["Bin,ASIN,Quantity,Length (cm)"]
        for id_, number in PRODUCTS.items():
            quantities = [first, *[2 - first] * (number > 1), *[0] * (number - 2)] if number > 1 else [2]
            lines += [f"{id_},{f'P{place}' if number else ''},{said}," for place, said in enumerate(quantities)]
        (bins / "stock.csv").write_text("\n".join(lines))
        summary, rows = reconciled(bins, knowing, bins / "stock.csv")
        assert (summary.ranked, summary.with_products) == (6, 4)
        for id_, row in rows.items():
            assert (row["expected_quantity"], row["rank"], row["note"], row["wrong_probability"]) == tuple(
                by_metadata[id_][column] for column in ("expected_quantity", "rank", "note", "wrong_probability")
            )
        assert rows["b"]["products"] == "P0; P1; P2"


def test_a_text_beside_a_bin_says_nothing_of_its_products(knowing: Served, bins: Path) -> None:
    (bins / "stock.csv").write_text("id,expected,products\n" + "".join(f"{id_},2,socks; blue\n" for id_ in PRODUCTS))
    summary, rows = reconciled(bins, knowing, bins / "stock.csv")
    assert summary.with_products == 0
    assert {row["note"] for row in rows.values()} == {""}


def test_what_the_ranking_looked_at_and_units_are_said(
    knowing: Served, server: Served, bins: Path, capsys: Any
) -> None:
    (bins / "stock.csv").write_text("id,asin,quantity,length\na,P1,1,3\na,P2,1,\nb,P1,1,4\n")
    for served, said in (
        (knowing, "2 of 2 bins are ranked by photo and products together"),
        (server, "the served model has not learnt what products tell, so that photos alone rank the bins"),
    ):
        command = ["reconcile", "--records", str(bins / "stock.csv"), "--photos", str(bins / "bins")]
        assert main([*command, "--url", served.url, "--out", str(bins / "out")]) == 0
        output = capsys.readouterr().out
        assert said in output
        assert "no unit stands at length: inches are taken; write for example length_cm" in output
        assert "no unit stands at length" in (bins / "out" / "recount.html").read_text()
