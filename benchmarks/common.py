"""What every benchmark prints: a table, and one JSON object as its last line."""

import argparse
import json
import statistics
import subprocess
import sys
import venv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.counter.dataset import cache_folder

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements" / "bench.txt"


@dataclass(frozen=True)
class Peer:
    """What ours is compared with."""

    name: str
    target: float
    """The ratio that we promise, peer to ours: above 1 means faster than the peer."""


def options(description: str | None, **texts: str) -> argparse.Namespace:
    """Reads the command line: ``--quick`` and what the benchmark adds, by name and help text."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="the same on little: at most 60 s on 2 cores")
    for name, text in texts.items():
        parser.add_argument(f"--{name}", help=text)
    return parser.parse_args()


def alternate(contestants: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Measures every contestant once a round, so that what else the machine does hits all of them alike.

    Returns:
        The measurements of each, in the order of the rounds.
    """
    measured: dict[str, list[float]] = {name: [] for name in contestants}
    for round_ in range(rounds):
        for name, measure in contestants.items():
            measured[name].append(measure())
            print(f"round {round_ + 1} of {rounds}: {name} {measured[name][-1]:.2f}", flush=True)
    return measured


def report(name: str, unit: str, ours: str, peers: list[Peer], measured: Mapping[str, list[float]]) -> None:
    """Prints medians and ratios, and last the JSON object; of several peers it holds the one that we do worst against.

    Args:
        name: of the benchmark.
        unit: of the measurements, smaller is better.
        ours: our name among the measured.
        peers: the others, with their targets.
        measured: from ``alternate``; ratios are medians over rounds, each of two neighbours in time.
    """
    results: list[dict[str, Any]] = []
    print(f"\n{'':24}{'median ' + unit:>18}{'ratio to ours':>16}{'target':>8}")
    print(f"{ours:24}{statistics.median(measured[ours]):18.2f}")
    for peer in peers:
        pairs = zip(measured[peer.name], measured[ours], strict=True)
        ratio = statistics.median(theirs / mine for theirs, mine in pairs)
        median = statistics.median(measured[peer.name])
        print(f"{peer.name:24}{median:18.2f}{ratio:16.2f}{peer.target:8.1f}")
        results.append(
            {
                "name": name,
                "ours": round(statistics.median(measured[ours]), 3),
                "peer": round(median, 3),
                "unit": unit,
                "ratio": round(ratio, 3),
                "target": peer.target,
                "ok": ratio >= peer.target,
                "peer_name": peer.name,
            }
        )
    worst = min(results, key=lambda result: result["ratio"] / result["target"])
    print(json.dumps(worst))


def show(name: str, ours: float, peer: float, unit: str, target: float, larger_is_better: bool = False) -> None:
    """Prints the JSON object that ends a benchmark.

    Args:
        name: of the benchmark.
        ours: our figure.
        peer: the peer's, measured in the same run.
        unit: of both.
        target: the ratio that we promise; above 1 means better than the peer.
        larger_is_better: for rates; otherwise for times.
    """
    ratio = ours / peer if larger_is_better else peer / ours
    print(f"ratio {ratio:.2f}, target {target:g}")
    figures = {"ours": round(ours, 3), "peer": round(peer, 3), "unit": unit, "ratio": round(ratio, 3)}
    print(json.dumps({"name": name, **figures, "target": target, "ok": ratio >= target}))


def peer_tools(folder: str | None) -> Path:
    """The ``bin`` folder of an environment with the peers of ``requirements/bench.txt``, made when missing."""
    home = Path(folder) if folder else cache_folder() / "benchmark-peers"
    stamp = home / "installed.txt"
    wanted = REQUIREMENTS.read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing the peers into {home}", flush=True)
        venv.create(home, with_pip=True)
        pip = [str(home / "bin" / "python"), "-m", "pip", "install", "-q", "--no-deps", "--require-hashes"]
        if subprocess.run([*pip, "-r", str(REQUIREMENTS)], check=False).returncode:
            sys.exit(f"error: cannot install {REQUIREMENTS.name} into {home}")
        stamp.write_text(wanted)
    return home / "bin"
