"""`inventory query` and `inventory reconcile` as a person types them, against the real server behind a gateway."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from components.client import query as clients
from components.cluster.inference_service import GROUP, PLURAL, VERSION
from pipelines.cli.main import main
from tests.client.gateway import HOST, certificate, gateway
from tests.cluster.stand_ins.api import Cluster, running
from tests.tiny_model import photo

TOKEN = "ey.stock.controller"


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster with an InferenceService whose host does not resolve here."""
    for cluster in running(Cluster()):
        monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig(tmp_path / "kubeconfig")))
        metadata = {"name": "bin-counter", "namespace": "team"}
        body = {"apiVersion": f"{GROUP}/{VERSION}", "kind": "InferenceService", "metadata": metadata, "spec": {}}
        cluster.add({**body, "status": {"url": f"http://{HOST}"}}, PLURAL, GROUP)
        yield cluster


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "BACK_OFF_SECONDS", 0.01)
    for name in ("INVENTORY_URL", "INVENTORY_TOKEN", "INVENTORY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "aisle").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(photo(2))
    (folder / "aisle" / "b.png").write_bytes(photo(5, "PNG"))
    (folder / "notes.txt").write_text("no photo")
    return folder


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def error(capsys: pytest.CaptureFixture[str]) -> str:
    line = capsys.readouterr().err
    assert line.startswith("error: ")
    assert line.count("\n") == 1
    assert TOKEN not in line
    return line


def test_a_service_is_asked_by_its_name_through_the_gateway(cluster, server, photos, capsys, monkeypatch):
    monkeypatch.setenv("INVENTORY_TOKEN", TOKEN)
    with gateway(server.url, token=TOKEN) as entry:
        assert main(["query", str(photos), "--service", "bin-counter", "--gateway", entry.url, "--json"]) == 0
    assert [(Path(answer["photo"]).name, answer["count"]) for answer in lines(capsys)] == [("a.jpg", 2), ("b.png", 5)]
    assert set(entry.seen) == {f"Bearer {TOKEN}"}


def test_a_photo_of_another_kind_is_an_error_and_litter_is_none(server, photos, capsys):
    (photos / "c.heic").write_bytes(b"\0\0\0\x18ftypheic")
    for litter in ("._a.jpg", "aisle/.thumbs/a.jpg"):
        (photos / litter).parent.mkdir(exist_ok=True)
        (photos / litter).write_bytes(b"x")
    assert main(["query", str(photos), "--url", server.url, "--json"]) == 1
    said = {Path(answer["photo"]).name: answer.get("error") for answer in lines(capsys)}
    assert said == {"a.jpg": None, "b.png": None, "c.heic": "a HEIC file; send JPEG, PNG or WebP"}


def test_without_a_kubeconfig_the_host_is_named_by_hand(server, photos, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(photos)
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    with gateway(server.url, token=TOKEN) as entry:
        where = ["--url", entry.url, "--host", HOST, "--token-file", str(tmp_path / "token")]
        assert main(["query", "a.jpg", *where, "--expected", "4"]) == 0
    table = capsys.readouterr().out
    assert "recount" in table
    assert "a.jpg" in table


def test_a_token_that_is_renewed_meanwhile_is_taken_up(server, photos, tmp_path):
    with gateway(server.url, token="first") as entry:
        file = tmp_path / "token"
        file.write_text("first")
        endpoint = clients.Endpoint(entry.url, "bin-counter", {"Host": HOST}, token_file=str(file))
        with clients.open_client(endpoint) as client:
            assert clients.ask(client, endpoint, photo(3)).count == 3
            entry.token = "second"
            file.write_text("second")
            assert clients.ask(client, endpoint, photo(4)).count == 4


def test_a_gateway_with_a_private_certificate_needs_its_ca_and_checks_the_services_name(
    cluster, server, photos, capsys, tmp_path
):
    pair = certificate(tmp_path)
    with gateway(server.url, pair) as entry:
        ask = ["query", str(photos / "a.jpg"), "--service", "bin-counter", "--gateway", entry.url, "--json"]
        assert main([*ask, "--ca-file", str(pair[0])]) == 0
        assert lines(capsys)[0]["count"] == 2
        assert main(ask) == 1
        assert "is not trusted" in error(capsys)
        assert main(["query", str(photos / "a.jpg"), "--url", entry.url, "--ca-file", str(pair[0])]) == 1
        assert "is for another host" in error(capsys)


@contextmanager
def _given(monkeypatch: pytest.MonkeyPatch, token: str | None) -> Iterator[None]:
    if token is not None:
        monkeypatch.setenv("INVENTORY_TOKEN", token)
    yield


@pytest.mark.parametrize(
    ("wants", "token", "message"),
    [
        ({"token": TOKEN}, None, "wants a bearer token (HTTP 401), and none was given"),
        ({"token": TOKEN}, "stale", "does not accept the bearer token (HTTP 401); renew it"),
        ({"token": TOKEN, "login": "page"}, "stale", "answered with a web page (HTTP 200), probably a login page"),
        ({"token": TOKEN, "login": "redirect"}, None, "redirects to https://dex.example.com/auth (HTTP 302)"),
        ({"forbidden": True}, "good", "may not use this service"),
        ({"host": "other.team.example.com"}, None, "there is no model server at"),
        ({"busy": 100}, None, "did not answer in 3 tries (last: HTTP 503)"),
        ({}, "two words", "$INVENTORY_TOKEN must hold one bearer token"),
    ],
)
def test_what_the_gateway_refuses_is_one_clear_line(
    cluster, server, photos, capsys, monkeypatch, wants, token, message
):
    with _given(monkeypatch, token), gateway(server.url, **wants) as entry:
        where = ["--service", "bin-counter", "--gateway", entry.url, "--attempts", "3"]
        assert main(["query", str(photos), *where]) == 1
    assert message in error(capsys)


def test_a_busy_service_is_asked_again(cluster, server, photos, capsys):
    with gateway(server.url, busy=4) as entry:
        where = ["--service", "bin-counter", "--gateway", entry.url]
        assert main(["query", str(photos), *where, "--json"]) == 0
    assert len(lines(capsys)) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--service", "other"], "there is no InferenceService other in namespace team"),
        (["--url", "http://127.0.0.1:9", "--attempts", "1"], "did not answer in 1 try"),
        (["--url", "http://127.0.0.1:9", "--attempts", "2"], "did not answer in 2 tries"),
        (["--service", "bin-counter", "--attempts", "1"], "its host name does not resolve here"),
        (["--namespace", "team"], "--namespace belongs to an InferenceService"),
        (["--service", "bin-counter", "--model", "x"], "--host and --model belong to --url"),
        (["--token-file", "nowhere"], "cannot read the token file nowhere"),
        (["--url", "http://127.0.0.1:9", "--model", "x", "--ca-file", "nowhere"], "cannot read the certificates"),
    ],
)
def test_options_that_cannot_be_are_one_clear_line(cluster, photos, capsys, options, message):
    assert main(["query", str(photos), *options]) == 1
    assert message in error(capsys)


