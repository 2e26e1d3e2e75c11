"""How well a counter counts: pure functions over logits and labels.

Labels are class indices into the model's ascending ``counts``; errors are measured in items, so that taking 4 for 2
is an error of 2 whatever the indices are.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from components.common.document import Part
from components.common.errors import InventoryError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

ROC_POINTS = 200


class CountScore(Part):
    """How well one count is told from all others."""

    precision: float | None
    """Fraction of the bins counted so that are right; None when none was."""
    recall: float | None
    """Fraction of the bins with so many items that are counted so; None when there is none."""
    support: int
    """Bins that hold so many items."""
    predicted: int
    """Bins that were counted so."""


class Scores(Part):
    """All metrics of one set of bins."""

    n: int
    """Bins."""
    accuracy: float
    """Fraction counted exactly."""
    within_one: float
    """Fraction at most one item off."""
    mae: float
    """Mean absolute error, items."""
    rmse: float
    """Root of the mean squared error, items."""
    expected_rmse: float
    """The same of the expected number of items, the mean of the probabilities."""
    loss: float
    """Mean negative log-likelihood, nats."""
    majority: float
    """The accuracy of always naming the most frequent count."""
    per_count: dict[str, CountScore]
    """By count."""
    confusion: list[list[int]]
    """Bins by true (rows) and predicted (columns) count."""
    warnings: list[str]
    """A line for each count that no bin holds, since nothing can be said of it."""


class RocCurve(Part):
    """A receiver operating characteristic, point by point."""

    fpr: list[float]
    """Fraction of the negative bins taken for positive."""
    tpr: list[float]
    """Fraction of the positive bins taken for positive."""
    threshold: list[float]
    """Of the score."""
    auc: float
    """Area under the curve; 0.5 is guessing."""


def log_softmax(logits: NDArray[np.floating]) -> Floats:
    """Logarithms of the probabilities, float64 [N, K], from logits [N, K]; safe against overflow."""
    scaled = np.asarray(logits, dtype=np.float64)
    scaled = scaled - scaled.max(axis=1, keepdims=True)
    return scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))


def softmax(logits: NDArray[np.floating]) -> Floats:
    """Probabilities float64 [N, K] from logits [N, K]; each row sums to 1."""
    return np.exp(log_softmax(logits))


def negative_log_likelihood(logits: NDArray[np.floating], labels: Integers) -> Floats:
    """-log P(true count) of every bin, float64 [N] in nats: the cross-entropy loss, unaveraged."""
    return -log_softmax(logits)[np.arange(len(labels)), labels]


def count_errors(predicted: Integers, labels: Integers, counts: Sequence[int]) -> Integers:
    """Predicted minus true number of items of every bin, int64 [N], from class indices [N]."""
    items = np.asarray(counts, dtype=np.int64)
    return items[predicted] - items[labels]


def confusion_matrix(predicted: Integers, labels: Integers, classes: int) -> Integers:
    """How often each true count (rows) was taken for each count (columns), int64 [classes, classes]."""
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def per_count(confusion: Integers, names: Sequence[str]) -> dict[str, CountScore]:
    """Precision, recall and support of every count (one against the rest), from ``confusion_matrix``, int64 [K, K].

    precision = TP / (TP + FP), recall = TP / (TP + FN) (van Rijsbergen, "Information Retrieval", 1979).
    """
    hits, support, predicted = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    return {
        name: CountScore(
            precision=float(hits[k] / predicted[k]) if predicted[k] else None,
            recall=float(hits[k] / support[k]) if support[k] else None,
            support=int(support[k]),
            predicted=int(predicted[k]),
        )
        for k, name in enumerate(names)
    }


def bin_values(logits: NDArray[np.floating], labels: Integers, counts: Sequence[int]) -> dict[str, Floats]:
    """What every single bin contributes to the metrics, from logits [N, K] and indices into ``counts``, int64 [N].

    Returns:
        float64 [N] each, whose means are the metrics: ``accuracy`` and ``within_one`` (0 or 1), ``absolute_error``
        (items), ``squared_error`` (items squared), ``expected_squared_error`` (that of the expected number of items,
        the mean of the probabilities) and ``loss`` (nats).
    """
    items = np.asarray(counts, dtype=np.float64)
    errors = count_errors(logits.argmax(axis=1), labels, counts)
    return {
        "accuracy": (errors == 0).astype(np.float64),
        "within_one": (np.abs(errors) <= 1).astype(np.float64),
        "absolute_error": np.abs(errors).astype(np.float64),
        "squared_error": (errors**2).astype(np.float64),
        "expected_squared_error": (softmax(logits) @ items - items[labels]) ** 2,
        "loss": negative_log_likelihood(logits, labels),
    }


def summarise(logits: NDArray[np.floating], labels: Integers, counts: Sequence[int], names: Sequence[str]) -> Scores:
    """All metrics of one set of bins, from logits [N, K] and indices into ``counts``, int64 [N]; ``names`` say them.

    MAE and RMSE are of the most probable count, in items, as in Bertorello et al. 2019. The expected number of items
    (the mean of the probabilities) is the estimate with the least squared error (Bishop, 2006, 1.5.5); its RMSE is
    ``expected_rmse``. An open top class counts as its lowest number of items.

    Raises:
        InventoryError: if there is no bin.
    """
    if len(labels) == 0:
        raise InventoryError("there is no bin to evaluate; select more bins or change the split ratios")
    means = {name: float(values.mean()) for name, values in bin_values(logits, labels, counts).items()}
    confusion = confusion_matrix(logits.argmax(axis=1), labels, len(counts))
    table = per_count(confusion, names)
    return Scores(
        n=len(labels),
        accuracy=means["accuracy"],
        within_one=means["within_one"],
        mae=means["absolute_error"],
        rmse=float(np.sqrt(means["squared_error"])),
        expected_rmse=float(np.sqrt(means["expected_squared_error"])),
        loss=means["loss"],
        majority=float(confusion.sum(axis=1).max() / len(labels)),
        per_count=table,
        confusion=confusion.tolist(),
        warnings=[
            f"no bin here holds {name} {'item' if name == '1' else 'items'}, so nothing can be said about that count"
            for name, row in table.items()
            if row.support == 0
        ],
    )


def roc_curve(scores: Floats, positive: NDArray[np.bool_]) -> RocCurve | None:
    """The receiver operating characteristic of a score, float64 [N], which is higher for positive bins, bool [N].

    At most ``ROC_POINTS`` are kept, evenly along the curve; None when all bins are of one kind. Fawcett, "An
    introduction to ROC analysis", 2006.
    """
    total, hits = len(positive), int(positive.sum())
    if hits in (0, total):
        return None
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), total - 1)  # equal scores are one point
    tp = np.cumsum(positive[order])[last]
    tpr = np.concatenate([[0.0], tp / hits])
    fpr = np.concatenate([[0.0], (last + 1 - tp) / (total - hits)])
    threshold = np.concatenate([[1.0], scores[order][last]])
    keep = np.unique(np.linspace(0, len(tpr) - 1, min(ROC_POINTS, len(tpr))).round().astype(int))
    return RocCurve(
        fpr=fpr[keep].tolist(),
        tpr=tpr[keep].tolist(),
        threshold=threshold[keep].tolist(),
        auc=float(np.trapezoid(tpr, fpr)),
    )


def roc_curves(probabilities: Floats, labels: Integers, names: Sequence[str]) -> dict[str, RocCurve | None]:
    """One ROC for every "count <= k", by that name: the ordered counts as K - 1 questions with a yes or a no.

    Of probabilities, float64 [N, K], and class indices, int64 [N]; ``names`` are the K counts as text.
    """
    below = probabilities.cumsum(axis=1)
    return {f"count <= {names[k]}": roc_curve(below[:, k], labels <= k) for k in range(len(names) - 1)}
