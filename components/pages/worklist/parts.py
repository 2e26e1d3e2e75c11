"""The script and the style of a page with a list to work through; its markup is in ``worklist.html.j2``."""

from pathlib import Path

FOLDER = Path(__file__).parent


def script_with(*further: Path) -> str:
    """The one script of a page: what every such list does, then what this page adds, in one scope."""
    return "\n".join(file.read_text() for file in (FOLDER / "worklist.js", *further))


def style_with(*further: Path) -> str:
    """The style of such a list, and of this page."""
    return "\n".join(file.read_text() for file in (FOLDER / "worklist.css", *further))
