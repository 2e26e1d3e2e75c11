"""What every section of a run's settings has in common."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict

from components.common.checked import checked


def checked_by(check: Callable[[Any], object]) -> AfterValidator:
    """What refuses an option's value as ``check`` does, and else leaves it as it is."""

    def unchanged(value: Any) -> Any:
        check(value)
        return value

    return AfterValidator(unchanged)


class Section(BaseModel):
    """Typed options that nobody changes once they are checked."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        validate_by_name=True,
        validate_by_alias=True,
        allow_inf_nan=False,
        defer_build=True,  # the help of a command needs names and bounds, and no validators
    )
    called: ClassVar[str] = ""
    """What messages put before an option's name; empty where the options are the pipeline's own parameters."""

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """Checks and completes what was given.

        Args:
            values: option -> value; numbers may be text, as on a command line, or floats, as in KFP's dictionaries.

        Raises:
            InventoryError: as ``checked``.
        """
        return checked(cls, cls.called, values)
