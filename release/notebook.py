"""The notebook of the docs: runs it, and makes the page that the site shows of it.

``python -m release.notebook`` runs docs/notebook.ipynb and writes it again with what its cells printed and drew.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from release.environments import ROOT

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"
CELL_SECONDS = 1200
"""On a busy machine; two quiet cores take one minute for all cells together."""
JPEG, MARKDOWN = "image/jpeg", "text/markdown"
"""What is kept of what cells show; whole pages of HTML are for who runs it."""
COUNTING = re.compile(r".*: [\d,]+ of [\d,]+")
SCRATCH = re.compile(r"[^\s'\"]*/bins-\w{8}\b")
"""The notebook's folder, which goes with its last cell."""

Cell = dict[str, Any]


def run(path: Path = NOTEBOOK) -> Cell:
    """Runs every cell in a new process, as the kernel of this environment.

    Args:
        path: of the notebook.

    Returns:
        The notebook with its outputs, as nbformat 4 has it.

    Raises:
        nbclient.exceptions.CellExecutionError: if a cell fails.
    """
    import nbformat  # these two are for who runs notebooks: everything else goes without
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=CELL_SECONDS, resources={"metadata": {"path": str(ROOT)}}).execute()
    made: Cell = json.loads(nbformat.writes(notebook))
    return made


def tidy(notebook: Cell) -> Cell:
    """The notebook as it is kept: no times, no warnings, no progress bars, and no path of the machine that ran it."""
    cells = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell = {**cell, "metadata": {}, "execution_count": None, "outputs": list(_outputs(cell))}
        cells.append(cell)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {**notebook, "cells": cells, "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}}}


def _outputs(cell: Cell) -> Iterator[Cell]:
    """What is kept of a cell's outputs; what it printed comes together, before what it drew."""
    printed = "".join("".join(output["text"]) for output in cell["outputs"] if output.get("name") == "stdout")
    lines = [line for line in printed.splitlines() if line and not COUNTING.fullmatch(line)]
    if lines:
        text = SCRATCH.sub("bins", "\n".join(lines) + "\n")
        yield {"name": "stdout", "output_type": "stream", "text": text.splitlines(keepends=True)}
    for output in cell["outputs"]:
        shown = {kind: data for kind, data in output.get("data", {}).items() if kind in (JPEG, MARKDOWN)}
        if shown:
            yield {"data": shown, "metadata": {}, "output_type": "display_data"}


def page(notebook: Cell | None = None) -> str:
    """A notebook as a page of Markdown, pictures included; the one of the docs when None."""
    parts = []
    for cell in (notebook or json.loads(NOTEBOOK.read_text()))["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", ()):
            if "text" in output:
                parts.append(f"```text\n{''.join(output['text'])}```")
            elif JPEG in output["data"]:
                parts.append(f"![what the cell shows](data:{JPEG};base64,{''.join(output['data'][JPEG].split())})")
            else:
                parts.append("".join(output["data"][MARKDOWN]))
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    NOTEBOOK.write_text(json.dumps(tidy(run()), indent=1, ensure_ascii=False) + "\n")
