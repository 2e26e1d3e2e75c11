"""A hundred thousand bins through download, split and one head-only epoch: time and memory of every process.

The claim is that memory does not grow with the number of bins: at most 2 GiB in any process. There is no peer; the
figure is our own largest resident set, mapped pages of the shards included.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from components.common.background import call_periodically
from components.common.local_store.server import local_store

LIMIT_BYTES = 2 * 2**30
TRAINING = {"trainable": "head", "image_size": 32, "epochs": 1, "batch_size": 256, "weights": "none"}

STEPS = {
    "download": "from components.download.step import download_to as d;"
    "from components.settings.data import DataSettings;"
    "d('bins.json', open_store(), DataSettings(source='rendered:{bins}'))",
    "split": "from components.split.step import split_bins as s;"
    "from components.documents.downloaded import BinsManifest;"
    "from components.settings.split import SplitSettings;"
    "from pathlib import Path;"
    "made = s(open_store(), BinsManifest.load('bins.json'), SplitSettings());"
    "Path('dataset.json').write_text(made.model_dump_json())",
    "train": "from components.train.step import train as t;"
    "t('dataset.json', 'model.json', 'scale', open_store(), 'rendered', {training})",
}


def look(process: psutil.Process, largest: dict[int, int]) -> None:
    """Notes the resident set, in bytes, of a process and of each of its descendants where it is the largest so far."""
    with suppress(psutil.NoSuchProcess):
        for member in [process, *process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                largest[member.pid] = max(largest.get(member.pid, 0), member.memory_info().rss)


def measure(name: str, code: str) -> dict[str, Any]:
    """Runs one step in a process of its own."""
    code = f"from components.common.store import open_store; {code}"
    started = time.monotonic()
    process = psutil.Popen([sys.executable, "-c", code])
    resident: dict[int, int] = {}
    with call_periodically(0.1, lambda: look(process, resident), "peak"):
        status = process.wait(timeout=3 * 3600)
    if status != 0:
        raise SystemExit(f"{name} failed with exit code {status}")
    return {"step": name, "seconds": time.monotonic() - started, "largest_bytes": max(resident.values())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="1,000 bins")
    bins = 1_000 if parser.parse_args().quick else 100_000
    rows = []
    with tempfile.TemporaryDirectory() as folder, local_store(Path(folder) / "store") as environment:
        os.chdir(folder)
        os.environ.update(environment, INVENTORY_CACHE=str(Path(folder) / "cache"))
        for name, code in STEPS.items():
            rows.append(measure(name, code.format(bins=bins, training=repr(TRAINING))))
    print(f"{bins:,} rendered bins")
    print(f"{'step':10} {'seconds':>9} {'bins/s':>8} {'largest process, MiB':>22}")
    for row in rows:
        rate, size = bins / row["seconds"], row["largest_bytes"] / 2**20
        print(f"{row['step']:10} {row['seconds']:9.1f} {rate:8.0f} {size:22.0f}")
    largest = max(row["largest_bytes"] for row in rows)
    result = {"name": "scale", "ours": largest, "peer": None, "unit": "bytes", "ratio": None}
    print(json.dumps({**result, "target": LIMIT_BYTES, "ok": largest < LIMIT_BYTES}))


if __name__ == "__main__":
    main()
