"""Tuned against default, on bins that neither the search nor the training saw: is the difference real?"""

import tempfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from components.common.store import Store
from components.counter import bundle as bundles
from components.counter.dataset import Bins, DatasetManifest, open_split
from components.counter.scoring import score
from components.counter.statistics.bootstrap import Interval, intervals, mean_of
from components.counter.statistics.metrics import bin_values
from components.counter.training_log import Metric, better

Columns = dict[str, NDArray[np.float64]]

Verdict = Literal["better", "worse", "no real difference"]


class Difference(BaseModel):
    """One metric of the tuned and the default model on the same bins."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    tuned: float
    default: float
    interval: Interval | None
    """Of tuned minus default, 95 %; None when there is only one product group."""

    @property
    def difference(self) -> float:
        """Tuned minus default."""
        return self.tuned - self.default


class Comparison(BaseModel):
    """What tuning is worth."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    objective: Metric
    bins: int
    groups: int
    metrics: dict[Metric, Difference]

    @property
    def verdict(self) -> Verdict:
        """``better`` or ``worse`` when the interval of the objective's difference leaves out zero."""
        found = self.metrics[self.objective]
        if found.interval is None or found.interval[0] <= 0 <= found.interval[1]:
            return "no real difference"
        return "better" if better(self.objective, found.tuned, found.default) else "worse"


def compare(store: Store, held_out: DatasetManifest, tuned_key: str, default_key: str, objective: Metric) -> Comparison:
    """Scores two models on the held-out part of validation.

    The comparison is paired: every resample of product groups takes the same bins for both models, so that what makes
    a bin hard for both of them cancels (Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 8).

    Args:
        store: holds shards and bundles.
        held_out: from ``holdout.part_validation``.
        tuned_key: store prefix of the best trial's bundle.
        default_key: store prefix of the default trial's bundle.
        objective: what was tuned for.

    Raises:
        InventoryError: if a bundle or a shard cannot be read, or a model answers with no numbers.
    """
    bins = open_split(store, held_out, "validation")
    tuned, default = (
        _values(store, key, bins, f"held-out bins, {name}")
        for name, key in (("tuned", tuned_key), ("default", default_key))
    )
    return judge(tuned, default, bins.groups, objective)


def judge(tuned: Columns, default: Columns, groups: NDArray[np.int64], objective: Metric) -> Comparison:
    """Compares what two models say of the same bins.

    Args:
        tuned: ``accuracy``, ``loss`` and ``squared_error`` of every bin, float64 [N] each.
        default: the same of the other model.
        groups: product group of every bin, int64 [N].
        objective: what was tuned for.
    """
    columns = {f"{side} {name}": values for side, found in (("tuned", tuned), ("default", default))
               for name, values in found.items()}  # fmt: skip

    def rmse(side: str) -> Any:
        mean = mean_of(f"{side} squared_error")
        return lambda sums: np.sqrt(mean(sums))

    of: dict[Metric, Any] = {
        "accuracy": lambda side: mean_of(f"{side} accuracy"),
        "loss": lambda side: mean_of(f"{side} loss"),
        "rmse": rmse,
    }
    whole = {name: values.sum(keepdims=True) for name, values in columns.items()} | {
        "n": np.array([float(len(groups))])
    }
    spread = intervals(columns, groups, {name: _between(make("tuned"), make("default")) for name, make in of.items()})
    return Comparison(
        objective=objective,
        bins=len(groups),
        groups=len(np.unique(groups)),
        metrics={
            name: Difference(
                tuned=float(make("tuned")(whole)[0]), default=float(make("default")(whole)[0]), interval=spread[name]
            )
            for name, make in of.items()
        },
    )


def _between(one: Any, other: Any) -> Any:
    return lambda sums: one(sums) - other(sums)


def _values(store: Store, key: str, bins: Bins, label: str) -> Columns:
    with tempfile.TemporaryDirectory(prefix="tune-") as folder:
        bundle = bundles.fetch(store, key, Path(folder))
        logits = score(Path(folder) / bundles.ONNX_FILE, bins, bundle.input, label)
    values = bin_values(logits, bins.labels, bundle.counts)
    return {name: values[name] for name in ("accuracy", "loss", "squared_error")}
