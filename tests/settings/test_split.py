import pytest

from components.common.errors import InventoryError
from components.settings.split import parse_ratios


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90/5/5", [0.9, 0.05, 0.05]), ("70/10/20", [0.7, 0.1, 0.2]), ("62.5/12.5/25", [0.625, 0.125, 0.25])],
)
def test_percentages_become_fractions(text, expected):
    assert parse_ratios(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text",
    ["", "90/10", "90/5/5/0", "90/5/6", "100/0/0", "110/-5/-5", "a/b/c", "nan/50/50", "inf/5/5", "0.9/0.1/0"],
)
def test_anything_else_is_refused_with_an_example(text):
    with pytest.raises(InventoryError, match="such as 90/5/5") as caught:
        parse_ratios(text)
    assert "\n" not in str(caught.value)
