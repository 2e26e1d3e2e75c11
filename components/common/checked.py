"""Checks what a user gave against a typed model, and says on one line what is wrong and what is allowed."""

import types
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from components.common.errors import InventoryError
from components.common.suggest import did_you_mean

Model = TypeVar("Model", bound=BaseModel)
MOST_SHOWN = 120
"""Characters of a refused value that a message shows."""


def checked(model: type[Model], where: str, values: Any) -> Model:
    """Checks values against a model; whole numbers may come as floats, as KFP passes all numbers of a dictionary.

    Args:
        model: what is allowed.
        where: what the values are called in messages, such as ``cluster``; empty for the run itself.
        values: what was given, by the fields' names or aliases.

    Raises:
        InventoryError: naming the first field that is refused, what was given and what is allowed.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InventoryError(_line(model, where, error)) from error


def allowed(field: FieldInfo) -> str:
    """Says in words which values a field takes, such as ``0 < number <= 100`` or ``sgd, sgdr, adam, adamw``."""
    if isinstance(field.json_schema_extra, dict) and "allowed" in field.json_schema_extra:
        return str(field.json_schema_extra["allowed"])
    kind = without_none(field.annotation)
    if get_origin(kind) is Literal:
        return ", ".join(map(str, get_args(kind)))
    if kind is bool:
        return "true, false"
    if get_origin(kind) in (list, tuple):
        return "a JSON list"
    if get_origin(kind) is dict or (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return "JSON"
    low, high = "", ""
    for bound in field.metadata:
        match bound:
            case annotated_types.Ge(ge=value):
                low = f"{value} <= "
            case annotated_types.Gt(gt=value):
                low = f"{value} < "
            case annotated_types.Le(le=value):
                high = f" <= {value}"
            case annotated_types.Lt(lt=value):
                high = f" < {value}"
    name = "integer" if kind is int else "number" if kind is float else "text"
    return f"{low}{name}{high}"


def _line(model: type[BaseModel], where: str, error: ValidationError) -> str:
    """What the first refusal says to a user."""
    first = error.errors()[0]
    path, given = first["loc"], first["input"]
    name = ".".join(str(part) for part in (where, *path) if part != "")
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        owner = _model_at(model, path[:-1])
        hint = did_you_mean(path[-1], fields_of(owner) if owner else (), "the options are")
        return f"{name.rpartition('.')[0] or 'the run'} has no option '{path[-1]}'; {hint}"
    if first["type"] == "missing":
        return f"{name}: is missing"
    if first["type"] == "value_error" and isinstance(given, Mapping | BaseModel):
        return f"{name}: {message}"
    shown = repr(given) if len(repr(given)) <= MOST_SHOWN else f"{repr(given)[:MOST_SHOWN]}…"
    field = _field_at(model, path)
    if field is None or first["type"] == "value_error":
        return f"{name or 'the run'} = {shown} is refused: {message}"
    choices = get_args(without_none(field.annotation)) if first["type"] == "literal_error" else ()
    hint = did_you_mean(given, map(str, choices))
    return f"{name} = {shown} is refused; allowed: {allowed(field)}{f'; {hint}' if hint else ''}"


def fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """A model's fields by the names that a user knows."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _field_at(model: type[BaseModel], path: Sequence[str | int]) -> FieldInfo | None:
    """The field that a path of names and list positions leads to; None inside free-form JSON."""
    names = [part for part in path if isinstance(part, str)]
    owner = _model_at(model, names[:-1])
    return fields_of(owner).get(names[-1]) if owner and names else None


def _model_at(model: type[BaseModel], path: Sequence[str | int]) -> type[BaseModel] | None:
    owner: type[BaseModel] | None = model
    for part in path:
        if isinstance(part, str):
            field = fields_of(owner).get(part) if owner else None
            owner = _model_in(field.annotation) if field else None
    return owner


def _model_in(kind: Any) -> type[BaseModel] | None:
    """The model in an annotation such as ``list[Toleration]``."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind
    return next((model for part in get_args(kind) if (model := _model_in(part))), None)


def without_none(kind: Any) -> Any:
    """The type that an annotation such as ``int | None`` allows beside None."""
    if get_origin(kind) in (Union, types.UnionType):
        return next(part for part in get_args(kind) if part is not type(None))
    return kind
