"""The gate's decision for people: a page of its own and a Markdown artifact."""

from components.documents.gated import Decision
from components.gate.decision import REFERENCE_EFFECT
from components.pages.page import render_page
from components.pages.text import percent, plural

NOTHING_COMPARED = "Nothing was compared, so there is no statistical power to state."


def render(decision: Decision, version: str, run_id: str, metric: str) -> str:
    """The decision as one HTML page."""
    return render_page(
        "components/gate/gate.html.j2",
        decision=decision,
        version=version,
        run_id=run_id,
        power=power_text(decision, metric),
    )


def markdown(decision: Decision, version: str, metric: str) -> str:
    """The decision as Markdown."""
    lines = [
        f"# {version}: {'approved' if decision.promote else 'not approved'}",
        "",
        decision.summary,
        "",
        *(["| met | asked | found |", "|---|---|---|"] if decision.criteria else []),
        *[f"| {'yes' if row.ok else '**no**'} | {row.name} | {_cell(row.reason)} |" for row in decision.criteria],
        "",
        power_text(decision, metric),
    ]
    return "\n".join(lines) + "\n"


def power_text(decision: Decision, metric: str) -> str:
    """What the comparison could find at this number of test bins."""
    if not decision.power:
        return NOTHING_COMPARED
    scale, unit = (1.0, "items") if metric == "mae" else (100.0, "points")
    power = decision.power
    return (
        f"On {plural(decision.n, 'comparable test bin')} the improvement has a standard error of "
        f"{scale * power.standard_error:.2g} {unit}. A model that is really {scale * REFERENCE_EFFECT:g} {unit} "
        f"better passes the comparison in {percent(power.at_5_points)} of all cases; one that passes it four times "
        f"out of five is {scale * power.found_at_80_percent:.2g} {unit} better."
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
