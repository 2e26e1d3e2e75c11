"""Decoding in the server: large photos wait for each other and for nobody else, and for no client that has gone."""

import asyncio
import io
import os
import sys
import threading

import pytest
from PIL import Image

from components.counter.bundle import InputTransform
from components.serve import decoding
from components.serve.decoding import Decoders
from components.serve.requests import RequestError
from tests.tiny_model import photo
from tests.waiting import wait_until

MEBIBYTE = 2**20
TRANSFORM = InputTransform(size=32)


def large() -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (5000, 4000)).save(buffer, "PNG")
    return buffer.getvalue()


class Gate:
    """Stands for a decoder that takes as long as a test wants for large photos."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open, self.begun = threading.Event(), 0
        real = decoding.preprocess

        def held(file, transform):
            if file.pixels > 1_000_000:
                self.begun += 1
                assert self.open.wait(20)
            return real(file, transform)

        monkeypatch.setattr(decoding, "preprocess", held)


def test_small_photos_are_decoded_while_large_ones_are_at_work_and_a_cancelled_one_never_is(monkeypatch):
    gate = Gate(monkeypatch)
    decoders = Decoders(1, 256 * MEBIBYTE)

    async def work() -> None:
        first, second, third = (asyncio.create_task(decoders.decode(large(), TRANSFORM)) for _ in range(3))
        await asyncio.to_thread(wait_until, lambda: gate.begun == 1, "the first large photo is at work")
        for _ in range(5):
            assert (await asyncio.wait_for(decoders.decode(photo(2), TRANSFORM), 10)).pixels.shape == (32, 32, 3)
        second.cancel()
        gate.open.set()
        await asyncio.gather(first, third)

    asyncio.run(work())
    assert gate.begun == 2


def test_more_large_photos_than_may_wait_are_refused(monkeypatch):
    gate = Gate(monkeypatch)
    decoders = Decoders(1, 256 * MEBIBYTE)

    async def work() -> list[object]:
        photos = [asyncio.create_task(decoders.decode(large(), TRANSFORM)) for _ in range(decoding.MOST_HEAVY + 2)]
        await asyncio.wait(photos, return_when=asyncio.FIRST_COMPLETED)
        gate.open.set()
        return await asyncio.gather(*photos, return_exceptions=True)

    refused = [answer for answer in asyncio.run(work()) if isinstance(answer, RequestError)]
    assert [error.status for error in refused] == [429, 429]


def test_a_photo_that_takes_more_memory_than_there_is_is_refused():
    with pytest.raises(RequestError, match=r"a PNG of 5000x4000 pixels takes \d+ MiB.* send it smaller") as refusal:
        asyncio.run(Decoders(2, 16 * MEBIBYTE).decode(large(), TRANSFORM))
    assert refusal.value.status == 413


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has no priority of its own")
@pytest.mark.parametrize("niceness", [0, 15])
def test_the_thread_for_large_photos_yields_to_others_and_never_asks_for_more_than_it_had(niceness: int):
    """Only a privileged process may lower its niceness: another's thread would end of it, and large photos hang."""
    seen: list[tuple[int, int]] = []

    def in_a_thread() -> None:
        thread = threading.get_native_id()
        before = max(niceness, os.getpriority(os.PRIO_PROCESS, thread))
        os.setpriority(os.PRIO_PROCESS, thread, before)
        decoding._yield_to_others()
        seen.append((before, os.getpriority(os.PRIO_PROCESS, thread)))

    thread = threading.Thread(target=in_a_thread)
    thread.start()
    thread.join()
    ((before, after),) = seen
    assert after == max(before, decoding.NICENESS)


def test_a_large_photo_is_decoded_where_priorities_are_forbidden(monkeypatch):
    def forbidden(*_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "setpriority", forbidden)
    decoded = asyncio.run(asyncio.wait_for(Decoders(1, 256 * MEBIBYTE).decode(large(), TRANSFORM), 10))
    assert decoded.pixels.shape == (32, 32, 3)
