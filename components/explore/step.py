"""Explore: a page that shows what a model will learn from, and what was left out."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from markupsafe import Markup

from components.common.run_step import run_step
from components.common.store import Store
from components.counter.dataset import SPLITS, Bins, DatasetManifest, cache_folder, fetch_shard
from components.documents.downloaded import BinsManifest
from components.explore.samples import lists_products, samples, shared_pairs
from components.pages.charts import bar_chart
from components.pages.page import (
    Card,
    Section,
    bullets,
    callout,
    cards,
    columns,
    heading,
    paragraph,
    pictures,
    render_page,
    table,
)

EXAMPLES_PER_REASON = 3
PAIRS = 3
METHODS = {
    "products": "bins that share a product stay in one split",
    "blocks": "runs of neighbouring ids stay in one split",
    "random": "every bin is drawn on its own",
}


def explore(store: Store, bins: BinsManifest, dataset: DatasetManifest) -> dict[str, Any]:
    """Writes the page of a dataset into the store.

    Only the first shard of each split is fetched, whatever the size of the dataset.

    Args:
        store: holds the dataset and receives the page.
        bins: what download handed on.
        dataset: what split handed on.

    Returns:
        ``page_key``, the page's key in the store, and ``dataset_id``.
    """
    inputs = {"dataset": dataset.model_dump(), "selected": bins.selected, "notes": bins.notes}
    return run_step(store, "explore", inputs, lambda: _explore(store, bins, dataset))


def write_page(store: Store, bins: BinsManifest, dataset: DatasetManifest, path: Path) -> None:
    """Explores a dataset and writes the page to a file too."""
    store.get_file(explore(store, bins, dataset)["page_key"], path)


def _explore(store: Store, bins: BinsManifest, dataset: DatasetManifest) -> dict[str, Any]:
    folder = cache_folder() / "shards"
    opened = {split: Bins([fetch_shard(store, dataset.split(split).shards[0], folder)]) for split in SPLITS}
    excluded = store.get_bytes(dataset.exclusions_key)
    key = f"datasets/{dataset.dataset_id}/explore.html"
    store.put_bytes(key, page(bins, dataset, opened, excluded.splitlines()).encode())
    return {"page_key": key, "dataset_id": dataset.dataset_id}


def page(
    bins: BinsManifest, dataset: DatasetManifest, opened: dict[str, Bins], exclusion_lines: Iterable[bytes]
) -> str:
    """Renders the page.

    Args:
        bins: what download handed on.
        dataset: what split handed on.
        opened: for each split some of its bins, to show.
        exclusion_lines: the list of the bins left out, one JSON object each.
    """
    total = sum(dataset.splits[split].bins for split in SPLITS)
    ratios = "/".join(f"{100 * ratio:g}" for ratio in dataset.ratios)
    return render_page(
        "What the model learns from",
        [
            Section("", _overview(dataset, total)),
            Section("How many items the bins hold", *_distribution(dataset, total)),
            Section("Does the test give away the answer?", *_leaks(dataset, opened)),
            Section("A look into the bins", *_samples(dataset, opened)),
            Section("What was left out", *_exclusions(dataset, exclusion_lines)),
        ],
        lead=f"{total:,} bins with {_range(dataset)} from {dataset.source}, split {ratios}: {METHODS[dataset.method]}.",
        facts=[
            ("Dataset", dataset.dataset_id),
            ("Source", dataset.source),
            ("Split", f"{dataset.method}, {ratios}, seed {dataset.seed}"),
            ("Photos", f"short side at most {dataset.short_side} pixels, never enlarged"),
        ],
        footer="Written by the explore step. Photos are random draws from each split, scaled down for this page.",
    )


def labels(dataset: DatasetManifest) -> list[str]:
    """The labels as text; "6+" for an open top."""
    names = [str(count) for count in dataset.counts]
    return [*names[:-1], f"{names[-1]}+"] if dataset.open_top else names


def _range(dataset: DatasetManifest) -> str:
    names = labels(dataset)
    contiguous = dataset.counts == list(range(dataset.counts[0], dataset.counts[-1] + 1))
    return (f"{names[0]} to {names[-1]}" if contiguous and len(names) > 1 else ", ".join(names)) + " items"


def _overview(dataset: DatasetManifest, total: int) -> Markup:
    overview = [
        Card(split, f"{dataset.splits[split].bins:,}", f"{dataset.splits[split].bins / total:.1%} of the bins")
        for split in SPLITS
    ]
    if dataset.extra:
        overview.append(Card("only for training", f"{dataset.extra.bins:,}", "bins with other counts"))
    left_out = sum(dataset.exclusions.values())
    return cards([*overview, Card("left out", f"{left_out:,}", "with reasons below" if left_out else "none")])


def _distribution(dataset: DatasetManifest, total: int) -> list[Markup]:
    names = labels(dataset)
    parts = [dataset.splits[split] for split in SPLITS]
    per_label = [[part.per_count[str(count)] for part in parts] for count in dataset.counts]
    shares = {
        split: [row[column] / part.bins for row in per_label]
        for column, (split, part) in enumerate(zip(SPLITS, parts, strict=True))
    }
    rows = [[name, *(f"{bins:,}" for bins in row), f"{sum(row):,}"] for name, row in zip(names, per_label, strict=True)]
    most = max(range(len(names)), key=lambda label: sum(per_label[label]))
    share = sum(per_label[most]) / total
    return [
        columns(
            bar_chart(
                names,
                shares,
                caption="Share of each split's bins",
                x_label="items in the bin",
                text="{:.0%}".format,
            ),
            table(
                ["items", *SPLITS, "all"],
                [*rows, ["all", *(f"{part.bins:,}" for part in parts), f"{total:,}"]],
                caption="Bins",
                total=True,
            ),
        ),
        paragraph(
            f"Always answering {names[most]} would be right for {share:.0%} of the bins: "
            "a model that counts must do clearly better."
        ),
    ]


def _leaks(dataset: DatasetManifest, opened: dict[str, Bins]) -> list[Markup]:
    shown: list[Markup] = []
    facts = []
    for split, shared in dataset.shared_products.items():
        size = dataset.splits[split].bins
        facts.append(
            Card(f"{split} bins that share a product with training", f"{shared:,}", f"{shared / size:.0%} of {size:,}")
        )
        pairs = shared_pairs(opened["train"], opened[split], split, PAIRS) if shared else []
        if pairs:
            shown += [heading(f"The same product in training and {split}"), pictures(pairs)]
    shared = sum(dataset.shared_products.values())
    explanation = paragraph(
        "Photos of one product look alike, whatever bin they were taken of. If training has seen a product, a test "
        "bin with the same product is easier than a new one, and the accuracy measured there is too good to be true."
    )
    verdict = _verdict(shared, any(map(lists_products, opened.values())))
    return [cards(facts), verdict, explanation, *([bullets(dataset.notes)] if dataset.notes else []), *shown]


def _verdict(shared: int, is_known: bool) -> Markup:
    """Says whether the test measures memory.

    Args:
        shared: held-out bins that share a product with training.
        is_known: whether bins list their products.
    """
    if shared:
        return callout(
            "Part of the test can be answered from memory: photos of the same product resemble each other. "
            "Expect lower accuracy on new products than these splits measure; the split method 'products' avoids it.",
            "warn",
        )
    if not is_known:
        return callout(
            "No product is known: the bins list none, so that photos of one product may be in two splits and part of "
            "the test be answered from memory. Name the products in the bins' metadata or in the CSV's column product.",
            "warn",
        )
    return callout("No product is in two splits, so the test measures counting and not memory.", "good")


def _samples(dataset: DatasetManifest, opened: dict[str, Bins]) -> list[Markup]:
    shown: list[Markup] = []
    for name, count, found in zip(labels(dataset), dataset.counts, samples(opened, len(dataset.counts)), strict=True):
        bins = sum(dataset.splits[split].per_count[str(count)] for split in SPLITS)
        shown.append(heading(f"{name} item{'' if name == '1' else 's'}: {bins:,} bins"))
        shown.append(pictures(found))
    return shown


def _exclusions(dataset: DatasetManifest, lines: Iterable[bytes]) -> list[Markup]:
    numbers: Counter[str] = Counter()
    examples: dict[str, list[dict[str, str]]] = defaultdict(list)
    for line in lines:
        exclusion = json.loads(line)
        reason = exclusion["reason"]
        numbers[reason] += 1
        if len(examples[reason]) < EXAMPLES_PER_REASON:
            examples[reason].append(exclusion)

    def listed(reasons: Iterable[str]) -> Markup:
        rows = []
        for reason in reasons:
            ids = ", ".join(exclusion["id"] for exclusion in examples[reason])
            rows.append([reason, f"{numbers[reason]:,}", f"{ids}: {examples[reason][0]['detail']}"])
        return table(["reason", "bins", "for example"], rows)

    ordered = [reason for reason, _ in numbers.most_common()]
    left_out = [reason for reason in ordered if reason in dataset.exclusions]
    doubtful = [reason for reason in ordered if reason not in dataset.exclusions]
    parts = [listed(left_out) if left_out else paragraph("Nothing: every bin that was selected could be used.")]
    if doubtful:
        parts += [heading("Kept, although doubtful"), listed(doubtful)]
    if numbers:
        parts.append(paragraph(f"The whole list is the object {dataset.exclusions_key} in the store."))
    return parts
