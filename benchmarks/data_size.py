"""How much better a counter gets with more bins: the same test bins after training on 350 bins and more.

The sample is split 70/10/20 by product. Its training bins are dealt out into parts, so that each size holds the one
before, and whole product groups: nothing that is tested has a product in any training. All sizes validate on the same
bins. Three seeds deal, start and shuffle differently. Smaller trainings take more epochs: the number of optimiser steps
grows with the root of the size. Photo and products learn from the same bins.

The curve is fitted by a power law with a floor, whose 95 % intervals resample product groups of the test bins and the
seeds; what it says of 10,000 bins and more is an extrapolation. Trainings that are done are not done again:
``--folder`` keeps them. With ``--source`` the curve goes on to all bins of a folder, archive or bucket.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy import FINE, HEAD, RECIPES, SEED, TWO, trained
from benchmarks.common import options
from benchmarks.learning.answers import STATISTICS, Answers, held_out_answers
from benchmarks.learning.curve import Curve, draw
from benchmarks.learning.deal import dataset_of, deal
from benchmarks.trainings import LITE0, SAMPLE, Bench, bench
from components.counter.dataset import DatasetManifest, cache_folder
from components.counter.statistics.bootstrap import DRAWS, group_sums, resample
from components.counter.statistics.metrics import Floats, bin_values
from components.documents.evaluated import BY_PHOTO

SIZES = (350, 700, 1400, 2800, 5600, 11_200, 22_400, 44_800, 89_600, 179_200)
"""Training bins, as many of them as the source has; the last size is all there are."""
EXTRAPOLATED = (10_000, 50_000, 324_000)
SEEDS = 3
CURVES: dict[str, dict[str, Any]] = {
    "head": {**HEAD, "extra_bins": False},
    "96px": {**FINE, **TWO, "image_size": 96, "extra_bins": False},
    **{name: {**run, "extra_bins": False} for name, run in RECIPES.items() if "192 px" in name},
}
"""Recipes by name; their epochs are those of the largest size."""
ERRORS = {"not exact": "accuracy", "RMSE of the expected": "expected_rmse", "loss": "loss"}
"""What is fitted: as people read it, and of which statistic."""


def sizes_up_to(bins: int) -> list[int]:
    """The sizes that so many training bins allow, at least three; the last is all of them."""
    smaller = [size for size in SIZES if size < 0.8 * bins]
    return [*smaller, bins] if len(smaller) > 1 else [bins // 4, bins // 2, bins]


def datasets(place: Bench, seed: int) -> dict[int, DatasetManifest]:
    """By size, each with the bins of the one before; the shards are written once."""
    train = place.dataset.split("train").bins
    steps = np.diff([0, *sizes_up_to(train)])
    dealt = deal(place.store, place.dataset, ["train"], (steps / train).tolist(), seed)
    made = [dataset_of(dealt, place.dataset, train=range(number + 1)) for number in range(len(steps))]
    return {dataset.split("train").bins: dataset for dataset in made}


def epochs_of(run: dict[str, Any], bins: int, largest: int) -> int:
    """So many that the optimiser's steps grow with the root of the size."""
    return round(int(run["epochs"]) * float(largest / bins) ** 0.5)


def resampled(answers: list[Answers], counts: list[int]) -> dict[str, tuple[Floats, Floats]]:
    """By who answers: the figures of ``ERRORS`` [1, 3], and of resampled product groups [DRAWS, 3]."""
    found = {}
    for name in answers[0].arrays[0]:
        totals = []
        for one in answers:
            said, labels, groups = one.arrays
            values = bin_values(said[name], labels, counts)
            sums = group_sums(np.stack([*values.values(), np.ones(len(labels))], axis=1), groups)
            totals.append(np.concatenate([sums.sum(axis=0, keepdims=True), resample(sums)]))
        seeds = np.random.default_rng(0).integers(0, len(answers), (DRAWS, len(answers)))
        chosen = np.concatenate([np.arange(len(answers))[None], seeds])
        mean = np.stack(totals)[chosen, np.arange(DRAWS + 1)[:, None]].mean(axis=1)
        sums_of = dict(zip([*values, "n"], mean.T, strict=True))
        rows = np.stack([STATISTICS[statistic](sums_of) for statistic in ERRORS.values()], axis=1)
        rows[:, 0] = 1 - rows[:, 0]
        found[name] = (rows[:1], rows[1:])
    return found


