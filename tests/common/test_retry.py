"""Asking again, on a clock that only pauses move."""

import itertools
from types import SimpleNamespace

import pytest

from components.common import retry as module
from components.common.retry import back_off, retry, wait_for


class Away(Exception):
    """Passes."""

    retry_after: float | None = None


class Clock:
    """Time passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now, self.slept = 0.0, []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", SimpleNamespace(sleep=clock.sleep, monotonic=lambda: clock.now))
    return clock


def failing(*errors: Exception):
    """Raises the errors, call by call, and then answers."""
    left = list(errors)

    def call() -> str:
        if left:
            raise left.pop(0)
        return "answer"

    return call


def test_a_call_that_succeeds_is_made_once_and_waits_for_nothing(clock: Clock):
    assert retry(failing(), Away, [5]) == "answer"
    assert clock.slept == []


def test_the_pauses_are_taken_one_by_one(clock: Clock, capsys):
    line = lambda error, pause: f"{error}, again in {pause} s"  # noqa: E731
    assert retry(failing(Away("one"), Away("two")), Away, (1, 2, 4), line=line) == "answer"
    assert clock.slept == [1, 2]
    assert capsys.readouterr().out == "one, again in 1 s\ntwo, again in 2 s\n"


def test_after_the_last_pause_the_error_is_raised(clock: Clock):
    with pytest.raises(Away, match="three"):
        retry(failing(Away("one"), Away("two"), Away("three")), Away, (1, 2))
    assert clock.slept == [1, 2]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(143)])
def test_what_does_not_pass_is_raised_at_once(clock: Clock, error: BaseException):
    with pytest.raises(type(error)):
        retry(failing(error), Away, (1, 2))
    assert clock.slept == []


def test_no_call_is_made_after_the_time_is_over(clock: Clock):
    with pytest.raises(Away):
        retry(failing(*[Away()] * 9), Away, itertools.repeat(5), seconds=12)
    assert clock.slept == [5, 5, 5]


@pytest.mark.parametrize(("asked", "slept"), [(None, 1), (7, 7), (0, 0)])
def test_who_fails_may_say_when_to_come_back(clock: Clock, asked: float | None, slept: float):
    error = Away()
    error.retry_after = asked
    assert retry(failing(error), Away, [1]) == "answer"
    assert clock.slept == [slept]


def test_pauses_double_up_to_the_longest_and_are_spread_by_half():
    for _ in range(50):
        for pause, middle in zip(back_off(6, 0.2, 1.0), (0.2, 0.4, 0.8, 1.0, 1.0), strict=True):
            assert 0.5 * middle <= pause <= 1.5 * middle
    assert len(set(back_off(20, 1.0))) > 1
    assert list(back_off(1, 1.0)) == []


def test_looks_until_something_is_there(clock: Clock):
    answers = iter([None, False, "there"])
    assert wait_for(lambda: next(answers), seconds=10, pause=3) == "there"
    assert clock.slept == [3, 3]


@pytest.mark.parametrize(("seconds", "looks"), [(0, 1), (10, 5)])
def test_looks_until_the_time_is_over(clock: Clock, seconds: float, looks: int):
    seen = []
    assert wait_for(lambda: seen.append(clock.now), seconds, pause=3) is None
    assert len(seen) == looks
