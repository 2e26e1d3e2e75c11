"""How many more wrong records does recounting in our order find than recounting at random?

On the test bins of a run, 5 % of the expected quantities are corrupted (uniformly over the other counts, or by one more
or less), the bins are ranked as the recount list ranks them, and the first 10 % are recounted; over 200 seeds. The peer
is recounting in a random order. When the run's model has learnt what products tell, the order of photo and products
together is measured beside that of the photo: with the same records, of which some name fewer items than products and
so contradict themselves, and with records that are wrong in one product's quantity and never do. Without ``--run`` a
model is trained first: on the real sample beside the checkout (70/10/20), or with ``--quick`` shortly on rendered bins.
"""

import json
import sys
import tempfile
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import options
from benchmarks.finished_run import finished_run, given_or_trained
from benchmarks.record_lift import lifts_by_order, print_lifts
from components.counter.answers import answer
from components.counter.bundle import Bundle
from components.counter.record.model import of_bundle
from components.counter.record.stored import listed_in
from components.counter.record_errors import Corruption
from components.counter.scoring import score
from components.counter.statistics.calibration import Calibration
from components.counter.statistics.metrics import Floats, Integers, softmax
from components.counter.statistics.wrong_records import wrong_records
from components.documents.evaluated import AuditCurve, AuditLift
from components.evaluate.audit import SEEDS, SHOWN, TOP, WRONG_RECORDS, audit, corrupt, figures
from components.pages.page import render_page
from components.reconcile import answer_store
from components.reconcile.answer_store import Checked
from components.reconcile.asking.file import open_answers
from components.reconcile.records import Record

CHECKED_SEEDS = 20
"""Seeds on which the expected number of wrong records is compared with the true one."""
TARGETS: dict[Corruption, float] = {"uniform": 3.3, "off_by_one": 1.7}


@dataclass(frozen=True)
class Tested:
    """A run's test bins with what its served file says of them."""

    probabilities: Floats
    """Calibrated, [bins, counts]."""
    labels: Integers
    """True classes, [bins]."""
    bundle: Bundle
    together: Floats | None
    """The same of photo and products; None for a model that has not learnt what products tell."""
    with_products: dict[str, dict[str, float]]
    """Of ``lifts_by_order``; empty for a model that has not learnt what products tell."""


def test_bins(place: str, scratch: Path) -> Tested:
    """Asks the model that a run serves about its test bins."""
    with finished_run(place, scratch) as run:
        logits = score(run.folder / run.bundle.serve_file, run.bins, run.bundle.input, "test bins")
        known = of_bundle(run.folder, run.bundle)
        calibrated = Calibration.of(run.bundle).apply(logits)
        lifts = lifts_by_order(known, calibrated, run.bins) if known else {}
        together = softmax(known.with_record(calibrated, listed_in(run.bins))) if known else None
        probabilities = np.array(run.bundle.probabilities(logits.tolist()))
        return Tested(probabilities, np.asarray(run.bins.labels), run.bundle, together, lifts)


def expectation(
    probabilities: Floats, labels: Integers, bundle: Bundle, corruption: Corruption, scratch: Path
) -> dict[str, float]:
    """What reconciliation would say of the first 10 %, beside what is true; means over a few seeds."""
    rows = []
    for seed in range(CHECKED_SEEDS):
        expected, wrong = corrupt(labels, probabilities.shape[1], corruption, seed)
        database = open_answers(scratch / f"{corruption}-{seed}.sqlite")
        answer_store.begin(database)
        quantities = [bundle.counts[index] for index in expected]
        answers = [
            Checked(place, Record(str(place), quantity), answer(bundle, row.tolist(), 0.5, quantity))
            for place, (row, quantity) in enumerate(zip(probabilities, quantities, strict=True))
        ]
        answer_store.add(database, answers)
        top = round(TOP * len(labels))
        estimated = wrong_records(*answer_store.countable(database), top)
        known = wrong_records(*answer_store.countable(database), top, rate=WRONG_RECORDS)
        first = [row["position"] for row in islice(answer_store.ranked(database, WRONG_RECORDS), top)]
        low, high = estimated.first.interval
        rows.append((estimated.all.mean / len(labels), low, high, known.first.mean, wrong[first].sum()))
        database.close()
    names = ("estimated_rate", "low", "high", "expected_known", "true")
    return dict(zip(names, map(float, np.mean(rows, axis=0)), strict=True))


def print_audited(row: AuditLift, curve: AuditCurve, order: str = "") -> None:
    """Prints the line of one kind of wrong records."""
    shares = [curve.mean[round(100 * share)] for share in SHOWN]
    lift = f"{row.lift:.2f} ({row.interval[0]:.1f} to {row.interval[1]:.1f})"
    print(f"{row.corruption + order:26}" + "".join(f"{share:>9.1%}" for share in shares) + f"{lift:>24}")


def main() -> int:
    """Measures, prints the tables and last the result."""
    chosen = options(
        __doc__, run="folder of a finished run, or its id in the object store", page="writes the curves into this file"
    )
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        place = given_or_trained(chosen.run, chosen.quick)
        tested = test_bins(place, scratch)
        probabilities, labels, bundle = tested.probabilities, tested.labels, tested.bundle
        found, curves = audit(probabilities, labels)
        said = {how: expectation(probabilities, labels, bundle, how, scratch) for how in TARGETS}
    accuracy = float((probabilities.argmax(1) == labels).mean())
    print(
        f"\n{len(labels):,} test bins, {accuracy:.1%} counted exactly, {SEEDS} seeds, "
        f"{WRONG_RECORDS:.0%} of the records wrong"
    )
    print(f"{'wrong records found in':26}" + "".join(f"{share:>9.0%}" for share in SHOWN) + f"{'lift at 10 %':>24}")
    rows: list[dict[str, Any]] = []
    for row in found:
        print_audited(row, curves[row.corruption])
        target = TARGETS[row.corruption]
        rows.append({**row.model_dump(), "target": target, "ok": row.lift >= target})
    products: dict[str, Any] = {}
    if tested.together is not None:
        beside, beside_curves = audit(tested.together, labels)
        for row in beside:
            print_audited(row, beside_curves[row.corruption], ", with products")
        products = {"rows_with_products": [row.model_dump() for row in beside], "with_products": tested.with_products}
    for how, numbers in said.items():
        print(
            f"{how}: share of wrong records estimated {numbers['estimated_rate']:.1%}; wrong among the first "
            f"{TOP:.0%}: {numbers['low']:.0f} to {numbers['high']:.0f} ({numbers['expected_known']:.1f} when the share "
            f"is known), true {numbers['true']:.1f}"
        )
    if tested.with_products:
        print_lifts(tested.with_products)
    if chosen.page:
        page = render_page(
            "benchmarks/audit_lift.html.j2", bins=len(labels), accuracy=accuracy, audited=figures(found, curves)
        )
        Path(chosen.page).write_text(page)
    worst = min(rows, key=lambda row: row["lift"] / row["target"])
    met = all(row["ok"] for row in rows)
    result = {"name": "audit_lift", "ours": worst["lift"], "peer": 1.0, "unit": "times as many wrong records found"}
    print(
        json.dumps({**result, "ratio": worst["lift"], "target": worst["target"], "ok": met, "rows": rows, **products})
    )
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
