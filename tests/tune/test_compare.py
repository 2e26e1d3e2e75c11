import numpy as np
import pytest

from components.counter.training_log import Metric
from components.tune.compare import judge

BINS = 400


def values(accuracy: float, seed: int = 0, noise: float = 0.1) -> dict[str, np.ndarray]:
    """A model that is right for the easiest bins; ``seed`` says which bins are the exceptions."""
    random = np.random.default_rng(seed)
    hits = (np.arange(BINS) < accuracy * BINS).astype(float)
    swapped = random.random(BINS) < noise
    hits = np.where(swapped, random.permutation(hits), hits)
    return {"accuracy": hits, "loss": 2 - hits, "squared_error": 1 - hits}


GROUPS = np.arange(BINS) // 2


@pytest.mark.parametrize(
    ("tuned", "default", "verdict"),
    [(0.6, 0.5, "better"), (0.5, 0.6, "worse"), (0.5, 0.5, "no real difference"), (0.51, 0.5, "no real difference")],
)
@pytest.mark.parametrize("objective", ["accuracy", "loss", "rmse"])
def test_a_difference_is_real_when_chance_does_not_explain_it(
    tuned: float, default: float, verdict: str, objective: Metric
) -> None:
    found = judge(values(tuned, 1), values(default, 2), GROUPS, objective)
    assert found.verdict == verdict
    assert found.bins == BINS
    assert found.groups == BINS // 2


def test_the_differences_are_those_of_the_metrics() -> None:
    one, other = values(0.7, noise=0), values(0.5, noise=0)
    found = judge(one, other, GROUPS, "rmse").metrics
    assert found["accuracy"].difference == pytest.approx(0.2)
    assert found["rmse"].tuned == pytest.approx(np.sqrt(0.3))
    assert found["rmse"].difference == pytest.approx(np.sqrt(0.3) - np.sqrt(0.5))


def test_pairing_sees_a_difference_that_two_separate_intervals_would_miss() -> None:
    # the same bins are hard for both models, apart from some more that the tuned one counts
    found = judge(values(0.56, noise=0), values(0.5, noise=0), GROUPS, "accuracy")
    separate = 1.96 * np.sqrt(2 * 0.25 / BINS)
    assert found.metrics["accuracy"].difference < separate
    assert found.verdict == "better"


def test_of_one_product_nothing_can_be_said() -> None:
    found = judge(values(0.9), values(0.1), np.zeros(BINS, dtype=np.int64), "accuracy")
    assert found.metrics["accuracy"].interval is None
    assert found.verdict == "no real difference"
