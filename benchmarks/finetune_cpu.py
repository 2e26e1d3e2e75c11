"""Fine-tuning all layers on the CPU: our trainer against the plain loop (float32, NCHW, ImageFolder, PIL transforms).

EfficientNet-Lite0 at 160 px, batch 32, AdamW at 1e-3, the same bins and number of epochs, two compute threads each:
ours are those of two worker processes, the peer's those of one.
Ours runs with its defaults: bfloat16 where the processor has it, channels last, decoding in a thread. The peer gets the
number of DataLoader processes that is fastest here. Images a second over all training steps; rounds alternate.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import options, show
from benchmarks.trainings import bench, train
from components.counter.dataset import open_split

SIZE, BATCH, THREADS = 160, 32, 2
TARGET = 2.0


def plain(folder: Path, network: dict[str, str], epochs: int, loaders: int) -> dict[str, Any]:
    """The peer, in a process of its own."""
    weights = None if network["weights"] == "none" else network["weights"]
    call = (
        "import json, torch; from pathlib import Path; from benchmarks.plain_loop import train;"
        f"torch.set_num_threads({THREADS}); w = {weights!r};"
        f"print(json.dumps(train(Path({str(folder / 'train')!r}), Path({str(folder / 'validation')!r}), "
        f"{network['backbone']!r}, w and Path(w), {SIZE}, {BATCH}, {epochs}, {loaders})))"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS)}
    done = subprocess.run([sys.executable, "-c", call], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    from benchmarks.plain_loop import write_folder

    quick = options(__doc__).quick
    per_count, epochs, rounds = (30, 1, 1) if quick else (150, 2, 3)
    with bench(per_count=per_count, ratios="80/10/10") as place, tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in ("train", "validation"):
            write_folder(open_split(place.store, place.dataset, name), folder / name)
        tried = {
            loaders: plain(folder, place.network, 1, loaders)["rate"] for loaders in ((0,) if quick else (0, 1, 2))
        }
        print("plain loop by DataLoader processes:", {loaders: round(rate, 1) for loaders, rate in tried.items()})
        loaders = max(tried, key=lambda loaders: tried[loaders])
        ours, peers = [], []
        for round_ in range(rounds):
            run: dict[str, Any] = {"image_size": SIZE, "batch_size": BATCH, "epochs": epochs, "seed": round_}
            ours.append(train(place, f"ours-{round_}", threads=1, processes=THREADS, **run))
            peers.append(plain(folder, place.network, epochs, loaders))
            print(
                f"round {round_ + 1}: ours {ours[-1].rate:.1f} images/s, validation loss "
                f"{ours[-1].outcome['history'][-1]['validation_loss']:.3f}; plain loop {peers[-1]['rate']:.1f}, "
                f"{peers[-1]['loss']:.3f}",
                flush=True,
            )
    mine, theirs = statistics.median(timed.rate for timed in ours), statistics.median(run["rate"] for run in peers)
    show("finetune_cpu", mine, theirs, "images/s", TARGET, larger_is_better=True)


if __name__ == "__main__":
    main()
