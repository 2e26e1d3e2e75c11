"""How often the gate promotes an equal model, finds a better one, and lets a single count veto: rightly and wrongly.

Simulated pairs of models on test bins with the counts and product groups of real bins: bins of one product group go
together, and wrong answers are mostly one item off. Every criterion of the gate is on.

1. *Whole*: the answers of a pair differ in correctness on 30 % of the bins. The peer is the usual rule "promote what
   scores higher on the test split".
2. *Useless in service*: one count for everything, or answers that have nothing to do with the photos, as of a model
   that learned from other kinds of photos. None may veto a model that is better beyond doubt. The peer is the rule "no
   recall falls by more than 10 points".
3. *One count falls*: the recall of 3 items, 60 % before, really falls, while the others gain.
"""

import argparse
import itertools
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from components.documents.gated import Decision
from components.gate.decision import decide
from components.gate.per_count import NAME as PER_COUNT
from components.gate.rivals import Candidate, Countable, Incumbent, Predictions
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
POLICY = GatePolicy(draws=1000)

Simulation = Callable[[np.random.Generator], Predictions]


@dataclass(frozen=True)
class Shares:
    """Of the simulated pairs."""

    promoted: float
    vetoed: float
    """Refused, perhaps among other reasons, because of one count."""
    only_vetoed: float
    """Better beyond doubt, and refused because of one count."""
    higher_score: float
    """Of whom the candidate scores higher."""
    any_recall_falls: float
    """Of whom some recall falls by more than 10 points, by whatever reason."""
    pairs: int


def of_groups(rng: np.random.Generator, bins: int) -> np.ndarray:
    """The product group of every bin."""
    return np.repeat(np.arange(bins), rng.choice(GROUP_SIZES, bins, p=GROUP_SHARES))[:bins]


def pair(rng: np.random.Generator, bins: int, improvement: float) -> Predictions:
    """Two models, of which one is so much better on every count."""
    groups = of_groups(rng, bins)
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


def counted(rng: np.random.Generator, truth: np.ndarray, groups: np.ndarray, recalls: np.ndarray) -> np.ndarray:
    """The answers of a model with such a recall of each count."""
    luck = np.where(rng.random(len(truth)) < TOGETHER, rng.random(len(truth))[groups], rng.random(len(truth)))
    return np.where(luck < recalls[truth - 1], truth, wrong(rng, truth))


def against_useless(rng: np.random.Generator, bins: int, names: int, share: float, looks: float) -> Predictions:
    """A model right on 45 % of the bins, but only 30 % of those with ``names`` items, against a useless one.

    Args:
        rng: of the simulation.
        bins: on so many.
        names: the count that the one in service names most.
        share: of the bins for which it names it without a look; for the others it draws any count.
        looks: share of the bins that it counts rightly all the same.
    """
    groups, truth = of_groups(rng, bins), rng.choice(COUNTS, bins, p=SHARES)
    blind = np.where(rng.random(bins) < share, names, rng.choice(COUNTS, bins))
    return Predictions(
        truth,
        groups,
        candidate=counted(rng, truth, groups, np.where(names == COUNTS, 0.30, 0.45)),
        incumbent=np.where(rng.random(bins) < looks, truth, blind),
    )


def one_falls(rng: np.random.Generator, of_each: int, fall: float, gain: float) -> Predictions:
    """The recall of 3 items falls from 60 %, the others rise from 45 % so that all bins together gain so much."""
    truth = rng.permutation(np.repeat(COUNTS, of_each))
    groups = of_groups(rng, len(truth))
    old = np.where(COUNTS == 3, 0.60, 0.45)
    new = np.where(COUNTS == 3, 0.60 - fall, 0.45 + (fall + len(COUNTS) * gain) / (len(COUNTS) - 1))
    return Predictions(truth, groups, counted(rng, truth, groups, new), counted(rng, truth, groups, old))


def repeat(simulate: Simulation, repeats: int, seed: int, policy: GatePolicy = POLICY) -> Shares:
    """Asks the gate about so many simulated pairs."""
    rng = np.random.default_rng(seed)
    seen = np.array([_outcome(simulate(rng), policy) for _ in range(repeats)])
    promoted, vetoed, only_vetoed, higher_score, falls = seen.mean(axis=0).tolist()
    return Shares(promoted, vetoed, only_vetoed, higher_score, falls, repeats)


def _outcome(predictions: Predictions, policy: GatePolicy) -> tuple[bool, ...]:
    decision = decide(predictions, CANDIDATE, INCUMBENT, policy)
    vetoed = not _ok(decision, PER_COUNT)
    better = _ok(decision, "better than the model in service")
    assert predictions.incumbent is not None
    new, old = predictions.candidate == predictions.truth, predictions.incumbent == predictions.truth
    falls = [old[held].mean() - new[held].mean() for held in (predictions.truth == count for count in COUNTS)]
    return decision.promote, vetoed, vetoed and better, new.sum() > old.sum(), max(falls) > 0.10


