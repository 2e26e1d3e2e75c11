from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.documents.gated import Decision
from components.gate.decision import decide, gains, power
from components.gate.rivals import Candidate, Countable, Incumbent, Predictions, common_counts, common_top
from components.settings.gate import GatePolicy

ONE_TO_FIVE = Countable((1, 2, 3, 4, 5))
GOOD = Candidate(ONE_TO_FIVE, latency_seconds=0.02, size_bytes=15_000_000)
SERVED = Incumbent("run-0", ONE_TO_FIVE)
POLICY = GatePolicy(draws=500)


def answers(truth: np.ndarray, accuracy: float, seed: int, of_five: float | None = None) -> np.ndarray:
    """Items named by a model that is right so often; wrong answers are one item off."""
    rng = np.random.default_rng(seed)
    chance = np.where(truth == 5, accuracy if of_five is None else of_five, accuracy)
    off = np.where(truth == 5, -1, 1)
    return np.where(rng.random(len(truth)) < chance, truth, truth + off)


def bins(n: int = 1000, old: float | None = 0.4, new: float = 0.5, of_five: float | None = None) -> Predictions:
    truth = np.arange(n) % 5 + 1
    return Predictions(
        truth,
        groups=np.arange(n) // 2,
        candidate=answers(truth, new, 1, of_five),
        incumbent=None if old is None else answers(truth, old, 2),
    )


def in_groups(predictions: Predictions, count: int) -> Predictions:
    """The same bins, of so many products."""
    return replace(predictions, groups=np.arange(len(predictions.truth)) % count)


def failed(decision: Decision) -> list[str]:
    return [criterion.name for criterion in decision.criteria if not criterion.ok]


BETTER, RECALL, COVERS = (
    "better than the model in service",
    "no count gets much worse",
    "answers every count that the model in service answers",
)


@pytest.mark.parametrize(
    ("predictions", "candidate", "incumbent", "expected"),
    [
        (bins(), GOOD, SERVED, []),
        (bins(old=0.5, new=0.5), GOOD, SERVED, [BETTER]),
        (bins(old=0.5, new=0.47), GOOD, SERVED, [BETTER]),
        (bins(new=0.65, of_five=0.1), GOOD, SERVED, [RECALL]),
        (bins(60, new=0.95), GOOD, SERVED, ["enough test bins"]),
        (in_groups(bins(), 20), GOOD, SERVED, []),
        (in_groups(bins(), 19), GOOD, SERVED, ["enough test bins"]),
        (in_groups(bins(), 1), GOOD, SERVED, ["enough test bins"]),
        (in_groups(bins(old=None), 1), GOOD, None, ["enough test bins"]),
        (bins(), replace(GOOD, failed_rules=["overfit"]), SERVED, ["training rules"]),
        (bins(), replace(GOOD, latency_seconds=0.8), SERVED, ["latency budget"]),
        (bins(), replace(GOOD, size_bytes=500_000_000), SERVED, ["size budget"]),
        (bins(), GOOD, replace(SERVED, training_known=False), []),
        (bins(), GOOD, replace(SERVED, countable=Countable((1, 2, 3, 4, 5, 6))), [COVERS]),
        (bins(), GOOD, replace(SERVED, countable=Countable((1, 2, 3, 4, 5), open_top=True)), [COVERS]),
        (bins(), replace(GOOD, countable=Countable((0, 1, 2, 3, 4, 5, 6))), SERVED, []),
        (bins(old=None), GOOD, None, []),
        (bins(old=None, new=0.25), GOOD, None, ["exact accuracy floor"]),
        (bins(60, old=None, new=0.6), GOOD, None, ["enough test bins"]),
        (bins(old=None), GOOD, Incumbent("run-0", None, gone="its bundle is not in the store"), []),
        (bins(old=None), GOOD, Incumbent("run-0", None, gone="lost", recorded_accuracy=0.4), []),
        (bins(old=None), GOOD, Incumbent("run-0", None, gone="lost", recorded_accuracy=0.49), [BETTER]),
    ],
    ids=[
        "clearly better",
        "equally good",
        "worse",
        "better, but not for 5 items",
        "too few bins",
        "just enough groups of products",
        "too few groups of products",
        "one product",
        "first, of one product",
        "a training rule failed",
        "too slow",
        "too large",
        "the incumbent's training bins are unknown",
        "the incumbent counts one further",
        "the incumbent has an open top",
        "the candidate counts further",
        "first, and good",
        "first, and too weak",
        "first, on too few bins",
        "the incumbent is gone",
        "gone, and known to be worse",
        "gone, and not surely worse",
    ],
)
def test_what_is_promoted_and_why_not(
    predictions: Predictions, candidate: Candidate, incumbent: Incumbent | None, expected: list[str]
) -> None:
    decision = decide(predictions, candidate, incumbent, POLICY)
    assert failed(decision) == expected
    assert decision.promote == (not expected)
    assert decision.summary.startswith("Promoted" if decision.promote else "Not promoted: ")


