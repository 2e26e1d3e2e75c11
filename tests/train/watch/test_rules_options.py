"""How a user sets debugger rules, and how the rule about the GPU judges recorded utilisation."""

import math
from pathlib import Path

import pytest

from components.common.errors import InventoryError
from components.rules.machine import LowGpuUtilisation, low_gpu_utilisation
from components.rules.rules import Rules
from components.settings.presets import resolve

README = Path(__file__).resolve().parents[3] / "components" / "train" / "README.md"


@pytest.mark.parametrize(
    "given",
    [
        {"overfit": {"action": "stop", "epochs": 4.0}},  # a pipeline passes all numbers as floats
        '{"overfit": {"action": "stop", "epochs": 4}}',  # the command line passes JSON
    ],
)
def test_what_a_user_sets_is_checked_and_the_rest_has_its_default(given: object) -> None:
    settings = resolve("default", {"rules": given})
    assert settings.rules == {"overfit": {"action": "stop", "epochs": 4}}
    rules = Rules(**settings.rules)
    assert (rules.overfit.action, rules.overfit.epochs, rules.overfit.ratio) == ("stop", 4, 0.2)
    assert rules.overtraining.action == "warn"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"overfitting": {}}, "training.rules: there is no rule 'overfitting'; did you mean overfit?"),
        (
            {"nan": {}},
            "training.rules: there is no rule 'nan'; the rules are loss_not_decreasing, vanishing_",
        ),
        ({"overfit": {"ratio": -1}}, "training.rules.overfit.ratio = -1 is refused; allowed: 0 < number <= 100"),
        ({"overfit": {"rate": 1}}, "training.rules.overfit has no option 'rate'; did you mean ratio?"),
        ({"overfit": {"action": "end"}}, "training.rules.overfit.action = 'end' is refused; allowed: warn, stop"),
        ({"overfit": 1}, "training.rules.overfit = 1 is refused; allowed: JSON"),
        ('{"overfit": ', "training.rules is no JSON ("),
        ("[]", "training.rules must map names of rules to thresholds (given: [])"),
    ],
)
def test_a_mistake_is_one_line_that_names_rule_and_field(given: object, message: str) -> None:
    with pytest.raises(InventoryError) as refused:
        resolve("default", {"rules": given})
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def trace(percent: list[float], seconds: float = 0.5) -> list[tuple[float, float]]:
    """A recorded trace: utilisation in percent, repeated over three minutes, one sample in ``seconds``."""
    return [(at * seconds, percent[at % len(percent)]) for at in range(int(180 / seconds))]


@pytest.mark.parametrize(
    ("samples", "sick", "evidence"),
    [
        (trace([93, 97, 99, 95]), False, "in the last 60 s the GPU was at most 93 % busy in 5 % of 121 samples"),
        (trace([20, 35, 50, 30]), True, "and at least 50 % in 5 %"),  # hardly busy
        (trace([100, 98, 2, 1]), True, "at most 1 % busy in 5 %"),  # waits after every batch
        ([(at, 0.0) for at in range(100)] + [(100.0 + at, 96.0) for at in range(80)], False, "at most 96 %"),
        (trace([20])[:120], None, "60 of 90 seconds of the GPU seen"),
        ([(0.0, 10.0), (100.0, 12.0)], None, "100 of 90 seconds of the GPU seen, 1 samples"),
        ([], None, "no GPU was watched"),
    ],
)
def test_utilisation_of_a_gpu_is_judged_on_recorded_traces(
    samples: list[tuple[float, float]], sick: bool | None, evidence: str
) -> None:
    judgement = low_gpu_utilisation(samples, LowGpuUtilisation())
    assert judgement.sick is sick
    assert evidence in judgement.evidence


def test_thresholds_of_the_gpu_rule_are_those_of_its_settings() -> None:
    samples = trace([50 + 10 * math.sin(at) for at in range(20)])
    assert low_gpu_utilisation(samples, LowGpuUtilisation()).sick
    assert not low_gpu_utilisation(samples, LowGpuUtilisation(p95=55)).sick


def test_the_readme_lists_every_rule_with_its_thresholds() -> None:
    lines = README.read_text().splitlines()
    for name, rule in Rules():
        (row,) = [line for line in lines if line.startswith(f"| `{name}` |")]
        thresholds = ", ".join(f"`{field}` {value}" for field, value in rule if field != "action")
        assert row.endswith(f"| {thresholds} |")
