"""A step's work is done once for its inputs; failures are one line."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from components.common.files import content_hash
from components.common.progress import PROGRESS_VARIABLE
from components.common.step.code import CODE_VARIABLE
from components.common.step.run_step import run_step
from components.common.store import Store
from tests.waiting import wait_until_gone


def records(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_is_skipped_for_the_same_inputs_and_done_again_for_others(store: Store) -> None:
    calls = []

    def work() -> dict[str, object]:
        calls.append(1)
        return {"answer": len(calls)}

    assert run_step(store, "count", {"a": 1, "b": [2]}, work) == {"answer": 1}
    assert run_step(store, "count", {"b": [2], "a": 1}, work) == {"answer": 1}
    assert run_step(store, "count", {"a": 2, "b": [2]}, work) == {"answer": 2}
    assert run_step(store, "count", {"a": 2, "b": [2]}, work, always=True) == {"answer": 3}


def test_what_other_code_made_is_not_taken_by_a_run_of_this_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def done_by(code: str | None) -> dict[str, object]:
        if code:
            monkeypatch.setenv(CODE_VARIABLE, code)
        else:
            monkeypatch.delenv(CODE_VARIABLE, raising=False)
        return run_step(store, "count", {"a": 1}, lambda: {"by": code})

    for _ in range(2):
        assert [done_by(code)["by"] for code in ("0a" * 32, None, "0b" * 32)] == ["0a" * 32, None, "0b" * 32]
    # what runs of an image left stays known to them
    assert store.exists(f"completions/count/{content_hash({'a': 1})}.json")
    assert len(list(store.list("completions/count/"))) == 3


def test_failed_work_is_not_remembered(store: Store) -> None:
    def fails() -> dict[str, object]:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        run_step(store, "count", {}, fails)
    assert run_step(store, "count", {}, lambda: {"fine": True}) == {"fine": True}


def test_reports_start_outcome_and_time(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PROGRESS_VARIABLE, str(tmp_path / "progress"))
    run_step(store, "count", {}, lambda: {"n": 3})
    start, done = records(tmp_path / "progress")
    assert (start["kind"], start["step"]) == ("start", "count")
    assert (done["kind"], done["outcome"], done["skipped"]) == ("done", {"n": 3}, False)


@pytest.mark.parametrize(
    ("error", "printed", "traceback"),
    [
        ("InventoryError('the tar is empty; give another')", "error: the tar is empty; give another", False),
        ("ZeroDivisionError('a defect')", "ZeroDivisionError: a defect", True),
    ],
)
def test_a_users_mistake_is_one_line_and_a_defect_keeps_its_traceback(
    error: str, printed: str, traceback: bool
) -> None:
    code = f"""
from components.common.errors import InventoryError
from components.common.step.run_step import main_step
def work(): raise {error}
main_step(work)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert printed in result.stderr
    assert ("Traceback" in result.stderr) is traceback


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full to write to on this system")
def test_a_full_disk_is_one_line_too() -> None:
    code = """
from pathlib import Path
from components.common.step.run_step import main_step
main_step(lambda: Path("/dev/full").write_text("x"))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "error: the disk is full" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_step_ends_when_the_run_that_started_it_is_killed(tmp_path: Path) -> None:
    step = """
import time
from components.common.step.run_step import main_step
def work():
    print("begun", flush=True)
    time.sleep(60)
main_step(work)
"""
    run = f"""
import fcntl, subprocess, sys, time
lock = open({str(tmp_path / "lock")!r}, "w")
fcntl.flock(lock, fcntl.LOCK_EX)
step = subprocess.Popen([sys.executable, "-c", {step!r}])
print(step.pid, flush=True)
time.sleep(60)
"""
    environment = {**os.environ, "INVENTORY_RUN_DIR": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-c", run], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    wait_until_gone(pid)
