"""Shows a run's progress records to a person: bars on a terminal, plain lines elsewhere."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from components.common.background import call_periodically

SECONDS_BETWEEN_READS = 0.2
SECONDS_BETWEEN_LINES = 10.0


class View:
    """Renders records as they come and keeps what the steps reported."""

    def __init__(self, console: Console) -> None:
        self.outcomes: dict[str, dict[str, Any]] = {}
        """Each finished step's outcome, by the step's name."""
        self.seconds: dict[str, float] = {}
        """Each finished step's wall time in seconds."""
        self.error: str | None = None
        """The line of the step that failed."""
        self._console = console
        self._bars = Progress(
            TextColumn("  {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._bar: tuple[str, TaskID] | None = None
        self._line_due = 0.0

    def show(self, record: dict[str, Any]) -> None:
        """Renders one record of ``components.common.progress``."""
        match record["kind"]:
            case "start":
                self._console.print(f"[bold]{record['step']}[/bold]")
                self._line_due = time.monotonic() + SECONDS_BETWEEN_LINES
            case "done":
                self._clear_bar()
                self.outcomes[record["step"]] = record["outcome"]
                self.seconds[record["step"]] = record["seconds"]
                self._console.print(f"  done in {record['seconds']:.1f} s", style="dim")
            case "note":
                self._console.print(f"  {record['message']}", markup=False, highlight=False, soft_wrap=True)
            case "error":
                self.error = record["message"]
            case "count":
                self._count(record)

    def _count(self, record: dict[str, Any]) -> None:
        label, at, total = record["label"], record["at"], record["total"]
        if self._console.is_terminal:
            if self._bar is None or self._bar[0] != label:
                self._clear_bar()
                self._bar = (label, self._bars.add_task(label, total=total))
            self._bars.update(self._bar[1], completed=at, total=total, refresh=at >= total)
        elif time.monotonic() >= self._line_due:
            self._line_due = time.monotonic() + SECONDS_BETWEEN_LINES
            self._console.print(f"  {label}: {at:,} of {total:,}", highlight=False)

    def _clear_bar(self) -> None:
        if self._bar:
            self._bars.remove_task(self._bar[1])
            self._bar = None

    @contextmanager
    def following(self, path: Path) -> Iterator[None]:
        """Shows the records appended to ``path`` until the block ends."""
        path.touch()
        partial = ""
        with self._bars, path.open() as file:
            file.seek(0, 2)

            def read() -> None:
                nonlocal partial
                for line in file:
                    partial += line
                    if partial.endswith("\n"):
                        record, partial = partial, ""
                        self.show(json.loads(record))

            with call_periodically(SECONDS_BETWEEN_READS, read, "progress", at_once=True, last=read, stop_seconds=None):
                yield
