"""What the evaluate step hands on: the trained model with all that is said about it.

Validation bins chose the calibration and the verdict's threshold; every other number is of test bins.
"""

from typing import ClassVar

from components.common.document import Document, Part
from components.counter.engines.names import EngineName
from components.counter.record_errors import Corruption
from components.counter.statistics.bootstrap import Interval
from components.counter.statistics.calibration import ConfidenceInterval, PerfectError
from components.counter.statistics.metrics import RocCurve, Scores
from components.documents.trained import TrainedModel


class CalibrationGain(Part):
    """What calibration changed on the test bins."""

    temperature: float
    """The logits are divided by it."""
    logit_shift: list[float]
    """Added to the logits before, one for each count."""
    validation_bins: int
    """On which it was fitted."""
    accuracy_before: float
    """Fraction counted exactly without it."""
    nll_before: float
    """Mean negative log-likelihood without it, nats."""
    nll_after: float
    """The same with it."""
    nll_change: float
    """With minus without it."""
    nll_change_interval: Interval | None
    """95 %; None where there are too few groups of products."""
    ece_bins: int
    """Intervals of the calibration error."""
    ece_before: float
    """Expected calibration error without it, a fraction."""
    ece_after: float
    """The same with it."""
    ece_if_perfect: PerfectError


class VerdictRow(Part):
    """What following the verdicts finds and costs when some of the records are wrong."""

    wrong_records: float
    """Fraction of the records that are wrong."""
    corruption: Corruption
    """Which other count a wrong record names."""
    recount: float
    """Fraction of the records with the verdict "recount"."""
    unsure: float
    """The same of "unsure"."""
    found: float
    """Fraction of the wrong records that are recounted."""
    agrees_right: float | None
    """Fraction of the verdicts "agrees" that are right; None when there is none."""
    cost: float
    """Of recounts and missed errors, in recounts for each record."""
    interval: Interval | None
    """Of the cost, 95 %."""
    cost_without_photos: float
    """Of recounting all bins or none, whichever is cheaper."""


class VerdictTable(Part):
    """What the verdict on a stock record is worth, on test bins."""

    missed_cost: float
    """What an error that nobody finds costs, in recounts."""
    rows: list[VerdictRow]
    explanation: str
    """One line for people."""


class AuditLift(Part):
    """How many more wrong records are among the first of the recount list than among as many taken at random."""

    corruption: Corruption
    """Which other count a wrong record names."""
    wrong_records: float
    """Fraction of the records that were made wrong."""
    recounted: float
    """Fraction of the bins."""
    lift: float
    """Times as many; mean over the seeds."""
    interval: Interval
    """Of 95 % of the seeds."""


class AuditCurve(Part):
    """Fraction of the wrong records found, by fraction of the bins recounted."""

    share: list[float]
    """Recounted."""
    mean: list[float]
    """Found, over the seeds."""
    low: list[float]
    """95 % of the seeds lie above."""
    high: list[float]
    """And below this."""


class QualityRow(Part):
    """How well photos of one kind are counted."""

    measure: str
    """What tells the kinds apart."""
    part: str
    """Which kind."""
    n: int
    """Bins."""
    accuracy: float
    """Fraction counted exactly."""
    interval: Interval | None
    """Of the accuracy, 95 %."""
    mae: float
    """Mean absolute error, items."""


class SharedProductsRow(Part):
    """Accuracy on bins that do or do not share a product with training."""

    bins: str
    """Which, in words."""
    n: int
    """How many."""
    accuracy: float | None
    """Fraction counted exactly; None when there is no such bin."""
    interval: Interval | None
    """Of the accuracy, 95 %."""


class SplitLeak(Part):
    """What a split method would leak."""

    method: str
    test_bins: int
    leaking: int
    """Test bins that would share a product with a training bin."""
    share: float
    """Fraction of the test bins."""


class Leakage(Part):
    """What the test bins share with training."""

    known: int
    """Test bins that list their products."""
    shared: int
    """Of these, bins with a product that some training bin holds."""
    accuracy: list[SharedProductsRow]
    methods: list[SplitLeak]
    """Every method that can split these bins."""


