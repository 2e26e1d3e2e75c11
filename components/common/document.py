"""Documents: what steps hand to each other and to people, as JSON whose every field is known.

A document says in ``format`` what it is and of which version, such as ``inventory-trained-model/1``. One without it was
left by a version of this project that did not write it yet, and is of version 1.
"""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
)

from components.common.errors import InventoryError
from components.common.files import write_atomic
from components.common.progress import note

if TYPE_CHECKING:  # the store's client takes a second to import, which who only reads a file need not wait for
    from components.common.store import Store

MOST_SHOWN = 300
"""Characters of what is wrong with a document that a message shows."""
MOST_NAME = 60
"""Characters of a field's name, where it is somebody else's choice."""
UPDATE = "; update"
"""Ends the refusal of a newer version."""
DAMAGED = "; if it is damaged, delete it and run again"
EMPTY_IS_NONE = BeforeValidator(lambda value: value or None)
"""Of a part that may be missing: earlier versions wrote an empty one."""


class NewerVersionError(InventoryError):
    """A document is whole, but of a version that this code does not know."""


class Part(BaseModel):
    """A part of a document: known fields only, never changed; an optional field that nobody set is not written."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        protected_namespaces=(),  # "model_…" is what our models are about
        ser_json_inf_nan="constants",  # the loss of a training that diverged
        defer_build=True,  # of many kinds that a process imports it reads a few
    )

    @model_serializer(mode="wrap")
    def _what_was_set(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if name in self.model_fields_set}


class Document(Part):
    """What passes through a file or the store; a newer version than this one is refused."""

    KIND: ClassVar[str]
    """What it is, in words joined by hyphens."""
    VERSION: ClassVar[int] = 1
    """Goes up when a field changes its meaning or goes."""

    format: str = Field(default="", validate_default=True)
    """Kind and version of this document."""

    @field_validator("format")
    @classmethod
    def _is_known(cls, value: str) -> str:
        known = f"inventory-{cls.KIND}"
        kind, _, version = (value or f"{known}/1").rpartition("/")
        if kind != known or not version.isdecimal():
            raise ValueError(f"is {value!r}, not {known}/{cls.VERSION}")
        if int(version) > cls.VERSION:
            raise ValueError(f"{value!r} was written by a newer version, this one reads {known}/{cls.VERSION}{UPDATE}")
        return f"{known}/{cls.VERSION}"

    def model_post_init(self, _: Any) -> None:
        """The format is always written."""
        self.model_fields_set.add("format")

    @classmethod
    def parse(cls, data: bytes | str, where: str, mend: str = "") -> Self:
        """Reads a document from its JSON; errors name it by ``where``, a path or an address, and end with ``mend``.

        Raises:
            InventoryError: if it is no such document or of a newer version; names the first field that is wrong.
        """
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            raise _is_none(cls, where, error, mend) from error

    @classmethod
    def of(cls, content: Any, where: str) -> Self:
        """Reads a document from what its JSON holds; see ``parse``."""
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise _is_none(cls, where, error) from error

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads a file; see ``parse``."""
        return cls.parse(Path(path).read_bytes(), str(path), DAMAGED)

    @classmethod
    def fetch(cls, store: "Store", key: str) -> Self:
        """Reads an object of the store; see ``parse``."""
        return cls.parse(store.get_bytes(key), store.uri(key), DAMAGED)

    @classmethod
    def fetch_or_none(cls, store: "Store", key: str) -> Self | None:
        """Reads an object of the store; None when there is none."""
        data = store.get_bytes_or_none(key)
        return None if data is None else cls.parse(data, store.uri(key), DAMAGED)

    @classmethod
    def fetch_if_whole(cls, store: "Store", key: str) -> Self | None:
        """Reads an object that can be made again; None when there is none, or it is damaged, as a note then says.

        Raises:
            InventoryError: if the store cannot be read, or a newer version wrote it.
        """
        data = store.get_bytes_or_none(key)
        return None if data is None else cls._if_whole(data, store.uri(key))

    @classmethod
    def load_if_whole(cls, path: Path) -> Self | None:
        """Reads a file that can be made again; see ``fetch_if_whole``."""
        return cls._if_whole(path.read_bytes(), str(path)) if path.is_file() else None

    @classmethod
    def _if_whole(cls, data: bytes, where: str) -> Self | None:
        try:
            return cls.parse(data, where)
        except NewerVersionError:
            raise
        except InventoryError as error:
            _note_damaged(str(error))
            return None

    def to_json(self) -> str:
        """The document as readable JSON."""
        return self.model_dump_json(indent=1) + "\n"

    def write(self, path: Path) -> None:
        """Writes the document to a file, atomically."""
        write_atomic(path, self.to_json())

    def put(self, store: "Store", key: str) -> None:
        """Writes the document into the store."""
        store.put_bytes(key, self.to_json().encode())


@functools.lru_cache(maxsize=1000)
def _note_damaged(error: str) -> None:
    """Said once, however often somebody who waits looks at it."""
    note(f"{error}; it is damaged and made again")


def _is_none(document: type[Document], where: str, error: ValidationError, mend: str = "") -> InventoryError:
    wrong = first_error(error)
    line = f"{where} is no {document.KIND.replace('-', ' ')}: {wrong}"
    return NewerVersionError(line) if wrong.endswith(UPDATE) else InventoryError(line + mend)


def first_error(error: ValidationError) -> str:
    """What is wrong first, with the field's name, in one line, whatever characters were given."""
    first = error.errors()[0]
    place = ".".join(str(part)[:MOST_NAME] for part in first["loc"])
    text = first["msg"].removeprefix("Value error, ")
    return shown(f"{place}: {text}" if place else text)


def shown(text: str) -> str:
    """A text that somebody else wrote, as one line for a message: no control characters, not too long."""
    line = "".join(letter if letter.isprintable() else " " for letter in text[: 2 * MOST_SHOWN])
    line = " ".join(line.split())
    return line if len(line) <= MOST_SHOWN else f"{line[:MOST_SHOWN]}…"
