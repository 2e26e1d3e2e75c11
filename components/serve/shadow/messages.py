"""What a server and the process of its shadow say to each other over pipes.

To the shadow: photos, each with a head of five bytes, the kind and the length. From it: a line of JSON for the start
and one for each photo.
"""

import struct
from typing import IO, Literal

from pydantic import BaseModel, ConfigDict

from components.counter.bundle import InputTransform

HEAD = struct.Struct(">cI")
PIXELS, FILE = b"P", b"F"
"""A photo as the network wants it, or the file from which the shadow makes that."""


class Begun(BaseModel):
    """The shadow has loaded its bundle, or why it has not."""

    model_config = ConfigDict(frozen=True)
    version: str = ""
    input: InputTransform | None = None
    error: str = ""


class Counted(BaseModel):
    """What the shadow makes of one photo."""

    model_config = ConfigDict(frozen=True)
    outcome: Literal["counted", "too large", "failed"]
    probabilities: dict[str, float] = {}
    """By count, ascending."""
    error: str = ""


def send(pipe: IO[bytes], image: bytes, kind: bytes) -> None:
    """Writes a photo.

    Args:
        pipe: to the shadow.
        image: the file's bytes, or those of the pixels.
        kind: which of them.
    """
    pipe.write(HEAD.pack(kind, len(image)))
    pipe.write(image)
    pipe.flush()


def receive(pipe: IO[bytes]) -> tuple[bytes, bytes] | None:
    """Reads a photo: its kind and bytes; None when the server has gone."""
    head = pipe.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    kind, length = HEAD.unpack(head)
    image = pipe.read(length)
    return (kind, image) if len(image) == length else None
