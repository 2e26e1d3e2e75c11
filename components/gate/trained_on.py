"""Which test bins has another model learned from? By their photos, and by their ids where the source is the same.

An id alone names nothing: bins of two sources often have the same. A photo is known again wherever it lies and whatever
it is called; an id of the same source also names a bin whose photo was stored anew by other means.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.common.errors import InventoryError
from components.common.progress import note
from components.common.store import Store
from components.counter.bundle import Bundle
from components.counter.dataset import Bins, DatasetManifest, open_extra, open_split


@dataclass(frozen=True)
class TrainedOn:
    """The bins that a model was trained or validated on."""

    source: str = ""
    ids: frozenset[str] = frozenset()
    photos: frozenset[bytes] = frozenset()
    """sha256 of each."""

    def among(self, bins: Bins, source: str) -> NDArray[np.bool_]:
        """Says which of some bins of a source are among these, bool [len(bins)]."""
        ids = self.ids if source == self.source else frozenset()
        pairs = zip(bins.ids, bins.photo_hashes(), strict=True)
        return np.array([id_ in ids or photo in self.photos for id_, photo in pairs], dtype=bool)


def trained_on(store: Store, model: Bundle, dataset: DatasetManifest) -> TrainedOn | None:
    """The bins that a model was trained or validated on, which must not be among those of ``dataset`` that test it.

    Returns:
        None when nobody knows.
    """
    if model.provenance.dataset_id == dataset.dataset_id:
        return TrainedOn()  # none of them is among the test bins of the same dataset
    key = model.provenance.dataset_key
    own = DatasetManifest.fetch_or_none(store, key) if key else None
    if own is None:
        return None
    try:
        parts = [*(open_split(store, own, name) for name in ("train", "validation")), open_extra(store, own)]
    except InventoryError as error:
        note(f"the bins that {model.version} was trained on cannot be read: {error}")
        return None
    return TrainedOn(
        own.source,
        frozenset(id_ for bins in parts for id_ in bins.ids),
        frozenset(photo for bins in parts for photo in bins.photo_hashes()),
    )
