"""Checks the pipeline's structured parameters against their typed models."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from components.common.errors import InventoryError

Model = TypeVar("Model", bound=BaseModel)


def checked(model: type[Model], parameter: str, values: dict[str, Any]) -> Model:
    """Checks a structured parameter; whole numbers may come as floats, as KFP passes all numbers of a dictionary.

    Args:
        model: what the parameter may hold.
        parameter: its name in the pipeline.
        values: what was given.

    Raises:
        InventoryError: with the field's name and what was wrong with it.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in (parameter, *first["loc"]))
        given = f" (given: {first['input']!r})" if first["loc"] else ""
        raise InventoryError(f"{field}: {first['msg'].removeprefix('Value error, ')}{given}") from error
