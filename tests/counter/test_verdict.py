import pytest

from components.counter.verdict import verdict


@pytest.mark.parametrize(
    ("wrong", "expected", "cost", "said"),
    [
        (0.06, 0.4, 20, "recount"),
        (0.05, 0.4, 20, "agrees"),
        (0.04, 0.4, 20, "agrees"),
        (0.04, 0.2, 20, "unsure"),
        (0.04, 0.1, 20, "unsure"),
        (0.04, 0.1, 30, "recount"),
        (0.9, 0.01, 1, "unsure"),
        (1.0, 0.0, 1, "unsure"),
        (0.001, 0.99, 1_000_000, "recount"),
    ],
)
def test_a_recount_is_asked_for_where_it_pays_and_else_the_photo_speaks_for_the_record_or_cannot_tell(
    wrong: float, expected: float, cost: float, said: str
) -> None:
    assert verdict(wrong, expected, 5, cost) == said
