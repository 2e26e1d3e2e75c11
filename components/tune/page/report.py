"""The page about a search: what was tried, what decided, what it cost, and whether it was worth it."""

from datetime import UTC, datetime

from markupsafe import Markup

from components.counter.training_log import Metric, better
from components.documents.search_result import FAILURES, SearchResult, Trial
from components.pages.charts import bar_chart, line_chart
from components.pages.page import Card, Section, callout, cards, columns, render_page, table
from components.tune.compare import Comparison, Difference
from components.tune.optuna.importance import FEWEST_TRIALS, importance
from components.tune.page.coordinates import coordinates, short

NAMES: dict[Metric, str] = {"accuracy": "exact accuracy", "loss": "loss (nats)", "rmse": "RMSE (items)"}


def render(result: SearchResult, comparison: Comparison | None, final_training: str) -> str:
    """Renders the page.

    Args:
        result: of the search.
        comparison: of the best with the default trial; None when they are the same, or the default one failed.
        final_training: ``reuse`` or ``retrain``, of the settings.

    Returns:
        HTML.
    """
    best = result.best
    verdict, tone = in_words(result, comparison)
    return render_page(
        "What tuning found",
        [
            _result(result, comparison, verdict, tone),
            _history(result),
            _options(result),
            _trials(result),
            _cost(result),
        ],
        lead=f"The best of {len(result.trials)} trials, {best.name}, reaches {_text(result.objective, best.objective)} "
        f"{NAMES[result.objective]} on the search part of validation. {verdict}",
        facts=[
            ("search", f"{result.algorithm}, {'Katib' if result.backend == 'katib' else 'Optuna'}, {result.name}"),
            ("objective", f"{NAMES[result.objective]}, {result.direction}"),
            ("chosen", ", ".join(f"{name} {short(value)}" for name, value in best.parameters.items())),
            ("model", "the best trial's own" if final_training == "reuse" else "trained once more with these options"),
        ],
        footer="No trial sees the test split or the held-out half of validation; both models of the comparison were "
        "chosen, epoch included, on the other half. Intervals are 95 % bootstrap intervals that resample product "
        "groups, the same ones for both models.",
    )


def render_off() -> str:
    """The page of a run that does not tune."""
    return render_page(
        "What tuning found",
        [Section("Nothing", "Tuning is off in this run; the training takes the hyperparameters that it was given.")],
        lead="Tuning is off in this run.",
    )


def in_words(result: SearchResult, comparison: Comparison | None) -> tuple[str, str]:
    """The verdict as a sentence, and the tone of its callout."""
    default = result.default
    if result.best == default:
        return "No trial was better than the hyperparameters that the run was given.", ""
    if comparison is None:
        return "The given hyperparameters were not trained to the end, so there is nothing to compare with.", "warn"
    found = comparison.metrics[comparison.objective]
    where = f"on {comparison.bins:,} bins that neither the search nor the training saw"
    change = f"{_signed(comparison.objective, found.difference)} {NAMES[comparison.objective]}"
    match comparison.verdict:
        case "better":
            return f"Against the given hyperparameters that is a real gain: {change} {where}.", "good"
        case "worse":
            return f"It is worse than the given hyperparameters: {change} {where}.", "warn"
    return f"Against the given hyperparameters no real difference shows: {change} {where}, within chance.", ""


def _result(result: SearchResult, comparison: Comparison | None, verdict: str, tone: str) -> Section:
    default, objective = result.default, result.objective
    shown = [Card("best trial", _text(objective, result.best.objective), f"{NAMES[objective]}, {result.best.name}")]
    if default is not None:
        shown.append(
            Card("given hyperparameters", _text(objective, default.objective), f"{NAMES[objective]}, same bins")
        )
    parts: list[Markup | str] = [cards(shown), callout(verdict, tone)]
    if comparison is not None:
        parts.append(
            table(
                ["held-out bins", "tuned", "given", "difference", "95 % interval"],
                [_row(metric, found) for metric, found in comparison.metrics.items()],
                caption=f"{comparison.bins:,} bins of {comparison.groups:,} product groups, the same for both",
            )
        )
        parts.append(
            "The best of many trials looks better on the bins that chose it than it is; only this table is a fair "
            "comparison."
        )
    return Section("Was it worth it?", *parts)


