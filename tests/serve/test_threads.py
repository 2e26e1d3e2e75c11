"""Threads that work for the event loop."""

import asyncio
import gc
import threading
import weakref

import pytest

from components.serve.threads import Threads, _once
from tests.waiting import wait_until


def refuse(content: object) -> None:
    raise ValueError("not this one")


def test_what_the_work_returns_or_raises_comes_back() -> None:
    async def work() -> list[object]:
        threads = Threads(2, "test")
        return await asyncio.gather(
            threads.do(divmod, 7, 2), threads.do(refuse, None), threads.do(str, 5), return_exceptions=True
        )

    quotient, error, text = asyncio.run(work())
    assert (quotient, str(error), text) == ((3, 1), "not this one", "5")


def test_work_whose_turn_comes_after_it_was_cancelled_is_not_begun() -> None:
    gate, begun = threading.Event(), list[int]()

    async def work() -> None:
        threads = Threads(1, "test")
        first, second, third = threads.do(gate.wait, 20), threads.do(begun.append, 2), threads.do(begun.append, 3)
        second.cancel()
        gate.set()
        await asyncio.gather(first, third)

    asyncio.run(work())
    assert begun == [3]


def test_work_that_is_cancelled_gives_up_what_it_holds_while_the_thread_is_busy() -> None:
    """Clients that come and go while a large photo is decoded would leave theirs behind, which nobody has booked."""

    class Content:
        pass

    async def work() -> object:
        threads, gate, content = Threads(1, "test"), threading.Event(), Content()
        there = weakref.ref(content)
        busy, waiting = threads.do(gate.wait, 20), threads.do(id, content)
        del content
        waiting.cancel()
        await asyncio.sleep(0)
        left = there()
        gate.set()
        await busy
        return left

    assert asyncio.run(work()) is None


def test_work_that_is_cancelled_as_its_thread_takes_it_is_passed_over() -> None:
    async def work() -> None:
        future = asyncio.get_running_loop().create_future()
        _once([], future)  # what the thread finds between the end of the future's wait and its own look at it
        assert not future.done()

    asyncio.run(work())


@pytest.mark.parametrize("ends", ["is cancelled", "ends with its loop"])
def test_a_thread_goes_on_when_nobody_waits_for_what_it_is_doing(ends: str) -> None:
    threads, gate, begun = Threads(1, "test"), threading.Event(), threading.Event()

    def held() -> None:
        begun.set()
        assert gate.wait(20)

    async def give_up() -> None:
        future = threads.do(held)
        assert await asyncio.to_thread(begun.wait, 20)
        if ends == "is cancelled":
            future.cancel()
            gate.set()
            assert await threads.do(divmod, 7, 2) == (3, 1)

    async def ask() -> tuple[int, int]:
        return await threads.do(divmod, 9, 2)

    asyncio.run(give_up())
    gate.set()
    assert asyncio.run(ask()) == (4, 1)


def test_threads_that_are_ended_finish_what_is_at_work_and_hold_up_nobody_longer_than_wanted() -> None:
    gate, done, number = threading.Event(), list[int](), threading.active_count()

    async def ask() -> Threads:
        threads = Threads(2, "test")
        threads.do(gate.wait, 20)
        threads.do(done.append, 1)
        return threads

    threads = asyncio.run(ask())
    threads.end(0.05)
    wait_until(lambda: threading.active_count() == number + 1, "the thread that is free has ended")
    assert done == [1]
    gate.set()
    threads.end(20)
    assert threading.active_count() == number


@pytest.mark.parametrize("work", [id, refuse], ids=["it is done", "it is refused"])
def test_an_idle_thread_holds_nothing_of_what_it_did(work) -> None:
    """A photo of some megabytes for each thread, if it did, or until the garbage collector comes."""

    class Content:
        pass

    async def ask() -> weakref.ref[Content]:
        threads, content = Threads(1, "test"), Content()
        there = weakref.ref(content)
        await asyncio.gather(threads.do(work, content), return_exceptions=True)
        del content
        await asyncio.gather(threads.do(int), threads.do(int))  # the thread has gone on meanwhile
        return there

    gc.disable()
    try:
        assert asyncio.run(ask())() is None
    finally:
        gc.enable()
