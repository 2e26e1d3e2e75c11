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
    data: str
    source: str
    note: str = ""
    rmse: str = ""
    """Items, as published."""


_NOTEBOOK = "Hatting 2024"
_STANFORD = "Bertorello 2019"
_CHALLENGE = "Park 2017"
_REPOSITORIES = "public repositories"

SOURCES = (
    "Hatting 2024: the SageMaker notebook report that this workflow replaces.",
    "Bertorello 2019: Bertorello, Sripada, Dendumrongsup, “Amazon Inventory Reconciliation using AI”, SSRN 3311007.",
    "Park 2017: Amazon Bin Image Dataset Challenge, github.com/silverbottlep/abid_challenge.",
    "Public repositories: projects that train on the Amazon Bin Image Dataset and state their accuracy.",
)
"""What the rows' sources are."""

_SUBSET = "published 10,441-bin subset, 1-5 items, 90/5/5 by hand: about 520 test bins"
_RANDOM = "about 10,000 bins, 1-5 items, random split"
_LARGER = "about 14 times the bins of the published subset"
_LEAK = "in a random split most test bins share a product with training"

PUBLISHED = (
    Published("ResNet-18, SGD, 20 epochs", "50.4", "150,000 bins", _STANFORD, _LARGER),
    Published("ResNet-34, SGD, 22 epochs", "51.2", "150,000 bins", _STANFORD, _LARGER),
    Published("ResNet-34, SGDR, 36 epochs", "53.8", "150,000 bins", _STANFORD, _LARGER),
    Published(
        "ResNet-34 from scratch, 40 epochs",
        "55.7",
        "about 324,000 bins, 0-5 items, random split",
        _CHALLENGE,
        "validation bins that also chose the epoch; 97.7 % of its empty bins are right, 44.9 % of those with 5 items",
        "0.93",
    ),
    Published(
        "Best full-scale counter",
        "56.2",
        "about 324,000 bins, 0-5 items",
        _REPOSITORIES,
        "about 30 times the bins of the published subset, and empty bins are easy",
        "0.90",
    ),
    Published("ResNet-50, frozen, 5 epochs", "29", _SUBSET, _NOTEBOOK),
    Published("ResNet-101, frozen, 5 epochs", "34", _SUBSET, _NOTEBOOK),
    Published("ResNet-101, frozen, tuned, 13 epochs", "57", _SUBSET, _NOTEBOOK, "tuned on the test accuracy itself"),
    Published("Typical projects on such a subset", "30-36", _RANDOM, _REPOSITORIES, _LEAK),
    Published("The best of seven such projects", "43", _RANDOM, _REPOSITORIES, f"best of seven; {_LEAK}"),
    Published(
        "Linear head on frozen EfficientNet-Lite0",
        "32.7",
        "5,549 bins, 1-5 items, random split",
        "this project",
        "always naming the most frequent count gives 27.5 %",
        "1.08",
    ),
)


def published_beside(source: str) -> Sequence[Published]:
    """The results to show beside a model's: none for bins that are surely not of the public dataset.

    Args:
        source: where the bins come from; a folder or an archive may hold the public dataset, a table names own photos.
    """
    return () if is_rendered(source) or source.lower().endswith(SUFFIXES) else PUBLISHED
