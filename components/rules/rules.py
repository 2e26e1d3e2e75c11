"""The debugger rules of a training, by name, and the check of the option that sets them."""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from components.common.checked import checked
from components.common.errors import InventoryError
from components.common.suggest import did_you_mean
from components.rules.loss import LossNotDecreasing, Overfit, Overtraining
from components.rules.machine import DataWait, LowGpuUtilisation
from components.rules.tensor import (
    DeadRelu,
    ExplodingTensor,
    PoorWeightInitialization,
    VanishingGradient,
)


class Rules(BaseModel):
    """Every rule with its thresholds."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    loss_not_decreasing: LossNotDecreasing = Field(default_factory=LossNotDecreasing)
    vanishing_gradient: VanishingGradient = Field(default_factory=VanishingGradient)
    exploding_tensor: ExplodingTensor = Field(default_factory=ExplodingTensor)
    overfit: Overfit = Field(default_factory=Overfit)
    overtraining: Overtraining = Field(default_factory=Overtraining)
    poor_weight_initialization: PoorWeightInitialization = Field(default_factory=PoorWeightInitialization)
    dead_relu: DeadRelu = Field(default_factory=DeadRelu)
    low_gpu_utilisation: LowGpuUtilisation = Field(default_factory=LowGpuUtilisation)
    data_wait: DataWait = Field(default_factory=DataWait)


def check_rules(value: Any) -> dict[str, Any]:
    """Checks what a user gave for the rules: rule -> threshold -> value, or the same as JSON; defaults are not added.

    Raises:
        InventoryError: naming the rule or the field that is refused.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise InventoryError(
                f'training.rules is no JSON ({error}); write for example {{"overfit": {{"action": "stop"}}}}'
            ) from error
    if not isinstance(value, dict):
        raise InventoryError(f"training.rules must map names of rules to thresholds (given: {value!r})")
    for name in value:
        if name not in Rules.model_fields:
            hint = did_you_mean(name, Rules.model_fields, "the rules are")
            raise InventoryError(f"training.rules: there is no rule '{name}'; {hint}")
    return checked(Rules, "training.rules", value).model_dump(exclude_unset=True)
