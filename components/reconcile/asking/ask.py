"""Asks one model about every bin, but for those whose photo it has answered before."""

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import httpx

from components.client.endpoint import Endpoint, open_client
from components.client.query import PhotoError, ask, description, record_model
from components.common.errors import InventoryError
from components.common.files import sha256_bytes
from components.common.prefetch import prefetch
from components.common.progress import Counter, note
from components.common.retry import retry
from components.counter.answers import Answer, judged
from components.counter.bundle import Bundle
from components.counter.record.answer import answered_with
from components.counter.record.model import RecordModel
from components.reconcile import answer_store
from components.reconcile.answer_store import Checked
from components.reconcile.asking import kept
from components.reconcile.photos import Photos
from components.reconcile.records import DescribedRecord, Record, Records

WRITE_SECONDS = 1.0
NEW_MODEL_PAUSES = (0.0, 10.0, 60.0)
"""Seconds until all is asked anew when another model answers: a rollout takes a while."""


class ModelChangedError(InventoryError):
    """Another model answers than the one that was asked first."""


class _Found(NamedTuple):
    """A record and the photo of its bin."""

    position: int
    record: Record
    photo: bytes | PhotoError
    sha256: str = ""


class _Asked(NamedTuple):
    """What is said of a photo."""

    found: _Found
    answer: Answer | PhotoError
    is_new: bool
    """It was asked now."""


@dataclass(frozen=True)
class Asking:
    """Fills the table of bins, ``answer_store``, with what one model says of each."""

    endpoint: Endpoint
    database: sqlite3.Connection
    """From ``open_answers``."""
    records: Records
    photos: Photos
    concurrency: int
    """Requests in flight."""
    keep: Callable[[sqlite3.Connection], None]
    """Called with the answers whenever some were added."""

    def ask_all(self) -> Bundle:
        """Keeps answers as they come. When another model comes into service meanwhile, all bins are asked anew.

        Returns:
            The description of the model that answered.

        Raises:
            InventoryError: if the server cannot be asked, or its model keeps changing.
        """
        with open_client(self.endpoint, self.concurrency) as client:
            try:
                return retry(
                    lambda: self._ask_one_model(client),
                    ModelChangedError,
                    NEW_MODEL_PAUSES,
                    line=lambda error, _: f"{error}; all bins are asked anew, so that one model answers for all",
                )
            except ModelChangedError as error:
                raise InventoryError(f"{error}, again and again; start again when one model is in service") from error

    def _ask_one_model(self, client: httpx.Client) -> Bundle:
        model = description(client, self.endpoint)
        name, known = kept.identity(model), record_model(client, self.endpoint, model)
        answer_store.begin(self.database)
        counter, before = Counter("bins", len(self.records)), 0
        for batch in _batches(self._answers(client, name), counter):
            new = [
                (asked.found.sha256, asked.answer)
                for asked in batch
                if asked.is_new and isinstance(asked.answer, Answer)
            ]
            for _, answer in new:
                if answer.model != model.version:
                    raise ModelChangedError(f"the served model changed from {model.version} to {answer.model}")
            kept.add(self.database, name, new)
            answer_store.add(self.database, [_checked(model, known, asked) for asked in batch])
            self.keep(self.database)
            before += sum(not asked.is_new for asked in batch)
            now = description(client, self.endpoint)
            if now.version == model.version and kept.identity(now) != name:
                kept.forget(self.database, name)  # an answer names the version alone
                raise ModelChangedError(f"another model of version {model.version} came into service")
        if before:
            note(f"{before:,} of {len(self.records):,} bins were answered before: the same photo, by the same model")
        return model

    def _answers(self, client: httpx.Client, model: str) -> Iterator[_Asked]:
        """What is said of each photo, in the order of the records; only those in flight are held."""
        with ThreadPoolExecutor(self.concurrency) as pool:

            def begin(found: _Found) -> Future[_Asked]:
                if isinstance(found.photo, PhotoError):
                    return _done(_Asked(found, found.photo, is_new=True))
                if answer := kept.find(self.database, found.sha256, model):
                    return _done(_Asked(found, answer, is_new=False))
                return pool.submit(_ask, client, self.endpoint, found, found.photo)

            ahead = 2 * self.concurrency
            found = prefetch(
                lambda numbered: pool.submit(_find, self.photos, *numbered), enumerate(self.records), ahead
            )
            yield from prefetch(begin, found, ahead)


def _done(asked: _Asked) -> Future[_Asked]:
    done: Future[_Asked] = Future()
    done.set_result(asked)
    return done


def _find(photos: Photos, position: int, record: Record) -> _Found:
    if record.expected_quantity is None:
        return _Found(position, record, PhotoError(record.problem))
    try:
        photo = photos.read(record.id)
    except PhotoError as error:
        return _Found(position, record, error)
    return _Found(position, record, photo, sha256_bytes(photo))


def _ask(client: httpx.Client, endpoint: Endpoint, found: _Found, photo: bytes) -> _Asked:
    """Asks without the record, so that the answer serves any."""
    try:
        return _Asked(found, ask(client, endpoint, photo), is_new=True)
    except PhotoError as error:
        return _Asked(found, error, is_new=True)


def _batches(asked: Iterable[_Asked], counter: Counter) -> Iterator[list[_Asked]]:
    """What came within ``WRITE_SECONDS``, and what came before an error."""
    batch: list[_Asked] = []
    written = time.monotonic()
    try:
        for each in asked:
            batch.append(each)
            counter()
            if time.monotonic() - written > WRITE_SECONDS:
                yield batch
                batch, written = [], time.monotonic()
    except InventoryError:
        yield batch
        raise
    yield batch


def _checked(model: Bundle, known: RecordModel | None, asked: _Asked) -> Checked:
    """The bin's row: what the photo says of its record, and together with the products, where they are described."""
    found, answer, _ = asked
    if isinstance(answer, Answer) and found.record.expected_quantity is not None:
        answer = judged(answer, found.record.expected_quantity)
        if known and isinstance(found.record, DescribedRecord):
            answer = answered_with(model, known, answer, found.record.described)
    return Checked(found.position, found.record, answer, found.sha256)
