"""Thirteen epochs of a head on a frozen backbone: cached features against a pass of every image in every epoch.

Both are the same training (EfficientNet-Lite0 at 160 px, mirror images, AdamW) with the same precision and threads;
the peer computes the backbone's features anew in each epoch, as the replaced notebooks do. The time is that of the
training until its last epoch is validated, the filling of the cache included; Python's start and the export of the
bundle, which is the same work on both sides, are left out. A second run with other hyperparameters is the benchmark
``head_only_reuse``.
"""

from typing import Any

from benchmarks.common import options, show
from benchmarks.trainings import bench, print_trainings, train

TARGET = 5.0
OPTIONS: dict[str, Any] = {
    "trainable": "head",
    "epochs": 13,
    "image_size": 160,
    "crop_scale": 1,
    "colour_jitter": 0,
    "dropout": 0,
    "flip_tta": False,
}


def main() -> None:
    given = options(__doc__, bins="at most so many of each count [all]")
    quick = given.quick
    chosen = {**OPTIONS, "epochs": 8, "image_size": 128} if quick else OPTIONS
    with bench(per_count=60 if quick else int(given.bins or 0)) as place:
        cached = train(place, "cached", **chosen)
        anew = train(place, "anew", **chosen, cache_features=False)
    found = {"every image in every epoch": anew, "cached features": cached}
    print_trainings(found)
    show("head_only", cached.trained_seconds, anew.trained_seconds, "s for one training", TARGET)


if __name__ == "__main__":
    main()
