"""What a stock record's products tell of a bin's count: alone, beside a photo, and in the order of a recount list.

Alone: five folds by product over all bins, so that a bin's products are in nobody's training. Beside a photo: the
sample is split 70/10/20 by product, a network is trained (by default only a head on frozen features: cheap, and a poor
counter), and the evaluation step says what the products add. In the order: 5 % of the test bins'
records are made wrong in one product's quantity, never below one item for each product that the record names, and the
first 10 % are recounted; 200 seeds, the same for all orders.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy import BEST, FINE, HEAD, trained
from benchmarks.accuracy import RECIPES as OF_PHOTOS
from benchmarks.common import options
from benchmarks.learning.answers import print_answers, served
from benchmarks.record_lift import lifts_by_order, print_lifts
from benchmarks.trainings import Bench, bench
from components.counter.dataset import open_shards, open_split
from components.counter.record.fit import fit
from components.counter.record.record import Listed
from components.counter.record.stored import listed_in
from components.counter.splits import SPLITS
from components.counter.statistics.metrics import Floats, Integers
from components.documents.evaluated import BY_BOTH, BY_PHOTO
from components.documents.trained import TrainedModel
from components.evaluate.step import evaluate

RECIPES: dict[str, dict[str, Any]] = {
    "head": {**HEAD, "extra_bins": False},
    "all-layers": {**FINE, "epochs": 5, "image_size": 96, "extra_bins": False},
    "best": OF_PHOTOS[BEST],
}
FOLDS = 5
SPLIT_SEED = 1
NUMBER_ALONE, NUMBER_AND_MEASURES = "number of products alone", "number, sizes, weights"


def out_of_fold(place: Bench) -> tuple[dict[str, Floats], Integers, Integers]:
    """Log P(count | products) of every bin, from a model that saw none of its products; labels and groups."""
    bins = open_shards(place.store, [shard for name in SPLITS for shard in place.dataset.split(name).shards])
    listed, counts = listed_in(bins), place.dataset.counts
    kinds, group = np.unique(bins.groups, return_inverse=True)
    fold = np.random.default_rng(0).permutation(len(kinds))[group] % FOLDS
    unmeasured = Listed(listed.bins, listed.rows, np.full_like(listed.measures, np.nan))
    said = {}
    for name, known in ((NUMBER_ALONE, unmeasured), (NUMBER_AND_MEASURES, listed)):
        said[name] = np.zeros((len(bins), len(counts)))
        for part in range(FOLDS):
            seen, held = np.flatnonzero(fold != part), np.flatnonzero(fold == part)
            none = seen[:0]
            photo = np.zeros((0, len(counts)))
            found = fit(counts, False, known.take(seen), bins.labels[seen], known.take(none), bins.labels[none], photo)
            if found is None:
                raise SystemExit("error: too few of these bins name products")
            said[name][held] = found.log_probabilities(known.take(held))
    return said, bins.labels, bins.groups


def main() -> None:
    given = options(
        __doc__,
        recipe=f"of the photo's network: {', '.join(RECIPES)} [head]",
        folder="where data and trainings are kept [nowhere]",
    )
    quick, recipe = given.quick, given.recipe or "head"
    if recipe not in RECIPES:
        raise SystemExit(f"error: there is no recipe '{recipe}'; there are {', '.join(RECIPES)}")
    chosen = RECIPES[recipe] | ({"epochs": 2, "image_size": 64} if quick else {})
    folder = Path(given.folder) if given.folder else None
    with bench(120 if quick else 0, seed=SPLIT_SEED, folder=folder, extra_counts="auto") as place:
        folded, labels, groups = out_of_fold(place)
        print(f"\n{len(labels):,} bins, {FOLDS} folds by product, without a photo:")
        print_answers(folded, labels, groups, place.dataset.counts)

        model = TrainedModel.of(trained(place, recipe, chosen).outcome, "the training's outcome")
        value = evaluate(place.store, place.dataset, model, model.run_id).evaluation.record
        if value is None:
            raise SystemExit("error: too few of these bins name products")
        print(f"\n{value.bins:,} test bins, with the recipe {recipe}:")
        print(f"{'':28}{'exact (95 %)':>26}{'RMSE of the expected':>22}{'loss':>8}")
        for row in value.rows:
            low, high = row.intervals["accuracy"] or (0.0, 1.0)
            exact = f"{row.accuracy:.1%} ({low:.1%} to {high:.1%})"
            print(f"{row.answer:28}{exact:>26}{row.expected_rmse:22.3f}{row.loss:8.3f}")
        change = value.change_intervals["loss"] or (0.0, 0.0)
        print(
            f"the products change the loss by {value.changes['loss']:+.3f} ({change[0]:+.3f} to {change[1]:+.3f}); "
            f"weights: photo {value.weight_of_photo:.2f}, products {value.weight_of_products:.2f}"
        )
        against = value.contradiction
        print(
            f"photo and products contradict each other for {against.bins:,} bins: right are the photo "
            f"{against.photo_right:,}, the products {against.products_right:,}, both together {against.both_right:,}"
        )
        test = open_split(place.store, place.dataset, "test")
        photo, known = served(place.store, model.bundle_key, test)
        lifted = lifts_by_order(known, photo, test)
    print_lifts(lifted)
    losses = {row.answer: row.loss for row in value.rows}
    result = {"name": "record_value", "ours": round(losses[BY_BOTH], 4), "peer": round(losses[BY_PHOTO], 4)}
    ratio = losses[BY_PHOTO] / losses[BY_BOTH]
    print(
        json.dumps(
            {
                **{**result, "unit": "loss in nats, test bins; the peer is the photo alone", "ratio": round(ratio, 3)},
                **{"target": 1.1, "ok": ratio >= 1.1, "lifts": lifted},
            }
        )
    )


if __name__ == "__main__":
    main()
