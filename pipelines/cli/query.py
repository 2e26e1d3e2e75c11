"""``inventory query``: photos in, a table or JSON lines out."""

import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from components.client.endpoint import Endpoint, open_client
from components.client.query import PhotoError, ask_many
from components.common.errors import InventoryError
from components.counter.answers import Answer, WithRecord, judged, told_apart
from components.counter.record.record import NamedProducts, read_record
from components.counter.verdict import MISSED_COST, WRONG_SHARE
from components.sources.names import is_litter, is_photo

MAX_PHOTO_BYTES = 20_000_000
FETCH_SECONDS = 30.0
ADDRESS = ("http://", "https://")
MOST_NAMED = 3
SAME = 1e-6
"""Probabilities that differ by less are one."""

Reply = Answer | PhotoError


def print_answers(
    photos: list[str],
    endpoint: Endpoint,
    expected_quantity: int | None = None,
    *,
    missed_cost: float = MISSED_COST,
    wrong_share: float = WRONG_SHARE,
    concurrency: int,
    attempts: int,
    as_json: bool,
    record: str | None = None,
) -> int:
    """Asks the model about every photo and prints the answers in the order of the photos.

    Args:
        photos: files, folders (every photo in them, by name) or ``http(s)://`` addresses.
        endpoint: where the model is served.
        expected_quantity: the count that the stock system says, for a verdict; None asks only for the count.
        missed_cost: what an error that nobody finds costs, in recounts.
        wrong_share: the share of all records that are wrong, as far as anybody knows.
        concurrency: photos in flight.
        attempts: tries for each photo while the server is busy or away.
        as_json: one JSON object a line, as the answers come, instead of a table at the end.
        record: a JSON file with the products that the stock record names, or a folder with one for each photo.

    Returns:
        0 when every photo was answered, 1 when one could not be read or was refused (its line says why).

    Raises:
        InventoryError: if a folder holds no photo, or for what concerns the server and not one photo.
    """
    record_of = _records_in(record)
    questions = ((name, partial(_read, name), expected_quantity) for name in _expand(photos))
    with open_client(endpoint, concurrency) as client:
        answers = (
            (name, reply if isinstance(reply, PhotoError) else _judged(reply, missed_cost, wrong_share))
            for name, reply in ask_many(client, endpoint, questions, concurrency, attempts, record_of)
        )
        if as_json:
            refused = [_print_json(name, answer) for name, answer in answers]
            return int(any(refused))
        table = _table(with_verdict=expected_quantity is not None, with_record=record is not None)
        refused = [_add_row(table, name, answer, with_record=record is not None) for name, answer in answers]
    Console().print(table)
    return int(any(refused))


def refuse_missing(photos: list[str]) -> None:
    """Says that no photo is there before a server is asked; one of several that is not there gets its own line later.

    Raises:
        InventoryError: if none of the photos is an address or a file or folder that exists.
    """
    # os.path: a name that no file can have is not there either, where Path raises
    if not any(name.startswith(ADDRESS) or os.path.exists(name) for name in photos):  # noqa: PTH110
        raise InventoryError(f"there is no {', nor '.join(photos[:MOST_NAMED])}; give photo files, folders or URLs")


def _records_in(place: str | None) -> Callable[[str], NamedProducts | None]:
    """What tells the record of a photo by the photo's name.

    Raises:
        InventoryError: if the place is neither a folder nor a file with a record.
    """
    if place is None:
        return lambda _: None
    folder = Path(place)
    if not folder.is_dir():
        record = _record(folder)
        return lambda _: record

    def of_photo(name: str) -> NamedProducts | None:
        file = folder / f"{Path(name.partition('?')[0]).stem}.json"
        try:
            return _record(file) if file.is_file() else None
        except InventoryError as error:
            raise PhotoError(str(error)) from error

    return of_photo


def _record(file: Path) -> NamedProducts:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InventoryError(f"cannot read the record {file}: {error.strerror}") from error
    try:
        return read_record(json.loads(content), str(file))
    except (ValueError, RecursionError) as error:
        raise InventoryError(f"{file} is no JSON; give a list of products, or a bin's metadata") from error


