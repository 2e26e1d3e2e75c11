"""Does reconciliation of 100,000 bins take more memory than of 10,000, and does it survive being killed?

`inventory reconcile` runs as a process of its own against the real server with a tiny network. The larger stock is
killed (SIGKILL) half way and started again. Ours is the largest memory with 100,000 bins, the peer that with 10,000.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.common import options
from benchmarks.server import free_port, serving
from components.common.progress import PROGRESS_VARIABLE
from components.reconcile.asking.file import open_answers
from components.reconcile.step import ANSWERS_FILE, JSON_FILE, SUMMARY_FILE
from tests.tiny_model import photo, write_bundle

COUNTS = 5
WRONG_EVERY = 50
TARGET = 0.8
LOOK_SECONDS = 0.2


@dataclass
class Measured:
    """One process from its start to its end."""

    megabytes: float = 0.0
    """Largest resident memory."""
    seconds: float = 0.0
    answered: int = 0
    """Bins with an answer when it ended."""


def stock(folder: Path, bins: int) -> Path:
    """The records of so many bins; every ``WRONG_EVERY``-th is wrong. No two photos are the same file."""
    photos = folder / "photos"
    photos.mkdir(exist_ok=True)
    drawn = [photo(count, size=(64, 48)) for count in range(1, COUNTS + 1)]
    lines = ["id,expected,products\n"]
    for number in range(bins):
        count = number % COUNTS + 1
        path = photos / f"{number:06d}.jpg"
        if not path.exists():
            path.write_bytes(drawn[count - 1] + f"bin {number}".encode())  # after the picture's end
        recorded = count % COUNTS + 1 if number % WRONG_EVERY == 0 else count
        lines.append(f"{number:06d},{recorded},product {number % 997}\n")
    path = folder / f"stock-{bins}.csv"
    path.write_text("".join(lines))
    return path


def answered(path: Path) -> int:
    """Bins whose answers are kept; nobody has the file open."""
    with closing(open_answers(path)) as database:
        return int(database.execute("SELECT count(*) FROM answers").fetchone()[0])


def reached(progress: Path) -> int:
    """Bins done by now, as the process says."""
    lines = progress.read_text().splitlines() if progress.exists() else []
    counted = [json.loads(line) for line in lines if line.endswith("}")]
    return max((line["at"] for line in counted if line["kind"] == "count"), default=0)


def run(folder: Path, records: Path, port: int, kill_when: Callable[[int], bool] = lambda _: False) -> Measured:
    """Reconciles in a process of its own; kills it as soon as ``kill_when`` says so of the bins done."""
    out = folder / f"out-{records.stem}"
    command = [sys.executable, "-m", "pipelines.cli.main", "reconcile", "--photos", str(folder / "photos")]
    command += ["--records", str(records), "--url", f"http://127.0.0.1:{port}", "--out", str(out)]
    measured, started = Measured(), time.monotonic()
    progress = folder / "progress.jsonl"
    progress.unlink(missing_ok=True)
    environment = {**os.environ, PROGRESS_VARIABLE: str(progress)}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    watched = psutil.Process(process.pid)
    killed = False
    while process.poll() is None:
        measured.megabytes = max(measured.megabytes, watched.memory_info().rss / 1e6)
        if not killed and kill_when(reached(progress)):
            process.send_signal(signal.SIGKILL)
            killed = True
        time.sleep(LOOK_SECONDS)
    if process.returncode and not killed:
        raise SystemExit(f"inventory reconcile ended with {process.returncode}")
    measured.seconds = time.monotonic() - started
    measured.answered = answered(out / ANSWERS_FILE)
    return measured


def complete(folder: Path, records: Path, bins: int) -> bool:
    """Whether every bin is in the list once, and the wrong records are its first."""
    out = folder / f"out-{records.stem}"
    ids, wrong = set(), 0
    with (out / JSON_FILE).open() as file:
        for line in file:
            if line.startswith("{"):
                row = json.loads(line.rstrip().rstrip(","))
                ids.add(row["id"])
                wrong += len(ids) <= bins // WRONG_EVERY and int(row["id"]) % WRONG_EVERY == 0
    return len(ids) == bins == json.loads((out / SUMMARY_FILE).read_text())["bins"] and wrong == bins // WRONG_EVERY


def main() -> int:
    """Measures, prints the table and last the result."""
    small, large = (500, 5_000) if options(__doc__).quick else (10_000, 100_000)
    with tempfile.TemporaryDirectory() as scratch:
        folder, port = Path(scratch), free_port()
        write_bundle(folder / "model")
        served = ["-m", "components.serve", "--bundle", str(folder / "model"), "--port", str(port), "--threads", "1"]
        with serving(served, port):
            few, many = stock(folder, small), stock(folder, large)
            rows = {f"{small:,} bins": run(folder, few, port)}
            rows[f"{large:,} bins, killed"] = killed = run(folder, many, port, lambda done: done >= large // 2)
            rows[f"{large:,} bins, resumed"] = resumed = run(folder, many, port)
        whole = complete(folder, few, small) and complete(folder, many, large)
    print(f"\n{'':28}{'largest RSS MB':>16}{'s':>8}{'bins answered':>15}{'bins/s':>9}")
    for name, row in rows.items():
        here = row.answered - (killed.answered if row is resumed else 0)
        print(f"{name:28}{row.megabytes:16.1f}{row.seconds:8.1f}{row.answered:15,}{here / row.seconds:9.0f}")
    ours, peer = max(killed.megabytes, resumed.megabytes), next(iter(rows.values())).megabytes
    went_on = 0 < killed.answered < large == resumed.answered
    met = peer / ours >= TARGET and whole and went_on
    result = {"name": "reconcile_scale", "ours": round(ours, 1), "peer": round(peer, 1), "unit": "MB"}
    checks = {"every_bin_listed": whole, "went_on_after_kill": went_on}
    print(json.dumps({**result, "ratio": round(peer / ours, 3), "target": TARGET, "ok": met, **checks}))
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
