"""Ten thousand small objects from a store on this machine: our download step beside ``aws s3 sync`` and ``s5cmd``.

The objects are 5,000 bins, a photo and its metadata each, in SeaweedFS behind a signed S3 endpoint on loopback. The
peers copy them to files (https://docs.aws.amazon.com/cli/latest/topic/s3-config.html, https://github.com/peak/s5cmd,
each at its own default concurrency). Ours lists them, fetches all of
them, checks them, packs them into blocks and puts the blocks back into the same store; its interpreter's start and that
of its processes count.
"""

import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.common import Peer, alternate, options, peer_tools, report
from components.common.local_store.server import local_store
from components.common.store import open_store
from components.sources.rendered.bins import metadata, rendered_photo

BINS, QUICK_BINS = 5_000, 2_000
ROUNDS, QUICK_ROUNDS = 5, 1
PHOTOS = 200
"""Different photos; drawing each bin's own would take longer than the measurement."""
LONGEST_SECONDS = 600
BUCKET = "aft-vbi-pds"
OURS = """
from components.common.store import open_store
from components.download.step import download_to
from components.settings.data import DataSettings
download_to("bins.json", open_store(), DataSettings(source="s3://aft-vbi-pds", counts="0-8", extra_counts=""))
"""


def fill(environment: dict[str, str], bins: int) -> None:
    """Puts the bins into the bucket under the public bucket's keys."""
    store = open_store({**environment, "INVENTORY_BUCKET": BUCKET})
    photos = [rendered_photo(index) for index in range(min(PHOTOS, bins))]

    def put(index: int) -> None:
        store.put_bytes(f"bin-images/{index:05d}.jpg", photos[index % len(photos)])
        store.put_bytes(f"metadata/{index:05d}.json", json.dumps(metadata(index), indent=4).encode())

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(put, range(bins)))


def seconds(command: list[str], environment: dict[str, str], folder: Path) -> float:
    """Runs a command in an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    started = time.monotonic()
    process = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False
    )
    taken = time.monotonic() - started
    if process.returncode:
        sys.exit(f"error: {command[0]} failed: {process.stderr[-500:]}")
    return taken


def contestants(tools: Path, environment: dict[str, str], folder: Path, bins: int) -> dict[str, Callable[[], float]]:
    """The three, each checked to have delivered everything."""
    endpoint = environment["S3_ENDPOINT_URL"]
    everything = os.environ | environment
    round_ = itertools.count()

    def ours() -> float:
        fresh = {**everything, "INVENTORY_BUCKET": f"round-{next(round_)}", "PYTHONPATH": os.pathsep.join(sys.path)}
        taken = seconds([sys.executable, "-c", OURS], fresh, folder)
        selected = json.loads((folder / "bins.json").read_text())["selected"]
        assert selected == bins, f"we delivered {selected} of {bins} bins"
        return taken

    def copied(command: list[str]) -> float:
        taken = seconds(command, everything, folder)
        files = sum(1 for path in folder.rglob("*") if path.is_file())
        assert files == 2 * bins, f"{command[0]} delivered {files} of {2 * bins} objects"
        return taken

    aws = [str(tools / "aws"), "--endpoint-url", endpoint, "s3", "sync", f"s3://{BUCKET}", ".", "--only-show-errors"]
    s5cmd = [str(tools / "s5cmd"), "--log", "error", "--endpoint-url", endpoint, "cp", f"s3://{BUCKET}/*", "./"]
    return {"ours": ours, "s5cmd": lambda: copied(s5cmd), "aws s3 sync": lambda: copied(aws)}


def main() -> None:
    given = options(__doc__, peers="folder of an environment for the peers; default in the cache")
    bins, rounds = (QUICK_BINS, QUICK_ROUNDS) if given.quick else (BINS, ROUNDS)
    tools = peer_tools(given.peers)
    with tempfile.TemporaryDirectory() as work, local_store(Path(work) / "store") as environment:
        fill(environment, bins)
        print(f"{2 * bins:,} objects, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
        measured = alternate(contestants(tools, environment, Path(work) / "out", bins), rounds)
    peers = [Peer("s5cmd", 0.8), Peer("aws s3 sync", 3.0)]
    report("download", "seconds", "ours", peers, measured)


if __name__ == "__main__":
    main()
