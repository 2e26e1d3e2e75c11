import gzip
import json
import os
import signal
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pynvml
import pytest
import torch

from components.common.errors import InventoryError
from components.common.store import Store, open_store
from components.counter.dataset import DatasetManifest
from components.documents.training_spec import TrainingSpec
from components.settings.training import TrainingSettings
from components.train.data import batches as data
from components.train.engine.stopping import Interrupted, Signals
from components.train.engine.workers import Workers, join
from components.train.profile.gpu import gpu_readers
from components.train.profile.machine import Machine, host_readers
from components.train.profile.profiler import Profiler
from components.train.profile.series import Thinned
from tests.browser import assert_self_contained
from tests.train.fitting import Recorder, fast, train_here
from tests.train.processes import CONTEXT, finish, free_port


def profiled(store: Store, dataset: DatasetManifest, settings: TrainingSettings, *hooks: Any, **options: Any) -> Any:
    """The profile of a training in this process."""
    job = TrainingSpec(run_id="r", dataset_key="unused", output="runs/r", settings=settings)
    with closing(Profiler(job, store, options.get("workers") or Workers())) as profiler:
        train_here(store, dataset, settings, [profiler, *hooks], **options)
        return profiler.summary().get("profile", {})


def records(store: Store) -> list[dict[str, Any]]:
    return [json.loads(store.get_bytes(key)) for key in sorted(store.list("runs/r/train/profile/attempts/"))]


def page_text(store: Store) -> str:
    return store.get_bytes("runs/r/train/profile/report.html").decode()


def test_a_training_says_where_its_time_went(store: Store, drawn: DatasetManifest, tmp_path: Path) -> None:
    started = time.perf_counter()
    profile = profiled(store, drawn, fast(epochs=4, profile_ms=50))
    took = time.perf_counter() - started

    assert profile.steps == 4 * 6
    assert set(profile.seconds) == {"data", "forward", "backward", "communication", "optimiser"}
    assert profile.seconds["backward"] > 0
    assert profile.seconds["communication"] == 0
    assert 0 < profile.utilisation.cpu <= 1
    assert profile.utilisation.gpu is None
    assert profile.trace_key is None

    (record,) = records(store)
    wall = record["times"]["wall"]
    assert sum(wall.values()) == pytest.approx(record["recorded_seconds"], abs=0.2)
    assert sum(wall.values()) < took
    assert wall["steps"] == pytest.approx(sum(profile.seconds.values()), abs=5e-3)
    assert wall["validation"] > 0
    metrics = record["machine"]["metrics"]
    assert {"cpu", "busiest_core", "process_cpu", "memory", "process_memory"} <= set(metrics)
    own = psutil.Process().memory_info().rss
    assert max(metrics["process_memory"]) == pytest.approx(own, rel=0.5)

    page = tmp_path / "profile.html"
    page.write_bytes(store.get_bytes(profile.page_key))
    assert "exchange of gradients" in page.read_text()
    assert_self_contained(page)


