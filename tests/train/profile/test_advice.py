from typing import Any

import pytest

from components.documents.training_profile import WorkerRecord
from components.documents.training_spec import TrainingSpec
from components.train.profile.advice import FEWEST_STEPS, advise
from components.train.profile.page import render
from components.train.profile.records import Recorded, put_together
from components.train.profile.step_times import PARTS
from tests.train.fitting import fast

CORES, MEMORY = 4, 16 * 2**30
HEALTHY = {"data": 1.0, "forward": 30.0, "backward": 60.0, "communication": 0.0, "optimiser": 5.0}
"""Seconds of 100 steps."""
BUSY = {"cpu": 0.95, "process_cpu": 3.7, "memory": 0.3 * MEMORY, "process_memory": 0.1 * MEMORY}


def record(
    seconds: dict[str, float] | None = None,
    metrics: dict[str, float] | None = None,
    wall: dict[str, float] | None = None,
    **facts: Any,
) -> WorkerRecord:
    """What a worker of a healthy training of 100 steps on four cores leaves, with what is wrong with it."""
    seconds = HEALTHY | (seconds or {})
    healthy = {"preparing": 2.0, "steps": sum(seconds.values()), "traced": 0.0, "validation": 6.0, "between": 0.5}
    wall = healthy | (wall or {})
    values = BUSY | (metrics or {})
    steps = facts.pop("steps", (1, 100))
    times = {
        "steps": steps[1] - steps[0] + 1 if steps[0] else 0,
        "timed": steps[1] - steps[0] + 1 if steps[0] else 0,
        "images": 3200,
        "first_step": steps[0],
        "last_step": steps[1],
        "wall": wall,
        "seconds": seconds,
        "data_at_epoch_start": 0.1,
        "kept": [[seconds[part] / 100 for part in PARTS]] * 100,
        "slowest": [{"step": 1, "seconds": [seconds[part] / 50 for part in PARTS]}],
    }
    content = {
        "format": "inventory-profile/1",
        "began": 1000.0,
        "recorded_seconds": sum(wall.values()),
        "first_step_at": 2.0,
        "rank": 0,
        "host": 0,
        "hosts": 1,
        "world": 1,
        "local_world": 1,
        "device": "cpu",
        "is_gpu": False,
        "cores": CORES,
        "memory_limit": MEMORY,
        "memory_total": MEMORY,
        "compute_threads": 4,
        "native_bf16": True,
        "decode_threads": 1,
        "times": times,
        "machine": {
            "at": [1.0, 50.0, 104.0],
            "seconds": [1.0, 49.0, 54.0],
            "metrics": {name: [0.0, value, value] for name, value in values.items()},
            "core_use": [0.9] * CORES,
        },
        "trace": None,
        **facts,
    }
    return WorkerRecord.model_validate(content)


GPU = {"is_gpu": True, "device": "a GPU"}
TWO = {"world": 2, "local_world": 2, "compute_threads": 2}


def two_workers(own: float, other: float, exchange: float) -> list[WorkerRecord]:
    """Two workers whose backward passes take so long, and then wait for each other."""
    return [
        record({"backward": own, "communication": exchange}, **TWO),
        record({"backward": other, "communication": exchange + own - other}, rank=1, **TWO | {"machine": None}),
    ]


