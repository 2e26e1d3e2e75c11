"""The reconciliation pipeline: compiled, uploaded on a schedule, and run against a real server and object store."""

import csv
import io
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from kfp import local

from components.client import query as clients
from components.client.endpoint import Endpoint
from components.common.store import Store
from components.reconcile import run as runs
from components.reconcile.settings import ReconcileSettings
from pipelines.cli.main import main
from pipelines.kubeflow.access import find_access, open_client
from pipelines.kubeflow.api import submit, upload
from pipelines.kubeflow.form import completed
from pipelines.kubeflow.package import read_package
from tests.client.gateway import HOST, gateway
from tests.pipelines.kubeflow.kfp_api import KfpApi, serving
from tests.tiny_model import photo

BINS = 30
WRONG = {"00004": 1, "00011": 5}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Compiled by a process of its own, as a user does: an image's name is read when its component is imported."""
    path = tmp_path / "reconciliation.yaml"
    command = [
        sys.executable,
        "-m",
        "pipelines.cli.main",
        "compile",
        "--pipeline",
        "reconciliation",
        "--output",
        str(path),
    ]
    subprocess.run([*command, "--registry", "registry.example/team", "--tag", "1.2"], check=True, timeout=120)
    return path


def expected(number: int) -> int:
    return WRONG.get(f"{number:05d}", number % 5 + 1)


@pytest.fixture
def stock(store: Store, store_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Store:
    """The day's photos and the stock list in a bucket, and the environment of a step."""
    for name, value in {**store_environment, "INVENTORY_BUCKET": store.bucket}.items():
        monkeypatch.setenv(name, value)
    for number in range(BINS):
        taken = photo(number % 5 + 1) + f"bin {number}".encode()  # after the picture's end: no two files are alike
        store.put_bytes(f"today/photos/{number:05d}.jpg", taken)
    lines = "".join(f"{number:05d},{expected(number)},socks\n" for number in range(BINS))
    store.put_bytes("today/stock.csv", f"id,expected,products\n{lines}00099,3,no photo\n".encode())
    return store


def test_the_step_gets_store_and_token_by_reference(package: Path) -> None:
    _, platform = yaml.safe_load_all(package.read_text())
    step = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-reconcile"]
    named = {each["envVar"]: secret for secret in step["secretAsEnv"] for each in secret["keyToEnv"]}
    assert named["AWS_SECRET_ACCESS_KEY"]["secretNameParameter"] == {"componentInputParameter": "store_secret"}
    assert named["INVENTORY_TOKEN"]["secretNameParameter"] == {"componentInputParameter": "token_secret"}
    assert named["INVENTORY_TOKEN"]["optional"] is True


def test_it_is_uploaded_and_started_every_night(package: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with serving(KfpApi()) as api:
        access = find_access(api.url, None, {})
        client = open_client(access)
        assert upload(client, access, package).name == "inventory-reconciliation"
        arguments = {"photos": "s3://stock/today", "records": "s3://stock/today.csv"}
        submit(client, access, package, arguments, cron="0 0 3 * * *")
        (recurring,) = api.recurring
        assert recurring["trigger"]["cron_schedule"]["cron"] == "0 0 3 * * *"
        sent = recurring["runtime_config"]["parameters"]
        assert sent == completed(read_package(package), arguments)
        assert sent == {**sent, **arguments, "top": 100}, "defaults are sent too"
        assert recurring["display_name"].startswith("inventory-reconciliation ")
        submit(client, access, package, arguments)
        assert len(api.runs) == 1


def test_the_command_line_compiles_it_under_its_own_name(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["compile", "--pipeline", "reconciliation"]) == 0
    assert capsys.readouterr().out == "reconciliation.yaml\n"
    assert "name: inventory-reconciliation" in Path("reconciliation.yaml").read_text()


def rows(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode())))