def main() -> None:
    chosen = options(
        __doc__,
        recipe=f"of the photo's network: {', '.join(CURVES)} [96px]",
        source="bins, as the pipeline reads them [the real sample]",
        folder="where trainings are kept [the cache]",
        drawing="an SVG file of the curves",
        seeds=f"how many [{SEEDS}]",
    )
    quick, recipe = chosen.quick, chosen.recipe or "96px"
    if recipe not in CURVES:
        raise SystemExit(f"error: there is no recipe '{recipe}'; there are {', '.join(CURVES)}")
    if not (quick or LITE0.exists()):
        print(json.dumps({"name": "data_size", "skipped": "the weights are not here", "ok": True}))
        return
    run = CURVES[recipe] | ({"epochs": 1, "image_size": 32} if quick else {})
    folder = Path(chosen.folder) if chosen.folder else cache_folder() / "benchmark-accuracy"
    source = chosen.source or SAMPLE
    answers: dict[int, list[Answers]] = {}
    with bench(160 if quick else 0, seed=SEED, folder=folder, source=source, extra_counts="auto") as place:
        for seed in range(int(chosen.seeds or (1 if quick else SEEDS))):
            made = datasets(place, seed)
            for size, dataset in zip(sizes_up_to(max(made)), made.values(), strict=True):
                named = {**run, "seed": seed, "epochs": epochs_of(run, size, max(made))}
                timed = trained(replace(place, dataset=dataset), f"{recipe}, {size:,} bins, seed {seed}", named)
                answers.setdefault(size, []).append(held_out_answers(place.store, dataset, timed.outcome))
        counts = place.dataset.counts
    curves = curves_of(answers, counts)
    show(curves)
    if chosen.drawing:
        title = f"{sum(map(len, answers.values()))} trainings, recipe {recipe}"
        Path(chosen.drawing).write_text(draw(curves, title, EXTRAPOLATED))
    loss = curves["loss"][BY_PHOTO].errors
    result = {"name": "data_size", "ours": round(loss[-1], 4), "peer": round(loss[0], 4), "ratio": loss[0] / loss[-1]}
    figures = {what: {name: c.figures(EXTRAPOLATED) for name, c in by_whom.items()} for what, by_whom in curves.items()}
    result |= {"unit": "loss of the photo alone with all bins, and with the fewest", "target": 1.0}
    print(json.dumps({**result, "ok": bool(loss[0] >= loss[-1]), "curves": figures}))


def curves_of(answers: dict[int, list[Answers]], counts: list[int]) -> dict[str, dict[str, Curve]]:
    """A curve for each of ``ERRORS`` and each way to answer."""
    sizes = sorted(answers)
    found = [resampled(answers[size], counts) for size in sizes]
    return {
        what: {
            name: Curve.of(
                np.array(sizes, dtype=np.float64),
                np.array([one[name][0][0, place] for one in found]),
                np.stack([one[name][1][:, place] for one in found], axis=1),
            )
            for name in found[0]
        }
        for place, what in enumerate(ERRORS)
    }


def show(curves: dict[str, dict[str, Curve]]) -> None:
    """Prints a table for each way to answer, and below it what the power laws say of more bins."""
    for name in next(iter(curves.values())):
        of_name = [by_whom[name] for by_whom in curves.values()]
        print(f"\n{name:>14}" + "".join(f"{what:>28}" for what in curves))
        rows = [(f"{int(size):,}", [c.measured()[at] for c in of_name]) for at, size in enumerate(of_name[0].sizes)]
        rows += [(f"{size:,} *", [curve.at(size) for curve in of_name]) for size in EXTRAPOLATED]
        for label, cells in rows:
            print(f"{label:>14}" + "".join(f"{value:10.3f} ({low:.3f} to {high:.3f})" for value, (low, high) in cells))
    print("\n* by the power law: an extrapolation")


if __name__ == "__main__":
    main()
