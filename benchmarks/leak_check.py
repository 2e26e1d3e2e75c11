"""What random, block and product splits of the real sample would each claim.

A linear head is trained on frozen EfficientNet-Lite0 features of the same bins, split 70/10/20 by each method with
several seeds; the table shows how many test bins share a product with training, and the accuracy on all test bins, on
those, and on the others. Skipped where the sample or the weights do not lie beside the checkout.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import get_args

import numpy as np
import safetensors.torch
import timm
import torch
from numpy.typing import NDArray

from components.common.local_store.server import local_store
from components.common.progress import track
from components.common.store import open_store
from components.counter.bundle import InputTransform
from components.counter.dataset import Bins, open_shards
from components.counter.record.stored import products_of
from components.counter.scoring import batches
from components.counter.splits import SPLITS, Method
from components.download.step import download_bins
from components.evaluate.leakage import split_leaks
from components.settings.data import DataSettings
from components.settings.split import SplitSettings
from components.split.step import split_bins

SHARED = Path(__file__).resolve().parents[2] / "shared"
SAMPLE = SHARED / "abid" / "abid-sample-224.tar"
WEIGHTS = SHARED / "weights" / "tf_efficientnet_lite0.in1k.safetensors"
RATIOS = [0.7, 0.1, 0.2]
EPOCHS, BATCH, LEARNING_RATE, WEIGHT_DECAY = 20, 128, 3e-4, 0.3


def load_bins(per_count: int) -> Bins:
    """The sample's bins with 1 to 5 items, by the project's own download and split."""
    with tempfile.TemporaryDirectory() as folder, local_store(Path(folder) / "store") as environment:
        store = open_store(environment)
        data = DataSettings(source=str(SAMPLE), limit_per_count=per_count, extra_counts="")
        dataset = split_bins(store, download_bins(store, data), SplitSettings(ratios="70/10/20"))
        return open_shards(store, [shard for name in SPLITS for shard in dataset.split(name).shards])


def features_of(bins: Bins) -> NDArray[np.float32]:
    """Standardised features of the frozen backbone, float32 [N, 1280]."""
    network = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    network.load_state_dict(safetensors.torch.load_file(WEIGHTS), strict=False)
    network.eval()
    parts = []
    with torch.inference_mode():
        for images in track(batches(bins, InputTransform(size=224)), "batches of features", -(-len(bins) // 32)):
            pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float().sub(127.5).div(127.5)
            parts.append(network(pixels.contiguous(memory_format=torch.channels_last)).numpy())
    features = np.concatenate(parts)
    return (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-6)


def right_answers(
    features: torch.Tensor, labels: torch.Tensor, parts: NDArray[np.int8], seed: int
) -> NDArray[np.bool_]:
    """Trains a linear head on the training part and says which test bins it counts right."""
    torch.manual_seed(seed)
    train, test = (torch.from_numpy(np.flatnonzero(parts == SPLITS.index(name))) for name in ("train", "test"))
    head = torch.nn.Linear(features.shape[1], int(labels.max()) + 1)
    optimizer = torch.optim.AdamW(head.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    for _ in range(EPOCHS):
        for rows in train[torch.randperm(len(train))].split(BATCH):
            loss = torch.nn.functional.cross_entropy(head(features[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return (head(features[test]).argmax(dim=1) == labels[test]).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="60 bins of each count and one seed")
    quick = parser.parse_args().quick
    if not (SAMPLE.exists() and WEIGHTS.exists()):
        print(json.dumps({"name": "leak_check", "skipped": f"{SHARED} holds no sample and weights", "ok": True}))
        return
    bins = load_bins(60 if quick else 0)
    features, labels, products = torch.from_numpy(features_of(bins)), torch.from_numpy(bins.labels), products_of(bins)
    print(f"{len(bins):,} bins, split 70/10/20, linear head on frozen features; mean (standard deviation) over seeds")
    print(f"{'split by':>10} {'share a product':>16} {'all test bins':>15} {'those sharing':>15} {'the others':>15}")
    claims, shares = {}, {}
    for method in get_args(Method):
        rows = []
        for seed in range(1 if quick else 5):
            parts, leaking = split_leaks(method, bins.ids, bins.labels, bins.groups, products, RATIOS, seed)
            right, leaks = right_answers(features, labels, parts, seed), leaking[parts == SPLITS.index("test")]
            sharing = right[leaks].mean() if leaks.any() else np.nan
            rows.append([leaks.mean(), right.mean(), sharing, right[~leaks].mean()])
        mean, spread = np.mean(rows, axis=0), np.std(rows, axis=0)
        cells = [
            f"{100 * m:6.1f} % ({100 * s:.1f})" if np.isfinite(m) else "-" for m, s in zip(mean, spread, strict=True)
        ]
        print(f"{method:>10} {cells[0]:>16} {cells[1]:>15} {cells[2]:>15} {cells[3]:>15}", flush=True)
        shares[method], claims[method] = float(mean[0]), float(mean[1])
    result = {
        "name": "leak_check",
        "ours": claims["products"],
        "peer": claims["random"],
        "unit": "exact accuracy that a split by product claims; the peer is a random split",
        "ratio": claims["products"] / claims["random"],
        "target": "no test bin of ours shares a product with training",
        "sharing": shares,
        "ok": shares["products"] == 0,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
