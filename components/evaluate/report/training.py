"""What the evaluation report tells of the training: its debugger rules, where its time went, and what it cost."""

from typing import Any

from markupsafe import Markup

from components.pages.charts import bar_chart
from components.pages.page import Card, Section, callout, cards, columns, table
from components.pages.text import SPACE, percent

FIRED = "fired"


def training_sections(model: dict[str, Any]) -> list[Section]:
    """Renders what a training handed on; what is absent is said.

    Args:
        model: the outcome of the training: ``rules``, ``ended``, ``profile``, ``cost`` and ``intervals`` are read.
    """
    return [rules_section(model), profiler_section(model), cost_section(model)]


def rules_section(model: dict[str, Any]) -> Section:
    """What every debugger rule found."""
    title, rules = "Debugger rules", model.get("rules")
    if rules is None:
        return Section(title, "No rule looked at this training.")
    fired = [row["rule"] for row in rules if row["status"] == FIRED]
    parts: list[Markup | str] = [
        callout(f"{', '.join(fired)}: see the evidence.", "warn")
        if fired
        else callout("No rule found anything wrong with the training.", "good")
    ]
    if model.get("ended"):
        parts.append(f"The training ended before its last epoch: {model['ended']}.")
    rows = [
        [
            row["rule"],
            row["status"] if row["step"] is None else f"fired at step {row['step']:,}, epoch {row['epoch']}",
            row["evidence"],
            row["action"],
        ]
        for row in sorted(rules, key=lambda row: row["status"] != FIRED)
    ]
    caption = (
        "Evidence is what was seen when a rule fired, at the end if it stayed silent, or why it was not evaluated."
    )
    return Section(title, *parts, table(["rule", "status", "evidence", "action"], rows, caption=caption))


def profiler_section(model: dict[str, Any]) -> Section:
    """Where the time of the steps went, how busy the machine was, and what to change."""
    title, profile = "Profiler summary", model.get("profile")
    if profile is None:
        return Section(title, "The training was not profiled.")
    seconds = {part: value for part, value in profile["seconds"].items() if value}
    whole = sum(seconds.values())
    busy = profile["utilisation"]
    chart = bar_chart(
        list(seconds),
        {"share": [value / whole for value in seconds.values()]},
        caption="Share of the time of all steps, by part",
        text=lambda share: f"{100 * share:.0f}{SPACE}%",
    )
    advice = [[row["change"], row["evidence"]] for row in profile["advice"]]
    return Section(
        title,
        cards(
            [
                Card("processor busy", percent(busy["cpu"])),
                Card("GPU busy", percent(busy["gpu"]), "" if busy["gpu"] is not None else "no GPU was watched"),
                Card(
                    "waiting for images", percent(seconds.get("data", 0.0) / whole if whole else None), "of the steps"
                ),
            ]
        ),
        columns(
            chart,
            table(["part of a step", "seconds"], [[part, f"{value:,.1f}"] for part, value in seconds.items()]),
        )
        if whole
        else "No step was timed.",
        table(["what to change", "evidence"], advice) if advice else "There is nothing that would make it much faster.",
        f"The profiler's own page, with the machine over time, is in the object store under {profile['page_key']}.",
    )


def cost_section(model: dict[str, Any]) -> Section:
    """How long machines were held, what that cost, and what spot capacity saved."""
    title, cost = "Cost and savings", model.get("cost")
    if cost is None:
        return Section(title, "No times of the training's runs were recorded.")
    shown = [
        Card("training", f"{cost['training_seconds']:,.0f} s", "first start to last end"),
        Card("billable", f"{cost['billable_seconds']:,.0f} s", f"{cost['runs']} run{'s' if cost['runs'] > 1 else ''}"),
    ]
    for name, price, label in (
        ("on_demand_dollars", "on_demand_price", "on demand"),
        ("spot_dollars", "spot_price", "spot"),
    ):
        if cost[name] is not None:
            shown.append(Card(label, f"{cost[name]:.4f} $", f"at {cost[price]:g} $ an hour and host"))
    if cost["savings"] is not None:
        shown.append(Card("saved by spot capacity", percent(cost["savings"]), "of the price on demand"))
    explained = (
        "Billable seconds are those that machines were held: the recorded runs, each times its hosts. A run that was "
        "killed counts up to the last time it reported, at most ten seconds before its end."
    )
    no_money = "No price was given, so there is no amount of money."
    parts = [cards(shown), explained, *([] if cost["on_demand_price"] or cost["spot_price"] else [no_money])]
    return Section(title, *parts)
