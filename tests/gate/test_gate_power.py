"""What the gate promises in the long run, on a few simulated pairs; `benchmarks.gate_power` takes thousands."""

from functools import partial

import pytest

from benchmarks.gate_power import USELESS, Shares, Simulation, against_useless, one_falls, pair, repeat
from components.settings.gate import GatePolicy

QUICK = GatePolicy(draws=300)


def shares(simulate: Simulation, pairs: int = 100) -> Shares:
    return repeat(simulate, pairs, seed=7, policy=QUICK)


def test_equal_models_stay_and_better_ones_go_into_service() -> None:
    equal, better = (shares(partial(pair, bins=1000, improvement=points)) for points in (0.0, 0.05))
    assert equal.promoted <= 0.05
    assert equal.higher_score > 0.3
    assert better.promoted >= 0.75
    assert max(equal.vetoed, better.vetoed) <= 0.05


@pytest.mark.parametrize("useless", USELESS)
@pytest.mark.parametrize("bins", [150, 300])
def test_a_useless_model_in_service_never_vetoes_a_better_one(useless: str, bins: int) -> None:
    names, share, looks = USELESS[useless]
    found = shares(partial(against_useless, bins=bins, names=names, share=share, looks=looks), pairs=60)
    assert found.only_vetoed == 0
    assert found.promoted > 0.75


@pytest.mark.parametrize(
    ("of_each", "fall", "gain", "least", "most"),
    [
        (60, 0.0, 0.0, 0.0, 0.08),
        (60, 0.0, 0.05, 0.0, 0.08),
        (60, 0.4, 0.0, 0.85, 1.0),
        (60, 0.4, 0.05, 0.75, 1.0),
        (200, 0.4, 0.05, 1.0, 1.0),
    ],
)
def test_one_count_that_falls_is_refused_and_one_that_does_not_is_not(
    of_each: int, fall: float, gain: float, least: float, most: float
) -> None:
    found = shares(partial(one_falls, of_each=of_each, fall=fall, gain=gain))
    assert least <= found.vetoed <= most
