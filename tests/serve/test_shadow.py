"""A shadow gets copies of the photos and answers nobody: what it says is told, whatever it does costs no answer."""

import json
import os
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from components.common.errors import InventoryError
from components.counter import bundle as bundles
from components.counter.bundle import InputTransform
from components.counter.network import open_served, run
from components.counter.photo import preprocess
from components.counter.statistics.share import share_interval
from components.documents.shadow_report import ShadowReport
from components.serve.memory import shared
from components.serve.shadow import shadow as shadows
from components.serve.shadow.comparison import MORE, MOST_COUNTS, Comparison, expected, likeliest
from components.serve.shadow.counting import NETWORK_FACTOR, _check_memory
from pipelines.cli.main import main
from tests.serve.test_live_drift import black, metric
from tests.serve.test_server import b64
from tests.tiny_model import SIZE, Served, photo, serving, write_bundle
from tests.waiting import wait_until

PHOTOS = [photo(count) for count in np.linspace(1, 5, 23)]


def report(server: Served) -> ShadowReport:
    return ShadowReport.of(httpx.get(f"{server.url}/v1/models/{server.name}/shadow").json(), "the report")


def wait_for(server: Served, state: str) -> None:
    wait_until(lambda: report(server).state == state, f"the shadow is {state}", 60)


def wait_for_all(server: Served, photos: int) -> None:
    wait_until(lambda: report(server).compared + report(server).dropped == photos, "every photo was looked at", 60)


def ask(server: Served, photos: list[bytes]) -> None:
    with httpx.Client(timeout=30) as http:
        for each in photos:
            assert http.post(server.predict, content=each).status_code == 200


def worker(server: Served) -> psutil.Process:
    found = [
        process
        for process in psutil.Process(server.process.pid).children()
        if shadows.PROGRAM in " ".join(process.cmdline())
    ]
    assert len(found) == 1
    return found[0]


def offline(folder: Path, photos: list[bytes]) -> list[dict[str, float]]:
    """What a bundle says of photos, without any server."""
    bundle = bundles.load(folder)
    session = open_served(folder, bundle, 1)
    rows = [run(session, preprocess(each, bundle.input)[None]).tolist() for each in photos]
    return [dict(zip(bundle.labels, bundle.probabilities(row)[0], strict=True)) for row in rows]


def test_an_equal_bundle_never_disagrees_and_the_answers_are_those_without_it(tmp_path, capsys) -> None:
    write_bundle(tmp_path / "served")
    write_bundle(tmp_path / "candidate", version="test-2")
    with serving(tmp_path / "served", "--shadow", str(tmp_path / "candidate")) as server:
        wait_for(server, "comparing")
        ask(server, PHOTOS)
        ask(server, [black()])  # no network sees it, and so does no shadow
        assert httpx.post(server.predict, content=PHOTOS[0]).json()["predictions"][0]["model"] == "test-1"
        wait_for_all(server, len(PHOTOS) + 1)
        said = report(server)
        assert (said.served, said.shadow, said.agreed, said.dropped, said.errors) == (
            "test-1",
            "test-2",
            len(PHOTOS) + 1,
            0,
            0,
        )
        assert said.difference == pytest.approx(0, abs=1e-6)
        assert metric(server, "bin_counter_shadow_compared_total") == len(PHOTOS) + 1
        assert metric(server, 'bin_counter_shadow_info{version="test-2"}') == 1
        assert "bin_counter_shadow_disagreements_total{" not in httpx.get(f"{server.url}/metrics").text
        assert main(["shadow", "--url", server.url]) == 0
    assert "24 of 24 photos were counted alike: 100.0%" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("size", [SIZE, 48], ids=["the same pixels", "its own pixels, from the file"])
