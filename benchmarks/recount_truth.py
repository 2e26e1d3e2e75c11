"""Does the interval for the number of wrong records hold the true number?

Records of bins that the model never saw are corrupted (uniformly over the other counts, or by one more or less; 1, 5,
10 and 20 % of them), and the number of wrong ones is estimated from the photos, over 200 seeds. The peer is the
estimate without an interval, which is right when it names the very number. ``--run`` takes the test bins of a finished
run; without it the answers are simulated: counters that count 41 % or 62 % of the bins exactly, calibrated, and too
sure or not sure enough by 10 %.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np

from benchmarks.common import options
from components.counter.record_errors import Corruption, mismatch_odds
from components.counter.statistics.metrics import Floats, Integers, softmax
from components.counter.statistics.wrong_records import wrong_records
from components.evaluate.audit import corrupt

BINS = 277
RATES = (0.01, 0.05, 0.1, 0.2)
SEEDS, QUICK_SEEDS = 200, 20
TOP = 0.1
TARGET = 0.9
FILLED = np.array([0.118, 0.220, 0.255, 0.227, 0.180])
"""How many bins of the published subset hold 1 to 5 items."""
SIMULATED = {
    f"{accuracy}, {how}": (noise, sharpness)
    for accuracy, noise in (("41 % exact", 1.5), ("62 % exact", 0.75))
    for how, sharpness in (("calibrated", 1.0), ("too sure", 1.1), ("not sure enough", 1 / 1.1))
}

Draw = Callable[[int], tuple[Floats, Integers]]
"""Calibrated probabilities [bins, counts] and true classes [bins] of some bins, by seed."""


class Truth(NamedTuple):
    """One estimate beside what is true."""

    covered: bool
    low: int
    high: int
    mean: float
    true: int
    told: bool
    covered_first: bool
    """The same of the first ``TOP`` of the list."""


def simulated(noise: float, sharpness: float, bins: int = BINS) -> Draw:
    """Bins whose count is heard with noise, in items, by a counter that takes the noise for smaller or larger."""

    def draw(seed: int) -> tuple[Floats, Integers]:
        random = np.random.default_rng(seed)
        true = random.choice(len(FILLED), bins, p=FILLED)
        heard = true + noise * random.normal(size=bins)
        logits = np.log(FILLED) - (heard[:, None] - np.arange(len(FILLED))) ** 2 / (2 * noise**2)
        return softmax(sharpness * logits), true

    return draw


def drawn_from(probabilities: Floats, labels: Integers, bins: int = BINS) -> Draw:
    """Some of given bins, without replacement."""

    def draw(seed: int) -> tuple[Floats, Integers]:
        rows = np.random.default_rng(seed).choice(len(labels), min(bins, len(labels)), replace=False)
        return probabilities[rows], labels[rows]

    return draw


def truths(draw: Draw, corruption: Corruption, rate: float, seeds: int) -> Iterator[Truth]:
    """Estimates for records that are corrupted anew with every seed."""
    for seed in range(seeds):
        probabilities, labels = draw(seed)
        recorded, wrong = corrupt(labels, probabilities.shape[1], corruption, seed, rate)
        order = np.argsort(-mismatch_odds(probabilities, recorded), kind="stable")
        first = round(TOP * len(order))
        found = wrong_records(probabilities[order], recorded[order], first, seed=seed)
        (low, high), (low_first, high_first) = found.all.interval, found.first.interval
        covered_first = low_first <= wrong[order][:first].sum() <= high_first
        true = int(wrong.sum())
        yield Truth(low <= true <= high, low, high, found.all.mean, true, found.told, covered_first)


def measure(draw: Draw, seeds: int) -> list[dict[str, Any]]:
    """The table's rows: one for each kind of corruption and share of wrong records."""
    rows = []
    for corruption, rate in product(get_args(Corruption), RATES):
        found = list(truths(draw, corruption, rate, seeds))
        means = {name: float(np.mean([getattr(truth, name) for truth in found])) for name in Truth._fields}
        exact = float(np.mean([round(truth.mean) == truth.true for truth in found]))
        narrower = all(truth.high - truth.low < BINS for truth in found)
        rows.append({"corruption": corruption, "wrong": rate, **means, "exact": exact, "narrower": narrower})
    return rows


def show(title: str, rows: list[dict[str, Any]]) -> None:
    """Prints the rows."""
    print(f"\n{title}\n{'records':11} {'wrong':>6} {'true':>5} {'covered':>8} {'interval':>12} {'mean':>6}", end="")
    print(f" {'number named':>13} {'covered in the first tenth':>27}")
    for row in rows:
        interval = f"{row['low']:.0f} to {row['high']:.0f}"
        print(
            f"{row['corruption']:11} {row['wrong']:6.0%} {row['true']:5.0f} {row['covered']:8.1%} {interval:>12} "
            f"{row['mean']:6.1f} {row['told']:13.0%} {row['covered_first']:27.1%}"
        )


def main() -> int:
    """Measures, prints the tables and last the result."""
    chosen = options(__doc__, run="folder of a finished run, or its id in the object store")
    seeds = QUICK_SEEDS if chosen.quick else SEEDS
    if chosen.run:
        from benchmarks.audit_lift import test_bins

        with tempfile.TemporaryDirectory() as folder:
            tested = test_bins(chosen.run, Path(folder))
        title = f"{len(tested.labels):,} test bins of {chosen.run}, {BINS} at a time"
        draws = {title: drawn_from(tested.probabilities, tested.labels)}
    else:
        draws = {title: simulated(*how) for title, how in SIMULATED.items()}
    print(f"{BINS} bins, {seeds} seeds; means over the seeds")
    rows = []
    for title, draw in draws.items():
        found = measure(draw, seeds)
        show(title, found)
        rows += [{"model": title, **row} for row in found]
    worst = min(rows, key=lambda row: row["covered"])
    ok = worst["covered"] >= TARGET and all(row["narrower"] for row in rows)
    result = {"name": "recount_truth", "ours": worst["covered"], "peer": worst["exact"], "target": TARGET, "ok": ok}
    unit = "share of the seeds in which the interval holds the true number, worst cell; the peer names one number"
    print(json.dumps({**result, "unit": unit, "ratio": worst["covered"] / max(worst["exact"], 1 / seeds)}))
    return int(not ok)


if __name__ == "__main__":
    sys.exit(main())
