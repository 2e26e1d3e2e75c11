"""What photo, products and both say of bins, from the file that is served; and how good that is."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from components.common.document import Document
from components.common.step.run_step import document_step
from components.common.store import Store
from components.counter import bundle as bundles
from components.counter.dataset import Bins, DatasetManifest, open_split
from components.counter.record.model import RecordModel, of_bundle
from components.counter.record.stored import listed_in
from components.counter.scoring import score
from components.counter.splits import SPLITS
from components.counter.statistics.bootstrap import intervals, mean_of, root_mean_of
from components.counter.statistics.calibration import Calibration, fit
from components.counter.statistics.metrics import Floats, Integers, bin_values, log_softmax
from components.documents.evaluated import BY_BOTH, BY_PHOTO, BY_PRODUCTS
from components.documents.trained import TrainedModel
from components.evaluate.record import learn


def served(store: Store, bundle_key: str, bins: Bins) -> tuple[Floats, RecordModel]:
    """What an evaluated model says of bins.

    Returns:
        Calibrated logits of its served file, [N, K], and what it has learnt of products.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bundle = bundles.fetch(store, bundle_key, folder)
        model = of_bundle(folder, bundle)
        logits = score(folder / bundle.serve_file, bins, bundle.input, "bins")
    if model is None:
        raise SystemExit("error: too few of these bins name products")
    return Calibration.of(bundle).apply(logits), model


class Answers(Document):
    """Log-probabilities of bins that a model has not seen."""

    KIND: ClassVar[str] = "out-of-fold-answers"
    dataset_id: str
    ids: list[str]
    labels: list[int]
    groups: list[int]
    said: dict[str, list[list[float]]]
    """By whom, [N][K]."""

    @property
    def arrays(self) -> tuple[dict[str, Floats], Integers, Integers]:
        """Log-probabilities by whom, labels and product groups."""
        known = [name for name in (BY_PHOTO, BY_PRODUCTS, BY_BOTH) if name in self.said]
        said = {name: np.array(self.said[name], dtype=np.float64) for name in known}
        return said, np.array(self.labels, dtype=np.int64), np.array(self.groups, dtype=np.int64)

    @classmethod
    def all_of(cls, parts: list[Self]) -> tuple[dict[str, Floats], Integers, Integers]:
        """``arrays`` of several, one after the other."""
        arrays = [part.arrays for part in parts]
        said = {name: np.concatenate([each[0][name] for each in arrays]) for name in arrays[0][0]}
        return said, np.concatenate([each[1] for each in arrays]), np.concatenate([each[2] for each in arrays])


def held_out_answers(store: Store, dataset: DatasetManifest, outcome: Mapping[str, object]) -> Answers:
    """What a training says of its test bins, calibrated and joined with the products on its validation bins; once.

    As the evaluation step has it, without its report and its search for an 8-bit network; the store keeps it.
    """
    trained = TrainedModel.of(outcome, "the training's outcome")

    def work() -> Answers:
        bins = {name: open_split(store, dataset, name) for name in SPLITS}
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            bundle = bundles.fetch(store, trained.bundle_key, folder)
            logits = {
                name: score(folder / bundles.ONNX_FILE, bins[name], bundle.input, f"{name} bins")
                for name in ("validation", "test")
            }
            calibration = fit(logits["validation"], bins["validation"].labels)
            known = learn(folder, bundle, bins, calibration.apply(logits["validation"]))
        photo, test = calibration.apply(logits["test"]), bins["test"]
        said = {BY_PHOTO: log_softmax(photo)}
        if known:
            listed = listed_in(test)
            said[BY_PRODUCTS] = known.log_probabilities(listed)
            said[BY_BOTH] = log_softmax(known.with_record(photo, listed))
        return Answers(
            dataset_id=dataset.dataset_id,
            ids=test.ids,
            labels=test.labels.tolist(),
            groups=test.groups.tolist(),
            said={name: np.round(values, 6).tolist() for name, values in said.items()},
        )

    inputs = {"dataset": dataset.dataset_id, "model": trained.model_dump(mode="json", exclude={"format"})}
    return document_step(store, "held-out-answers", inputs, Answers, work)


STATISTICS: dict[str, Callable[[Mapping[str, Floats]], Floats]] = {
    "accuracy": mean_of("accuracy"),
    "expected_rmse": root_mean_of("expected_squared_error"),
    "loss": mean_of("loss"),
}
"""As functions of sums over bins."""


def print_answers(
    said: Mapping[str, NDArray[np.floating]], labels: Integers, groups: Integers, counts: list[int]
) -> dict[str, dict[str, float]]:
    """Prints a row for each way to answer, with 95 % intervals that resample product groups.

    Returns:
        ``STATISTICS`` of each.
    """
    print(f"{'':28}{'exact (95 %)':>26}{'RMSE of the expected':>26}{'loss':>26}")
    found: dict[str, dict[str, float]] = {}
    for name, logits in said.items():
        values = bin_values(logits, labels, counts)
        sums = {column: numbers.sum() for column, numbers in values.items()} | {"n": np.float64(len(labels))}
        found[name] = {key: float(statistic(sums)) for key, statistic in STATISTICS.items()}
        spread = intervals(values, groups, STATISTICS)
        cells = []
        for key, form in (("accuracy", ".1%"), ("expected_rmse", ".3f"), ("loss", ".3f")):
            low, high = spread[key] or (np.nan, np.nan)
            cells.append(f"{found[name][key]:{form}} ({low:{form}} to {high:{form}})")
        print(f"{name:28}" + "".join(f"{cell:>26}" for cell in cells), flush=True)
    return found