def test_one_photo_that_cannot_be_read_does_not_stop_the_others(server, photos, capsys):
    (photos / "c.jpg").write_bytes(b"no photo")
    address = f"{server.url}/metrics"
    asked = [str(photos), "missing.jpg", address, "http://127.0.0.1:9/x.jpg"]
    assert main(["query", *asked, "--url", server.url, "--json"]) == 1
    found = {Path(answer["photo"]).name: answer.get("error", answer.get("count")) for answer in lines(capsys)}
    assert (found["a.jpg"], found["b.png"]) == (2, 5)
    assert "not a readable" in found["c.jpg"]
    assert "not a readable" in found["metrics"]
    assert "cannot read missing.jpg" in found["missing.jpg"]
    assert "cannot fetch" in found["x.jpg"]


@pytest.mark.parametrize(
    ("count", "expected", "said"),
    [
        (2, 2, "agrees"),
        (2.4, 2, "agrees"),
        (2.4, 3, "agrees: 3 is possible (30%)"),
        (2.3, 3, "recount: 3 is unlikely (16%)"),
        (2, 3, "recount: 3 is unlikely (2%)"),
        (2, 9, "not countable: the model tells 1 to 5 apart"),
    ],
)
def test_the_table_says_how_probable_the_record_is_when_the_photo_looks_like_another(
    server, tmp_path, capsys, monkeypatch, count, expected, said
):
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "a.jpg").write_bytes(photo(count))
    monkeypatch.chdir(tmp_path)
    assert main(["query", "a.jpg", "--expected", str(expected), "--url", server.url]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if "a.jpg" in line)
    assert [cell.strip() for cell in row.split("│")][4] == said


