"""The evaluation report: one self-contained HTML page that a sceptical reader can check."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from components.counter.bundle import Bundle
from components.counter.dataset import SPLITS, DatasetManifest
from components.evaluate import audit
from components.evaluate.report.published import PUBLISHED, SOURCES
from components.evaluate.report.training import training_sections
from components.evaluate.report.worst import WorstError
from components.pages.charts import bar_chart, line_chart
from components.pages.page import (
    Card,
    Picture,
    Section,
    bullets,
    callout,
    cards,
    columns,
    heading,
    heat_map,
    pictures,
    render_page,
    table,
    thumbnail,
)
from components.pages.text import NONE, SPACE, interval, items, number, percent, plain

Evaluation = dict[str, Any]

SHOWN_COVERAGE = 0.02
"""Precision over a smaller share of the records is noise."""
VERDICT_COLUMNS = ("coverage", "precision", "agrees_precision", "recount_precision")
UNKNOWN_PRODUCTS = "the test bins list no products, so that nobody knows which of them were trained on"
SHOWN_PRODUCTS = 2
SHOWN_BINS = 10
"""The accuracy of fewer bins is noise."""


def render(
    evaluation: Evaluation,
    curves: dict[str, Any],
    model: dict[str, Any],
    bundle: Bundle,
    dataset: DatasetManifest,
    errors: Sequence[WorstError],
) -> str:
    """Renders the report.

    Args:
        evaluation: from ``components.evaluate.analysis`` with ``quality``, ``leakage`` and ``int8`` added.
        curves: points for the charts.
        model: what training handed on (``history``, ``settings``, ``seconds``).
        bundle: the evaluated model's description.
        dataset: what it was trained and tested on.
        errors: the gallery.

    Returns:
        HTML.
    """
    sections = [
        _result(evaluation),
        _counts(evaluation, bundle),
        _published(evaluation, model, bundle, dataset),
        _calibration(evaluation, curves),
        _verdict(evaluation, curves),
        audit.section(evaluation["audit"], curves["audit"]),
        _errors(errors),
        _quality(evaluation),
        _thresholds(evaluation, curves),
        _learning(model),
        *training_sections(model),
        _leakage(evaluation, dataset),
        _int8(evaluation),
        _dataset(dataset),
        _made(model, bundle),
    ]
    return render_page(
        "How well the model counts",
        [section for section in sections if section is not None],
        lead=f"On {evaluation['n']:,} bins that it was not trained on, the model names the exact number of items in "
        f"{percent(evaluation['accuracy'])} and is at most one item off in {percent(evaluation['within_one'])}.",
        facts=[
            ("model", f"{bundle.version} ({bundle.backbone}, {bundle.input.size} px)"),
            ("data", f"{dataset.source}, dataset {dataset.dataset_id[:12]}"),
            ("file evaluated and served", bundle.serve_file),
        ],
        footer="Intervals are 95 % bootstrap intervals that resample product groups. Validation bins chose "
        "the epoch, the calibration and the verdict's threshold; nothing was chosen on the test bins.",
    )


def _result(evaluation: Evaluation) -> Section:
    spread = evaluation["intervals"]
    parts: list[Markup | str] = [
        cards(
            [
                Card("exact accuracy", percent(evaluation["accuracy"]), interval(spread["accuracy"], percent)),
                Card("within one item", percent(evaluation["within_one"]), interval(spread["within_one"], percent)),
                Card("mean error", items(evaluation["mae"]), interval(spread["mae"], items)),
                Card("RMSE", items(evaluation["rmse"]), interval(spread["rmse"], items)),
                Card(
                    "RMSE of the expected number",
                    items(evaluation["expected_rmse"]),
                    interval(spread["expected_rmse"], items),
                ),
                Card("loss (nats)", plain(evaluation["loss"]), interval(spread["loss"], plain)),
            ]
        ),
        f"Always naming the most frequent count would be right for {percent(evaluation['majority'])} of these bins.",
    ]
    parts += [callout(warning, "warn") for warning in evaluation["warnings"]]
    return Section("Result on the test bins", *parts)


def _counts(evaluation: Evaluation, bundle: Bundle) -> Section:
    names = [bundle.label(index) for index in range(len(bundle.counts))]
    spread = evaluation["intervals"]
    rows = [
        [
            name,
            percent(row["recall"]),
            interval(spread[f"recall {name}"], number),
            percent(row["precision"]),
            interval(spread[f"precision {name}"], number),
            f"{row['support']:,}",
        ]
        for name, row in evaluation["per_count"].items()
    ]
    return Section(
        "Count by count",
        columns(
            heat_map(
                names,
                names,
                evaluation["confusion"],
                row_title="true",
                column_title="predicted",
                caption="Test bins by true and predicted number of items; shaded by share of the row.",
            ),
            table(
                ["items", "recall", "95 %", "precision", "95 %", "bins"],
                rows,
                caption="Recall: share of the bins with so many items that are counted right. "
                "Precision: share of the bins counted as so many that are right.",
            ),
        ),
    )


def _published(evaluation: Evaluation, model: dict[str, Any], bundle: Bundle, dataset: DatasetManifest) -> Section:
    settings = model["settings"]
    used = dataset.extra if dataset.extra and settings.get("extra_bins") else None
    further = f", and {used.bins:,} with other counts for training" if used else ""
    ours = [
        f"This model: {bundle.backbone}, {settings.get('epochs', '?')} epochs",
        f"{100 * evaluation['accuracy']:.1f}",
        plain(evaluation["rmse"]),
        f"{dataset.split('train').bins:,} training and {evaluation['n']:,} test bins of {dataset.source}, "
        f"{_count_range(bundle)} items, split by {dataset.method}{further}",
        _comparability(evaluation, dataset),
        "this report",
    ]
    others = [[row.model, row.accuracy, row.rmse or NONE, row.data, row.note, row.source] for row in PUBLISHED]
    return Section(
        "Beside published results",
        "Every row was obtained on other bins. More training bins and empty bins raise the accuracy, and splits that "
        "share products test something else, so that rows are comparable only where the data is.",
        table(["model", "exact, %", "RMSE", "data", "mind", "source"], [ours, *others]),
        bullets(SOURCES),
    )


def _comparability(evaluation: Evaluation, dataset: DatasetManifest) -> str:
    if dataset.source.startswith("rendered"):
        return "drawn bins, not photos: not comparable with the rows below"
    leaking = dataset.shared_products.get("test", 0)
    if leaking:
        return f"{leaking:,} test bins share a product with training"
    if evaluation["leakage"]["known"] == 0:
        return UNKNOWN_PRODUCTS
    return "no product of a test bin was trained on"


def _count_range(bundle: Bundle) -> str:
    return f"{bundle.label(0)}-{bundle.label(len(bundle.counts) - 1)}"


def _calibration(evaluation: Evaluation, curves: dict[str, Any]) -> Section:
    found = evaluation["calibration"]
    perfect = found["ece_if_perfect"]
    series: dict[str, list[tuple[float, float]]] = {
        f"{when} calibration": [
            (row["confidence"], row["accuracy"]) for row in curves["reliability"][when] if row["n"] >= SHOWN_BINS
        ]
        for when in ("before", "after")
    }
    series["perfectly calibrated"] = [(0.0, 0.0), (1.0, 1.0)]
    change = found["nll_change_interval"]
    within = found["ece_after"] <= perfect["high"]
    return Section(
        "Does its confidence mean what it says?",
        f"Fitted on {found['validation_bins']:,} validation bins: the logits are shifted by "
        f"{', '.join(f'{value:+.2f}' for value in found['logit_shift'])} and divided by a temperature of "
        f"{found['temperature']:.2f} before they become the probabilities, and the count, that users see.",
        columns(
            line_chart(
                series,
                caption="Accuracy against stated confidence on the test bins, in intervals that hold at least "
                f"{SHOWN_BINS} of them",
                x_label="confidence",
                text=percent_tick,
                from_zero=True,
            ),
            table(
                ["on the test bins", "before", "after"],
                [
                    ["exact accuracy", percent(found["accuracy_before"]), percent(evaluation["accuracy"])],
                    ["negative log-likelihood", f"{found['nll_before']:.4f}", f"{found['nll_after']:.4f}"],
                    [
                        f"calibration error ({found['ece_bins']} intervals)",
                        percent(found["ece_before"]),
                        percent(found["ece_after"]),
                    ],
                    ["the same, if perfectly calibrated", "", percent(perfect["mean"])],
                ],
            ),
        ),
        f"The negative log-likelihood changes by {signed(found['nll_change'])} "
        f"(95{SPACE}%: {interval(change, signed)}): "
        + ("calibration helps." if change is not None and change[1] < 0 else "calibration does not surely help."),
        f"On {evaluation['n']:,} bins a perfectly calibrated model with these confidences would show a calibration "
        f"error of {percent(perfect['mean'])}, and 95 of 100 such models at most {percent(perfect['high'])}: "
        + (
            "this one cannot be told from perfectly calibrated."
            if within
            else "this one's confidence is still off by more than chance."
        ),
    )


def percent_tick(value: float) -> str:
    """A fraction as a percentage for an axis."""
    return f"{100 * value:.0f}{SPACE}%"


def signed(value: float) -> str:
    """A change, with its sign."""
    return f"{value:+.4f}"


def _verdict(evaluation: Evaluation, curves: dict[str, Any]) -> Section:
    found = evaluation["verdict"]
    chosen = found["chosen"]
    tables = [
        table(
            ["records wrong", "verdicts", "right", "“agrees”", "“recount”"],
            [
                [percent_tick(row["wrong_records"]), *(percent(row[name]) for name in VERDICT_COLUMNS)]
                for row in found["test"]
                if row["corruption"] == corruption
            ],
            caption=caption,
        )
        for corruption, caption in (
            ("uniform", "Wrong records name any other count"),
            ("off_by_one", "Wrong records are one more or one less"),
        )
    ]
    series = {
        name: [point for point in zip(curve["coverage"], curve["precision"], strict=True) if point[0] >= SHOWN_COVERAGE]
        for name, curve in curves["verdict"].items()
    }
    return Section(
        "Can its verdict on a stock record be trusted?",
        "Given an expected quantity, the model says whether the photo agrees or differs, and how sure that is when the "
        "record is held as likely right as wrong. Below the threshold it says “unsure”.",
        callout(chosen["explanation"], "good" if chosen["reached"] else "warn"),
        f"On the test bins, at even odds, {interval(found['interval'], percent)} of the verdicts that stand are right "
        f"(95{SPACE}% interval). Where few records are wrong, many that look wrong are right: use the ranking by "
        "probability, not the verdict alone."
        if found["interval"] is not None
        else "No verdict stands on the test bins.",
        line_chart(
            series,
            caption="Precision of the verdicts that stand against their share, as the threshold falls; test bins",
            x_label="share of records with a verdict",
            text=percent_tick,
        ),
        "At the threshold, on the test bins: the share of records with a verdict, and how many verdicts are right, "
        "together and for each of the two. Bins come with right records only, so each meets every quantity that its "
        "record could name, weighted.",
        columns(*tables),
    )


def _errors(errors: Sequence[WorstError]) -> Section:
    if not errors:
        return Section("Worst errors", "No test bin is counted wrong.")
    gallery = pictures(
        [
            Picture(
                thumbnail(error.photo),
                f"bin {error.bin_id}",
                f"{percent_tick(error.confidence)} sure",
                [f"holds {error.expected}, counted {error.predicted}", *_products(error)],
            )
            for error in errors
        ]
    )
    explained = [error for error in errors if error.overlay is not None]
    parts: list[Markup | str] = [
        "The test bins that are furthest off, the most confident first. Some labels are wrong too: count for yourself.",
        gallery,
    ]
    if explained:
        parts += [
            heading("What spoke for the wrong answer"),
            "Orange: covering this part of the photo makes the given answer less likely.",
            pictures(
                [
                    Picture(
                        thumbnail(error.overlay or b""),
                        f"bin {error.bin_id}",
                        "",
                        [f"why {error.predicted} and not {error.expected}"],
                    )
                    for error in explained
                ]
            ),
        ]
    return Section("Worst errors", *parts)


def _products(error: WorstError) -> list[str]:
    more = len(error.products) - SHOWN_PRODUCTS
    return [*error.products[:SHOWN_PRODUCTS], *([f"and {more} more"] if more > 0 else [])]


def _quality(evaluation: Evaluation) -> Section:
    measures = list(dict.fromkeys(row["measure"] for row in evaluation["quality"]))
    tables = [
        table(
            [measure, "bins", "exact", "95 %", "mean error"],
            [
                [
                    row["part"],
                    f"{row['n']:,}",
                    percent(row["accuracy"]),
                    interval(row["interval"], number),
                    items(row["mae"]),
                ]
                for row in evaluation["quality"]
                if row["measure"] == measure
            ],
        )
        for measure in measures
    ]
    return Section("By quality of the photo", columns(*tables))


def _thresholds(evaluation: Evaluation, curves: dict[str, Any]) -> Section:
    series = {
        name: list(zip(curve["fpr"], curve["tpr"], strict=True)) for name, curve in curves["roc"].items() if curve
    }
    if not series:
        return Section("At most so many items?", "All test bins hold equally many items; there is nothing to rank.")
    return Section(
        "At most so many items?",
        "Counts are ordered, so the model also answers “at most k items?” for every k; an area of 0.5 is guessing.",
        columns(
            line_chart(
                series,
                caption="Bins rightly answered yes, against bins wrongly answered yes",
                x_label="wrongly yes",
                text=percent_tick,
                from_zero=True,
            ),
            table(
                ["question", "area under the curve"], [[name, plain(area)] for name, area in evaluation["auc"].items()]
            ),
        ),
    )


def _learning(model: dict[str, Any]) -> Section | None:
    history = model.get("history", [])
    if not history:
        return None

    def series(metric: str) -> dict[str, list[tuple[float, float]]]:
        return {
            split: [(epoch["epoch"], epoch[f"{split}_{metric}"]) for epoch in history if f"{split}_{metric}" in epoch]
            for split in ("train", "validation")
        }

    return Section(
        "Learning curves",
        columns(
            line_chart(series("loss"), caption="Loss (nats) by epoch", x_label="epoch"),
            line_chart(series("accuracy"), caption="Exact accuracy by epoch", x_label="epoch", text=percent_tick),
        ),
    )


def _leakage(evaluation: Evaluation, dataset: DatasetManifest) -> Section:
    found = evaluation["leakage"]
    parts: list[Markup | str] = [
        "Neighbouring photos often show the same products. A test bin whose product was trained on says nothing about "
        f"products still to come, whether it is counted better or worse. This dataset is split by {dataset.method}: "
        f"{found['shared']:,} of {evaluation['n']:,} test bins hold a product that some training bin holds.",
        *([] if found["known"] else [callout(f"Not to be relied on: {UNKNOWN_PRODUCTS}.", "warn")]),
    ]
    accuracy = table(
        ["test bins", "bins", "exact", "95 %"],
        [
            [row["bins"], f"{row['n']:,}", percent(row["accuracy"]), interval(row["interval"], number)]
            for row in found["accuracy"]
        ],
        caption="Accuracy with and without shared products",
    )
    methods = table(
        ["split by", "test bins", "sharing a product", "share"],
        [
            [row["method"], f"{row['test_bins']:,}", f"{row['leaking']:,}", percent(row["share"])]
            for row in found["methods"]
        ],
        caption="What other splits of the same bins would leak",
    )
    return Section("Leak check", *parts, columns(accuracy, methods))


def _int8(evaluation: Evaluation) -> Section:
    found = evaluation["int8"]
    return Section("8-bit network", callout(found["explanation"], "good" if found["chosen"] else ""))


def _dataset(dataset: DatasetManifest) -> Section:
    counts = [str(count) for count in dataset.counts]
    names = [*counts[:-1], counts[-1] + "+" * dataset.open_top]
    chart = bar_chart(
        names,
        {name: [dataset.splits[name].per_count.get(count, 0) for count in counts] for name in SPLITS},
        caption="Bins by number of items",
        x_label="items",
    )
    left_out = table(
        ["left out because", "bins"],
        [[reason, f"{n:,}"] for reason, n in dataset.exclusions.items()] or [["nothing was left out", "0"]],
    )
    return Section("Data", columns(chart, left_out), *([bullets(dataset.notes)] if dataset.notes else []))


def _made(model: dict[str, Any], bundle: Bundle) -> Section:
    settings = [[name, str(value)] for name, value in model["settings"].items()]
    middle = -(-len(settings) // 2)
    tables = [table(["setting", "value"], rows) for rows in (settings[:middle], settings[middle:]) if rows]
    versions = bundle.provenance.versions
    if versions:
        tables.append(table(["software", "version"], [[name, str(value)] for name, value in versions.items()]))
    return Section("How it was made", f"Training took {model['seconds']:,.0f} seconds.", columns(*tables))
