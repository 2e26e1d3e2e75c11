"""Beats beside a block: when they come, how they end, and what becomes of their errors."""

import threading

import pytest

from components.common.background import call_periodically

NEVER = 3600.0
LONG = 30.0


class Beats:
    """Counts beats; raises at those whose numbers are given."""

    def __init__(self, *broken: int) -> None:
        self.count, self.broken = 0, broken
        self._more = threading.Condition()

    def __call__(self) -> None:
        with self._more:
            self.count += 1
            self._more.notify_all()
        if self.count in self.broken:
            raise ValueError(f"beat {self.count}")

    def reach(self, count: int) -> None:
        with self._more:
            assert self._more.wait_for(lambda: self.count >= count, LONG)


def test_beats_come_while_the_block_runs_and_end_with_it():
    beat = Beats()
    with call_periodically(0.001, beat, "test"):
        beat.reach(3)
    counted = beat.count
    assert "test" not in [thread.name for thread in threading.enumerate()]
    assert beat.count == counted


def test_a_block_that_ends_does_not_wait_for_the_next_beat():
    beat = Beats()
    with call_periodically(NEVER, beat, "test"):
        pass
    assert beat.count == 0


def test_the_first_beat_may_come_at_once_and_a_last_call_after_the_block():
    beat, calls = Beats(), []
    with call_periodically(
        NEVER, beat, "test", at_once=True, last=lambda: calls.append(threading.current_thread().name)
    ):
        beat.reach(1)
        assert calls == []
    assert calls == ["test"]


def test_an_error_is_raised_where_the_block_ends():
    beat = Beats(2)
    with pytest.raises(ValueError, match="beat 2"), call_periodically(0.001, beat, "test"):
        beat.reach(2)
    assert beat.count == 2


def test_the_error_of_the_block_comes_before_those_of_the_beats():
    beat = Beats(1)

    def block() -> None:
        with call_periodically(0.001, beat, "test"):
            beat.reach(1)
            raise KeyError

    with pytest.raises(KeyError):
        block()


def test_beats_go_on_when_somebody_hears_of_their_errors():
    beat, heard = Beats(1, 2), []
    with call_periodically(0.001, beat, "test", failed=heard.append):
        beat.reach(3)
    assert [str(error) for error in heard] == ["beat 1", "beat 2"]


def test_a_beat_that_hangs_does_not_keep_the_block():
    hanging, free = threading.Event(), threading.Event()
    with call_periodically(0, lambda: (hanging.set(), free.wait(LONG)), "test", stop_seconds=0.01):
        assert hanging.wait(LONG)
    assert not free.is_set()
    free.set()
