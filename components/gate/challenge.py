"""Candidate against the model in service, from the object store: finds what the gate must know, and asks it."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from components.common.errors import InventoryError
from components.common.store import Store
from components.counter import bundle as bundles
from components.counter.bundle import Bundle
from components.counter.dataset import Bins, DatasetManifest, open_split
from components.counter.network import median_seconds, open_session
from components.counter.scoring import batches, same_counts, score, threads
from components.counter.statistics.calibration import Calibration
from components.counter.statistics.metrics import Integers
from components.documents.gated import Decision
from components.gate.decision import decide
from components.gate.rivals import Candidate, Countable, Incumbent, Predictions, are_rivals, common_counts, common_top
from components.gate.trained_on import TrainedOn, trained_on
from components.settings.gate import GatePolicy


def challenge(
    store: Store,
    dataset: DatasetManifest,
    candidate_key: str,
    incumbent_key: str | None,
    policy: GatePolicy,
    failed_rules: Sequence[str] = (),
    recorded_accuracy: float | None = None,
    overwritten: bool = False,
    expected: Bundle | None = None,
) -> Decision:
    """Decides whether a candidate may replace the model in service.

    Args:
        store: holds both bundles and the dataset.
        dataset: the candidate's own; its test bins decide.
        candidate_key: folder of the candidate's bundle.
        incumbent_key: folder of the bundle in service; None when nothing is in service.
        policy: what is asked.
        failed_rules: debugger rules that the candidate's training failed.
        recorded_accuracy: of the model in service, used when its files are gone.
        overwritten: the candidate's files have taken the place of those of the model in service.
        expected: the candidate as the caller knows it, which it will register and sign; None takes what is there.

    Returns:
        The decision, on the candidate's test bins that the model in service was neither trained nor validated on.

    Raises:
        InventoryError: if the candidate cannot be run, is another by now, has other counts than the dataset, or there
            is no test bin.
    """
    test = open_split(store, dataset, "test")
    truth = np.asarray(dataset.counts, dtype=np.int64)[test.labels]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        new = bundles.fetch(store, candidate_key, folder / "candidate")
        if expected is not None and new != expected:
            raise InventoryError(f"{store.uri(candidate_key)} was changed while the gate looked at it; run again")
        same_counts(new, dataset)
        file = folder / "candidate" / new.serve_file
        said = _items(new, file, test, "test bins, candidate")
        photo = next(batches(test, new.input, np.array([0])))
        candidate = Candidate(
            _countable(new),
            median_seconds([open_session(file, threads())], photo)[0],
            file.stat().st_size,
            failed_rules,
            dataset.source,
        )
        alone = Predictions(truth, test.groups, said)
        if incumbent_key is None:
            return decide(alone, candidate, None, policy)
        try:
            if overwritten:
                raise InventoryError("a later training of the same run has overwritten its files")
            described = bundles.fetch_description(store, incumbent_key)
            incumbent = Incumbent(described.version, _countable(described), source=described.provenance.source)
            if not are_rivals(candidate, incumbent):
                return decide(alone, candidate, incumbent, policy)
            old = bundles.fetch(store, incumbent_key, folder / "incumbent")
            old_said = _items(old, folder / "incumbent" / old.serve_file, test, "test bins, model in service")
        except InventoryError as error:
            gone = Incumbent(incumbent_key, None, gone=str(error), recorded_accuracy=recorded_accuracy)
            return decide(alone, candidate, gone, policy)
    learned = trained_on(store, old, dataset)
    incumbent = replace(incumbent, training_known=learned is not None)
    top = common_top(candidate.countable, _countable(old))
    truth, said, old_said = (values if top is None else np.minimum(values, top) for values in (truth, said, old_said))
    rows = np.isin(truth, list(common_counts(candidate.countable, _countable(old))))
    known = (learned or TrainedOn()).among(test, dataset.source)
    fresh = rows & ~known
    return decide(
        Predictions(truth[fresh], test.groups[fresh], said[fresh], old_said[fresh], int((rows & known).sum())),
        candidate,
        incumbent,
        policy,
    )


def _countable(bundle: Bundle) -> Countable:
    return Countable(tuple(bundle.counts), bundle.open_top)


def _items(bundle: Bundle, file: Path, bins: Bins, label: str) -> Integers:
    """The number of items that a model names for every bin, int64 [N]; preprocesses as the model wants it."""
    logits = Calibration.of(bundle).apply(score(file, bins, bundle.input, label))
    return np.asarray(bundle.counts, dtype=np.int64)[logits.argmax(axis=1)]