def test_another_model_disagrees_as_it_does_offline(tmp_path, capsys, size: int) -> None:
    write_bundle(tmp_path / "served")
    changes = {"counts": [2, 3, 4, 5, 6], "open_top": True, "temperature": 2.5, "input": InputTransform(size=size)}
    write_bundle(tmp_path / "candidate", version="test-2", **changes)
    served, candidate = (offline(tmp_path / name, PHOTOS) for name in ("served", "candidate"))
    pairs = Counter((likeliest(one), likeliest(other)) for one, other in zip(served, candidate, strict=True))
    shifts = [expected(other) - expected(one) for one, other in zip(served, candidate, strict=True)]
    agreed = sum(photos for (one, other), photos in pairs.items() if one == other)
    assert 0 < agreed < len(PHOTOS)

    with serving(tmp_path / "served", "--shadow", str(tmp_path / "candidate")) as server:
        wait_for(server, "comparing")
        tensor = {"name": "images", "datatype": "BYTES", "shape": [23], "data": [b64(each) for each in PHOTOS]}
        assert httpx.post(server.infer, json={"inputs": [tensor]}, timeout=30).status_code == 200
        wait_for_all(server, len(PHOTOS))
        said = report(server)
        assert {(pair.served, pair.shadow): pair.photos for pair in said.counts} == pairs
        assert (said.agreed, said.interval) == (agreed, share_interval(agreed, len(PHOTOS)))
        assert said.difference == pytest.approx(np.abs(shifts).mean(), abs=1e-4)
        assert said.shift == pytest.approx(np.mean(shifts), abs=1e-4)
        for (one, other), photos in pairs.items():
            line = f'bin_counter_shadow_disagreements_total{{served="{one}",shadow="{other}"}}'
            assert metric(server, line) == (photos if one != other else None)
        assert metric(server, "bin_counter_shadow_difference_total") == pytest.approx(np.abs(shifts).sum(), abs=1e-3)
        assert main(["shadow", "--url", server.url, "--json"]) == 0
    assert ShadowReport.of(json.loads(capsys.readouterr().out), "what is printed") == said


def test_pixels_in_the_size_of_the_model_in_service_are_no_photo_for_another_size(tmp_path) -> None:
    write_bundle(tmp_path / "served")
    write_bundle(tmp_path / "candidate", input=InputTransform(size=48))
    with serving(tmp_path / "served", "--shadow", str(tmp_path / "candidate")) as server:
        wait_for(server, "comparing")
        pixels = preprocess(PHOTOS[3], InputTransform(size=SIZE)).ravel().tolist()
        tensor = {"name": "pixels", "datatype": "UINT8", "shape": [1, SIZE, SIZE, 3], "data": pixels}
        assert httpx.post(server.infer, json={"inputs": [tensor]}).status_code == 200
        assert (report(server).compared, report(server).dropped) == (0, 1)


def broken(folder: Path) -> None:
    write_bundle(folder)
    (folder / "model.onnx").write_bytes(b"no network")


@pytest.mark.parametrize(
    ("made", "said"),
    [(lambda folder: None, "holds no bundle.json"), (broken, "does not match the sha256")],
    ids=["no bundle", "damaged"],
)
def test_a_broken_shadow_is_one_line_and_the_server_serves(tmp_path, capsys, made, said: str) -> None:
    write_bundle(tmp_path / "served")
    made(tmp_path / "candidate")
    with serving(tmp_path / "served", "--shadow", str(tmp_path / "candidate")) as server:
        wait_for(server, "failed")
        ask(server, PHOTOS[:3])
        assert said in report(server).reason
        assert metric(server, 'bin_counter_shadow_info{version="unknown"}') == 0
        assert main(["shadow", "--url", server.url]) == 1
        server.process.terminate()
        _, errors = server.process.communicate(timeout=30)
    assert said in " ".join(capsys.readouterr().out.split())
    (line,) = errors.splitlines()
    assert line.startswith("the shadow is not compared any more: ")


