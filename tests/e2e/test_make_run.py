"""The first thing that a newcomer does: `make run`, offline, on an ordinary machine."""

import json
import threading
import time
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import Inventory

MINUTES = 10
MEMORY_BYTES = 4 * 2**30


class Memory(threading.Thread):
    """Largest memory of a process and all that it started, in bytes; shared pages count once for each process."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.process, self.largest, self.ended = psutil.Process(pid), 0, threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.5):
            total = 0
            try:
                for process in [self.process, *self.process.children(recursive=True)]:
                    total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
            self.largest = max(self.largest, total)


@pytest.mark.slow
@pytest.mark.timeout(60 * (MINUTES + 5))
def test_the_default_run_learns_to_count_rendered_bins(inventory: Inventory) -> None:
    started = time.monotonic()
    process = inventory.start("run", "--run-id", "default")
    memory = Memory(process.pid)
    memory.start()
    output, _ = process.communicate(timeout=60 * (MINUTES + 4))
    memory.ended.set()
    assert process.returncode == 0, output
    assert time.monotonic() - started < 60 * MINUTES
    assert memory.largest < MEMORY_BYTES
    result = json.loads((inventory.folder / "runs/default/result.json").read_text())
    assert result["test"]["accuracy"] >= 0.60
    assert Path(inventory.folder / "runs/default/report.html").exists()
    assert "answers" in output
