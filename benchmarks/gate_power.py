"""How often the gate promotes an equal model, and how often it finds one that is five points better.

Simulated pairs of models on test bins with the counts and product groups of real bins: the answers of a pair differ
in correctness on 30 % of the bins, bins of one product group go together, and wrong answers are mostly one item off.
Every criterion of the gate is on. The peer is the usual rule "promote what scores higher on the test split".
"""

import argparse
import json
import math

import numpy as np

from components.gate.decision import Candidate, Countable, Incumbent, Predictions, decide
from components.settings.gate import GatePolicy

COUNTS = np.array([1, 2, 3, 4, 5])
SHARES = np.array([0.118, 0.220, 0.255, 0.227, 0.180])
"""Of the published subset: 1228, 2299, 2666, 2373 and 1875 of 10,441 bins."""
GROUP_SIZES = np.array([1, 2, 3, 4, 6, 10])
GROUP_SHARES = np.array([0.68, 0.17, 0.07, 0.04, 0.03, 0.01])
"""About 1.7 bins share products, as in real bins split by product groups."""
DISCORDANCE = 0.30
BOTH_RIGHT = 0.25
TOGETHER = 0.3
"""Chance that a bin's outcome is that of its whole group."""
POWER_TARGET, FALSE_TARGET = 0.80, 0.05
CANDIDATE = Candidate(Countable((1, 2, 3, 4, 5)), latency_seconds=0.02, size_bytes=15_000_000)
INCUMBENT = Incumbent("in-service", Countable((1, 2, 3, 4, 5)))


def simulate(rng: np.random.Generator, bins: int, improvement: float) -> Predictions:
    sizes = rng.choice(GROUP_SIZES, bins, p=GROUP_SHARES)
    groups = np.repeat(np.arange(bins), sizes)[:bins]
    truth = rng.choice(COUNTS, bins, p=SHARES)
    won, lost = (DISCORDANCE + improvement) / 2, (DISCORDANCE - improvement) / 2
    chances = [BOTH_RIGHT, won, lost, 1 - BOTH_RIGHT - DISCORDANCE]
    of_group = rng.choice(4, bins, p=chances)[groups]
    outcome = np.where(rng.random(bins) < TOGETHER, of_group, rng.choice(4, bins, p=chances))
    return Predictions(
        truth,
        groups,
        candidate=np.where(outcome <= 1, truth, wrong(rng, truth)),
        incumbent=np.where((outcome == 0) | (outcome == 2), truth, wrong(rng, truth)),
    )


def wrong(rng: np.random.Generator, truth: np.ndarray) -> np.ndarray:
    said = truth + rng.choice([-2, -1, 1, 2], len(truth), p=[0.15, 0.35, 0.35, 0.15])
    said = np.where((said < 1) | (said > 5), 2 * truth - said, said)
    return np.clip(said, 1, 5)


def promoted(seed: int, repeats: int, bins: int, improvement: float, policy: GatePolicy) -> tuple[float, float]:
    """Shares of the pairs that the gate and the peer promote."""
    rng = np.random.default_rng(seed)
    ours = peer = 0
    for _ in range(repeats):
        predictions = simulate(rng, bins, improvement)
        ours += decide(predictions, CANDIDATE, INCUMBENT, policy).promote
        peer += (predictions.candidate == predictions.truth).sum() > (predictions.incumbent == predictions.truth).sum()
    return ours / repeats, peer / repeats


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="300 pairs of each kind instead of 3,000")
    repeats = 300 if parser.parse_args().quick else 3000
    policy = GatePolicy(draws=1000)
    print(f"{repeats:,} pairs of models on 1,000 bins, {repeats // 4:,} on others; {DISCORDANCE:.0%} discordance")
    print(policy)
    print(f"{'bins':>6} {'really better by':>17} {'gate promotes':>14} {'± 95 %':>7} {'higher score promotes':>22}")
    found = {}
    for bins in (300, 1000, 3000):
        for improvement in (-0.05, 0.0, 0.02, 0.05):
            pairs = repeats if bins == 1000 else repeats // 4
            ours, peer = promoted(bins, pairs, bins, improvement, policy)
            spread = 1.96 * math.sqrt(ours * (1 - ours) / pairs)
            found[bins, improvement] = ours, peer
            print(f"{bins:6,} {100 * improvement:+10.0f} points {ours:14.1%} {spread:7.1%} {peer:22.1%}", flush=True)
    (power, peer_power), (false, peer_false) = found[1000, 0.05], found[1000, 0.0]
    result = {
        "name": "gate_power",
        "ours": power,
        "peer": peer_power,
        "unit": "share of models 5 points better that are promoted, 1,000 bins",
        "ratio": power / peer_power,
        "target": POWER_TARGET,
        "equal_promoted": false,
        "equal_promoted_peer": peer_false,
        "equal_target": FALSE_TARGET,
        "ok": power >= POWER_TARGET and false <= FALSE_TARGET,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
