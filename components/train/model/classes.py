"""What a network tells apart while it trains, and what of that it answers.

Training may see bins with further counts (the dataset's ``extra`` ones). They are classes of their own while it trains,
which shows the network what lies beyond the counts that it will answer; validated, exported and served are only the
logits of these.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from components.counter.dataset import DatasetManifest
from components.settings.training import TrainingSettings
from components.train.model.losses import OBJECTIVES


@dataclass(frozen=True)
class Classes:
    """The classes of a training."""

    counts: list[int]
    """What is told apart, ascending."""
    answered: list[int]
    """Which of them the model answers, by position."""
    extra: list[int]
    """Which of them are the dataset's ``extra_counts``, by position; empty when extra bins are not used."""

    def logits(self, loss: str) -> Callable[[Tensor], Tensor]:
        """What turns the network's outputs [N, O] under a loss into logits [N, K] of the answered counts."""
        of_all = OBJECTIVES[loss].class_logits
        if len(self.answered) == len(self.counts):
            return of_all
        first, last = self.answered[0], self.answered[-1]
        if last - first + 1 == len(self.answered):
            return lambda outputs: of_all(outputs)[:, first : last + 1]
        return lambda outputs: of_all(outputs)[:, self.answered]


def classes_of(dataset: DatasetManifest, settings: TrainingSettings) -> Classes:
    """The classes of a training on a dataset: its counts and, if there are extra bins to use, theirs."""
    extra = dataset.extra_counts if settings.extra_bins and dataset.extra is not None else []
    counts = sorted([*dataset.counts, *extra])
    return Classes(counts, [counts.index(count) for count in dataset.counts], [counts.index(count) for count in extra])
