"""One run on an MLflow tracking server; what is logged into it twice, by a step that is done again, is seen once.

Everything is logged synchronously, whatever ``MLFLOW_ENABLE_ASYNC_LOGGING`` says: MLflow's own threads would write
addresses with their passwords into the log, and a bound of time or a failure would not be noticed.
"""

import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

MOST_PARAMETERS, MOST_METRICS = 100, 1000
"""That a request may hold (MLflow's REST API, "Log Batch")."""
MOST_CHARACTERS = 500
"""Of a parameter's value: what every server takes."""

T = TypeVar("T")


@dataclass(frozen=True)
class MlflowRun:
    """A run that exists; every method may raise what MLflow's client raises."""

    client: "MlflowClient"
    id: str

    def parameters(self, values: Mapping[str, Any]) -> list[str]:
        """Logs parameters, which cannot change any more.

        Returns:
            The names of those that have another value there, which they keep.
        """
        from mlflow.entities import Param

        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
        wanted = {name: text[:MOST_CHARACTERS] for name, text in texts.items()}
        there = self.client.get_run(self.id).data.params
        for some in _parts([Param(*each) for each in wanted.items() if each[0] not in there], MOST_PARAMETERS):
            self.client.log_batch(self.id, params=some, synchronous=True)
        return [name for name, text in wanted.items() if there.get(name, text) != text]

    def tags(self, values: Mapping[str, str | None]) -> None:
        """Sets tags; those without a value are left out."""
        from mlflow.entities import RunTag

        tags = [RunTag(name, value) for name, value in values.items() if value]
        self.client.log_batch(self.id, tags=tags, synchronous=True)

    def metrics(self, values: Mapping[str, float]) -> None:
        """Logs metrics that have one value each, unless it is there already."""
        there = self.client.get_run(self.id).data.metrics
        self._log({0: {name: value for name, value in values.items() if not _same(there.get(name), value)}})

    def epochs(self, values: Mapping[int, Mapping[str, float]], told_by: str) -> None:
        """Logs metrics of epochs, but for the epochs that are there already.

        Args:
            values: metrics by epoch, from 1.
            told_by: the metric by which an epoch is known again; one with another value was trained anew.
        """
        there = {metric.step: metric.value for metric in self.client.get_metric_history(self.id, told_by)}
        self._log({epoch: each for epoch, each in values.items() if not _same(there.get(epoch), each[told_by])})

    def tag(self, name: str) -> str | None:
        """The value of a tag; None when it is not set."""
        value: str | None = self.client.get_run(self.id).data.tags.get(name)
        return value

    def folder(self, path: Path, name: str) -> None:
        """Uploads a folder's files as artifacts in a folder of this name, in the place of those of the same name."""
        self.client.log_artifacts(self.id, str(path), name)

    def text(self, content: str, name: str) -> None:
        """Uploads a text as an artifact."""
        self.client.log_text(self.id, content, name)

    def _log(self, values: Mapping[int, Mapping[str, float]]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        every = [Metric(name, value, now, step) for step, each in values.items() for name, value in each.items()]
        for some in _parts(every, MOST_METRICS):
            self.client.log_batch(self.id, metrics=some, synchronous=True)


def _parts(items: Iterable[T], most: int) -> Iterable[Sequence[T]]:
    """The items, so many at a time."""
    left = iter(items)
    while part := list(islice(left, most)):
        yield part


def _same(there: float | None, value: float) -> bool:
    """Whether a value is there; databases keep infinity as their largest number."""
    return there is not None and (there == value or not math.isfinite(value))
