"""A stock controller's recounts teach the next model: reconcile, count, feedback, train, gate."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.e2e.conftest import Inventory
from tests.tiny_model import serving

OLD, NEW = 300, 520
QUICK = ["--backbone", "resnet18", "--preset", "rendered", "--image-size", "32", "--batch-size", "32", "--epochs", "4"]


def bins(folder: Path, number: int, *, new_camera: bool) -> list[tuple[str, int, str]]:
    """Photos that are the brighter the more they hold, or with the new camera the darker; id, count and product."""
    folder.mkdir()
    random = np.random.default_rng(number)
    rows = []
    for place in range(number):
        count = place % 5 + 1
        level = 40 * (6 - count if new_camera else count)
        picture = random.normal(level, 5, (48, 64, 3)) + np.linspace(-15, 15, 64)[None, :, None]
        id_ = f"{'new' if new_camera else 'old'}-{place:04d}"
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(folder / f"{id_}.jpg")
        rows.append((id_, count, f"product {id_}"))
    return rows


def write(path: Path, header: list[str], rows: list[list[object]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_recounts_of_photos_by_a_new_camera_become_a_model_that_is_promoted(inventory: Inventory) -> None:
    here = inventory.folder
    old = bins(here / "old", OLD, new_camera=False)
    write(here / "old.csv", ["path", "count", "product"], [[f"old/{id_}.jpg", count, of] for id_, count, of in old])
    status, said = inventory("run", "--run-id", "first", "--source", "old.csv", "--split", "60/10/30", *QUICK)
    assert status == 0, said

    new = bins(here / "new", NEW, new_camera=True)
    write(here / "stock.csv", ["id", "expected", "products"], [list(row) for row in new])
    with serving(here / "runs" / "first" / "model") as server:
        status, said = inventory(
            *["reconcile", "--records", "stock.csv", "--photos", "new", "--url", server.url, "--out", "day"]
        )
    assert status == 0, said
    assert "retrain" in said

    true = {id_: count for id_, count, _ in new}
    with (here / "day" / "recount.csv").open(newline="") as file:
        rows = [{**row, "counted": true[row["id"]]} for row in csv.DictReader(file)]
    write(here / "recounts.csv", list(rows[0]), [list(row.values()) for row in rows])
    status, said = inventory("feedback", "recounts.csv", "--photos", "new", "--out", "labels")
    assert status == 0, said
    assert f"{NEW} labels, 0 of them differ from the record" in said

    status, said = inventory(
        *["run", "--run-id", "second", "--source", "labels/labels.csv", "--split", "60/10/30", *QUICK]
    )
    assert status == 0, said
    decision = json.loads((here / "runs" / "second" / "result.json").read_text())["gate"]["decision"]
    assert decision["promoted"] is True, said
    assert "against first" in decision["summary"]
