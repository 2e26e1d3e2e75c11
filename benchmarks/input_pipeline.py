"""From photos on disk to augmented batches: our feed against ImageFolder and PIL transforms, on original-size photos.

One process, one thread that decodes, batches of 32 at 224 px with the same random crops, mirror images and colour
jitter; the peer reads the original photos, ours the shards that the split step made of them once (short side 256), and
that cost is printed. Then a ResNet-18 is trained, to see how much of its steps is waiting for images.
"""

import json
import statistics
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import torch
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

from benchmarks.common import options
from benchmarks.plain_loop import training_transform
from benchmarks.trainings import ORIGINALS, Bench, bench, train
from components.common.store import Store
from components.counter.dataset import open_split
from components.documents.downloaded import BinsManifest
from components.settings.presets import resolve
from components.train.data.batches import ImageFeed
from components.train.data.sampler import plan_epoch
from components.train.data.shards import ShardedBins
from components.train.engine.workers import Workers

SIZE, BATCH = 224, 32
TARGET, LARGEST_WAIT = 3.0, 0.05


def write_originals(store: Store, bins: BinsManifest, wanted: set[str], folder: Path) -> None:
    """Writes the downloaded photos, as they came, as ``<count>/<id>.jpg``."""
    for block in bins.blocks:
        with pa.BufferReader(store.get_bytes(block.key)) as data:
            for row in pa.ipc.open_file(data).read_all().to_pylist():
                if row["id"] in wanted:
                    place = folder / str(row["expected_quantity"])
                    place.mkdir(parents=True, exist_ok=True)
                    (place / f"{row['id']}.jpg").write_bytes(row["image"])


def ours(place: Bench, epoch: int) -> float:
    """Images a second of one epoch, until they are floats on the training's device."""
    settings = resolve("default", {"image_size": SIZE, "batch_size": BATCH, "decode_threads": 1, "threads": 1})
    splits = [ShardedBins(place.store, place.dataset.split(name)) for name in ("train", "validation")]
    feed = ImageFeed(splits[0], splits[1], settings, Workers())
    rows = range(len(feed))
    plan = plan_epoch(torch.arange(len(rows)).numpy(), settings, epoch, Workers(), [])
    started = time.perf_counter()
    images = sum(len(feed.augment(batch)) for batch in feed.training_batches(plan, epoch))
    return images / (time.perf_counter() - started)


def peer(folder: Path) -> float:
    """Images a second of one epoch of the DataLoader."""
    data = DataLoader(ImageFolder(folder, training_transform(SIZE)), BATCH, shuffle=True)
    started = time.perf_counter()
    images = sum(len(labels) for _, labels in data)
    return images / (time.perf_counter() - started)


def main() -> None:
    quick = options(__doc__).quick
    torch.set_num_threads(1)
    with (
        bench(per_count=30 if quick else 0, ratios="80/10/10", source=ORIGINALS) as place,
        tempfile.TemporaryDirectory() as folder,
    ):
        ids = set(open_split(place.store, place.dataset, "train").ids)
        prepared = sum(split.bins for split in place.dataset.splits.values())
        print(f"the split step took {place.split_seconds:.1f} s for {prepared} photos, once")
        write_originals(place.store, place.bins, ids, Path(folder))
        rates: dict[str, list[float]] = {"ours": [], "peer": []}
        for round_ in range(2 if quick else 7):
            rates["ours"].append(ours(place, round_))
            rates["peer"].append(peer(Path(folder)))
            print(
                f"round {round_ + 1}: ours {rates['ours'][-1]:.0f} images/s, peer {rates['peer'][-1]:.0f}", flush=True
            )
        step = train(place, "resnet18", backbone="resnet18", weights="none", image_size=SIZE, epochs=1 if quick else 2)
    pairs = zip(rates["ours"], rates["peer"], strict=True)
    ratio, waiting = statistics.median(mine / theirs for mine, theirs in pairs), step.data_seconds / step.step_seconds
    print(f"ratio {ratio:.2f}, target {TARGET}; waiting is {100 * waiting:.1f} % of a ResNet-18 step, at most 5 %")
    figures = {name: round(statistics.median(rate), 1) for name, rate in rates.items()}
    ok = ratio >= TARGET and waiting < LARGEST_WAIT
    found = {"unit": "images/s", "ratio": round(ratio, 3), "target": TARGET, "waiting": round(waiting, 4), "ok": ok}
    print(json.dumps({"name": "input_pipeline", **figures, **found}))


if __name__ == "__main__":
    main()
