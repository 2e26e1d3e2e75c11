"""A hundred thousand bins through download, split and one head-only epoch: time and memory of every process.

The claim is that memory does not grow with the number of bins: at most 2 GiB in any process. There is no peer; the
figure is our own largest resident set, mapped pages of the shards included.

``--bins N`` takes a folder of so many bins in the public layout instead, such as all 535,234 of the public dataset,
through download and split: each bin has metadata of its own, the photos are links to a few hundred drawn ones of the
same count. Drawing them all would take longer than everything that is measured.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from PIL import Image

from components.common.background import call_periodically
from components.common.local_store.server import local_store
from components.sources.rendered.bins import metadata, picture

BINS, QUICK_BINS = 100_000, 1_000
LIMIT_BYTES = 2 * 2**30
LONGEST_SECONDS = 3 * 3600
PHOTOS_PER_COUNT = 60
QUALITY = 40
"""Of those: three copies of each bin's photo lie on the disk at the end of the split."""
MARK = 100_000
"""After so many bins each, time and memory are noted."""
COUNTED = re.compile(r"(\w+): ([\d,]+) of [\d,]+")
TRAINING = {"trainable": "head", "image_size": 32, "epochs": 1, "batch_size": 256, "weights": "none"}

DOWNLOAD = (
    "from components.download.step import download_to as d;"
    "from components.settings.data import DataSettings;"
    "d('bins.json', open_store(), DataSettings(source='{source}', counts='0-8', extra_counts=''))"
)
SPLIT = (
    "from components.split.step import split_bins as s;"
    "from components.documents.downloaded import BinsManifest;"
    "from components.settings.split import SplitSettings;"
    "from pathlib import Path;"
    "made = s(open_store(), BinsManifest.load('bins.json'), SplitSettings());"
    "Path('dataset.json').write_text(made.model_dump_json())"
)
TRAIN = (
    "from components.train.step import train as t;"
    "from components.counter.dataset import DatasetManifest;"
    f"t(open_store(), DatasetManifest.load('dataset.json'), 'scale', 'rendered', {TRAINING!r})"
)


@dataclass
class Measured:
    """What a step took."""

    step: str
    seconds: float = 0.0
    resident: dict[int, int] = field(default_factory=dict)
    """The largest resident set of each process, in bytes, by its id."""
    marks: list[str] = field(default_factory=list)
    """Time and memory on the way."""

    @property
    def largest(self) -> int:
        """The largest resident set of any process, in bytes."""
        return max(self.resident.values(), default=0)

    def look(self, process: psutil.Process) -> None:
        """Notes the resident sets of a process and of its descendants where they are the largest so far."""
        with suppress(psutil.NoSuchProcess):
            for member in [process, *process.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    self.resident[member.pid] = max(self.resident.get(member.pid, 0), member.memory_info().rss)


def measure(name: str, code: str) -> Measured:
    """Runs one step in a process of its own, and passes on what it says."""
    made = Measured(name)
    started = time.monotonic()
    command = [sys.executable, "-c", f"from components.common.store import open_store; {code}"]
    process = psutil.Popen(command, stdout=subprocess.PIPE, text=True)
    reached: Counter[str] = Counter()
    with call_periodically(0.1, lambda: made.look(process), "peak"):
        for line in process.stdout:
            print(line, end="", flush=True)
            if (found := COUNTED.match(line)) and int(found[2].replace(",", "")) >= (reached[found[1]] + 1) * MARK:
                reached[found[1]] = int(found[2].replace(",", "")) // MARK
                at = f"{found[1]} {found[2]}"
                taken = f"{name:10} {at:20} {time.monotonic() - started:9.1f} s {made.largest / 2**20:9.0f} MiB"
                made.marks.append(taken)
                print(taken, flush=True)
        status = process.wait(timeout=LONGEST_SECONDS)
    made.seconds = time.monotonic() - started
    if status != 0:
        raise SystemExit(f"{name} failed with exit code {status}")
    return made


def lay_out(folder: Path, bins: int) -> None:
    """Writes bins in the public layout, whose photos are links to ``PHOTOS_PER_COUNT`` drawn ones of each count."""
    for name in ("bin-images", "metadata", "drawn"):
        (folder / name).mkdir(parents=True)
    seen: Counter[int] = Counter()
    for index in range(bins):
        content = metadata(index)
        (folder / f"metadata/{index:06d}.json").write_text(json.dumps(content))
        quantity = content["EXPECTED_QUANTITY"]
        photo = folder / f"drawn/{quantity}-{seen[quantity] % PHOTOS_PER_COUNT}.jpg"
        if seen[quantity] < PHOTOS_PER_COUNT:
            Image.fromarray(picture(index)).save(photo, quality=QUALITY)
        os.link(photo, folder / f"bin-images/{index:06d}.jpg")
        seen[quantity] += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_BINS:,} bins")
    parser.add_argument("--bins", type=int, help="so many bins of a folder, through download and split")
    given = parser.parse_args()
    bins = given.bins or (QUICK_BINS if given.quick else BINS)
    with tempfile.TemporaryDirectory() as folder, local_store(Path(folder) / "store") as environment:
        os.chdir(folder)
        os.environ.update(environment, INVENTORY_CACHE=str(Path(folder) / "cache"))
        source = f"rendered:{bins}"
        if given.bins:
            source = f"{folder}/source"
            lay_out(Path(source), bins)
        steps = {"download": DOWNLOAD.format(source=source), "split": SPLIT, "train": TRAIN}
        if given.bins:
            del steps["train"]
        print(f"{bins:,} bins are there, load {os.getloadavg()[0]:.1f}", flush=True)
        rows = [measure(name, code) for name, code in steps.items()]
    print("\n".join(["", *(mark for row in rows for mark in row.marks)]))
    print(f"{bins:,} rendered bins")
    print(f"{'step':10} {'seconds':>9} {'bins/s':>8} {'largest process, MiB':>22}")
    for row in rows:
        print(f"{row.step:10} {row.seconds:9.1f} {bins / row.seconds:8.0f} {row.largest / 2**20:22.0f}")
    largest = max(row.largest for row in rows)
    result = {"name": "scale", "ours": largest, "peer": None, "unit": "bytes", "ratio": None}
    print(json.dumps({**result, "target": LIMIT_BYTES, "ok": largest < LIMIT_BYTES}))


if __name__ == "__main__":
    main()
