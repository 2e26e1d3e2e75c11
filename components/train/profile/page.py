"""The figures of the profiler's page: where the time went, and what the machine did."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from components.documents.training_spec import TrainingSpec
from components.pages.page import render_page
from components.train.profile import advice as rules
from components.train.profile.advice import Advice
from components.train.profile.records import Recorded
from components.train.profile.step_times import PARTS, SLOWEST

Points = list[tuple[float, float]]

MOST_POINTS = 240
"""Points of a line: about as many as a phone can show."""
MOST_CORES = 16
NAMES = {
    "data": "waiting for images",
    "forward": "forward pass",
    "backward": "backward pass",
    "communication": "exchange of gradients",
    "optimiser": "optimiser",
    "preparing": "preparing",
    "steps": "steps",
    "traced": "tracing",
    "validation": "validation",
    "between": "between steps",
}
CHARTS: dict[str, tuple[float, dict[str, str]]] = {
    "busy": (1, {"processor": "cpu", "busiest core": "busiest_core", "GPU": "gpu"}),
    "memory": (2**30, {"host": "memory", "training": "process_memory"}),
    "disk": (1e6, {"read": "disk_read", "written": "disk_write"}),
    "network": (1e6, {"received": "network_received", "sent": "network_sent"}),
    "gpu_memory": (1, {"GPU memory": "gpu_memory"}),
}
"""The unit of a chart, and its lines: name to metric."""


def render(recorded: Recorded, advice: Sequence[Advice], job: TrainingSpec) -> str:
    """Renders the page of all attempts at a job, with advice, most useful first."""
    hosts = recorded.attempts[-1].hosts
    cores = hosts[0].machine.core_use if hosts and hosts[0].machine else []
    seconds, stepping = recorded.seconds(), recorded.wall()["steps"]
    images = sum(worker.times.images for attempt in recorded.attempts for worker in attempt.workers)
    return render_page(
        "components/train/profile/profile.html.j2",
        recorded=recorded,
        advice=advice,
        job=job,
        rules=rules,
        quantile=quantile,
        kept=[sum(row) for row in recorded.kept_steps()],
        images_a_second=images / stepping if stepping else None,
        wall={NAMES[part]: value for part, value in recorded.wall().items() if value > 0},
        shown={NAMES[part]: seconds[part] for part in PARTS if seconds[part] > 0},
        parts=[NAMES[part] for part in PARTS],
        parts_of_steps=parts_of_steps(recorded),
        workers=worker_means(recorded),
        slowest=slowest_steps(recorded),
        lines={chart: over_time(recorded, metrics, unit) for chart, (unit, metrics) in CHARTS.items()},
        cores=cores if 1 < len(cores) <= MOST_CORES else [],
    )


def parts_of_steps(recorded: Recorded) -> list[dict[str, Any]]:
    """``name``, ``share``, ``median``, ``most`` (of 95 %) and ``seconds`` of each part of the steps, and of all."""
    kept = recorded.kept_steps()
    shown = {part: seconds for part, seconds in recorded.seconds().items() if seconds > 0}
    total = sum(shown.values())
    rows = [(NAMES[part], seconds, [row[PARTS.index(part)] for row in kept]) for part, seconds in shown.items()]
    return [
        {
            "name": name,
            "share": seconds / total,
            "median": quantile(values, 0.5),
            "most": quantile(values, 0.95),
            "seconds": seconds,
        }
        for name, seconds, values in [*rows, ("whole step", total, [sum(row) for row in kept])]
        if total
    ]


def worker_means(recorded: Recorded) -> list[dict[str, Any]]:
    """The last attempt's workers: ``rank``, ``host`` and ``means``, the seconds of each part in their mean step."""
    return [
        {
            "rank": worker.rank,
            "host": worker.host,
            "means": [seconds / max(worker.times.steps, 1) for seconds in worker.times.scaled().values()],
        }
        for worker in recorded.attempts[-1].workers
    ]


def slowest_steps(recorded: Recorded) -> list[dict[str, Any]]:
    """The slowest steps: ``step``, ``seconds``, and of these ``most`` in the part ``mostly``."""
    return [
        {
            "step": step.step,
            "seconds": sum(step.seconds),
            "most": max(step.seconds),
            "mostly": NAMES[PARTS[step.seconds.index(max(step.seconds))]],
        }
        for step in recorded.slowest_steps()[:SLOWEST]
    ]


def over_time(recorded: Recorded, metrics: Mapping[str, str], unit: float) -> dict[str, Points]:
    """Lines of some metrics over the minutes of training; attempts come one after the other, hosts get own lines."""
    series: dict[str, Points] = {}
    many = recorded.last.hosts > 1
    offset = 0.0
    for attempt in recorded.attempts:
        for host in attempt.hosts:
            for name, metric in metrics.items():
                values = host.machine.metric(metric) if host.machine else []
                points = [
                    ((offset + at) / 60, value / unit)
                    for at, value in zip(host.machine.at if host.machine else [], values, strict=False)
                    if value is not None
                ]
                if values:
                    series.setdefault(f"{name}, host {host.host}" if many else name, []).extend(points)
        offset += attempt.leader.recorded_seconds
    return {name: fewer(points) for name, points in series.items()}


def fewer(points: Points) -> Points:
    """Means of neighbouring points, so that at most ``MOST_POINTS`` are left."""
    together = math.ceil(len(points) / MOST_POINTS)
    groups = [points[start : start + together] for start in range(0, len(points), together or 1)]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of the values do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] if ordered else 0.0