def _row(metric: Metric, found: Difference) -> list[str]:
    low, high = found.interval or (float("nan"), float("nan"))
    spread = f"{_signed(metric, low)} to {_signed(metric, high)}" if found.interval else "-"
    return [
        NAMES[metric],
        _text(metric, found.tuned),
        _text(metric, found.default),
        _signed(metric, found.difference),
        spread,
    ]


def _history(result: SearchResult) -> Section:
    objective = result.objective
    finished = [(number, trial) for number, trial in enumerate(result.trials) if trial.objective is not None]
    best: list[tuple[float, float]] = []
    for number, trial in finished:
        if trial.status == "succeeded":
            value = trial.objective or 0.0
            best.append((number, value if not best or better(objective, value, best[-1][1]) else best[-1][1]))
    trials = [(float(number), trial.objective or 0.0) for number, trial in finished]
    charts = [
        line_chart(
            {"trial": trials, "best so far": best},
            caption=f"{NAMES[objective]} of every trial, in the order in which they began (0 is the given one)",
            x_label="trial",
        )
    ]
    compared = [result.best, *([result.default] if result.default else [])]
    learning = {
        trial.name: [(float(epoch), value) for epoch, value in enumerate(trial.epochs, 1)]
        for trial in compared
        if trial.epochs
    }
    if learning:
        charts.append(line_chart(learning, caption=f"{NAMES[objective]} after every epoch", x_label="epoch"))
    return Section("How the search went", columns(*charts))


def _options(result: SearchResult) -> Section:
    parts: list[Markup | str] = [
        coordinates(result, "every trial from its options to its objective; the best one stands out")
    ]
    shares = importance(result)
    if shares:
        parts.append(
            bar_chart(
                list(shares),
                {"importance": list(shares.values())},
                caption="importance: how much an option decides whether a trial is among the better ones (PED-ANOVA)",
                text="{:.2f}".format,
            )
        )
    else:
        parts.append(f"Importance of the options takes at least {FEWEST_TRIALS} finished trials inside the space.")
    return Section("What the options do", *parts)


def _trials(result: SearchResult) -> Section:
    rows = [
        [
            trial.name,
            *(short(trial.parameters[name]) for name in result.space),
            trial.status,
            _text(result.objective, trial.objective),
            _time(trial.start, "%Y-%m-%d %H:%M:%S"),
            _time(trial.end, "%H:%M:%S"),
            "-" if trial.elapsed is None else f"{trial.elapsed:,.0f} s",
            trial.reason,
        ]
        for trial in sorted(result.trials, key=lambda trial: _rank(result, trial))
    ]
    header = ["trial", *result.space, "status", NAMES[result.objective], "start (UTC)", "end", "elapsed", "remark"]
    return Section("All trials", table(header, rows, caption="best first"))


def _cost(result: SearchResult) -> Section:
    elapsed = [trial.elapsed or 0.0 for trial in result.trials]
    starts = [trial.start for trial in result.trials if trial.start is not None]
    ends = [trial.end for trial in result.trials if trial.end is not None]
    stopped = sum(trial.status == "early stopped" for trial in result.trials)
    failed = sum(trial.status in FAILURES for trial in result.trials)
    return Section(
        "What it cost",
        cards(
            [
                Card("trials", f"{len(result.trials)}", f"{stopped} stopped early, {failed} failed"),
                Card("all trials", f"{sum(elapsed):,.0f} s", "added up"),
                Card("by the clock", f"{max(ends) - min(starts):,.0f} s", "first start to last end"),
            ]
            if starts and ends
            else [Card("trials", f"{len(result.trials)}")]
        ),
    )


def _rank(result: SearchResult, trial: Trial) -> tuple[bool, float]:
    sign = -1 if result.direction == "maximize" else 1
    return trial.objective is None, sign * (trial.objective or 0.0)


def _text(metric: Metric, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.1f} %" if metric == "accuracy" else f"{value:.3f}"


def _signed(metric: Metric, value: float) -> str:
    return f"{100 * value:+.1f} points" if metric == "accuracy" else f"{value:+.3f}"


def _time(seconds: float | None, form: str) -> str:
    return "-" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime(form)
