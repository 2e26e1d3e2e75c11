"""What the modules of this package do when they are called as programs."""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from components.common.errors import InventoryError


def carry_out(make: Callable[[str, Path], Iterable[Path]]) -> int:
    """Makes files with the two words of the command line, ``PYTHON FOLDER``, and names them.

    Args:
        make: takes the interpreter that has the tools, and the folder; returns what it made.

    Returns:
        The exit code.
    """
    python, folder = sys.argv[1:]
    try:
        for file in make(python, Path(folder)):
            print(file)
    except InventoryError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
