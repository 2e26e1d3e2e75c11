"""How many more wrong records does recounting in our order find than recounting at random?

On the test bins of a run, 5 % of the expected quantities are corrupted (uniformly over the other counts, or by one more
or less), the bins are ranked by P(count != expected), and the first 10 % are recounted; over 200 seeds. The peer is
recounting in a random order. Without ``--run`` a model is trained first: on the real sample beside the checkout
(70/10/20), or with ``--quick`` shortly on rendered bins.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import options
from components.common import bundle as bundles
from components.common.charts import line_chart
from components.common.dataset import DatasetManifest, open_split
from components.common.local_store import local_store
from components.common.page import Section, render_page
from components.common.store import open_store
from components.evaluate.scoring import score
from components.serve.answers import answer
from components.serve.reconcile import ledger as ledgers
from components.serve.reconcile.records import Record

SAMPLE = Path(__file__).resolve().parents[2] / "shared"
REAL = [
    f"--source={SAMPLE / 'abid' / 'abid-sample-224.tar'}",
    "--backbone=tf_efficientnet_lite0",
    f"--weights={SAMPLE / 'weights' / 'tf_efficientnet_lite0.in1k.safetensors'}",
]
QUICK = ["--source=rendered:400", "--backbone=resnet18", "--epochs=2", "--image-size=48"]
WRONG, TOP, SEEDS = 0.05, 0.1, 200
SHARES = np.linspace(0, 1, 101)
SHOWN = (0.05, 0.1, 0.2, 0.3, 0.5)
CHECKED_SEEDS = 20
"""Seeds on which the expected number of wrong records is compared with the true one."""
TARGETS = {"uniform": 3.3, "off by one": 1.7}

Floats = NDArray[np.float64]


def finished_run(given: str | None, quick: bool, scratch: Path) -> Path:
    """The folder of a run: the given one, or a new one."""
    if given:
        return Path(given)
    if not quick and not (SAMPLE / "abid").is_dir():
        sys.exit("the real sample does not lie beside this checkout; give --run, or --quick for rendered bins")
    source = QUICK if quick else REAL
    command = [str(Path(sys.executable).parent / "inventory"), "run", *source, "--split=70/10/20"]
    subprocess.run([*command, "--run-id=audit", f"--runs={scratch}"], check=True)
    return scratch / "audit"


def test_probabilities(run: Path) -> tuple[Floats, NDArray[np.int64], bundles.Bundle]:
    """Calibrated probabilities [bins, counts] and true classes [bins] of a run's test bins, from the file it serves."""
    bundle = bundles.load(run / "model")
    manifest = DatasetManifest.load(next(run.glob("artifacts/*/split/dataset")))
    with local_store(run.parent / ".store") as environment:
        bins = open_split(open_store(environment), manifest, "test")
    logits = score(run / "model" / bundle.serve_file, bins, bundle.input, "test bins")
    return np.array(bundle.probabilities(logits.tolist())), bins.labels, bundle


