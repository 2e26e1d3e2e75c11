"""What the modules of this package do when they are called as programs."""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from components.common.errors import InventoryError


def carry_out(make: Callable[..., Iterable[Path]]) -> int:
    """Makes or verifies files with the words of the command line, and names them.

    Args:
        make: takes the first word (the interpreter that has the tools, or a key), the folder, and what follows; returns
            the files.

    Returns:
        The exit code.
    """
    first, folder, *others = sys.argv[1:]
    try:
        for file in make(first, Path(folder), *others):
            print(file)
    except InventoryError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
