"""What the deploy step hands on: the service, and what showed that it answers as it should."""

from typing import ClassVar

from components.common.document import Document, Part


class SmokeTest(Part):
    """Labelled bins that a model was asked about before anything depends on it; all were answered as the model does."""

    bins: int
    correct: int
    """Answered with the right count."""
    ids: list[str]
    seconds: float
    """Median time of an answer."""


class Service(Document):
    """A model that is being served."""

    KIND: ClassVar[str] = "service"
    url: str
    model_name: str
    """In URLs."""
    pid: int | None = None
    """Of the server, on one machine."""
    namespace: str | None = None
    """Of the InferenceService, on a cluster."""
    uri: str | None = None
    """The bundle that the InferenceService names, on a cluster."""


class DeployedModel(Service):
    """A model that went into service."""

    KIND: ClassVar[str] = "deployed-model"
    version: str
    """Of the model."""
    smoke: SmokeTest
    replaced: str | None = None
    """The version before, kept for a rollback; None when there was none."""
