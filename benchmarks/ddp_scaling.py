"""Two worker processes of one thread against one process of one thread, and one process of two threads.

The same training (EfficientNet-Lite0 at 128 px, global batch 32) and bins; gradients are exchanged over gloo. Images a
second over all training steps, medians over alternated rounds.
"""

import json
import statistics
from typing import Any

from benchmarks.common import options
from benchmarks.trainings import bench, train

CONTESTANTS = {"1 process x 1 thread": (1, 1), "1 process x 2 threads": (1, 2), "2 processes x 1 thread": (2, 1)}
OURS = "2 processes x 1 thread"
TARGETS = {"1 process x 1 thread": 1.6, "1 process x 2 threads": 0.95}


def main() -> None:
    quick = options(__doc__).quick
    per_count, rounds = (20, 1) if quick else (100, 3)
    rates: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    with bench(per_count=per_count, ratios="80/10/10") as place:
        for round_ in range(rounds):
            for at, (name, (processes, threads)) in enumerate(CONTESTANTS.items()):
                run: dict[str, Any] = {"image_size": 128, "batch_size": 32, "epochs": 1 if quick else 2}
                timed = train(place, f"r{round_}-{at}", threads, processes, **run)
                rates[name].append(timed.rate)
                print(f"round {round_ + 1} of {rounds}: {name} {timed.rate:.1f} images/s", flush=True)
    ours = statistics.median(rates[OURS])
    results = []
    for name, target in TARGETS.items():
        ratio = statistics.median(mine / theirs for mine, theirs in zip(rates[OURS], rates[name], strict=True))
        print(f"{OURS} / {name}: {ratio:.2f}, target {target}")
        results.append((ratio, target, statistics.median(rates[name]), name))
    ratio, target, peer, name = min(results, key=lambda result: result[0] / result[1])
    figures = {"ours": round(ours, 2), "peer": round(peer, 2), "peer_name": name, "ratio": round(ratio, 3)}
    print(json.dumps({"name": "ddp_scaling", **figures, "unit": "images/s", "target": target, "ok": ratio >= target}))


if __name__ == "__main__":
    main()