def test_the_ranked_list_lands_in_the_object_store_and_in_artifacts(server, stock, tmp_path, monkeypatch) -> None:
    from pipelines.reconciliation import inventory_reconciliation

    monkeypatch.setenv("INVENTORY_RUN_ID", "night-1")
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "artifacts"))
    address = f"s3://{stock.bucket}/today"
    inventory_reconciliation(photos=f"{address}/photos", records=f"{address}/stock.csv", url=server.url, top=5)

    folder = "runs/night-1/reconciliation"
    listed = rows(stock.get_bytes(f"{folder}/recount.csv"))
    assert {row["id"] for row in listed[:2]} == set(WRONG)
    assert len(listed) == BINS + 1
    assert listed[-1]["note"].startswith("not checked: no photo 00099.jpg in s3://")
    assert [row["id"] for row in json.loads(stock.get_bytes(f"{folder}/recount.json"))] == [row["id"] for row in listed]
    page = stock.get_bytes(f"{folder}/recount.html")
    assert page.count(b'class="picture"') == 5 + 1  # the one without a photo has a box for its count, too
    assert json.loads(stock.get_bytes(f"{folder}/summary.json"))["ranked"] == BINS

    made = {path.name: path for path in (tmp_path / "artifacts").rglob("reconcile/*")}
    for artifact, result in {"recount": "recount.csv", "listing": "recount.json", "page": "recount.html"}.items():
        assert made[artifact].read_bytes() == stock.get_bytes(f"{folder}/{result}")


def test_a_step_that_lost_the_service_goes_on_where_it_was(server, stock, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(clients, "BACK_OFF_SECONDS", 0.01)
    address = f"s3://{stock.bucket}/today"
    source = runs.Stock(f"{address}/photos", f"{address}/stock.csv")
    with gateway(server.url) as entry:
        endpoint = Endpoint(entry.url, "bin-counter", {"Host": HOST})
        asked = iter(range(1000))
        refusal = entry.refusal
        entry.refusal = lambda headers: (401, "text/plain", b"", {}) if next(asked) > 12 else refusal(headers)
        with pytest.raises(runs.InventoryError, match="wants a bearer token"):
            runs.reconcile_run(stock, "night-2", source, endpoint, ReconcileSettings(concurrency=1), {})
        entry.refusal = refusal
        before = len(entry.seen)
        summary = runs.reconcile_run(stock, "night-2", source, endpoint, ReconcileSettings(concurrency=1), {})
    assert summary.bins == BINS + 1
    assert len(entry.seen) - before < BINS
    assert " of 31 bins were answered before" in capsys.readouterr().out


def older_answers(path: Path) -> None:
    """What a step of a version before left in the store."""
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE bins (position INTEGER PRIMARY KEY, id TEXT, expected INTEGER, if_wrong REAL)")
    database.execute("PRAGMA user_version = 3")
    database.close()


@pytest.mark.parametrize("make", [older_answers, lambda path: path.write_bytes(b"half an object")])
def test_answers_in_the_store_that_are_of_no_use_do_not_stop_the_step(server, stock, tmp_path, capsys, make) -> None:
    make(tmp_path / "answers.sqlite")
    key = "runs/night-3/reconciliation/answers.sqlite"
    stock.put_file(key, tmp_path / "answers.sqlite")
    address = f"s3://{stock.bucket}/today"
    source = runs.Stock(f"{address}/photos", f"{address}/stock.csv")
    settings = ReconcileSettings(concurrency=2)
    for said in ("every bin is asked anew", f"{BINS} of {BINS + 1} bins were answered before"):
        endpoint = Endpoint(server.url, "bin-counter")
        summary = runs.reconcile_run(stock, "night-3", source, endpoint, settings, {})
        assert (summary.bins, summary.not_checked) == (BINS + 1, 1)
        assert said in capsys.readouterr().out


def test_a_service_that_is_not_there_is_one_line(stock, tmp_path, monkeypatch) -> None:
    from pipelines.reconciliation import inventory_reconciliation

    monkeypatch.setattr(clients, "BACK_OFF_SECONDS", 0.01)
    monkeypatch.setenv("INVENTORY_PROGRESS", str(tmp_path / "progress.jsonl"))
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "artifacts"))
    with pytest.raises(RuntimeError):
        inventory_reconciliation(photos=f"s3://{stock.bucket}/nowhere", records="missing.csv", url="http://127.0.0.1:9")
    (error,) = [
        record
        for record in map(json.loads, (tmp_path / "progress.jsonl").read_text().splitlines())
        if record["kind"] == "error"
    ]
    assert "cannot read missing.csv" in error["message"]
