"""A second head on the same frozen backbone, with other hyperparameters, when the features are there already.

The peer computes the features of every image in each of its thirteen epochs (as in ``head_only``, which also
says what is timed).
"""

from typing import Any

from benchmarks.common import options, show
from benchmarks.head_only import OPTIONS
from benchmarks.trainings import bench, print_trainings, train

TARGET = 50.0
OTHER: dict[str, Any] = {"learning_rate": 3e-3, "batch_size": 128, "weight_decay": 0.01}


def main() -> None:
    given = options(__doc__, bins="at most so many of each count [all]")
    quick = given.quick
    chosen = {**OPTIONS, "image_size": 128} if quick else OPTIONS
    with bench(per_count=60 if quick else int(given.bins or 0)) as place:
        first = train(place, "first", **chosen)
        second = train(place, "second", **{**chosen, **OTHER})
        anew = train(place, "anew", **{**chosen, **OTHER}, cache_features=False)
    found = {"every image in every epoch": anew, "fills the cache": first, "finds the cache": second}
    print_trainings(found)
    show("head_only_reuse", second.trained_seconds, anew.trained_seconds, "s for one training", TARGET)


if __name__ == "__main__":
    main()
