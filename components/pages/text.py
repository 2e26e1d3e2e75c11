"""Numbers as people read them; percent only here, never in files."""

from collections.abc import Callable, Sequence
from typing import Any

NONE = "-"
SPACE = "\N{NO-BREAK SPACE}"


def percent(value: float | None) -> str:
    """A fraction as a percentage with one decimal."""
    return NONE if value is None else f"{100 * value:.1f}{SPACE}%"


def items(value: float | None) -> str:
    """A number of items with two decimals."""
    return NONE if value is None else f"{value:.2f}"


def plain(value: float | None) -> str:
    """A number with three decimals."""
    return NONE if value is None else f"{value:.3f}"


def number(value: float) -> str:
    """A fraction in percent, without the sign."""
    return f"{100 * value:.1f}"


def interval(value: Sequence[float] | None, text: Callable[[float], str]) -> str:
    """An interval such as "33.2 to 39.0"; a dash when there is none."""
    return NONE if value is None else f"{text(value[0])}{SPACE}to{SPACE}{text(value[1])}"


def summary_lines(evaluation: dict[str, Any]) -> list[str]:
    """The evaluation in a few lines of Markdown."""
    spread, verdict = evaluation["intervals"], evaluation["verdict"]["chosen"]
    return [
        f"# {percent(evaluation['accuracy'])} exact on {evaluation['n']:,} test bins",
        "",
        "| metric | value | 95 % interval |",
        "|---|---|---|",
        f"| exact accuracy | {percent(evaluation['accuracy'])} | {interval(spread['accuracy'], percent)} |",
        f"| within one item | {percent(evaluation['within_one'])} | {interval(spread['within_one'], percent)} |",
        f"| mean error, items | {items(evaluation['mae'])} | {interval(spread['mae'], items)} |",
        f"| RMSE, items | {items(evaluation['rmse'])} | {interval(spread['rmse'], items)} |",
        f"| RMSE of the expected number, items | {items(evaluation['expected_rmse'])} | "
        f"{interval(spread['expected_rmse'], items)} |",
        f"| loss, nats | {plain(evaluation['loss'])} | {interval(spread['loss'], plain)} |",
        "",
        verdict["explanation"],
        "",
        evaluation["int8"]["explanation"],
        *[f"\n**Mind:** {warning}" for warning in evaluation["warnings"]],
    ]