@pytest.mark.parametrize(
    ("records", "options", "change", "evidence"),
    [
        ([record()], {}, None, None),
        ([record(metrics={"gpu": 0.9, "gpu_memory": 0.6, "cpu": 0.2, "process_cpu": 0.8}, **GPU)], {}, None, None),
        (two_workers(60, 60, 3), {}, None, None),
        ([record({"data": 40.0}, {"cpu": 0.3, "process_cpu": 1.1})], {}, "decode_threads = 2", "30 % of the step time"),
        ([record({"data": 40.0})], {}, "more cores", "the processor was 95 % busy"),
        (
            [record({"data": 40.0})],
            {"trainable": "head", "crop_scale": 1, "colour_jitter": 0},
            "batch_size = 32",
            "waiting for images",
        ),
        (
            [record(metrics={"gpu": 0.3, "gpu_memory": 0.2, "cpu": 0.2, "process_cpu": 0.8}, **GPU)],
            {},
            "batch_size = 32",
            "The GPU was 30 % busy",
        ),
        (
            [record(metrics={"gpu": 0.3, "gpu_memory": 0.8, "cpu": 0.2, "process_cpu": 0.8}, **GPU)],
            {},
            "compile = true",
            "80 % of its memory",
        ),
        (
            [record(metrics={"gpu": 0.8, "gpu_memory": 0.97}, **GPU)],
            {},
            "accumulate = 2",
            "97 % of the GPU's memory",
        ),
        (
            [record(metrics={"cpu": 0.3, "process_cpu": 1.1}, compute_threads=1)],
            {},
            "threads = 4 (now 1)",
            "kept 1.1 of 4 cores busy",
        ),
        ([record(metrics={"cpu": 1.0, "process_cpu": 2.0})], {}, "to itself", "Other programs kept 2.0 of 4 cores"),
        ([record(compute_threads=8)], {}, "threads = 4", "8 threads computed on 4 cores"),
        ([record(metrics={"memory": 0.95 * MEMORY})], {}, "More memory", "15.2 of the 16.0 GiB that the machine has"),
        (
            [record(metrics={"process_memory": 0.95 * 2**31}, memory_limit=2**31)],
            {},
            "accumulate = 2",
            "1.9 of the 2.0 GiB that the container may use",
        ),
        (two_workers(60, 60, 30), {}, "Exchange less often", "compute equally fast"),
        (two_workers(90, 60, 5), {}, "slows worker 0 down", "longer than the fastest"),
        ([record()], {"precision": "fp32"}, "precision = auto", "took 86 % of the time"),
        (
            [record({"forward": 90.0, "backward": 1.0})],
            {"trainable": "head", "crop_scale": 0.5},
            "features of the frozen backbone be cached",
            "crop_scale",
        ),
        ([record(wall={"validation": 60.0})], {}, "Fewer validation bins", "38 % of the time (60.0 s)"),
        ([record(wall={"between": 20.0})], {}, "record_steps (now 20)", "(20.0 s) passed between steps"),
    ],
)
def test_advice_comes_from_what_was_measured(
    records: list[WorkerRecord], options: dict[str, Any], change: str | None, evidence: str | None
) -> None:
    settings = fast(**{"precision": "auto", "crop_scale": 0.7, **options})
    found = advise(put_together(records), settings)
    if change is None:
        assert found == []
    else:
        assert change in found[0].change
        assert evidence in found[0].evidence.replace("\N{NO-BREAK SPACE}", " ")
        assert len(found) == 1


def test_the_most_useful_advice_comes_first_and_is_on_the_page() -> None:
    sick = put_together([record({"data": 200.0}, wall={"between": 30.0})])
    found = advise(sick, fast(precision="auto"))
    assert [advice.share for advice in found] == sorted((advice.share for advice in found), reverse=True)
    assert "more cores" in found[0].change
    page = shown(sick)
    assert page.index("more cores") < page.index("passed between steps")
    assert "Nothing: no threshold was crossed" not in page


def test_a_healthy_training_is_told_so_and_a_short_one_is_not_judged() -> None:
    assert "Nothing: no threshold was crossed" in shown(put_together([record()]))
    short = record({"data": 200.0}, steps=(1, FEWEST_STEPS - 1))
    assert advise(put_together([short]), fast()) == []
    assert f"advice begins with {FEWEST_STEPS}" in shown(put_together([short]))


@pytest.mark.parametrize(
    ("attempts", "counted", "note"),
    [
        ([(1, 40), (41, 100)], 100, None),
        ([(1, 40), (31, 100)], 110, "Steps 31 to 40 were taken twice"),
        ([(1, 40), (51, 100)], 90, "Steps 41 to 50 were not recorded"),
        ([(1, 40), (1, 100)], 100, "1 earlier attempt under this name"),
        ([(1, 40), (41, 50), (1, 100)], 100, "2 earlier attempts under this name"),
        ([(None, None), (1, 100)], 100, "1 earlier attempt under this name"),
        ([(1, 100), (None, None)], 100, None),
    ],
)
def test_attempts_are_put_together_and_what_is_missing_is_said(
    attempts: list[tuple[int | None, int | None]], counted: int, note: str | None
) -> None:
    found = put_together([record(began=1000.0 + at, steps=steps) for at, steps in enumerate(attempts)])
    assert found.steps == counted
    assert len(found.notes) == (note is not None)
    page = shown(found)
    if note:
        assert note in found.notes[0]
        assert note in page


def test_a_worker_without_a_record_is_missed() -> None:
    assert put_together(two_workers(60, 60, 3)[:1]).notes == ["1 of 2 workers left no record."]


def test_on_a_gpu_the_steps_that_were_timed_exactly_stand_for_all() -> None:
    some = record(**GPU)
    some = some.model_copy(update={"times": some.times.model_copy(update={"timed": 4})})
    found = put_together([some])
    assert found.seconds()["backward"] == pytest.approx(HEALTHY["backward"] * 25)
    assert "4 of 100 steps were timed exactly" in shown(found)


def test_a_product_name_cannot_become_markup() -> None:
    page = shown(put_together([record(device="<script>alert(1)</script>", is_gpu=True)]))
    assert "<script>" not in page


def shown(recorded: Recorded) -> str:
    """The page of a training."""
    settings = fast(precision="auto")
    job = TrainingSpec(run_id="r", dataset_key="unused", output="runs/r", settings=settings)
    return render(recorded, advise(recorded, settings), job)
