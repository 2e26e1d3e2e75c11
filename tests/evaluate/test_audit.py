import numpy as np
import pytest

from components.evaluate.audit import WRONG_RECORDS, audit, corrupt, curves_of, figures
from components.pages.page import environment


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 5, 1000)


@pytest.mark.parametrize("corruption", ["uniform", "off_by_one"])
def test_a_share_of_the_records_is_wrong_and_none_of_the_others(labels, corruption) -> None:
    recorded, wrong = corrupt(labels, 5, corruption, seed=3)
    assert wrong.sum() == round(WRONG_RECORDS * len(labels))
    assert (recorded[~wrong] == labels[~wrong]).all()
    apart = np.abs(recorded - labels)[wrong]
    assert set(apart) == ({1, 2, 3, 4} if corruption == "uniform" else {1})
    assert ((recorded >= 0) & (recorded < 5)).all()


def test_one_that_knows_finds_all_and_one_that_guesses_finds_as_many_as_by_chance(labels) -> None:
    certain, ignorant = np.eye(5)[labels], np.random.default_rng(1).dirichlet(np.full(5, 50.0), len(labels))
    assert [row.lift for row in audit(certain, labels, seeds=10)[0]] == pytest.approx([10, 10])
    uniform, off_by_one = audit(ignorant, labels, seeds=100)[0]
    assert uniform.interval[0] <= 1 <= uniform.interval[1]
    assert uniform.lift == pytest.approx(1, abs=0.4)
    assert off_by_one.lift < 2  # a record of 1 or 5 has one neighbour that it may be mistaken for, the others two


def test_the_curve_rises_from_nothing_to_all(labels) -> None:
    shares = 0.7 * np.eye(5)[labels] + 0.3 / 5
    drawn = curves_of(shares, labels, "uniform", seeds=5)
    assert (drawn[:, 0] == 0).all()
    assert (drawn[:, -1] == 1).all()
    assert (np.diff(drawn, axis=1) >= 0).all()


def section(*found) -> str:
    """The report's section on an audit."""
    return environment().get_template("components/evaluate/report/audit.html.j2").render(audited=figures(*found))


def test_the_report_shows_both_curves_with_their_intervals(labels) -> None:
    shares = 0.7 * np.eye(5)[labels] + 0.3 / 5
    page = section(*audit(shares, labels, seeds=20))
    assert page.count('<svg class="chart"') == 2
    assert "one more or one less" in page


def test_too_few_bins_to_corrupt_one_leave_the_section_out() -> None:
    assert audit(np.eye(5), np.arange(5)) == ([], {})
    assert section([], {}).strip() == ""
