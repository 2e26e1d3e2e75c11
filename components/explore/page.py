"""What the page of a dataset shows."""

import json
from collections.abc import Iterable
from typing import Any

from components.counter.answers import told_apart
from components.counter.dataset import Bins, DatasetManifest
from components.counter.record.stored import products_of
from components.counter.splits import SPLITS
from components.explore.samples import samples, shared_pairs
from components.pages.page import render_page
from components.pages.text import of_items

EXAMPLES_PER_REASON = 3
PAIRS = 3


def render(dataset: DatasetManifest, opened: dict[str, Bins], exclusion_lines: Iterable[bytes]) -> str:
    """Renders the page, from some bins of each split to show and the list of bins left out, one JSON object each."""
    names = dataset.labels
    parts = {split: dataset.splits[split] for split in SPLITS}
    per_name = {
        name: [part.per_count[str(count)] for part in parts.values()]
        for name, count in zip(names, dataset.counts, strict=True)
    }
    return render_page(
        "components/explore/explore.html.j2",
        dataset=dataset,
        splits=list(SPLITS),
        total=sum(part.bins for part in parts.values()),
        ratios="/".join(f"{round(100 * ratio, 1):g}" for ratio in dataset.ratios),
        counted=of_items(told_apart(names)),
        names=names,
        per_name=per_name,
        shares={
            split: [bins[column] / part.bins for bins in per_name.values()]
            for column, (split, part) in enumerate(parts.items())
        },
        most=max(names, key=lambda name: sum(per_name[name])),
        lists_products=any(len(products_of(bins)[0]) for bins in opened.values()),
        pairs={
            split: shared_pairs(opened["train"], opened[split], split, PAIRS)
            for split, shared in dataset.shared_products.items()
            if shared
        },
        samples=samples(opened, len(names)),
        excluded=summarise_exclusions(exclusion_lines),
    )


def summarise_exclusions(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    """Bins that were left out or doubted, by ``reason``, the most frequent first.

    Each reason has the number of its ``bins``, a few ``ids``, and the ``detail`` of the first one.
    """
    found: dict[str, dict[str, Any]] = {}
    for line in lines:
        bin_ = json.loads(line)
        row = found.setdefault(
            bin_["reason"], {"reason": bin_["reason"], "bins": 0, "ids": [], "detail": bin_["detail"]}
        )
        row["bins"] += 1
        if len(row["ids"]) < EXAMPLES_PER_REASON:
            row["ids"].append(bin_["id"])
    return sorted(found.values(), key=lambda row: -row["bins"])
