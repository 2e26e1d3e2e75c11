"""What a mistyped word may have meant; imports nothing that is slow, since the command line starts with it."""

import difflib
from collections.abc import Iterable


def did_you_mean(given: object, known: Iterable[str], otherwise: str = "") -> str:
    """The question that a mistyped name or choice deserves, or else the list of what is known.

    That list begins with ``otherwise``, such as ``the options are``; empty for no list.
    """
    names = list(known)
    begun = [name for name in names if str(given).strip("-") and name.startswith(str(given))]
    close = begun[:1] or difflib.get_close_matches(str(given), names, 1)
    if close:
        return f"did you mean {close[0]}?"
    return f"{otherwise} {', '.join(names)}" if otherwise else ""