def corrupt(
    labels: NDArray[np.int64], classes: int, how: str, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Records of which 5 % are wrong, and which ones."""
    random = np.random.default_rng(seed)
    expected, wrong = labels.copy(), np.zeros(len(labels), bool)
    wrong[random.choice(len(labels), round(WRONG * len(labels)), replace=False)] = True
    for row in np.flatnonzero(wrong):
        near = (labels[row] - 1, labels[row] + 1) if how == "off by one" else range(classes)
        expected[row] = random.choice([other for other in near if other != labels[row] and 0 <= other < classes])
    return expected, wrong


def found(probabilities: Floats, expected: NDArray[np.int64], wrong: NDArray[np.bool_]) -> Floats:
    """Share of the wrong records among the first part of the list, for every share of ``SHARES``."""
    order = np.argsort(probabilities[np.arange(len(expected)), expected], kind="stable")
    hits = np.concatenate([[0], np.cumsum(wrong[order])]) / wrong.sum()
    return hits[np.round(SHARES * len(expected)).astype(int)]


def expectation(
    probabilities: Floats, labels: NDArray[np.int64], bundle: bundles.Bundle, how: str, scratch: Path
) -> dict[str, float]:
    """What reconciliation would say of the first 10 %, beside what is true; means over a few seeds."""
    rows = []
    for seed in range(CHECKED_SEEDS):
        expected, wrong = corrupt(labels, probabilities.shape[1], how, seed)
        ledger = ledgers.open_ledger(scratch / f"{how}-{seed}.sqlite")
        quantities = [bundle.counts[index] for index in expected]
        answers = [
            (place, Record(str(place), quantity), answer(bundle, row.tolist(), 0.5, quantity))
            for place, (row, quantity) in enumerate(zip(probabilities, quantities, strict=True))
        ]
        ledgers.add(ledger, answers)
        rate = ledgers.estimated_error_rate(ledger) or 0.0
        first = [row for _, row in zip(range(round(TOP * len(labels))), ledgers.ranked(ledger, rate), strict=False)]
        given = [row["wrong"] for _, row in zip(first, ledgers.ranked(ledger, WRONG), strict=False)]
        true = sum(wrong[row["position"]] for row in first)
        rows.append((rate, sum(row["wrong"] for row in first), sum(given), true))
        ledger.close()
    means = np.mean(rows, axis=0)
    names = ("estimated_rate", "expected_estimated", "expected_known", "true")
    return dict(zip(names, map(float, means), strict=True))


def summarise(curves: dict[str, Floats], target: dict[str, float]) -> list[dict[str, Any]]:
    """Lift at 10 % with its interval, by kind of corruption."""
    place = int(np.argmin(np.abs(SHARES - TOP)))
    rows = []
    for how, curve in curves.items():
        lifts = curve[:, place] / TOP
        low, high = np.quantile(lifts, [0.025, 0.975])
        rows.append(
            {
                "corruption": how,
                "ratio": round(float(lifts.mean()), 3),
                "interval": [round(float(low), 2), round(float(high), 2)],
                "target": target[how],
                "ok": bool(lifts.mean() >= target[how]),
            }
        )
    return rows


def page(curves: dict[str, Floats], rows: list[dict[str, Any]], bins: int, accuracy: float) -> str:
    """The curves with their intervals."""
    sections = []
    for row in rows:
        curve = curves[row["corruption"]]
        low, high = np.quantile(curve, [0.025, 0.975], axis=0)
        lines = {"in our order": curve.mean(0), "95 % of seeds, from": low, "to": high, "at random": SHARES}
        series = {
            name: list(zip((100 * SHARES).tolist(), values.tolist(), strict=True)) for name, values in lines.items()
        }
        text = (
            f"Recounting the first 10 % finds {row['ratio']:.2f} times as many wrong records as recounting at random."
        )
        chart = line_chart(series, caption="Share of the wrong records found", x_label="% of the bins recounted")
        sections.append(Section(f"Wrong records {row['corruption']}", text, chart))
    lead = (
        f"{bins:,} test bins, of which the model counts {accuracy:.1%} exactly; {WRONG:.0%} of the records are wrong."
    )
    return render_page("What the order of the recount list is worth", sections, lead=lead)


def main() -> int:
    """Measures, prints the tables and last the result."""
    chosen = options(__doc__, run="folder of a finished run", page="writes the curves into this HTML file")
    seeds = 40 if chosen.quick else SEEDS
    with tempfile.TemporaryDirectory() as folder:
        probabilities, labels, bundle = test_probabilities(finished_run(chosen.run, chosen.quick, Path(folder)))
        accuracy = float((probabilities.argmax(1) == labels).mean())
        curves, expected = {}, {}
        for how in TARGETS:
            drawn = [corrupt(labels, probabilities.shape[1], how, seed) for seed in range(seeds)]
            curves[how] = np.stack([found(probabilities, *records) for records in drawn])
            expected[how] = expectation(probabilities, labels, bundle, how, Path(folder))
    rows = summarise(curves, TARGETS)
    print(
        f"\n{len(labels):,} test bins, {accuracy:.1%} counted exactly, {seeds} seeds, {WRONG:.0%} of the records wrong"
    )
    print(f"{'wrong records found':24}" + "".join(f"{share:>9.0%}" for share in SHOWN) + f"{'lift at 10 %':>22}")
    for row in rows:
        shares = [curves[row["corruption"]][:, round(100 * share)].mean() for share in SHOWN]
        lift = f"{row['ratio']:.2f} ({row['interval'][0]:.1f} to {row['interval'][1]:.1f})"
        print(f"{row['corruption']:24}" + "".join(f"{share:>9.1%}" for share in shares) + f"{lift:>22}")
    for how, said in expected.items():
        print(
            f"{how}: share of wrong records estimated {said['estimated_rate']:.1%}; wrong among the first {TOP:.0%}: "
            f"expected {said['expected_estimated']:.1f} ({said['expected_known']:.1f} when the share is known), "
            f"true {said['true']:.1f}"
        )
    if chosen.page:
        Path(chosen.page).write_text(page(curves, rows, len(labels), accuracy))
    worst = min(rows, key=lambda row: row["ratio"] / row["target"])
    met = chosen.quick or all(row["ok"] for row in rows)  # rendered bins and a short training promise nothing
    result = {"name": "audit_lift", "ours": worst["ratio"], "peer": 1.0, "unit": "times as many wrong records found"}
    print(json.dumps({**result, "ratio": worst["ratio"], "target": worst["target"], "ok": met, "rows": rows}))
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
