"""How to reconcile: the numbers that a person may set."""

from dataclasses import dataclass

from components.common.errors import InventoryError

CONCURRENCY = 8


@dataclass(frozen=True)
class ReconcileSettings:
    """How to reconcile."""

    concurrency: int = CONCURRENCY
    """Requests in flight."""
    top: int = 100
    """How many bins the page shows and the summary counts on."""
    error_rate: float | None = None
    """The share of records that are usually wrong; None estimates it from the photos."""


def checked(settings: ReconcileSettings) -> ReconcileSettings:
    """Returns the settings.

    Raises:
        InventoryError: if a number is out of range.
    """
    if settings.error_rate is not None and not 0 < settings.error_rate < 1:
        raise InventoryError(f"error_rate is {settings.error_rate}; give a share between 0 and 1, such as 0.05")
    if settings.concurrency < 1 or settings.top < 1:
        raise InventoryError("concurrency and top must be at least 1")
    return settings