def test_a_stalled_shadow_loses_no_request_and_ends_with_its_server(tmp_path) -> None:
    write_bundle(tmp_path / "served")
    with serving(tmp_path / "served", "--shadow", str(tmp_path / "served")) as server:
        wait_for(server, "comparing")
        stalled = worker(server)
        assert stalled.nice() == 19
        os.kill(stalled.pid, signal.SIGSTOP)
        with httpx.Client(timeout=30) as http, ThreadPoolExecutor(8) as clients:
            asked = lambda number: http.post(server.predict, content=PHOTOS[number % len(PHOTOS)])  # noqa: E731
            answers = list(clients.map(asked, range(200)))
        assert [answer.status_code for answer in answers] == [200] * 200
        said = report(server)
        assert said.state == "comparing"
        assert said.dropped >= 200 - shadows.MOST_WAITING - 1
        assert metric(server, "bin_counter_shadow_dropped_total") == said.dropped
        began = time.monotonic()
        server.process.terminate()
        assert server.process.wait(30) == 0
        assert time.monotonic() - began < 10
        wait_until(lambda: not stalled.is_running() or stalled.status() == psutil.STATUS_ZOMBIE, "the shadow has ended")


def test_a_shadow_whose_process_dies_is_said_to_be_and_nothing_else_happens(tmp_path) -> None:
    write_bundle(tmp_path / "served")
    with serving(tmp_path / "served", "--shadow", str(tmp_path / "served")) as server:
        wait_for(server, "comparing")
        os.kill(worker(server).pid, signal.SIGKILL)
        ask(server, PHOTOS[:2])
        wait_for(server, "failed")
        assert report(server).reason == shadows.ENDED
        ask(server, PHOTOS[:2])
        assert metric(server, 'bin_counter_shadow_info{version="test-1"}') == 0


def test_a_waiting_copy_holds_its_own_pixels_and_not_the_request_that_they_came_with() -> None:
    request = np.zeros((32, 8, 8, 3), np.uint8)
    copy = shadows.Copy(request[3], {"1": 1.0}).alone()
    assert copy.image.base is None
    assert copy.size == request[3].nbytes


def test_a_server_without_a_shadow_says_so(tmp_path, capsys) -> None:
    write_bundle(tmp_path)
    with serving(tmp_path) as server:
        answer = httpx.get(f"{server.url}/v1/models/bin-counter/shadow")
        assert (answer.status_code, "--shadow" in answer.json()["error"]) == (404, True)
        assert main(["shadow", "--url", server.url]) == 1
    assert "has no shadow" in capsys.readouterr().err


def test_the_shadow_counts_against_the_memory_and_one_that_is_too_large_is_refused(tmp_path) -> None:
    pod, most = 2**30, 272 * 2**20
    assert shared(pod, most, shadow=False) == (pod // 4, 0)
    decoding, for_shadow = shared(pod, most, shadow=True)
    assert (decoding, for_shadow) == ((pod - for_shadow) // 4, pod // 4)
    assert shared(16 * pod, most, shadow=True)[0] == most
    bundle = write_bundle(tmp_path)
    _check_memory(bundle, for_shadow)
    info = bundle.files["model.onnx"].model_copy(update={"bytes": for_shadow // NETWORK_FACTOR})
    with pytest.raises(InventoryError, match="MiB, and 256 are there for it"):
        _check_memory(bundle.model_copy(update={"files": {"model.onnx": info}}), for_shadow)


def test_a_model_with_many_counts_makes_no_more_series_than_that() -> None:
    comparison, labels = Comparison(), [str(count) for count in range(100)]
    for one in range(100):
        shares = dict.fromkeys(labels, 0.0) | {str(one): 1.0}
        comparison.add(shares, dict.fromkeys(labels, 0.0) | {str(99 - one): 1.0})
    pairs = {(pair.served, pair.shadow) for pair in comparison.told()["counts"]}
    assert {label for pair in pairs for label in pair} == {*labels[:MOST_COUNTS], MORE}
    assert comparison.told()["agreed"] == 0


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662), (1, 1, 0.2065, 1.0)],
)
def test_the_interval_of_a_share_is_wilsons(hits: int, trials: int, low: float, high: float) -> None:
    """81 of 263 is the example of Newcombe, "Two-sided confidence intervals for the single proportion", 1998."""
    assert share_interval(hits, trials) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
