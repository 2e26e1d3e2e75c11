"""Lengths and weights as people and tables write them, in inches and pounds."""

from collections.abc import Mapping
from typing import Any

MOST = 10_000.0
"""Inches or pounds; more is a mistake."""
INCHES = {
    **dict.fromkeys(("in", "inch", "inches", '"'), 1.0),
    **dict.fromkeys(("ft", "foot", "feet"), 12.0),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), 1 / 25.4),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), 1 / 2.54),
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1 / 0.0254),
}
POUNDS = {
    **dict.fromkeys(("lb", "lbs", "pound", "pounds"), 1.0),
    **dict.fromkeys(("oz", "ounce", "ounces"), 1 / 16),
    **dict.fromkeys(("g", "gram", "grams"), 1 / 453.59237),
    **dict.fromkeys(("kg", "kilogram", "kilograms"), 1 / 0.45359237),
}


def measured(measure: Any, units: Mapping[str, float]) -> float | None:
    """A length in inches or a weight in pounds.

    Args:
        measure: a number in that unit, or ``{"value": number, "unit": text}``, in which a missing unit is that one too.
        units: ``INCHES`` or ``POUNDS``: what a unit's name is worth.

    Returns:
        None for what is no such measure: text, zero or less, more than ``MOST``, a unit that nobody knows.
    """
    unit: Any = None
    if isinstance(measure, dict):
        measure, unit = measure.get("value"), measure.get("unit")
    factor = 1.0 if unit is None else units.get(unit.strip().lower()) if isinstance(unit, str) else None
    if factor is None or isinstance(measure, bool) or not isinstance(measure, int | float):
        return None
    return float(measure) * factor if 0 < measure <= MOST / factor else None