class Int8Result(Part):
    """The 8-bit network beside the full one, on validation bins."""

    chosen: bool
    """Whether it is the one in service."""
    agreement: float
    """Fraction of the bins with the same answer."""
    exact_share: float
    """Fraction of the convolutions that stay exact."""
    bins: int
    seconds_fp32: float
    """Median for one photo on the evaluating machine."""
    seconds_int8: float
    bytes_fp32: int
    """Of the file."""
    bytes_int8: int
    explanation: str
    """One line for people."""


BY_PHOTO, BY_PRODUCTS, BY_BOTH = "photo alone", "products alone", "photo and products"


class RecordRow(Part):
    """How well one of photo, products and both counts."""

    answer: str
    """Which of them."""
    accuracy: float
    """Fraction counted exactly."""
    within_one: float
    """Fraction at most one item off."""
    rmse: float
    """Root of the mean squared error, items."""
    expected_rmse: float
    """The same of the expected number of items."""
    loss: float
    """Mean negative log-likelihood, nats."""
    intervals: dict[str, Interval | None]
    """By metric, 95 %, resampling groups of products."""


class Contradiction(Part):
    """The test bins for which the photo's likeliest count is another than the products'."""

    bins: int
    photo_right: int
    products_right: int
    both_right: int
    """The two together name the true count."""
    photo_followed: int
    """The two together name what the photo says."""
    products_followed: int
    """And what the products say; at times it is a third count."""


class RecordValue(Part):
    """What it adds to know which products a bin's stock record names; quantities are never looked at."""

    bins: int
    """Test bins whose record names products; all numbers here are of them."""
    training_bins: int
    """From which it was learnt what products tell."""
    validation_bins: int
    """On which it was weighed against the photo."""
    weight_of_photo: float
    """Exponent of P(count | photo)."""
    weight_of_products: float
    """Exponent of P(count | products)."""
    rows: list[RecordRow]
    changes: dict[str, float]
    """By metric: photo and products minus photo alone, mean over the bins."""
    change_intervals: dict[str, Interval | None]
    """By metric, 95 %."""
    contradiction: Contradiction


class Analysis(Scores):
    """What follows from the network's outputs alone."""

    intervals: dict[str, Interval | None]
    """By metric, 95 %, resampling groups of products; None where there are too few."""
    calibration: CalibrationGain
    verdict: VerdictTable
    audit: list[AuditLift]
    """By kind of corruption; empty when there are too few bins to corrupt one."""
    auc: dict[str, float | None]
    """Area under the ROC of "count <= k"; None when the test bins are all of one kind."""


class Evaluation(Analysis):
    """All that is said about a model."""

    quality: list[QualityRow]
    leakage: Leakage
    int8: Int8Result
    record: RecordValue | None = None
    """None when the bins do not name their products, or it was evaluated before this was looked at."""
    engine: EngineName | None = None
    """What ran the network; None in an evaluation that is older than the choice."""


class ReliabilityCurves(Part):
    """The reliability diagram without and with calibration."""

    before: list[ConfidenceInterval]
    after: list[ConfidenceInterval]


class Curves(Part):
    """Points for charts."""

    audit: dict[Corruption, AuditCurve]
    roc: dict[str, RocCurve | None]
    """By question, "count <= k"."""
    reliability: ReliabilityCurves


class EvaluationFile(Document):
    """All numbers and curves of an evaluation."""

    KIND: ClassVar[str] = "evaluation"
    VERSION: ClassVar[int] = 2
    evaluation: Evaluation
    curves: Curves


class EvaluatedModel(TrainedModel):
    """The trained model, evaluated."""

    KIND: ClassVar[str] = "evaluated-model"
    VERSION: ClassVar[int] = 2
    evaluation: Evaluation
    report_key: str
    """Store key of the report, HTML."""
    evaluation_key: str
    """Store key of the numbers and curves."""


class Compared(Part):
    """A number as it was recorded and as it was found again."""

    recorded: float
    found: float


class Versions(Part):
    """The version of a package then and now."""

    recorded: str
    found: str


class Reproduction(Document):
    """Whether a model still gives the numbers it was published with."""

    KIND: ClassVar[str] = "reproduction"
    confirmed: bool
    metrics: dict[str, Compared]
    versions: dict[str, Versions]
    """Of the packages whose version differs."""
