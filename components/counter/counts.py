"""A model and a dataset belong together when they have the same counts."""

from components.common.errors import InventoryError
from components.counter.bundle import Bundle
from components.counter.dataset import DatasetManifest


def same_counts(bundle: Bundle, dataset: DatasetManifest) -> None:
    """Checks that a model can answer what a dataset asks.

    Raises:
        InventoryError: naming the counts of both when they differ.
    """
    if (bundle.counts, bundle.open_top) != (dataset.counts, dataset.open_top):
        known = ", ".join(bundle.label(index) for index in range(len(bundle.counts)))
        raise InventoryError(
            f"model {bundle.version} answers the counts {known}, the dataset holds "
            f"{', '.join(map(str, dataset.counts))}{'+' if dataset.open_top else ''}; evaluate it on a dataset with "
            "the same counts"
        )
