"""The page about a search: what was tried, what decided, what it cost, and whether it was worth it."""

from typing import Any

from components.counter.training_log import Metric, better, rank
from components.documents.search_result import FAILURES, SearchResult, Trial
from components.pages.page import render_page
from components.pages.text import percent, plain, plural
from components.tune.compare import Comparison
from components.tune.optuna.importance import FEWEST_TRIALS, importance
from components.tune.page.coordinates import coordinate_axes, coordinate_lines, short

NAMES: dict[Metric, str] = {"accuracy": "exact accuracy", "loss": "loss (nats)", "rmse": "RMSE (items)"}


def render(result: SearchResult, comparison: Comparison | None, final_training: str) -> str:
    """Renders the page of a search; ``final_training`` is ``reuse`` or ``retrain``, of the settings.

    The best trial is compared with the default one, unless they are the same or that one failed.
    """
    verdict, tone = in_words(result, comparison)
    return render_page(
        "components/tune/page/report.html.j2",
        result=result,
        comparison=comparison,
        final_training=final_training,
        verdict=verdict,
        tone=tone,
        metric_names=NAMES,
        value=value_text,
        change=change_text,
        short=short,
        history=history(result),
        learning=learning_curves(result),
        axes=coordinate_axes(result),
        lines=coordinate_lines(result),
        importance=importance(result),
        fewest_trials=FEWEST_TRIALS,
        ranked=sorted(result.trials, key=lambda trial: _rank(result, trial)),
        cost=cost(result),
    )


def in_words(result: SearchResult, comparison: Comparison | None) -> tuple[str, str]:
    """The verdict as a sentence, and the tone of its callout."""
    default = result.default
    if result.best == default:
        return "No trial was better than the hyperparameters that the run was given.", ""
    if comparison is None:
        return "The given hyperparameters were not trained to the end, so there is nothing to compare with.", "warn"
    found = comparison.metrics[comparison.objective]
    where = f"on {plural(comparison.bins, 'bin')} that neither the search nor the training saw"
    change = f"{change_text(comparison.objective, found.difference)} {NAMES[comparison.objective]}"
    match comparison.verdict:
        case "better":
            return f"Against the given hyperparameters that is a real gain: {change} {where}.", "good"
        case "worse":
            return f"It is worse than the given hyperparameters: {change} {where}.", "warn"
    return f"Against the given hyperparameters no real difference shows: {change} {where}, within chance.", ""


def history(result: SearchResult) -> dict[str, list[tuple[float, float]]]:
    """Every trial's objective and the best so far, by the number of the trial."""
    trials: list[tuple[float, float]] = []
    best: list[tuple[float, float]] = []
    for number, trial in enumerate(result.trials):
        if trial.objective is None:
            continue
        value = trial.objective
        trials.append((number, value))
        if trial.status == "succeeded":
            best.append((number, value if not best or better(result.objective, value, best[-1][1]) else best[-1][1]))
    return {"trial": trials, "best so far": best}


def learning_curves(result: SearchResult) -> dict[str, list[tuple[float, float]]]:
    """The objective after every epoch of the best and of the given trial."""
    compared = [result.best, *([result.default] if result.default else [])]
    return {trial.name: list(enumerate(trial.epochs, 1)) for trial in compared if trial.epochs}


def cost(result: SearchResult) -> dict[str, Any]:
    """How many trials ``stopped`` early and ``failed``, and their seconds: ``added`` up and by the ``clock``."""
    starts = [trial.start for trial in result.trials if trial.start is not None]
    ends = [trial.end for trial in result.trials if trial.end is not None]
    return {
        "stopped": sum(trial.status == "early stopped" for trial in result.trials),
        "failed": sum(trial.status in FAILURES for trial in result.trials),
        "added": sum(trial.elapsed or 0.0 for trial in result.trials),
        "clock": max(ends) - min(starts) if starts and ends else None,
    }


def value_text(metric: Metric, value: float | None) -> str:
    """A value of a metric."""
    return percent(value) if metric == "accuracy" else plain(value)


def change_text(metric: Metric, value: float) -> str:
    """A difference between two values of a metric."""
    return f"{100 * value:+.1f} points" if metric == "accuracy" else f"{value:+.3f}"


def _rank(result: SearchResult, trial: Trial) -> tuple[bool, float]:
    return trial.objective is None, rank(result.objective, trial.objective or 0.0)