def test_a_test_set_that_lacks_a_count_promotes_nothing() -> None:
    full = bins()
    kept = full.truth != 3
    decision = decide(
        Predictions(full.truth[kept], full.groups[kept], full.candidate[kept], full.incumbent[kept]),
        GOOD,
        SERVED,
        POLICY,
    )
    assert failed(decision) == [RECALL]
    assert "no comparable test bin holds 3 items" in decision.summary


@pytest.mark.parametrize("incumbent", [None, Incumbent("run-0", None, gone="lost")], ids=["first", "gone"])
def test_a_first_deployment_needs_every_count_tested_too(incumbent: Incumbent | None) -> None:
    full = bins(old=None)
    kept = full.truth != 3
    predictions = Predictions(full.truth[kept], full.groups[kept], full.candidate[kept])
    decision = decide(predictions, GOOD, incumbent, POLICY)
    assert failed(decision) == ["every count was tested"]
    assert decision.summary == "Not promoted: no test bin holds 3 items"


PHOTOS, RENDERED = "file:///photos", "rendered:4000:0"
KIND = "the model in service learned from the same kind of bins"


@pytest.mark.parametrize(
    ("learned", "served", "accuracy", "expected"),
    [
        (PHOTOS, RENDERED, 0.5, []),
        (PHOTOS, RENDERED, 0.25, ["exact accuracy floor"]),
        (RENDERED, PHOTOS, 0.9, [KIND]),
    ],
    ids=["photos after rendered", "too weak a first model of photos", "rendered after photos"],
)
def test_models_of_rendered_bins_and_of_photos_do_not_take_each_others_place(
    learned: str, served: str, accuracy: float, expected: list[str]
) -> None:
    incumbent = replace(SERVED, source=served, countable=Countable((0, 1, 2)), recorded_accuracy=1.0)
    for known in (incumbent, replace(incumbent, gone="lost")):
        decision = decide(bins(old=None, new=accuracy), replace(GOOD, source=learned), known, POLICY)
        assert failed(decision) == expected
        assert any(criterion.name == KIND and learned in criterion.reason + RENDERED for criterion in decision.criteria)
    if not expected:
        assert decision.summary == "Promoted: replaces run-0, which was trained on rendered bins"


@pytest.mark.parametrize(
    ("learned", "served"),
    [(PHOTOS, PHOTOS), (PHOTOS, "s3://others"), (RENDERED, "rendered:10"), ("", RENDERED), (RENDERED, ""), ("", "")],
)
def test_all_others_are_compared(learned: str, served: str) -> None:
    decision = decide(bins(), replace(GOOD, source=learned), replace(SERVED, source=served), POLICY)
    assert decision.promote
    assert KIND not in [criterion.name for criterion in decision.criteria]


def test_bins_that_are_left_out_are_told() -> None:
    decision = decide(replace(bins(), left_out=99), GOOD, SERVED, POLICY)
    assert "; 99 more are left out, which the model in service was trained on" in decision.criteria[0].reason