@pytest.mark.parametrize(
    ("cost", "said"), [("1", "unsure: 3 is possible (16%)"), ("20", "recount: 3 is unlikely (16%)")]
)
def test_the_verdict_follows_from_what_a_missed_error_costs(server, tmp_path, capsys, monkeypatch, cost, said):
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "a.jpg").write_bytes(photo(2.3))
    asked = ["query", str(tmp_path / "a.jpg"), "--expected", "3", "--url", server.url]
    assert main([*asked, "--missed-cost", cost]) == 0
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--past-recounts", "0/300"], "unsure: 3 is possible (16%)"),
        (["--past-recounts", "30/300"], "recount: 3 is unlikely (16%)"),
        (["--error-rate", "0.001"], "unsure: 3 is possible (16%)"),
    ],
)
def test_the_verdict_follows_from_what_past_recounts_found(server, tmp_path, capsys, monkeypatch, given, said):
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "a.jpg").write_bytes(photo(2.3))
    asked = ["query", str(tmp_path / "a.jpg"), "--expected", "3", "--url", server.url]
    assert main([*asked, *given]) == 0
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        (["--error-rate", "3"], "error_rate is 3.0; give a share between 0 and 1, such as 0.05"),
        (["--past-recounts", "9/3"], "past_recounts is '9/3'; give how many records were wrong"),
        (["--error-rate", "0.1", "--past-recounts", "1/3"], "give either error_rate or past_recounts"),
    ],
)
def test_a_share_of_wrong_records_that_cannot_be_is_refused_on_one_line(capsys, given, refusal):
    assert main(["query", "a.jpg", *given]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert refusal in line


@pytest.mark.parametrize("cost", ["0.5", "nan", "many", "inf"])
def test_a_cost_that_cannot_be_is_refused_on_one_line(capsys, cost):
    with pytest.raises(SystemExit):
        main(["query", "a.jpg", "--missed-cost", cost])
    assert f"'{cost}' is refused; allowed: 1 <= number <= 1,000,000" in capsys.readouterr().err


def test_the_table_says_which_photo_is_to_be_taken_again(server, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    Image.new("RGB", (120, 90)).save(tmp_path / "dark.png")
    assert main(["query", str(tmp_path), "--expected", "1", "--url", server.url]) == 0
    said = capsys.readouterr().out
    assert "unusable photo (black): take it again" in said
    assert "agrees" not in said


def test_a_photo_is_fetched_by_its_address(server, photos, capsys):
    import http.server
    import threading

    class Folder(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(photos))

        def log_message(self, *_):
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Folder) as files:
        thread = threading.Thread(target=files.serve_forever, args=(0.05,))
        thread.start()
        try:
            where = f"http://127.0.0.1:{files.server_port}/aisle/b.png"
            assert main(["query", where, "--url", server.url, "--json"]) == 0
        finally:
            files.shutdown()
            thread.join()
    assert lines(capsys)[0]["count"] == 5


def test_reconcile_prints_its_numbers_as_json_and_nothing_else(server, photos, capsys, tmp_path):
    (tmp_path / "stock.csv").write_text("id,expected\na,2\naisle/b,1\n")
    stock = ["--photos", str(photos), "--records", str(tmp_path / "stock.csv"), "--out", str(tmp_path / "out")]
    assert main(["reconcile", *stock, "--url", server.url, "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == json.loads((tmp_path / "out" / "summary.json").read_text())
    assert "recount list:" in said.err


def test_feedback_prints_its_numbers_as_json_and_nothing_else(photos, capsys, tmp_path):
    (tmp_path / "counted.csv").write_text("id,expected,counted\na,2,2\naisle/b,1,5\na,2,2\nc,3,\n")
    asked = [str(tmp_path / "counted.csv"), "--photos", str(photos), "--out", str(tmp_path / "out")]
    assert main(["feedback", *asked, "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == {
        "format": "inventory-feedback/1",
        "labels": 2,
        "wrong": 1,
        "rows_left_out": 2,
        "left_out": {"repeats a recount": 1, "was not recounted": 1},
        "source": str(tmp_path / "out" / "labels.csv"),
    }
    assert "2 recounted bins are labels now" in said.err


def test_reconcile_asks_a_service_by_its_name(cluster, server, photos, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("INVENTORY_TOKEN", TOKEN)
    (tmp_path / "stock.csv").write_text("id,expected\na,2\naisle/b,1\n")
    with gateway(server.url, token=TOKEN) as entry:
        where = ["--service", "bin-counter", "--gateway", entry.url, "--out", str(tmp_path / "out")]
        stock = ["--photos", str(photos), "--records", str(tmp_path / "stock.csv")]
        assert main(["reconcile", *stock, *where]) == 0
    ranked = json.loads((tmp_path / "out" / "recount.json").read_text())
    assert [(row["id"], row["predicted_count"]) for row in ranked] == [("aisle/b", "5"), ("a", "2")]
    assert "2 bins: 1 agree, 1 to recount" in capsys.readouterr().out
