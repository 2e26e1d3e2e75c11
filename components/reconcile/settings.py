"""How to reconcile: the numbers that a person may set."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.common.errors import InventoryError
from components.counter.verdict import MISSED_COST, MOST_COST

if TYPE_CHECKING:  # numpy takes a while to import, which a command's help need not wait for
    from components.counter.statistics.wrong_records import Prior

CONCURRENCY = 8


@dataclass(frozen=True)
class ReconcileSettings:
    """How to reconcile."""

    concurrency: int = CONCURRENCY
    """Requests in flight."""
    top: int = 100
    """How many bins the page shows and the summary counts on."""
    error_rate: float | None = None
    """The share of records that are wrong, where it is known; None estimates it from the photos."""
    past_recounts: str = ""
    """``wrong/checked`` of recounts of bins taken at random; empty knows of none."""
    missed_cost: float = MISSED_COST
    """What an error that nobody finds costs, in recounts."""

    @property
    def prior(self) -> "Prior":
        """What is known of the share of wrong records before the photos."""
        from components.counter.statistics.wrong_records import Prior

        if not self.past_recounts:
            return Prior()
        wrong, checked = map(int, self.past_recounts.split("/"))
        return Prior.of_recounts(wrong, checked)

    @property
    def known_share(self) -> float | None:
        """The share of wrong records that is known, or to be expected after past recounts; None where nobody says."""
        return self.prior.mean if self.past_recounts else self.error_rate


def checked(settings: ReconcileSettings) -> ReconcileSettings:
    """Returns the settings; raises ``InventoryError`` if a number is out of range."""
    if settings.error_rate is not None and not 0 < settings.error_rate < 1:
        raise InventoryError(f"error_rate is {settings.error_rate}; give a share between 0 and 1, such as 0.05")
    if settings.past_recounts and not _is_share(settings.past_recounts):
        raise InventoryError(
            f"past_recounts is '{settings.past_recounts}'; give how many records were wrong, and of how many that were "
            "taken at random, such as 14/300"
        )
    if settings.error_rate is not None and settings.past_recounts:
        raise InventoryError("give either error_rate or past_recounts; a known share needs no past recounts")
    if not 1 <= settings.missed_cost <= MOST_COST:
        raise InventoryError(
            f"missed_cost is {settings.missed_cost}; give how many recounts an error that nobody finds is worth, "
            f"from 1 to {MOST_COST:,}"
        )
    if settings.concurrency < 1 or settings.top < 1:
        raise InventoryError("concurrency and top must be at least 1")
    return settings


def _is_share(written: str) -> bool:
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", written)
    return found is not None and 0 < int(found[2]) >= int(found[1])
