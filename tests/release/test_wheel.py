"""The wheel: what is in it, and that a machine with the extra ``client`` alone works with a served model."""

import csv
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pipelines.cli import extras
from pipelines.cli.commands import COMMANDS
from pipelines.cli.main import main
from release.environments import ROOT
from release.packages import build_packages
from tests.tiny_model import photo, serving, write_bundle

CLIENT_MB = 60
"""What a machine that only asks a served model is to download at most."""

KATIB_NEEDED = "also needs Katib's SDK: pip install --no-deps kubeflow-katib==0.19.0 kubeflow-training==1.9.0 grpcio"


@pytest.mark.parametrize(
    ("command", "missing", "line"),
    [
        ("compile", {"kfp"}, "`inventory compile` needs kfp; pip install 'bin-inventory[control]'"),
        ("query", {"httpx"}, "`inventory query` needs httpx; pip install 'bin-inventory[client]'"),
        ("serve", {"kserve"}, "`inventory serve` needs kserve; pip install 'bin-inventory[serve]'"),
        ("run", {"torch", "kserve"}, "needs torch, kserve; pip install 'bin-inventory[control,train,serve]'"),
        ("preflight", {"kubeflow.katib"}, f"`inventory preflight` {KATIB_NEEDED}"),
        ("preflight", {"kubeflow.training"}, f"`inventory preflight` {KATIB_NEEDED}"),
        ("preflight", {"grpc"}, f"`inventory preflight` {KATIB_NEEDED}"),
    ],
)
def test_a_command_says_on_one_line_which_extra_it_wants(
    command: str,
    missing: set[str],
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(extras, "_is_installed", lambda name: name not in missing)
    assert main([command, "--help"]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert line in said


def test_preflight_misses_katibs_sdk_where_there_is_nothing_of_kubeflow(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "kubeflow", None)
    for module in extras.KATIB:  # which another test may have imported
        monkeypatch.delitem(sys.modules, module, raising=False)
    assert main(["preflight", "--help"]) == 1
    assert capsys.readouterr().err == f"error: `inventory preflight` {KATIB_NEEDED}\n"


def test_a_search_that_is_to_be_submitted_misses_katibs_sdk(tmp_path: Path) -> None:
    package = ROOT / "tests" / "pipelines" / "inventory.golden.yaml"
    without = f"""
import sys
sys.modules["kubeflow"] = None  # as where it is not installed
from pipelines.cli.main import main
sys.exit(main(["submit", "tune=yes", "--package", {str(package)!r}, "--host", "http://127.0.0.1:9"]))
"""
    done = subprocess.run([sys.executable, "-c", without], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == f"error: `inventory submit` {KATIB_NEEDED}\n"
    assert done.returncode == 1


def test_an_option_that_needs_more_than_its_command_says_so(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"")
    without = f"""
import sys
sys.modules["kubernetes"] = None  # as where it is not installed
from pipelines.cli.main import main
sys.exit(main(["query", {str(tmp_path / "photo.jpg")!r}, "--service", "bin-counter"]))
"""
    done = subprocess.run([sys.executable, "-c", without], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: `inventory query` needs kubernetes; pip install 'bin-inventory[control]'\n"


def test_every_command_that_works_with_something_has_its_extra() -> None:
    assert [name for name, command in COMMANDS.items() if not command.extra] == ["completion"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_extra_client_asks_a_server_and_ranks_and_returns_recounts(tmp_path: Path) -> None:
    wheel, _ = build_packages(tmp_path / "dist")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"manifests/base/role.yaml", "requirements/control.txt", "components/serve/page/index.html.j2"} <= set(names)
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "release/"))]

    python = tmp_path / "environment" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(python.parents[1])], check=True)
    pip = [str(python), "-m", "pip", "--quiet"]
    download = [*pip, "download", "--dest", str(tmp_path / "packages"), f"{wheel}[client]"]
    done = subprocess.run(download, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no package registry can be asked: {done.stderr.strip().splitlines()[-1]}")
    assert sum(file.stat().st_size for file in (tmp_path / "packages").iterdir()) < CLIENT_MB * 1e6
    offline = ["--no-index", "--find-links", str(tmp_path / "packages")]
    subprocess.run([*pip, "install", *offline, f"{wheel}[client]"], check=True)

    photos = tmp_path / "photos"
    photos.mkdir()
    records = [(f"bin-{count}", count) for count in (1, 2, 3)]
    for name, count in records:
        (photos / f"{name}.jpg").write_bytes(photo(count))
    write(tmp_path / "stock.csv", [("id", "expected"), *records[:2], ("bin-3", 5)])

    def inventory(*words: str) -> str:
        command = [str(python.parent / "inventory"), *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    write_bundle(tmp_path / "bundle")
    with serving(tmp_path / "bundle") as server:
        assert '"count": 2' in inventory("query", "photos/bin-2.jpg", "--json", "--url", server.url)
        asked = ["--photos", "photos", "--records", "stock.csv", "--out", "today", "--url", server.url]
        said = inventory("reconcile", *asked)
    assert "3 bins: 2 agree, 1 to recount" in said
    with (tmp_path / "today" / "recount.csv").open(newline="") as file:
        rows = [{**row, "counted": "3"} if row["id"] == "bin-3" else row for row in csv.DictReader(file)]
    write(tmp_path / "counted.csv", [tuple(rows[0]), *(tuple(row.values()) for row in rows)])
    inventory("feedback", "counted.csv", "--photos", "photos", "--out", "labels")
    with (tmp_path / "labels" / "labels.csv").open(newline="") as file:
        assert [row["count"] for row in csv.DictReader(file)] == ["3"]


def write(path: Path, rows: list[tuple[object, ...]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
