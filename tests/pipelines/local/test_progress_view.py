"""Progress for people: plain lines in a log, every record shown once."""

import io
import itertools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rich.console import Console

from pipelines.local import progress_view
from pipelines.local.progress_view import View


def shown(tmp_path: Path, *records: dict[str, Any], **console: Any) -> tuple[View, str]:
    output = io.StringIO()
    view = View(Console(file=output, width=100, **console))
    path = tmp_path / "progress.jsonl"
    path.write_text(json.dumps({"kind": "note", "message": "of an earlier attempt"}) + "\n")
    with view.following(path), path.open("a") as file:
        for record in records:
            file.write(json.dumps(record) + "\n")
    return view, output.getvalue()


DONE = {"kind": "done", "step": "split", "seconds": 1.26, "outcome": {"bins": 9}, "skipped": False}


def test_keeps_what_the_steps_reported(tmp_path: Path) -> None:
    view, output = shown(tmp_path, {"kind": "start", "step": "split"}, DONE)
    assert view.outcomes == {"split": {"bins": 9}}
    assert view.seconds == {"split": 1.26}
    assert output.splitlines() == ["split", "  done in 1.3 s"]


def test_notes_are_shown_as_they_are_written(tmp_path: Path) -> None:
    _, output = shown(tmp_path, {"kind": "note", "message": "Validation Loss: 1.2 [bold]"})
    assert output == "  Validation Loss: 1.2 [bold]\n"


def test_a_failure_is_kept_for_the_last_line(tmp_path: Path) -> None:
    view, output = shown(tmp_path, {"kind": "error", "message": "error: the disk is full"})
    assert view.error == "error: the disk is full"
    assert output == ""


def test_without_a_terminal_counters_become_few_plain_lines(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(progress_view, "time", SimpleNamespace(monotonic=itertools.count().__next__))
    counts = [{"kind": "count", "label": "images", "at": at, "total": 30} for at in range(1, 31)]
    _, output = shown(tmp_path, {"kind": "start", "step": "download"}, *counts)
    lines = output.splitlines()[1:]
    assert 1 <= len(lines) < 15
    assert all(line.startswith("  images: ") and line.endswith(" of 30") for line in lines)
    assert "\x1b" not in output


def test_on_a_terminal_counters_become_bars(tmp_path: Path) -> None:
    counts = [{"kind": "count", "label": "images", "at": at, "total": 3} for at in range(1, 4)]
    _, output = shown(tmp_path, *counts, DONE, force_terminal=True)
    assert "images" in output
    assert "3/3" in output
