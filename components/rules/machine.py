"""Rules about what the training makes of its machine."""

from pydantic import Field

from components.rules.observations import Judgement, Observations, Utilisation, too_few
from components.rules.rule import MOST_LOOKS, Rule

FEWEST_SAMPLES = 20
"""Percentiles of fewer mean nothing."""


class LowGpuUtilisation(Rule):
    """The GPU is hardly busy, or busy in fits and starts.

    Fires when of the samples of the last ``seconds``, those of the first ``patience`` seconds left out, the 95th
    percentile is below ``p95``; or that is not, and the 5th is below ``p5``. This is SageMaker's rule LowGPUUtilization
    with its p95 and p5; its window of 500 and patience of 1,000 samples of 500 ms are for trainings of hours.
    Source: docs.aws.amazon.com/sagemaker/latest/dg/debugger-built-in-profiler-rules.html, LowGPUUtilization.
    """

    p95: float = Field(default=70.0, ge=0, le=100, description="percent that the GPU should reach")
    p5: float = Field(default=10.0, ge=0, le=100, description="percent below which it should not fall")
    seconds: float = Field(default=60.0, ge=5, le=1e6, description="length of the window that is judged")
    patience: float = Field(default=30.0, ge=0, le=1e6, description="seconds at the start that are not")

    def judge(self, seen: Observations) -> Judgement:
        """See the class."""
        return low_gpu_utilisation(seen.utilisation(), self)


def low_gpu_utilisation(samples: Utilisation, rule: LowGpuUtilisation) -> Judgement:
    """Judges recorded samples of one GPU: seconds and percent busy, in order of time."""
    if not samples:
        return Judgement(None, "no GPU was watched")
    recorded, needed = samples[-1][0] - samples[0][0], rule.patience + rule.seconds
    window = [percent for at, percent in samples if samples[-1][0] - at <= rule.seconds]
    if recorded < needed or len(window) < FEWEST_SAMPLES:
        return Judgement(None, f"{recorded:.0f} of {needed:.0f} seconds of the GPU seen, {len(window)} samples")
    busy = sorted(window)
    low, high = (busy[round(share * (len(busy) - 1))] for share in (0.05, 0.95))
    evidence = (
        f"in the last {rule.seconds:.0f} s the GPU was at most {low:.0f} % busy in 5 % of {len(busy)} samples, "
        f"and at least {high:.0f} % in 5 %"
    )
    return Judgement(high < rule.p95 or low < rule.p5, evidence)


class DataWait(Rule):
    """The training waits for images instead of computing.

    Fires when more than ``share`` of the time of the steps of the last ``looks`` looks was spent waiting for a batch,
    and that was more than ``seconds``: what a training of milliseconds waits is the machine's noise and nobody's loss.
    Source: Mohan et al., "Analyzing and Mitigating Data Stalls in DNN Training", VLDB 2021, which measures
    stalls as this share; SageMaker's profiler rule CPUBottleneck is about the same.
    """

    looks: int = Field(default=5, ge=1, le=MOST_LOOKS, description="looks that are judged")
    share: float = Field(default=0.2, gt=0, lt=1, description="share of the time of a step")
    seconds: float = Field(default=1.0, ge=0, le=1e6, description="waiting that does not matter")

    def judge(self, seen: Observations) -> Judgement:
        """See the class."""
        # the first look holds the start of the reading threads
        if len(seen.looks) <= self.looks:
            return too_few(len(seen.looks), self.looks + 1, "looks")
        last = seen.looks[-self.looks :]
        waiting, all_seconds = (sum(look[name] for look in last) for name in ("data_seconds", "seconds"))
        steps = sum(look["steps"] for look in last)
        share = waiting / all_seconds if all_seconds else 0.0
        fires = share > self.share and waiting > self.seconds
        return Judgement(fires, f"{100 * share:.1f} % of {steps} steps were spent waiting for images")
