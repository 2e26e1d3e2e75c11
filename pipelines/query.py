"""``inventory query``: photos in, a table or JSON lines out."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from components.common.errors import InventoryError
from components.serve.client import query

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
CONCURRENCY = 8
MAX_PHOTO_BYTES = 20_000_000


def print_answers(photos: list[str], url: str, expected_quantity: int | None, *, as_json: bool) -> int:
    """Asks the server about every photo and prints the answers in the order of the photos.

    Args:
        photos: files, folders (every photo in them, by name) or ``http(s)://`` addresses.
        url: the server's address.
        expected_quantity: the count that the stock system says, for a verdict; None asks only for the count.
        as_json: one JSON object a line instead of a table.

    Returns:
        0 when every photo was answered, 1 when one was refused (its line says why).
    """

    def ask(name: str) -> dict[str, Any]:
        try:
            return {"photo": name, **query(url, _read(name), expected_quantity=expected_quantity)}
        except InventoryError as error:
            return {"photo": name, "error": str(error)}

    with ThreadPoolExecutor(CONCURRENCY) as pool:
        answers = list(pool.map(ask, _expand(photos)))
    if as_json:
        for answer in answers:
            print(json.dumps(answer))
    else:
        Console().print(_table(answers, with_verdict=expected_quantity is not None))
    return int(any("error" in answer for answer in answers))


def _expand(photos: list[str]) -> Iterator[str]:
    for name in photos:
        path = Path(name)
        if path.is_dir():
            found = sorted(str(file) for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
            if not found:
                raise InventoryError(f"the folder {name} holds no photo ({', '.join(SUFFIXES)})")
            yield from found
        else:
            yield name


def _read(name: str) -> bytes:
    if name.startswith(("http://", "https://")):
        try:
            response = httpx.get(name, timeout=30, follow_redirects=True)
            response.raise_for_status()
        except httpx.HTTPError as error:
            raise InventoryError(f"cannot fetch {name}: {error}") from error
        return response.content
    path = Path(name)
    if not path.is_file():
        raise InventoryError(f"there is no file {name}")
    if path.stat().st_size > MAX_PHOTO_BYTES:
        raise InventoryError(f"{name} is larger than {MAX_PHOTO_BYTES // 1_000_000} MB: not a bin photo")
    return path.read_bytes()


def _table(answers: list[dict[str, Any]], *, with_verdict: bool) -> Table:
    table = Table()
    table.add_column("photo", overflow="fold")
    table.add_column("count", justify="right")
    table.add_column("sure", justify="right")
    if with_verdict:
        table.add_column("verdict")
    table.add_column("probabilities")
    for answer in answers:
        if "error" in answer:
            cells = [answer["photo"], "-", "-", *(["-"] if with_verdict else []), f"error: {answer['error']}"]
        else:
            chances = "  ".join(f"{label}: {chance:.0%}" for label, chance in answer["probabilities"].items())
            verdict = [answer["verdict"]] if with_verdict else []
            cells = [answer["photo"], answer["label"], f"{answer['confidence']:.0%}", *verdict, chances]
        table.add_row(*cells)
    return table
