"""Results that others published on the same photos, each with the data it was obtained on.

Numbers of different rows are obtained on different bins; the notes say what keeps a row from being compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from components.settings.source import is_rendered
from components.tables.read import SUFFIXES


@dataclass(frozen=True)
class Published:
    """One published result."""

    model: str
    accuracy: str
    """Exact accuracy on the test bins, percent, as published."""
    rmse: str
    """Items, as published; empty where it is not."""
    data: str
    leaks: str
    """Whether test bins share products with training, as far as the source tells."""
    note: str
    source: str
    link: str
    """Where the figures stand."""


_PAPER = ("Bertorello, Sripada, Dendumrongsup 2019", "https://papers.ssrn.com/sol3/papers.cfm?abstract_id=3311007")
_REPORT = ("the same authors 2018", "https://cs229.stanford.edu/proj2018/report/65.pdf")
_CHALLENGE = ("ABID challenge 2017", "https://github.com/silverbottlep/abid_challenge")
_AUTOENCODER = ("jaejun-lee", "https://github.com/jaejun-lee/amzbinimg")
_SAGEMAKER = ("joangerard", "https://github.com/joangerard/Inventory-Monitoring-at-Distribution-Centers-w-Sagemaker")

_SUBSET = "about 10,000 bins of the published list, 1-5 items"
_PART = "150,000 bins, 0-5 items"
_NOT_TOLD = "not told"
_RANDOM = "yes: random split"
_EMPTY = "empty bins are easy"

PUBLISHED = (
    Published("ResNet-18, SGD, 20 epochs", "50.4", "", _PART, _NOT_TOLD, _EMPTY, *_PAPER),
    Published("ResNet-34, SGD, 22 epochs", "51.2", "", _PART, _NOT_TOLD, _EMPTY, *_PAPER),
    Published("ResNet-34, SGDR, 36 epochs", "53.8", "", _PART, _NOT_TOLD, _EMPTY, *_PAPER),
    Published("ResNet-34, Adam", "56.2", "0.90", _PART, _NOT_TOLD, _EMPTY, *_REPORT),
    Published(
        "ResNet-34 from scratch, 40 epochs",
        "55.7",
        "0.93",
        "about 324,000 bins, 0-5 items",
        _RANDOM,
        "validation bins that also chose the epoch; 97.7 % of its empty bins are right, 44.9 % of those with 5 items",
        *_CHALLENGE,
    ),
    Published("Autoencoder and three dense layers", "40.3", "1.45", _NOT_TOLD, _NOT_TOLD, "", *_AUTOENCODER),
    Published("ResNet-50, frozen, three dense layers, tuned", "32.4", "", _SUBSET, _RANDOM, "", *_SAGEMAKER),
)


def published_beside(source: str) -> Sequence[Published]:
    """The results to show beside a model's: none for bins that are surely not of the public dataset.

    A folder or an archive may hold it; a table names own photos.
    """
    return () if is_rendered(source) or source.lower().endswith(SUFFIXES) else PUBLISHED
