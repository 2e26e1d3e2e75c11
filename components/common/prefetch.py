"""Work that is begun before its result is asked for: in order, and never more of it than what fits into memory."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Pending(Protocol[R_co]):
    """Work that runs elsewhere, such as a ``Future``."""

    def result(self) -> R_co:
        """Waits for the work to end; raises what it raised."""

    def cancel(self) -> Any:
        """Takes back what has not been started."""


@dataclass(frozen=True)
class CombinedTasks(Generic[R]):
    """One item's work in several tasks."""

    tasks: Sequence[Future[Any]]
    join: Callable[[list[Any]], R]
    """Makes the item's result of the tasks' results."""

    def result(self) -> R:
        """Waits for all tasks; raises what the first one that failed has raised."""
        return self.join([task.result() for task in self.tasks])

    def cancel(self) -> None:
        """Takes back the tasks that have not been started."""
        for task in self.tasks:
            task.cancel()


def prefetch(begin: Callable[[T], Pending[R]], items: Iterable[T], ahead: int) -> Generator[R, None, None]:
    """Yields the results of the items' work in the order of the items.

    Args:
        begin: starts an item's work, as ``pool.submit`` does; called in the consumer's thread.
        items: taken as slowly as their results are.
        ahead: how many items are begun beyond the one whose result is awaited or in use.

    Raises:
        Exception: what an item's work has raised, at its turn. Then, and when the generator is closed, work that has
            not been started is taken back.
    """
    begun: deque[Pending[R]] = deque()
    try:
        for item in items:
            begun.append(begin(item))
            if len(begun) > ahead:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        for work in begun:
            work.cancel()
