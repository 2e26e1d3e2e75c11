"""Does a model that is better on the whole tell any single count worse than the one in service?

How well a model tells a count is its recall less its *false alarms*, the share of bins with other counts that it names
so too (Youden's index, 1950). A model that names one count whatever it sees has a recall of 100 % there, bought by as
many false alarms, so it has nothing that another could lose. The same holds of any model whose answers have nothing to
do with the photos, such as one that learned from other kinds of photos.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from components.counter.statistics.metrics import Integers
from components.counter.statistics.sign_flip import above_zero
from components.documents.gated import Criterion
from components.pages.text import of_items, percent, plural
from components.settings.gate import GatePolicy

NAME = "no count gets much worse"
ROUNDING = 1e-9


@dataclass(frozen=True)
class Change:
    """How two models tell one count; fractions from 0 to 1, of the model in service and of the candidate."""

    items: int
    bins: int
    """That hold so many."""
    recall: tuple[float, float]
    false_alarms: tuple[float, float]
    """Shares of the bins with other counts that are named so."""
    chance: float
    """Probability that some count falls so far, relative to its spread, though the models are equally good."""

    @property
    def fall(self) -> float:
        """What is lost of recall less false alarms; what an answer without a look at the photo reaches is no loss."""
        old, new = (recall - alarms for recall, alarms in zip(self.recall, self.false_alarms, strict=True))
        return old - max(new, 0.0)

    def __str__(self) -> str:
        (old, new), (alarms_before, alarms) = self.recall, self.false_alarms
        return (
            f"{of_items(str(self.items))} from {percent(old)} to {percent(new)} on {plural(self.bins, 'bin')} (false "
            f"alarms from {percent(alarms_before)} to {percent(alarms)}; by chance in {percent(self.chance)} of cases)"
        )


def changes(
    truth: Integers, groups: Integers, incumbent: Integers, candidate: Integers, counts: list[int], policy: GatePolicy
) -> list[Change]:
    """Compares two models for each of ``counts``, which are all held by a bin; see ``no_count_falls``."""
    held, old, new = (values[:, None] == np.array(counts) for values in (truth, incumbent, candidate))
    bins, others = held.sum(axis=0), np.maximum((~held).sum(axis=0), 1)
    weights = held / bins - ~held / others
    chances = above_zero(weights * (old.astype(np.float64) - new), groups, policy.draws, policy.seed)
    recall = [(held & said).sum(axis=0) / bins for said in (old, new)]
    alarms = [(~held & said).sum(axis=0) / others for said in (old, new)]
    return [
        Change(
            items=items,
            bins=int(bins[k]),
            recall=(float(recall[0][k]), float(recall[1][k])),
            false_alarms=(float(alarms[0][k]), float(alarms[1][k])),
            chance=float(chances[k]),
        )
        for k, items in enumerate(counts)
    ]


def no_count_falls(
    truth: Integers,
    groups: Integers,
    incumbent: Integers,
    candidate: Integers,
    counts: Collection[int],
    policy: GatePolicy,
) -> Criterion:
    """Refuses a fall of any count that chance does not explain and that the gain on all bins does not outweigh.

    Of the N bins these are the true items, the product groups, and the items that each model names; ``counts`` are
    those that both can answer.
    """
    missing = [str(items) for items in sorted(counts) if not (truth == items).any()]
    if missing or not counts:
        what = of_items(", ".join(missing)) if missing else "a count that both can answer"
        reason = f"no comparable test bin holds {what}, so recall cannot be compared; select more bins of it"
        return Criterion(name=NAME, ok=False, reason=reason)
    found = changes(truth, groups, incumbent, candidate, sorted(counts), policy)
    gain = float((candidate == truth).mean() - (incumbent == truth).mean())
    allowed = max(policy.recall_drop, gain) + ROUNDING
    allowance = f"{percent(policy.recall_drop)} (gate.recall_drop)"
    if gain > policy.recall_drop:
        allowance = f"all bins gain, {percent(gain)}"
    if worse := [change for change in found if change.fall > allowed and change.chance <= 1 - policy.confidence]:
        reason = f"recall less false alarms falls by more than {allowance}: {', '.join(map(str, worse))}"
        return Criterion(name=NAME, ok=False, reason=reason)
    fewest = min(found, key=lambda change: change.bins)
    reason = f"none falls by more than {allowance} and beyond chance; fewest bins: {fewest.bins:,} with {fewest.items}"
    return Criterion(name=NAME, ok=True, reason=reason)
