"""Prints what SlipCover measured: ``python -m tests.coverage_table build/coverage.json``.

Lines that ran in a process of their own (steps, workers, model servers) do not count.
"""

import json
import sys
from pathlib import Path

SHOWN = 10
"""Files with the most lines that no test ran."""


def table(measured: dict[str, dict[str, list[int]]]) -> str:
    """The total, and the least covered files.

    Args:
        measured: file -> ``executed_lines`` and ``missing_lines``.
    """
    ran = {file: len(lines["executed_lines"]) for file, lines in measured.items()}
    missed = {file: len(lines["missing_lines"]) for file, lines in measured.items()}
    total = sum(ran.values()) + sum(missed.values())
    rows = [f"coverage: {sum(ran.values()) / total:.1%} of {total:,} lines ran in the tests' own process; least in"]
    for file in sorted(missed, key=lambda file: -missed[file])[:SHOWN]:
        rows.append(f"  {missed[file]:>4} of {ran[file] + missed[file]:>4} lines did not run  {file}")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table(json.loads(Path(sys.argv[1]).read_text())["files"]))
