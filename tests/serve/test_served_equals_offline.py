"""The served answer is that of the offline evaluation: a network trained on rendered bins, asked for its test bins."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.finished_run import FinishedRun
from benchmarks.served_equals_offline import FORMATS, compare
from components.common.store import Store
from components.counter import bundle as bundles
from components.counter.bundle import Bundle, InputTransform
from components.counter.dataset import Bins, open_split
from components.counter.photo import preprocess
from components.counter.scoring import score
from components.counter.statistics.calibration import fit
from components.sources.open import open_source
from components.train.model.export import write_onnx
from components.train.model.network import CountingNetwork, ServedCounter
from tests.packed_bins import pack
from tests.steps import split_bins

SIZE, COUNTS, STEPS = 32, [1, 2, 3, 4, 5], 60


@pytest.fixture
def splits(store: Store) -> dict[str, Bins]:
    source = open_source("rendered:160:3")
    rows = []
    for entry in source.entries():
        metadata = source.metadata(entry.id).decode()
        quantity = json.loads(metadata)["EXPECTED_QUANTITY"]
        if quantity in COUNTS:
            row = {"id": entry.id, "image": source.image(entry.id), "expected_quantity": quantity}
            rows.append({**row, "metadata": metadata})
    dataset = split_bins(store, pack(store, rows), "50/20/30")
    return {name: open_split(store, dataset, name) for name in ("train", "validation", "test")}


def photos(bins: Bins) -> np.ndarray:
    return np.stack([preprocess(bins.image(row), InputTransform(size=SIZE)) for row in range(len(bins))])


def trained(bins: Bins) -> CountingNetwork:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 12, 3, 2, 1), nn.ReLU(), nn.Conv2d(12, 24, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(2)]
    network = CountingNetwork(nn.Sequential(*layers, nn.Flatten()), nn.Linear(96, 5), (0.5,) * 3, (0.25,) * 3, 0.0)
    images = torch.from_numpy(photos(bins)).permute(0, 3, 1, 2)
    labels = torch.from_numpy(np.asarray(bins.labels))
    optimiser = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(STEPS):
        loss = nn.functional.cross_entropy(network(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


def test_every_test_bin_is_answered_as_it_was_evaluated(splits, tmp_path: Path):
    validation, transform = splits["validation"], InputTransform(size=SIZE)
    write_onnx(
        ServedCounter(trained(splits["train"]), lambda out: out, flip_tta=True),
        photos(validation)[:4],
        tmp_path / bundles.ONNX_FILE,
    )
    calibration = fit(score(tmp_path / bundles.ONNX_FILE, validation, transform, "validation bins"), validation.labels)
    bundle = Bundle(
        version="rendered",
        backbone="tiny",
        counts=COUNTS,
        input=transform,
        temperature=calibration.temperature,
        logit_shift=list(calibration.shift),
        recount_threshold=0.6,
    )
    bundle = bundles.save(bundle, tmp_path)
    rows = compare(FinishedRun(tmp_path, bundle, splits["test"]))
    assert {row["format"]: row["bins"] for row in rows} == dict.fromkeys(FORMATS, len(splits["test"]))
    assert [row["different"] for row in rows] == [0, 0, 0]
    assert max(row["largest"] for row in rows) < 1e-4
