"""No count may get much worse; but chance, a gain on all bins, and a model that looks at nothing refuse nobody."""

import numpy as np
import pytest

from components.documents.gated import Criterion
from components.gate.per_count import no_count_falls
from components.settings.gate import GatePolicy

COUNTS = [1, 2, 3, 4, 5]


def said(truth: np.ndarray, recalls: list[float], otherwise: int | None = None) -> np.ndarray:
    """Answers with exactly these recalls; what is wrong is one item off, or names one count."""
    answers = truth.copy()
    for items, recall in zip(COUNTS, recalls, strict=True):
        rows = np.flatnonzero(truth == items)
        off = items + (-1 if items == 5 else 1)
        answers[rows[round(recall * len(rows)) :]] = off if otherwise is None else otherwise
    return answers


def judged(
    of_each: list[int], old: np.ndarray | list[float], new: np.ndarray | list[float], **policy: object
) -> Criterion:
    truth = np.repeat(COUNTS, of_each)
    answers = [values if isinstance(values, np.ndarray) else said(truth, values) for values in (old, new)]
    groups = np.random.default_rng(0).permutation(len(truth))
    return no_count_falls(truth, groups, *answers, set(COUNTS), GatePolicy(**policy))


EVEN, RARE = [60] * 5, [20, 80, 80, 80, 80]
HALF = [0.5] * 5


@pytest.mark.parametrize(
    ("of_each", "old", "new", "policy", "ok"),
    [
        (EVEN, HALF, HALF, {}, True),
        (EVEN, [0.5, 0.5, 0.6, 0.5, 0.5], [0.6, 0.6, 0.2, 0.6, 0.6], {}, False),
        (EVEN, [0.5, 0.5, 0.6, 0.5, 0.5], [0.6, 0.6, 0.2, 0.6, 0.6], {"recall_drop": 0.5}, True),
        (EVEN, HALF, [0.5, 0.5, 0.45, 0.5, 0.5], {}, True),
        ([300] * 5, HALF, [0.5, 0.5, 0.45, 0.5, 0.5], {}, True),
        ([300] * 5, HALF, [0.5, 0.5, 0.3, 0.5, 0.5], {}, False),
        (RARE, HALF, [0.35, 0.5, 0.5, 0.5, 0.5], {}, True),
        (RARE, [0.9, 0.5, 0.5, 0.5, 0.5], [0.1, 0.55, 0.55, 0.55, 0.55], {}, False),
        (EVEN, HALF, [0.3, 0.8, 0.8, 0.8, 0.8], {}, True),
        (EVEN, HALF, [0.0, 0.8, 0.8, 0.8, 0.8], {}, False),
        (EVEN, [0.6, 0.4, 0.4, 0.4, 0.4], [1.0, 0.0, 0.4, 0.4, 0.4], {}, False),
    ],
    ids=[
        "equal",
        "one falls by 40 points",
        "that is allowed",
        "falls less than is allowed",
        "less than is allowed, and beyond chance",
        "more than is allowed, on many bins",
        "chance explains it on 20 bins",
        "chance does not explain it on 20 bins",
        "all bins gain as much as one loses",
        "all bins gain less than one loses",
        "one gains what another loses",
    ],
)
def test_a_fall_counts_when_it_is_large_and_beyond_chance_and_not_outweighed(
    of_each: list[int], old: list[float], new: list[float], policy: dict[str, float], ok: bool
) -> None:
    found = judged(of_each, old, new, **policy)
    assert found.ok == ok, found.reason


@pytest.mark.parametrize("named", COUNTS)
@pytest.mark.parametrize("new", [0.3, 0.0], ids=["a weak recall of it", "no recall of it"])
@pytest.mark.parametrize("of_each", [EVEN, RARE, [1000] * 5], ids=["60 bins", "20 bins", "1,000 bins"])
def test_a_constant_answer_has_nothing_to_lose(of_each: list[int], new: float, named: int) -> None:
    truth = np.repeat(COUNTS, of_each)
    found = judged(of_each, np.full(len(truth), named), [new if items == named else 0.5 for items in COUNTS])
    assert found.ok, found.reason


def test_a_model_that_names_one_count_for_nearly_all_bins_cannot_veto() -> None:
    truth = np.repeat(COUNTS, [20, 60, 70, 60, 50])
    toy = said(truth, [0.9, 0.1, 0.1, 0.1, 0.1], otherwise=1)
    new = said(truth, [0.6, 0.3, 0.3, 0.3, 0.3])
    assert (new == truth).mean() - (toy == truth).mean() > 0.15
    found = judged([20, 60, 70, 60, 50], toy, new)
    assert found.ok, found.reason


def test_the_reason_names_numbers_and_the_setting() -> None:
    reason = judged(EVEN, [0.5, 0.5, 0.6, 0.5, 0.5], [0.6, 0.6, 0.2, 0.6, 0.6]).reason.replace(
        "\N{NO-BREAK SPACE}", " "
    )
    assert "falls by more than 10.0 % (gate.recall_drop): 3 items from 60.0 % to 20.0 % on 60 bins" in reason
    assert "1 items" not in reason
    assert "fewest bins: 20 with 1" in judged(RARE, HALF, HALF).reason


def test_equal_answers_never_fall_whatever_is_allowed() -> None:
    assert judged(EVEN, HALF, HALF, recall_drop=0).ok