def _judged(answer: Answer, missed_cost: float, wrong_share: float) -> Answer:
    """The answer with the verdict for another cost or share of wrong records than the server's."""
    if answer.expected_quantity is None or (missed_cost, wrong_share) == (MISSED_COST, WRONG_SHARE):
        return answer
    return judged(answer, answer.expected_quantity, missed_cost, wrong_share)


def _expand(photos: list[str]) -> Iterator[str]:
    for name in photos:
        path = Path(name)
        if path.is_dir():
            photos_in = filter(lambda file: is_photo(file.name), path.rglob("*"))
            found = sorted(str(file) for file in photos_in if not is_litter(str(file.relative_to(path))))
            if not found:
                raise InventoryError(f"the folder {name} holds no photo, such as a .jpg")
            yield from found
        else:
            yield name


def _read(name: str) -> bytes:
    """The bytes of a photo; raises ``PhotoError``."""
    if name.startswith(ADDRESS):
        return _fetch(name)
    try:
        with Path(name).open("rb") as file:
            return _within(file.read(MAX_PHOTO_BYTES + 1), name)
    except OSError as error:
        raise PhotoError(f"cannot read {name}: {error.strerror}") from error


def _fetch(url: str) -> bytes:
    pieces, size = [], 0
    try:
        with httpx.stream("GET", url, timeout=FETCH_SECONDS, follow_redirects=True) as response:
            response.raise_for_status()
            for piece in response.iter_bytes():
                pieces.append(piece)
                size += len(piece)
                if size > MAX_PHOTO_BYTES:
                    break
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PhotoError(f"cannot fetch {url}: {' '.join(str(error).split())}") from error
    return _within(b"".join(pieces), url)


def _within(data: bytes, name: str) -> bytes:
    if len(data) > MAX_PHOTO_BYTES:
        raise PhotoError(f"{name} is larger than {MAX_PHOTO_BYTES // 1_000_000} MB: not a bin photo")
    return data


def _print_json(name: str, answer: Reply) -> bool:
    """Prints one line; returns whether the photo was refused."""
    refused = isinstance(answer, PhotoError)
    said = {"error": str(answer)} if isinstance(answer, PhotoError) else answer.model_dump()
    print(json.dumps({"photo": name, **said}), flush=True)
    return refused


def _table(*, with_verdict: bool, with_record: bool) -> Table:
    table = Table()
    table.add_column("photo", overflow="fold")
    table.add_column("count", justify="right")
    table.add_column("sure", justify="right")
    for name, shown in (("verdict", with_verdict), ("with the record", with_record), ("probabilities", True)):
        if shown:
            table.add_column(name)
    return table


def _add_row(table: Table, name: str, answer: Reply, *, with_record: bool) -> bool:
    """Adds one row; returns whether the photo was refused."""
    if isinstance(answer, PhotoError):
        table.add_row(name, *["-"] * (len(table.columns) - 2), f"error: {answer}")
        return True
    chances = "  ".join(f"{label}: {chance:.0%}" for label, chance in answer.probabilities.items())
    verdict = [_in_words(answer)] if answer.verdict else []
    verdict += [_beside_record(answer.with_record)] if with_record else []
    if answer.unusable:
        table.add_row(name, "-", "-", *verdict, f"unusable photo ({answer.unusable}): take it again")
    else:
        table.add_row(name, answer.label, f"{answer.confidence:.0%}", *verdict, chances)
    return False


def _beside_record(both: WithRecord | None) -> str:
    """What photo and record say together, or why that is nothing else."""
    if both is None:
        return "-"
    return both.ignored or f"{both.label} ({both.confidence:.0%} sure)"


def _in_words(answer: Answer) -> str:
    """The verdict, with how probable the expected quantity is where the photo does not most likely show it."""
    if answer.verdict == "not countable":
        return f"not countable: the model tells {told_apart(list(answer.probabilities))} apart"
    if answer.mismatch_probability is None:
        return str(answer.verdict)
    chance = 1 - answer.mismatch_probability
    if answer.verdict == "agrees" and chance > answer.confidence - SAME:
        return answer.verdict
    likely = "unlikely" if answer.verdict == "recount" else "possible"
    return f"{answer.verdict}: {answer.expected_quantity} is {likely} ({chance:.0%})"