@pytest.mark.parametrize("incumbent", [SERVED, None], ids=["with an incumbent", "first deployment"])
def test_no_comparable_bin_is_a_clear_no(incumbent: Incumbent | None) -> None:
    none = np.zeros(0, np.int64)
    decision = decide(Predictions(none, none, none, none if incumbent else None), GOOD, incumbent, POLICY)
    assert not decision.promote
    assert "0 comparable test bins" in decision.summary


def test_a_constant_answer_is_never_a_first_deployment() -> None:
    truth = np.repeat([1, 2, 3], [100, 600, 300])
    candidate = replace(GOOD, countable=Countable((1, 2, 3)))
    decision = decide(Predictions(truth, np.arange(1000), np.full(1000, 2)), candidate, None, POLICY)
    assert failed(decision) == ["better than one constant answer"]


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 400), st.sampled_from(["accuracy", "within_one", "mae"]))
def test_a_model_never_replaces_itself(seed: int, n: int, metric: str) -> None:
    rng = np.random.default_rng(seed)
    truth, said = rng.integers(1, 6, (2, n))
    decision = decide(
        Predictions(truth, np.arange(n), said, said),
        GOOD,
        SERVED,
        GatePolicy(metric=metric, draws=100, minimum_effect=0),
    )
    assert not decision.promote
    assert decision.effect == 0


@pytest.mark.parametrize(
    ("metric", "expected"), [("accuracy", [1, 0, -1, 0]), ("within_one", [0, 1, 0, 0]), ("mae", [1, 1, -1, 0])]
)
def test_gains_by_hand(metric: str, expected: list[int]) -> None:
    truth, new, old = np.array([3, 3, 3, 3]), np.array([3, 4, 2, 5]), np.array([2, 5, 3, 1])
    assert gains(truth, new, old, metric).tolist() == expected


@pytest.mark.parametrize(
    ("one", "other", "top", "shared"),
    [
        (Countable((1, 2, 3)), Countable((2, 3, 4)), None, {2, 3}),
        (Countable((1, 2, 3, 4, 5, 6), True), Countable((1, 2, 3, 4), True), 4, {1, 2, 3, 4}),
        (Countable((1, 2, 3, 4), True), Countable((1, 2, 3, 4, 5, 6)), 4, {1, 2, 3, 4}),
        (Countable((0, 1)), Countable((4, 5)), None, set()),
    ],
)
def test_models_with_other_counts_are_compared_where_both_can_answer(
    one: Countable, other: Countable, top: int | None, shared: set[int]
) -> None:
    assert common_top(one, other) == top
    assert common_counts(one, other) == shared


def test_the_stated_power_is_that_of_the_comparison() -> None:
    rng, passed, stated = np.random.default_rng(0), [], []
    truth = np.full(600, 3)
    for _ in range(200):
        outcome = rng.choice(3, 600, p=[0.125, 0.075, 0.8])  # better, worse, the same: five points better
        predictions = Predictions(
            truth,
            np.arange(600),
            candidate=np.where(outcome == 1, 4, 3),
            incumbent=np.where(outcome == 0, 4, 3),
        )
        decision = decide(
            predictions, replace(GOOD, countable=Countable((3,))), replace(SERVED, countable=Countable((3,))), POLICY
        )
        passed.append(decision.promote)
        stated.append(decision.power.at_5_points)
    assert np.mean(passed) == pytest.approx(np.mean(stated), abs=0.08)
    assert 0.7 < np.mean(stated) < 0.97


def test_larger_tests_find_smaller_improvements() -> None:
    found = [power(error, POLICY).found_at_80_percent for error in (0.03, 0.01, 0.0)]
    assert found == sorted(found, reverse=True)
    assert found[-1] == POLICY.minimum_effect


def test_the_decision_is_a_json_artifact() -> None:
    found = decide(bins(), GOOD, SERVED, POLICY).model_dump(mode="json")
    assert found["promote"] is True
    assert {"name", "ok", "reason"} == set(found["criteria"][0])
    assert found["lower_bound"] < found["effect"]


def test_predictions_and_incumbent_must_fit() -> None:
    with pytest.raises(ValueError, match="needs predictions"):
        decide(bins(old=None), GOOD, SERVED, POLICY)
