"""The index in the object store: one object for every event, never changed.

Conditional writes differ between stores; an object with a name of its own needs none.
"""

import re
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from pydantic import ValidationError

from components.common.errors import InventoryError
from components.common.store import Store
from components.registry.entry import Event

READERS = 8
EVENT_TIME = re.compile(r"/([0-9]{1,20})-[0-9a-f]+\.json$")


class StoreIndex:
    """Events as ``registry/<name>/<nanoseconds>-<random>.json``."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def events(self, name: str) -> list[Event]:
        """Reads all events, in the order in which they were recorded; see ``Registry``."""
        with ThreadPoolExecutor(READERS) as pool:
            return list(pool.map(self._read, self._keys(name)))

    def record(self, name: str, event: Event) -> None:
        """Adds an event after all that are there, also where this machine's clock is behind another's."""
        said = [int(time_[1]) for key in self._keys(name) if (time_ := EVENT_TIME.search(key))]
        nanoseconds = max(time.time_ns(), max(said, default=0) + 1_000)
        event = event.model_copy(update={"time": nanoseconds / 1e9})
        key = f"{_folder(name)}{nanoseconds:020d}-{secrets.token_hex(4)}.json"
        self._store.put_bytes(key, event.model_dump_json(indent=1).encode())

    def _keys(self, name: str) -> Iterator[str]:
        return (key for key in self._store.list(_folder(name)) if EVENT_TIME.search(key))

    def _read(self, key: str) -> Event:
        try:
            return Event.model_validate_json(self._store.get_bytes(key))
        except ValidationError as error:
            raise InventoryError(
                f"{self._store.uri(key)} is no event of the model registry; remove it, or use the version that wrote it"
            ) from error


def _folder(name: str) -> str:
    return f"registry/{name}/"
