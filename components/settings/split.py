"""The section ``split``: how bins are divided into training, validation and test."""

from typing import Annotated

from pydantic import Field

from components.common.errors import InventoryError
from components.counter.splits import SPLITS, Method
from components.settings.section import Section, checked_by


def parse_ratios(text: str) -> list[float]:
    """Reads ``train/validation/test`` in percent, such as ``90/5/5``, as fractions that sum to 1.

    Raises:
        InventoryError: if the text is not three positive numbers that sum to 100.
    """
    try:
        percents = [float(part) for part in text.split("/")]
    except ValueError:
        percents = []
    if len(percents) != len(SPLITS) or not all(part > 0 for part in percents) or abs(sum(percents) - 100) > 1e-6:
        raise InventoryError(
            f"split is '{text}', which is not train/validation/test in percent: "
            "write three positive numbers that sum to 100, such as 90/5/5 or 70/10/20"
        )
    return [part / 100 for part in percents]


class SplitSettings(Section):
    """How bins are split; the aliases are the pipeline's parameters."""

    ratios: Annotated[str, checked_by(parse_ratios)] = Field(
        "90/5/5",
        alias="split",
        description="Percent of bins for training/validation/test.",
        json_schema_extra={"allowed": "three positive numbers that sum to 100"},
    )
    method: Method = Field(
        "products",
        alias="split_method",
        description="products (no product on two sides), blocks of neighbouring ids, or random.",
    )
    seed: int = Field(
        0, alias="split_seed", ge=0, le=2**31 - 1, description="Seed of the split; equal seeds give equal splits."
    )

    @property
    def shares(self) -> list[float]:
        """The parts' shares, which sum to 1."""
        return parse_ratios(self.ratios)
