"""What every debugger rule is: thresholds, what to do when it fires, and a judgement."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from components.rules.observations import KEPT_LOOKS, Judgement, Observations

MOST_LOOKS = KEPT_LOOKS // 2


class Rule(BaseModel):
    """A rule and its thresholds."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    action: Literal["warn", "stop"] = Field(
        default="warn", description="what happens when it fires: a line, or also the end"
    )

    def judge(self, seen: Observations) -> Judgement:
        """Says whether the training is sick, and why; asked after every look and every epoch."""
        raise NotImplementedError
