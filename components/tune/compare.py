"""Tuned against default, on bins that neither the search nor the training saw: is the difference real?"""

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from components.common.store import Store
from components.counter import bundle as bundles
from components.counter.dataset import Bins, DatasetManifest, open_split
from components.counter.scoring import score
from components.counter.statistics.bootstrap import Interval, intervals
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
    """Scores two models, by their bundles' store prefixes, on the held-out part of validation.

    The comparison is paired: every resample of product groups takes the same bins for both models, so that what makes
    a bin hard for both of them cancels (Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 8).

    Raises:
        InventoryError: if a bundle or a shard cannot be read, or a model answers with no numbers.
    """
    bins = open_split(store, held_out, "validation")
    tuned = _values(store, tuned_key, bins, "held-out bins, tuned")
    default = _values(store, default_key, bins, "held-out bins, default")
    return judge(tuned, default, bins.groups, objective)


def judge(tuned: Columns, default: Columns, groups: NDArray[np.int64], objective: Metric) -> Comparison:
    """Compares ``accuracy``, ``loss`` and ``squared_error`` of two models on the same bins, float64 [N] each.

    ``groups`` is the product group of every bin, int64 [N].
    """
    columns = {f"tuned {name}": values for name, values in tuned.items()}
    columns |= {f"default {name}": values for name, values in default.items()}
    whole = {**{name: values.sum(keepdims=True) for name, values in columns.items()}, "n": np.array([len(groups)])}
    metrics: tuple[Metric, ...] = ("accuracy", "loss", "rmse")
    spread = intervals(columns, groups, {metric: partial(_difference, metric) for metric in metrics})
    return Comparison(
        objective=objective,
        bins=len(groups),
        groups=len(np.unique(groups)),
        metrics={
            metric: Difference(
                tuned=float(_metric(metric, "tuned", whole)[0]),
                default=float(_metric(metric, "default", whole)[0]),
                interval=spread[metric],
            )
            for metric in metrics
        },
    )


def _metric(metric: Metric, side: str, sums: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """A metric of one model, of sums over bins."""
    total = sums[f"{side} {'squared_error' if metric == 'rmse' else metric}"] / sums["n"]
    return np.sqrt(total) if metric == "rmse" else total


def _difference(metric: Metric, sums: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    return _metric(metric, "tuned", sums) - _metric(metric, "default", sums)


def _values(store: Store, key: str, bins: Bins, label: str) -> Columns:
    with tempfile.TemporaryDirectory(prefix="tune-") as folder:
        bundle = bundles.fetch(store, key, Path(folder))
        logits = score(Path(folder) / bundles.ONNX_FILE, bins, bundle.input, label)
    values = bin_values(logits, bins.labels, bundle.counts)
    return {name: values[name] for name in ("accuracy", "loss", "squared_error")}
