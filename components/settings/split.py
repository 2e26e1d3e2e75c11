"""The text ``90/5/5`` and what it means."""

from components.common.errors import InventoryError
from components.counter.dataset import SPLITS


def parse_ratios(text: str) -> list[float]:
    """Reads ``train/validation/test`` in percent, such as ``90/5/5``.

    Returns:
        Three fractions that sum to 1.

    Raises:
        InventoryError: if the text is not three positive numbers that sum to 100.
    """
    try:
        percents = [float(part) for part in text.split("/")]
    except ValueError:
        percents = []
    if len(percents) != len(SPLITS) or not all(part > 0 for part in percents) or abs(sum(percents) - 100) > 1e-6:
        raise InventoryError(
            f"the split ratios '{text}' are not train/validation/test in percent: "
            "write three positive numbers that sum to 100, such as 90/5/5 or 70/10/20"
        )
    return [part / 100 for part in percents]
