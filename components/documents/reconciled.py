"""What a reconciliation found, in numbers."""

from typing import ClassVar

from components.common.document import Document
from components.counter.answers import Recorded
from components.counter.counts import count_labels
from components.counter.statistics.drift import Drift
from components.counter.verdict import MISSED_COST


class Reconciliation(Document):
    """The numbers of a reconciliation."""

    KIND: ClassVar[str] = "reconciliation"
    bins: int
    not_checked: int
    """Without an answer, or with an unusable photo."""
    unusable_photos: int = 0
    """Those of them whose photo shows nothing: it is black, of one colour, noise, or torn."""
    first_problem: str = ""
    """Why the first of them has none."""
    without_quantity: int = 0
    """Those of them whose record names no quantity that can be used."""
    rows_left_out: int = 0
    """Rows of the stock list that are no record."""
    left_out: list[str] = []
    """The first of these rows, each with its line and reason."""
    remarks: list[str] = []
    """Rows whose id was taken for a photo's: a spreadsheet had removed its zeros; the first of them."""
    on_products: list[str] = []
    """On products in the stock list: rows that go on with the bin above, units, and sizes that cannot be read."""
    verdicts: dict[Recorded, int]
    """Bins by verdict."""
    models: dict[str, int]
    """Answers by model version."""
    ranked: int
    """Bins on the recount list."""
    not_countable: int
    """Bins whose expected quantity the model has no class for."""
    with_products: int = 0
    """Bins whose products are described, so that photo and products together rank them."""
    model: str
    """Version that was asked."""
    counts: list[int]
    """That it tells apart."""
    open_top: bool = False
    """Whether the last of them means that many or more."""
    error_rate: float | None
    """Fraction of the ranked records that are wrong; None when no bin is countable."""
    error_rate_estimated: bool
    """From the photos, and not given."""
    expected_wrong: float
    """Wrong records to expect in all; the ``wrong_probability`` of all bins sum to it."""
    wrong_interval: tuple[int, int] | None = None
    """Holds the true number with a probability of 95 %; None when no bin is countable."""
    wrong_told: bool = True
    """Whether the photos say enough for one number to be named, and not the interval alone."""
    top: int
    """Bins that the page shows."""
    expected_wrong_in_top: float
    """Wrong records to expect among the first bins of the list."""
    wrong_interval_in_top: tuple[int, int] | None = None
    """The 95 % interval of these."""
    missed_cost: float = MISSED_COST
    """What an error that nobody finds costs, in recounts."""
    worth_recounting: int = 0
    """How many of the first bins of the list are worth a recount then: those with the verdict "recount"."""
    drift: list[Drift]
    """Empty when there is nothing to compare with."""
    retrain: bool
    """Whether the bins differ a lot from those the model was made with."""
    list_sha256: str = ""
    """Of ``recount.csv`` as it was written: one that is different holds what somebody wrote into it."""

    @property
    def labels(self) -> list[str]:
        """The counts as text; "6+" for an open top."""
        return count_labels(self.counts, self.open_top)


class Feedback(Document):
    """What ``inventory feedback`` made of recounts."""

    KIND: ClassVar[str] = "feedback"
    labels: int
    """Recounted bins that are labels now."""
    wrong: int
    """Those of them whose recount differs from the record."""
    rows_left_out: int
    """Rows of the table that are no label."""
    left_out: dict[str, int]
    """The same by reason."""
    source: str
    """The CSV with the labels, a source for the next training."""


class StoredReconciliation(Reconciliation):
    """A reconciliation whose results lie in the store."""

    KIND: ClassVar[str] = "stored-reconciliation"
    keys: dict[str, str]
    """Store key of each result, by file name."""
