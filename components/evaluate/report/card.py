"""The model card that lies beside the model: what it is, what it is for, how good it is, and where it fails.

After Mitchell et al., "Model Cards for Model Reporting", 2019.
"""

from typing import Any

from components.counter.bundle import Bundle
from components.counter.dataset import DatasetManifest
from components.documents.evaluated import Evaluation
from components.evaluate.report.summary import metric_table, metrics_of
from components.pages.text import of_items, percent, plain
from components.settings.training import TrainingSettings

JSON_FILE, MARKDOWN_FILE = "model-card.json", "model-card.md"

ABID_LICENCE = (
    "Amazon Bin Image Dataset, © Amazon, CC BY-NC-SA 3.0 US (DOI 10.60489/roda.fgtusx): not for commercial use"
)


def licence(source: str) -> str:
    """The licence of a source's bins, as far as its name tells."""
    if source.startswith("rendered"):
        return "drawn by this project, free of rights of others"
    if source.startswith("s3://aft-vbi-pds"):
        return ABID_LICENCE
    return f"as the owner of the photos states; where they are of the {ABID_LICENCE}"


def make_card(
    bundle: Bundle, bundle_key: str, evaluation: Evaluation, dataset: DatasetManifest, settings: TrainingSettings
) -> dict[str, Any]:
    """Collects the card's facts, as JSON; fractions from 0 to 1."""
    names = bundle.labels
    return {
        "name": bundle.name,
        "version": bundle.version,
        "task": f"count the items in a warehouse bin from one photo: {', '.join(names)}",
        "backbone": bundle.backbone,
        "file": bundle.serve_file,
        "input_pixels": bundle.input.size,
        "intended_use": [
            "rank stock records by the probability that the photo contradicts them, so that people recount the "
            "likeliest errors first",
            "answer how many items a bin holds, with a calibrated probability",
        ],
        "not_for": [
            "booking stock without a person's recount",
            f"bins that may hold other counts than {', '.join(names)}: such a count cannot be answered",
            "photos of other shelves, cameras or light than those it was trained on, before they are evaluated",
        ],
        "data": {
            "source": dataset.source,
            "licence": licence(dataset.source),
            "dataset_id": dataset.dataset_id,
            "split": f"{'/'.join(f'{round(100 * ratio, 1):g}' for ratio in dataset.ratios)} by {dataset.method}, "
            f"seed {dataset.seed}",
            "bins": {name: part.bins for name, part in dataset.splits.items()},
            "further_training_bins": dataset.extra.per_count if dataset.extra else {},
            "left_out": dataset.exclusions,
            "test_bins_that_list_products": evaluation.leakage.known,
            "test_bins_sharing_a_product_with_training": evaluation.leakage.shared,
        },
        "metrics": metrics_of(evaluation),
        "record": evaluation.record.model_dump() if evaluation.record else None,
        "per_count": {name: row.model_dump() for name, row in evaluation.per_count.items()},
        "calibration": evaluation.calibration.model_dump(mode="json"),
        "verdict": evaluation.verdict.model_dump(),
        "limits": _limits(evaluation),
        "settings": settings.model_dump(mode="json"),
        "provenance": bundle.provenance.model_dump(),
        "reproduce": f"inventory reproduce {bundle_key}",
    }


def _limits(evaluation: Evaluation) -> list[str]:
    known = {name: row.recall for name, row in evaluation.per_count.items() if row.recall is not None}
    worst = min(known, key=known.__getitem__)
    quality = min(evaluation.quality, key=lambda row: row.accuracy)
    return [
        f"it is wrong for {percent(1 - evaluation.accuracy)} of the test bins; always naming the most frequent "
        f"count is wrong for {percent(1 - evaluation.majority)}",
        f"bins with {of_items(worst)} are found least often: {percent(known[worst])} of them",
        f"the hardest photos ({quality.measure}: {quality.part}) are counted right in {percent(quality.accuracy)}",
        *evaluation.warnings,
    ]


def render_markdown(card: dict[str, Any]) -> str:
    """The card for people."""
    counts = [
        f"| {name} | {percent(row['recall'])} | {percent(row['precision'])} | {row['support']:,} |"
        for name, row in card["per_count"].items()
    ]
    data, calibration = card["data"], card["calibration"]
    lines = [
        f"# {card['name']} {card['version']}",
        "",
        f"Task: {card['task']}. Network: {card['backbone']}, {card['input_pixels']} px, served from `{card['file']}`.",
        "",
        "## For",
        *[f"- {line}" for line in card["intended_use"]],
        "",
        "## Not for",
        *[f"- {line}" for line in card["not_for"]],
        "",
        "## Limits",
        *[f"- {line}" for line in card["limits"]],
        "",
        f"## Metrics on {data['bins']['test']:,} test bins",
        "",
        *metric_table(card["metrics"]),
        "",
        "| items | recall | precision | bins |",
        "|---|---|---|---|",
        *counts,
        "",
        f"Probabilities: temperature {plain(calibration['temperature'])}, calibration error "
        f"{percent(calibration['ece_after'])} (a perfectly calibrated model would show "
        f"{percent(calibration['ece_if_perfect']['mean'])} on so many bins). {card['verdict']['explanation']}",
        "",
        *_with_record(card["record"]),
        "## Data",
        f"- source: {data['source']}",
        f"- licence: {data['licence']}",
        f"- dataset: {data['dataset_id']}, split {data['split']}",
        f"- bins: {_numbers(data['bins'])}",
        f"- bins with other counts, only trained on: {_numbers(data['further_training_bins']) or 'none'}",
        f"- left out: {_numbers(data['left_out']) or 'none'}",
        f"- test bins that share a product with training: {data['test_bins_sharing_a_product_with_training']:,} "
        f"of {data['test_bins_that_list_products']:,} that list their products",
        "",
        "## How it was made",
        *[f"- {name}: {value}" for name, value in card["settings"].items()],
        f"- pretrained weights: {_weights(card)}",
        f"- training bins: sha256 of their ids {card['provenance'].get('train_ids_sha256') or 'unknown'}",
        f"- commit: {card['provenance'].get('commit') or 'unknown'}",
        *[f"- {name}: {version}" for name, version in card["provenance"].get("versions", {}).items()],
        "",
        f"Reproduce the numbers: `{card['reproduce']}`",
    ]
    return "\n".join(lines) + "\n"


def _with_record(record: dict[str, Any] | None) -> list[str]:
    if record is None:
        return []
    rows = [f"| {row['answer']} | {percent(row['accuracy'])} | {plain(row['loss'])} |" for row in record["rows"]]
    of_bins = f"{record['bins']:,} test bins whose stock record names products"
    head = [f"With the products that the record names ({of_bins}; never their quantities):", ""]
    return [*head, "| answer | exact accuracy | loss, nats |", "|---|---|---|", *rows, ""]


def _numbers(values: dict[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in values.items())


def _weights(card: dict[str, Any]) -> str:
    sha256 = card["provenance"].get("weights_sha256")
    return f"sha256 {sha256}" if sha256 else "none"
