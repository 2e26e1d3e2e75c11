"""The one exception that a user sees as a plain line."""


class InventoryError(Exception):
    """Something the user can mend: what was wrong, where, and what to do, on one line.

    The command line and the step runner print it as ``error: …`` and exit non-zero; any other exception is a defect
    and keeps its traceback.
    """


def first_line(error: BaseException) -> str:
    """What an error of a library says, as far as it fits into one line; its kind when it says nothing."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