def test_a_slow_feed_is_found_and_what_to_do_about_it(
    store: Store, drawn: DatasetManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = data.read_training_image

    def read_slowly(*arguments: Any) -> torch.Tensor:
        time.sleep(0.01)
        return read(*arguments)

    monkeypatch.setattr(data, "read_training_image", read_slowly)
    profile = profiled(store, drawn, fast(epochs=4, profile_ms=50))
    (advice,) = [advice for advice in profile.advice if "waiting for images" in advice.evidence]
    assert "decode_threads" in advice.change or "decoding" in advice.change  # whether other programs leave a core
    assert advice.change in page_text(store)
    assert profile.seconds["data"] > 0.3 * sum(profile.seconds.values())


def test_a_trace_of_some_steps_lies_beside_the_page(store: Store, drawn: DatasetManifest) -> None:
    profile = profiled(store, drawn, fast(epochs=2, trace_steps=2))
    trace = json.loads(gzip.decompress(store.get_bytes(profile.trace_key)))
    names = {event.get("name") for event in trace["traceEvents"]}
    assert "aten::convolution_backward" in names
    assert len({name for name in names if str(name).startswith("ProfilerStep")}) == 2
    assert profile.steps == 12 - 2 - 2, "traced steps are slower, and not counted"
    assert "convolution_backward" in page_text(store)


def test_a_training_too_short_for_its_trace_says_so(
    store: Store, drawn: DatasetManifest, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = profiled(store, drawn, fast(epochs=1, batch_size=48, trace_steps=2))
    assert profile.trace_key is None
    assert profile.steps == 2
    assert "2 steps are too few to judge" in page_text(store)


def test_the_page_covers_the_attempts_before_an_interruption(store: Store, drawn: DatasetManifest) -> None:
    signals = Signals()
    recorder = Recorder({5: lambda _: signals._remember(signal.SIGTERM, None)})
    settings = fast(epochs=4, profile_ms=50)
    with pytest.raises(Interrupted):
        profiled(store, drawn, settings, recorder, signals=signals)
    profile = profiled(store, drawn, settings)

    assert [(record["times"]["first_step"], record["times"]["last_step"]) for record in records(store)] == [
        (1, 5),
        (6, 24),
    ]
    assert profile.steps == 24
    assert "1 to 5" in page_text(store)
    assert "6 to 24" in page_text(store)


def test_a_store_that_refuses_the_profile_does_not_fail_the_training(
    store: Store, drawn: DatasetManifest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put = Store.put_bytes

    def refuse(self: Store, key: str, content: bytes) -> None:
        if "/profile/" in key:
            raise InventoryError("the store answered 500")
        put(self, key, content)

    monkeypatch.setattr(Store, "put_bytes", refuse)
    assert profiled(store, drawn, fast(epochs=1)) == {}
    assert "the profile's samples were not stored" in capsys.readouterr().out


def test_two_workers_measure_the_exchange_of_gradients(
    store: Store, store_environment: dict[str, str], drawn: DatasetManifest, tmp_path: Path
) -> None:
    port = free_port()
    environments = [
        {
            "RANK": str(rank),
            "WORLD_SIZE": "2",
            "LOCAL_RANK": str(rank),
            "LOCAL_WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "INVENTORY_CACHE": os.environ["INVENTORY_CACHE"],
            **store_environment,
            "INVENTORY_BUCKET": store.bucket,
        }
        for rank in range(2)
    ]
    workers = [
        CONTEXT.Process(target=_work, args=(one, drawn, tmp_path / str(rank))) for rank, one in enumerate(environments)
    ]
    for worker in workers:
        worker.start()
    assert finish(workers) == [0, 0]

    leading, other = (json.loads((tmp_path / str(rank)).read_text()) for rank in range(2))
    assert other["profile"] == {}
    assert leading["profile"]["seconds"]["communication"] > 0
    assert leading["profile"]["steps"] == 6
    found = records(store)
    assert [record["rank"] for record in found] == [0, 1]
    assert [record["machine"] is not None for record in found] == [True, False], "one worker watches a host"
    memory = max(found[0]["machine"]["metrics"]["process_memory"])
    assert memory == pytest.approx(leading["own_memory"] + other["own_memory"], rel=0.25)
    assert "worker 1, host 0" in page_text(store)


def _work(environment: dict[str, str], dataset: DatasetManifest, out: Path) -> None:
    os.environ.update(environment)
    torch.set_num_threads(1)
    with join() as workers:
        profile = profiled(open_store(), dataset, fast(epochs=1), workers=workers)
    out.write_text(
        json.dumps(
            {"profile": profile and profile.model_dump(mode="json"), "own_memory": psutil.Process().memory_info().rss}
        )
    )


@pytest.mark.parametrize("added", [0, 3, 8, 9, 64, 1001])
def test_a_thinned_series_is_bounded_and_loses_nothing_of_the_whole(added: int) -> None:
    series = Thinned(8, lambda left, right: left + right)
    for _ in range(added):
        series.add(1)
    assert sum(series.entries()) == added
    assert len(series.entries()) <= 8 + 10
    assert max(series.entries(), default=1) <= max(1, added // 2)


def test_samples_of_a_long_training_are_bounded_and_cover_all_of_it() -> None:
    values = iter(range(10_000))
    machine = Machine({"a counter": lambda _: {"value": float(next(values))}}, most=100)
    for _ in range(10_000):
        machine.look()
    samples = machine.samples()
    assert 50 <= len(samples) < 120
    assert sum(sample.seconds for sample in samples) == pytest.approx(samples[-1].at)
    seen = [sample.values["value"] for sample in samples]
    assert seen == sorted(seen)
    assert seen[0] < 200
    assert seen[-1] > 9_800


def test_a_metric_that_cannot_be_read_is_said_once_and_the_others_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(_seconds: float) -> dict[str, float]:
        raise PermissionError("not for you")

    machine = Machine({"the disk": refuse, "memory": lambda _: {"memory": 1.0}})
    machine.look()
    machine.look()
    assert capsys.readouterr().out == "the profile goes without the disk: not for you\n"
    assert [sample.values for sample in machine.samples()] == [{"memory": 1.0}] * 2


def test_a_gpu_without_a_driver_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        pynvml.nvmlInit()
        pytest.skip("this machine has a driver")
    except pynvml.NVMLError:
        machine = Machine(gpu_readers([0]))
    machine.look()
    machine.look()
    said = capsys.readouterr().out
    assert said.count("goes without GPU utilisation") == 1
    assert said.count("goes without GPU memory") == 1


def test_recorded_gpu_samples_are_handed_on_in_percent(store: Store) -> None:
    job = TrainingSpec(run_id="r", dataset_key="unused", output="runs/r", settings=fast(profile_ms=60_000))
    with closing(Profiler(job, store, Workers())) as profiler:
        assert profiler.gpu_samples() == []
        shares = iter((0.25, 0.75))
        profiler._machine = Machine({"GPU": lambda _: {"gpu": next(shares)}})
        profiler._machine.look()
        profiler._machine.look()
        (first, low), (second, high) = profiler.gpu_samples()
        profiler._machine.readers = {}
    assert (low, high) == (25, 75)
    assert first < second


def test_rates_are_per_second_and_a_busy_process_is_seen() -> None:
    machine = Machine(host_readers([psutil.Process()]))
    machine.look()
    began = time.perf_counter()
    while time.perf_counter() - began < 0.3:
        sum(range(1000))
    machine.look()
    busy = machine.samples()[-1].values
    assert 0.2 < busy["process_cpu"] <= 1.2
    assert 0 < busy["cpu"] <= busy["busiest_core"] <= 1
    assert busy["disk_write"] >= 0
