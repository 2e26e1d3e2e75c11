"""Everything that follows from a model's outputs, for the report, the model card and the registry.

Validation chooses the calibration, test reports; no number below is chosen on test bins.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.counter.statistics.bootstrap import (
    Interval,
    intervals,
    mean_interval,
    mean_of,
    ratio_of,
    root_mean_of,
)
from components.counter.statistics.calibration import (
    ECE_BINS,
    Calibration,
    calibration_error,
    calibration_error_if_perfect,
    fit,
    reliability,
)
from components.counter.statistics.metrics import (
    Floats,
    Integers,
    bin_values,
    negative_log_likelihood,
    roc_curves,
    softmax,
    summarise,
)
from components.documents.evaluated import Analysis, CalibrationGain, Curves, ReliabilityCurves
from components.evaluate.audit import audit
from components.evaluate.verdicts import verdict_table


@dataclass(frozen=True)
class Outputs:
    """What the network says about the bins of one split, and what is true."""

    logits: NDArray[np.float32]
    """[N, K]."""
    labels: Integers
    """[N], class indices."""
    groups: Integers
    """[N], product groups."""


def analyse(validation: Outputs, test: Outputs, counts: Sequence[int], names: Sequence[str]) -> tuple[Analysis, Curves]:
    """Calibrates on validation, which has chosen the best epoch, and measures on test, on which nothing was chosen.

    ``names`` are the counts as text.

    Returns:
        Numbers, of which ``loss`` is that of the calibrated probabilities, and points for charts.

    Raises:
        InventoryError: if there is no test bin.
    """
    calibration = fit(validation.logits, validation.labels)
    calibrated = calibration.apply(test.logits)
    scores = summarise(calibrated, test.labels, counts, names)
    before, after = softmax(test.logits), softmax(calibrated)
    lifts, audited = audit(after, test.labels)
    rocs = roc_curves(after, test.labels, names)
    analysis = Analysis(
        **dict(scores),
        intervals=_metric_intervals(calibrated, test, counts, names),
        calibration=_calibration_gain(calibration, len(validation.labels), test, calibrated),
        verdict=verdict_table(after, test.labels, test.groups),
        audit=lifts,
        auc={name: curve.auc if curve else None for name, curve in rocs.items()},
    )
    curves = Curves(
        audit=audited,
        roc=rocs,
        reliability=ReliabilityCurves(before=reliability(before, test.labels), after=reliability(after, test.labels)),
    )
    return analysis, curves


def _metric_intervals(
    logits: Floats, test: Outputs, counts: Sequence[int], names: Sequence[str]
) -> dict[str, Interval | None]:
    columns = bin_values(logits, test.labels, counts)
    statistics: dict[str, Callable[[Mapping[str, Floats]], Floats]] = {
        "accuracy": mean_of("accuracy"),
        "within_one": mean_of("within_one"),
        "mae": mean_of("absolute_error"),
        "rmse": root_mean_of("squared_error"),
        "expected_rmse": root_mean_of("expected_squared_error"),
        "loss": mean_of("loss"),
    }
    for k, name in enumerate(names):
        held, said = test.labels == k, logits.argmax(axis=1) == k
        columns |= {f"is {name}": held * 1.0, f"said {name}": said * 1.0, f"hit {name}": (held & said) * 1.0}
        statistics[f"recall {name}"] = ratio_of(f"hit {name}", f"is {name}")
        statistics[f"precision {name}"] = ratio_of(f"hit {name}", f"said {name}")
    return intervals(columns, test.groups, statistics)


def _calibration_gain(
    calibration: Calibration, validation_bins: int, test: Outputs, calibrated: Floats
) -> CalibrationGain:
    before = negative_log_likelihood(test.logits, test.labels)
    after = negative_log_likelihood(calibrated, test.labels)
    probabilities = softmax(calibrated)
    return CalibrationGain(
        temperature=calibration.temperature,
        logit_shift=list(calibration.shift),
        validation_bins=validation_bins,
        accuracy_before=float((test.logits.argmax(axis=1) == test.labels).mean()),
        nll_before=float(before.mean()),
        nll_after=float(after.mean()),
        nll_change=float((after - before).mean()),
        nll_change_interval=mean_interval(after - before, test.groups),
        ece_bins=ECE_BINS,
        ece_before=calibration_error(softmax(test.logits), test.labels),
        ece_after=calibration_error(probabilities, test.labels),
        ece_if_perfect=calibration_error_if_perfect(probabilities),
    )
