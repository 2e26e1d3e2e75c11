"""Time limits of a training on spot capacity.

They mean what ``MaxRuntimeInSeconds`` and ``MaxWaitTimeInSeconds`` mean to SageMaker's managed spot training
(docs.aws.amazon.com/sagemaker/latest/APIReference/API_StoppingCondition.html): the first limits the time that the
training runs, over all attempts together, and at its end the algorithm may still save its model; the second limits
that plus the waiting for capacity, must not be shorter, and at its end the job is over. Both are looked at between two
steps.
"""

from collections.abc import Sequence

from components.settings.training import TrainingSettings
from components.train.engine.run_times import Run


def ran_out(runs: Sequence[Run], settings: TrainingSettings) -> str | None:
    """Why the training, whose last run goes on, should end with what it has (``max_run``); None when it need not."""
    seconds = run_seconds(runs)
    if settings.max_run and seconds >= settings.max_run:
        return f"it ran {seconds:.0f} s, max_run is {settings.max_run:g}"
    return None


def waited_too_long(runs: Sequence[Run], settings: TrainingSettings) -> str | None:
    """Why the training, whose last run goes on, has to fail (``max_wait``); None when it need not."""
    seconds = wall_seconds(runs)
    if settings.max_wait and seconds > settings.max_wait:
        return (
            f"the training is not done {seconds:.0f} s after its first start, max_wait is {settings.max_wait:g}; "
            f"it ran {run_seconds(runs):.0f} s of them, in {len(runs)} runs. Its checkpoint is kept: raise max_wait "
            "and start it again to go on"
        )
    return None


def run_seconds(runs: Sequence[Run]) -> float:
    """Seconds that the training ran."""
    return sum(run.end - run.start for run in runs)


def wall_seconds(runs: Sequence[Run]) -> float:
    """Seconds from the first start to the last end."""
    return max(run.end for run in runs) - min(run.start for run in runs)
