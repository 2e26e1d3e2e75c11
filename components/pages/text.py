"""Numbers as people read them; percent only here, never in files."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

NONE = "-"
SPACE = "\N{NO-BREAK SPACE}"


def percent(value: float | None) -> str:
    """A fraction as a percentage with one decimal."""
    return NONE if value is None else f"{100 * value:.1f}{SPACE}%"


def whole_percent(value: float) -> str:
    """A fraction as a percentage without decimals, as on an axis."""
    return f"{100 * value:.0f}{SPACE}%"


def number(value: float) -> str:
    """A fraction in percent, without the sign."""
    return f"{100 * value:.1f}"


def items(value: float | None) -> str:
    """A number of items with two decimals."""
    return NONE if value is None else f"{value:.2f}"


def plain(value: float | None) -> str:
    """A number with three decimals."""
    return NONE if value is None else f"{value:.3f}"


def signed(value: float) -> str:
    """A change, with its sign."""
    return f"{value:+.4f}"


def compact(value: float) -> str:
    """A number of any size in about four digits; whole ones in full."""
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.4g}"


def thousands(value: float) -> str:
    """A whole number, or one that is rounded to it, with separators: "1,110"."""
    return f"{value:,.0f}"


def tenths(value: float) -> str:
    """A number with one decimal and separators."""
    return f"{value:,.1f}"


def gib(size: float) -> str:
    """Bytes, in GiB."""
    return f"{size / 2**30:.1f} GiB"


def plural(number: float, one: str, many: str = "") -> str:
    """A number of things, rounded: "1 bin", "1,110 bins"; ``many`` are called ``one`` with an s when that is empty."""
    return f"{thousands(number)} {one if round(number) == 1 else many or one + 's'}"


def of_items(count: str) -> str:
    """Counts as what a bin holds: "1 item", "6+ items", "1, 3 items"."""
    return f"{count} {'item' if count == '1' else 'items'}"


def interval(value: Sequence[float] | None, text: Callable[[float], str]) -> str:
    """An interval such as "33.2 to 39.0"; a dash when there is none."""
    return NONE if value is None else f"{text(value[0])}{SPACE}to{SPACE}{text(value[1])}"


def interval_in_percent(value: Sequence[float] | None) -> str:
    """An interval of fractions, in percent without the sign."""
    return interval(value, number)


def as_text(value: object) -> str:
    """Anything as it is; a dash for nothing."""
    return NONE if value is None else str(value)


def duration(seconds: float) -> str:
    """A time with its unit, in three digits or hours and minutes."""
    if seconds < 1:
        return f"{seconds * 1e3:.3g}{SPACE}ms"
    if seconds < 60:
        return f"{seconds:.3g}{SPACE}s"
    minutes = round(seconds / 60)
    return f"{seconds / 60:.3g} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def milliseconds(seconds: float) -> str:
    """Milliseconds without their unit."""
    return tenths(1e3 * seconds)


def moment(seconds: float | None, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Seconds since 1970 as a time in UTC."""
    return NONE if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime(form)
