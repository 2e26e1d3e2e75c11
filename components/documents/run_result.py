"""``result.json`` of a run on one machine."""

from typing import Any, ClassVar

from components.common.document import Document, Part
from components.counter.answers import Answer
from components.counter.bundle import ValidationScores
from components.documents.deployed import DeployedModel
from components.documents.evaluated import Evaluation
from components.documents.gated import GatedModel
from components.documents.trained import Cost, RuleVerdict


class Query(Part):
    """One test photo that was sent to the service."""

    bin: str
    """Its id."""
    url: str
    """Of the service."""
    answer: Answer


class RunResult(Document):
    """What a run made."""

    KIND: ClassVar[str] = "run-result"
    run_id: str
    arguments: dict[str, Any]
    """That the run was started with."""
    test: Evaluation
    """Metrics on the test bins, with intervals; fractions from 0 to 1."""
    validation: ValidationScores
    """Metrics of the epoch that was kept, on the validation bins."""
    model_uri: str
    """The bundle in the object store."""
    dataset_id: str
    rules: list[RuleVerdict]
    """What each debugger rule found; empty when none looked."""
    cost: Cost | None
    """Time and money that the training took."""
    gate: GatedModel
    """Whether the model went into service, and why."""
    service: DeployedModel | None
    """None when it did not go into service."""
    seconds: dict[str, float]
    """Wall time of each step, and ``total``."""
    versions: dict[str, str]
    """Of Python and the packages that decide the numbers."""
    git_commit: str | None
    """Of the checkout that ran it."""
    query: Query | None = None
    """The first answer of the service."""
