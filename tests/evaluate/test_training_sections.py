import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from components.pages.page import environment
from tests.browser import assert_self_contained


def row(rule: str, status: str, evidence: str, step: int | None = None, action: str = "warn") -> dict[str, Any]:
    epoch = None if step is None else 1 + step // 100
    return {"rule": rule, "status": status, "action": action, "evidence": evidence, "step": step, "epoch": epoch}


RULES = [
    row("loss_not_decreasing", "silent", "mean training loss 1.6094 at the start, 1.2011 over the last 100 steps"),
    row("overfit", "fired", "validation loss 2.1 <b>, 1.3 in epoch 4", step=712, action="stop"),
    row("low_gpu_utilisation", "not evaluated", "no GPU was watched"),
]
PROFILE = {
    "seconds": {"data": 1.0, "forward": 12.0, "backward": 24.0, "communication": 0.0, "optimiser": 3.0},
    "steps": 100,
    "utilisation": {"cpu": 0.91, "gpu": None},
    "advice": [{"change": "set precision to bf16", "evidence": "36 of 40 s go into float32"}],
    "page_key": "runs/r1/train/profile/report.html",
}
COST = {
    "training_seconds": 1826.0,
    "run_seconds": 1540.0,
    "billable_seconds": 3080.0,
    "runs": 3,
    "on_demand_price": 0.526,
    "spot_price": 0.1559,
    "on_demand_dollars": 0.45,
    "spot_dollars": 0.1334,
    "savings": 0.7036,
    "line": "",
}
NO_PRICES = dict.fromkeys(["on_demand_price", "spot_price", "on_demand_dollars", "spot_dollars", "savings"])


PAGE = """
{% extends "components/pages/page.html.j2" %}
{% block title %}Training{% endblock %}
{% block lead %}What the evaluation report tells of it.{% endblock %}
{% block sections %}{% include "components/evaluate/report/training.html.j2" %}{% endblock %}
"""


def sections(model: dict[str, Any]) -> dict[str, str]:
    """The sections on a training, as HTML by title."""
    page = environment().from_string(PAGE).render(model=model)
    return dict(re.findall(r"<section>\s*<h2>(.*?)</h2>(.*?)</section>", page, re.DOTALL))


def text(title: str, model: dict[str, Any]) -> str:
    return unescape(sections(model)[title]).replace("\N{NO-BREAK SPACE}", " ")


def test_rules_are_told_with_their_evidence_and_those_that_fired_first() -> None:
    told = text("Debugger rules", {"rules": RULES, "ended": "rule overfit: validation loss 2.1"})
    assert "overfit: see the evidence." in told
    assert "The training ended before its last epoch: rule overfit: validation loss 2.1." in told
    assert (
        told.index("fired at step 712, epoch 8") < told.index("loss_not_decreasing") < told.index("no GPU was watched")
    )
    assert "&lt;b&gt;" in sections({"rules": RULES})["Debugger rules"]
    assert "No rule found anything wrong with the training." in text("Debugger rules", {"rules": RULES[:1]})


def test_the_profile_is_told_in_shares_with_what_to_change() -> None:
    told = text("Profiler summary", {"profile": PROFILE})
    for expected in ("91.0 %", "no GPU was watched", "2.5 %", "60 %", "set precision to bf16", "36 of 40 s", "24.0"):
        assert expected in told
    assert "communication" not in told
    assert "runs/r1/train/profile/report.html" in told
    idle = {**PROFILE, "seconds": {"data": 0.0}, "advice": []}
    told = text("Profiler summary", {"profile": idle})
    assert "No step was timed." in told
    assert "There is nothing that would make it much faster." in told


def test_money_is_told_only_with_prices() -> None:
    told = text("Cost and savings", {"cost": COST})
    for expected in ("1,826 s", "3,080 s", "3 runs", "0.4500 $", "at 0.1559 $ an hour and host", "70.4 %"):
        assert expected in told
    told = text("Cost and savings", {"cost": {**COST, **NO_PRICES}})
    assert "No price was given, so there is no amount of money." in told
    assert "$" not in told


@pytest.mark.parametrize("model", [{}, {"rules": RULES, "profile": PROFILE, "cost": COST}])
def test_the_sections_make_a_page_whatever_the_training_handed_on(model: dict[str, Any], tmp_path: Path) -> None:
    assert list(sections(model)) == ["Debugger rules", "Profiler summary", "Cost and savings"]
    page = tmp_path / "page.html"
    page.write_text(environment().from_string(PAGE).render(model=model))
    assert_self_contained(page)
    told = unescape(page.read_text())
    for absent in ("No rule looked at this training.", "was not profiled", "No times of the training's runs"):
        assert (absent in told) == (not model)
