"""Work begun ahead of its turn: in order, bounded, and taken back when nobody wants it any more."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import pytest

from components.common.prefetch import CombinedTasks, prefetch


class Started:
    """Begins work that never runs by itself, and notes what was begun, and in which state it is."""

    def __init__(self) -> None:
        self.begun: list[Future[int]] = []

    def __call__(self, item: int) -> Future[int]:
        self.begun.append(Future())
        return self.begun[-1]

    def finish(self, *places: int) -> None:
        for place in places:
            self.begun[place].set_result(place)


def endless() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1


def test_results_come_in_the_order_of_the_items_whoever_is_ready_first():
    started = Started()
    work = [started(item) for item in range(3)]
    started.finish(2, 1, 0)
    assert list(prefetch(lambda item: work[item], range(3), ahead=2)) == [0, 1, 2]


@pytest.mark.parametrize("ahead", [0, 1, 4])
def test_no_more_is_begun_than_the_one_in_use_and_those_ahead(ahead: int):
    begun = []
    with ThreadPoolExecutor(2) as pool:
        results = prefetch(lambda item: begun.append(item) or pool.submit(int, item), endless(), ahead)
        for turn in range(5):
            assert next(results) == turn
            assert len(begun) == turn + 1 + ahead
        results.close()


def test_nothing_makes_nothing():
    assert list(prefetch(Started(), [], ahead=3)) == []


def test_what_has_not_been_started_is_taken_back_when_the_consumer_leaves():
    started = Started()
    results = prefetch(lambda item: done(item) if item == 0 else started(item), endless(), ahead=3)
    assert next(results) == 0
    results.close()
    assert [work.cancelled() for work in started.begun] == [True] * 3


def test_an_error_comes_at_its_turn_and_takes_the_rest_back():
    started = Started()
    broken: Future[int] = Future()
    broken.set_exception(ValueError("the second"))
    work = [done(0), broken]
    results = prefetch(lambda item: work[item] if item < 2 else started(item), range(4), ahead=3)
    assert next(results) == 0
    with pytest.raises(ValueError, match="the second"):
        next(results)
    assert all(later.cancelled() for later in started.begun)


def test_the_tasks_of_one_item_make_one_result():
    with ThreadPoolExecutor(3) as pool:
        add = partial(pool.submit, lambda number: number + 1)
        sums = prefetch(lambda row: CombinedTasks([add(number) for number in row], sum), [[1, 2], [], [3]], ahead=1)
        assert list(sums) == [5, 0, 4]


def test_all_tasks_of_an_item_are_taken_back():
    tasks: list[Future[int]] = [Future(), Future()]
    results = prefetch(lambda item: CombinedTasks(tasks, sum) if item else done(0), range(2), ahead=1)
    next(results)
    results.close()
    assert all(task.cancelled() for task in tasks)


def done(value: int) -> Future[int]:
    work: Future[int] = Future()
    work.set_result(value)
    return work