def _ok(decision: Decision, name: str) -> bool:
    return next(criterion.ok for criterion in decision.criteria if criterion.name == name)


USELESS: dict[str, tuple[int, float, float]] = {
    "always 1": (1, 1.0, 0.0),
    "always 3, the most frequent": (3, 1.0, 0.0),
    "1 for 75 %, else anything": (1, 0.75, 0.0),
    "any count": (1, 0.0, 0.0),
    "1 for all but the 15 % it knows": (1, 1.0, 0.15),
}


def on_the_whole(repeats: int, few: int) -> dict[tuple[int, float], Shares]:
    """By number of bins and improvement."""
    print(
        f"\n{'bins':>6} {'really better by':>17} {'promoted':>9} {'± 95 %':>7} {'one count':>10} {'higher score':>13}"
    )
    found = {}
    for bins, improvement in itertools.product((300, 1000, 3000), (-0.05, 0.0, 0.02, 0.05)):
        pairs = repeats if bins == 1000 and improvement in (0.0, 0.05) else few
        shares = repeat(partial(pair, bins=bins, improvement=improvement), pairs, bins)
        found[bins, improvement] = shares
        print(
            f"{bins:6,} {100 * improvement:+10.0f} points "
            f"{shares.promoted:9.1%} {_spread(shares.promoted, pairs):7.1%} "
            f"{shares.vetoed:10.1%} {shares.higher_score:13.1%}",
            flush=True,
        )
    return found


def useless_in_service(pairs: int) -> list[Shares]:
    """Of each kind, on several numbers of bins."""
    print(f"\n{'in service':<32} {'bins':>6} {'promoted':>9} {'only one count refuses':>23} {'a recall falls':>15}")
    found = []
    for (name, (names, share, looks)), bins in itertools.product(USELESS.items(), (150, 300, 1000)):
        shares = repeat(partial(against_useless, bins=bins, names=names, share=share, looks=looks), pairs, bins)
        found.append(shares)
        print(
            f"{name:<32} {bins:6,} {shares.promoted:9.1%} {shares.only_vetoed:23.1%} {shares.any_recall_falls:15.1%}",
            flush=True,
        )
    return found


def one_count(repeats: int, few: int) -> dict[tuple[int, float, float], Shares]:
    """By bins of each count, fall of one, and gain of all."""
    heads = f"{'of each count':>13} {'3 items fall by':>16} {'all gain':>9} {'one count':>10} {'± 95 %':>7}"
    print(f"\n{heads} {'promoted':>9}")
    found = {}
    for of_each, gain, fall in itertools.product((20, 60, 200), (0.0, 0.05), (0.0, 0.1, 0.2, 0.4)):
        pairs = repeats if of_each == 60 else few
        shares = repeat(partial(one_falls, of_each=of_each, fall=fall, gain=gain), pairs, of_each)
        found[of_each, fall, gain] = shares
        print(
            f"{of_each:13,} {100 * fall:9.0f} points {100 * gain:+9.0f} {shares.vetoed:10.1%} "
            f"{_spread(shares.vetoed, pairs):7.1%} {shares.promoted:9.1%}",
            flush=True,
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a fifth of the pairs")
    repeats = 200 if parser.parse_args().quick else 1000
    few = repeats // 4
    print(f"{repeats:,} pairs of models on 1,000 bins (equal, +5 points) and on 60 of each count, {few:,} on others")
    print(POLICY)
    whole, useless, falls = on_the_whole(repeats, few), useless_in_service(few), one_count(repeats, few)
    better, equal = whole[1000, 0.05], whole[1000, 0.0]
    equals = [shares for (_, improvement), shares in whole.items() if improvement == 0]
    equals += [shares for (_, fall, gain), shares in falls.items() if fall == gain == 0]
    false_veto = sum(shares.vetoed * shares.pairs for shares in equals) / sum(shares.pairs for shares in equals)
    useless_veto = max(shares.only_vetoed for shares in useless)
    result = {
        "name": "gate_power",
        "ours": better.promoted,
        "peer": better.higher_score,
        "unit": "share of models 5 points better that are promoted, 1,000 bins",
        "ratio": better.promoted / better.higher_score,
        "target": POWER_TARGET,
        "equal_promoted": equal.promoted,
        "equal_promoted_peer": equal.higher_score,
        "equal_target": FALSE_TARGET,
        "false_veto": false_veto,
        "useless_veto": useless_veto,
        "fall_60_to_20_refused": falls[60, 0.4, 0.0].vetoed,
    }
    result["ok"] = (
        min(better.promoted, falls[60, 0.4, 0.0].vetoed) >= POWER_TARGET
        and max(equal.promoted, false_veto) <= FALSE_TARGET
        and useless_veto == 0
    )
    print(json.dumps(result))


def _spread(share: float, pairs: int) -> float:
    return 1.96 * math.sqrt(share * (1 - share) / pairs)


if __name__ == "__main__":
    main()
