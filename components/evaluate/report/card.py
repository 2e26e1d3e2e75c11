"""The model card that lies beside the model: what it is, what it is for, how good it is, and where it fails.

After Mitchell et al., "Model Cards for Model Reporting", 2019.
"""

from typing import Any

from components.counter.bundle import Bundle
from components.counter.dataset import DatasetManifest
from components.documents.evaluated import Evaluation
from components.evaluate.report.summary import metric_table, metrics_of
from components.pages.page import render
from components.pages.text import of_items, percent
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
    return render("components/evaluate/report/card.md.j2", card=card, metrics=metric_table(card["metrics"])) + "\n"
