"""The profiler's page: what to change, where the time went, and what the machine did."""

import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from components.documents.training_spec import TrainingSpec
from components.pages.charts import bar_chart, line_chart
from components.pages.page import (
    Card,
    Section,
    bullets,
    callout,
    cards,
    columns,
    heading,
    paragraph,
    render_page,
    table,
)
from components.train.profile import advice as rules
from components.train.profile.advice import Advice
from components.train.profile.records import Recorded, scaled
from components.train.profile.step_times import PARTS, SLOWEST

MOST_POINTS = 240
"""Points of a line: about as many as a phone can show."""
MOST_CORES = 16
GIB = 2**30
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


def render(recorded: Recorded, advice: Sequence[Advice], job: TrainingSpec) -> str:
    """Renders the page.

    Args:
        recorded: of all attempts.
        advice: most useful first.
        job: what was trained.
    """
    sections = [
        Section("", cards(_cards(recorded))),
        Section("What to change", *_advice(recorded, advice)),
        Section("Where the time went", *_time(recorded)),
        Section("What the machine did", *_machine(recorded)),
    ]
    if recorded.trace:
        sections.append(Section("The most expensive operators", *_operators(recorded.trace)))
    sections.append(Section("What this page covers", *_coverage(recorded)))
    last = recorded.last
    return render_page(
        "Profile of the training",
        sections,
        lead=_lead(recorded, advice),
        facts=[
            ("Run", job.run_id),
            ("Network", f"{job.settings.backbone}, {job.settings.image_size} px, batches of {job.settings.batch_size}"),
            ("Device", last["device"] if last["is_gpu"] else f"{last['cores']:g} processor cores"),
            ("Workers", f"{last['world']} on {last['hosts']} host{'s' * (last['hosts'] > 1)}"),
        ],
        footer="Written by the train step. All figures are of this training; the samples lie beside this page.",
    )


def _lead(recorded: Recorded, advice: Sequence[Advice]) -> str:
    total, steps = sum(recorded.wall().values()), sum(recorded.seconds().values())
    lead = f"{recorded.steps:,} steps in {duration(total)}"
    if steps:
        lead += f", {recorded.seconds()['data'] / steps:.0%} of the step time waiting for images"
    verdict = "Nothing to change." if recorded.steps >= rules.FEWEST_STEPS else "Too few steps to judge."
    return f"{lead}. {advice[0].change if advice else verdict}"


def _cards(recorded: Recorded) -> list[Card]:
    rows = [sum(row) for row in recorded.kept_steps()]
    found = []
    if rows:
        wall = recorded.wall()["steps"]
        images = sum(worker["times"]["images"] for attempt in recorded.attempts for worker in attempt.workers)
        found.append(
            Card("median step", duration(quantile(rows, 0.5)), f"95 % within {duration(quantile(rows, 0.95))}")
        )
        found.append(Card("images a second", f"{images / wall:,.0f}" if wall else "-", "while stepping, all workers"))
    cores, gpu = recorded.busy_cores(), recorded.mean("gpu")
    if cores is not None:
        found.append(Card("processor", f"{cores:.0%}", f"of {recorded.last['cores']:g} cores busy"))
    if gpu is not None:
        found.append(Card("GPU", f"{gpu:.0%}", "busy on average"))
    memory = recorded.highest("process_memory")
    if memory is not None:
        limit = recorded.last["memory_limit"] / GIB
        found.append(Card("memory, highest", f"{memory / GIB:.1f} GiB", f"of {limit:.1f} GiB"))
    return found


def _advice(recorded: Recorded, advice: Sequence[Advice]) -> list[Markup]:
    if recorded.steps < rules.FEWEST_STEPS:
        return [callout(f"{recorded.steps} steps are too few to judge; advice begins with {rules.FEWEST_STEPS}.")]
    if not advice:
        return [callout("Nothing: no threshold was crossed. They are listed at the end of this page.", "good")]
    return [
        part
        for number, item in enumerate(advice, 1)
        for part in (callout(f"{number}. {item.change}", "warn"), paragraph(item.evidence))
    ]


def _time(recorded: Recorded) -> list[Markup]:
    wall = {name: seconds for name, seconds in recorded.wall().items() if seconds > 0}
    seconds = recorded.seconds()
    shown = {part: seconds[part] for part in PARTS if seconds[part] > 0}
    parts: list[Markup] = [stacked_bar("All of the time, on the leading worker", wall)]
    if shown:
        parts += [stacked_bar("Inside the steps", shown), _step_table(recorded, shown)]
    if recorded.timed < recorded.steps:
        parts.append(
            paragraph(
                f"{recorded.timed:,} of {recorded.steps:,} steps were timed exactly, by waiting for the GPU after each "
                "part; they stand for all. Work in the GPU's queue can hide a part of the waiting for images."
            )
        )
    if recorded.last["world"] > 1:
        parts += _workers(recorded)
    slowest = recorded.slowest_steps()
    if slowest:
        rows = [
            [f"{step['step']:,}", milliseconds(sum(step["seconds"])), *_longest(step["seconds"])]
            for step in slowest[:SLOWEST]
        ]
        parts += [heading("Slowest steps"), table(["step", "ms", "mostly", "of these ms"], rows)]
    return parts


def _step_table(recorded: Recorded, shown: Mapping[str, float]) -> Markup:
    kept, total = recorded.kept_steps(), sum(shown.values())
    rows = []
    for part, seconds in shown.items():
        values = [row[PARTS.index(part)] for row in kept]
        rows.append([NAMES[part], f"{seconds / total:.1%}", *_quantiles(values), f"{seconds:,.1f}"])
    rows.append(["whole step", "100.0%", *_quantiles([sum(row) for row in kept]), f"{total:,.1f}"])
    return table(["part of a step", "share", "median ms", "95 % within, ms", "sum s"], rows, total=True)


def _workers(recorded: Recorded) -> list[Markup]:
    rows = []
    for worker in recorded.attempts[-1].workers:
        seconds, steps = scaled(worker), max(worker["times"]["steps"], 1)
        cells = [milliseconds(seconds[part] / steps) for part in PARTS]
        rows.append([f"worker {worker['rank']}, host {worker['host']}", *cells])
    exchange = paragraph(
        "DDP exchanges gradients while it computes others; the exchange counts here as far as it made the step longer. "
        "It includes waiting for slower workers, so the slowest worker shows the least of it."
    )
    return [heading("Mean step of each worker, in ms"), table(["", *(NAMES[part] for part in PARTS)], rows), exchange]


def _longest(seconds: Sequence[float]) -> tuple[str, str]:
    most = max(range(len(PARTS)), key=lambda at: seconds[at])
    return NAMES[PARTS[most]], milliseconds(seconds[most])


def _machine(recorded: Recorded) -> list[Markup]:
    if recorded.mean("memory") is None and recorded.mean("cpu") is None:
        return [paragraph("Nothing was recorded.")]
    percent = "{:.0%}".format
    parts = [
        columns(
            _chart(
                recorded,
                {"processor": "cpu", "busiest core": "busiest_core", "GPU": "gpu"},
                "Share of the time that is busy",
                percent,
            ),
            _chart(
                recorded,
                {"host": "memory", "training": "process_memory"},
                f"Memory in GiB; {recorded.last['memory_limit'] / GIB:.1f} may be used",
                "{:.3g}".format,
                GIB,
            ),
        ),
        columns(
            _chart(recorded, {"read": "disk_read", "written": "disk_write"}, "Disk, MB a second", "{:.3g}".format, 1e6),
            _chart(
                recorded,
                {"received": "network_received", "sent": "network_sent"},
                "Network, MB a second, this machine with itself included",
                "{:.3g}".format,
                1e6,
            ),
        ),
    ]
    if recorded.mean("gpu_memory") is not None:
        parts.append(_chart(recorded, {"GPU memory": "gpu_memory"}, "GPU memory in use", percent))
    hosts = recorded.attempts[-1].hosts
    cores = hosts[0]["machine"]["core_use"] if hosts else []
    if 1 < len(cores) <= MOST_CORES:
        names = [str(number) for number in range(len(cores))]
        parts.append(
            bar_chart(names, {"busy": cores}, caption="Each core, busy on average", x_label="core", text=percent)
        )
    return parts


def _chart(
    recorded: Recorded, metrics: Mapping[str, str], caption: str, text: Callable[[float], str], unit: float = 1.0
) -> Markup:
    """Lines of some metrics over the minutes of training; attempts come one after the other, hosts get own lines."""
    series: dict[str, list[tuple[float, float]]] = {}
    many = recorded.last["hosts"] > 1
    for name, metric in metrics.items():
        offset = 0.0
        for attempt in recorded.attempts:
            for host in attempt.hosts:
                values = host["machine"]["metrics"].get(metric)
                if values:
                    points = [
                        ((offset + at) / 60, value / unit)
                        for at, value in zip(host["machine"]["at"], values, strict=True)
                        if value is not None
                    ]
                    series.setdefault(f"{name}, host {host['host']}" if many else name, []).extend(points)
            offset += attempt.leader["recorded_seconds"]
    thinned = {name: fewer(points) for name, points in series.items()}
    return line_chart(thinned, caption=caption, x_label="minutes of training", text=text, from_zero=True)


def fewer(points: Sequence[tuple[float, float]], most: int = MOST_POINTS) -> list[tuple[float, float]]:
    """Means of neighbouring points, so that at most ``most`` are left."""
    together = math.ceil(len(points) / most)
    groups = [points[start : start + together] for start in range(0, len(points), together or 1)]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]


def _operators(trace: Mapping[str, Any]) -> list[Markup]:
    rows = [
        [operator["name"].removeprefix("aten::"), f"{operator['calls']:,.1f}", milliseconds(operator["seconds"])]
        for operator in trace["operators"]
    ]
    return [
        table(["operator", "calls a step", "ms a step"], rows, caption="Without the operators inside each"),
        paragraph(
            f"The trace of {trace['steps']} steps is the object {trace['key']} in the store; "
            "open it in chrome://tracing or Perfetto."
        ),
    ]


def _coverage(recorded: Recorded) -> list[Markup]:
    rows = []
    for number, attempt in enumerate(recorded.attempts, 1):
        leader = attempt.leader
        times = leader["times"]
        steps = f"{times['first_step']:,} to {times['last_step']:,}" if times["first_step"] else "none"
        began = datetime.datetime.fromtimestamp(leader["began"], datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        rows.append([str(number), began, steps, duration(leader["recorded_seconds"]), str(len(attempt.workers))])
    parts = [table(["attempt", "began", "steps", "recorded", "workers"], rows)]
    if recorded.notes:
        parts.append(bullets(recorded.notes))
    parts += [
        heading("When advice is given"),
        bullets(
            [
                f"waiting for images takes more than {rules.WAITING_SHARE:.0%} of the step time",
                f"the exchange of gradients takes more than {rules.COMMUNICATION_SHARE:.0%} of it",
                f"the GPU is less than {rules.BUSY_GPU:.0%} busy, without waiting for images",
                f"the training has fewer threads than cores and keeps less than {rules.BUSY_CORES:.0%} busy, or "
                "it has more threads than cores",
                f"other programs take more than {rules.CROWDED_SHARE:.0%} of the cores, and none is free",
                f"{rules.MEMORY_SHARE:.0%} of the memory is used, or {rules.GPU_MEMORY_SHARE:.0%} of the GPU's",
                f"more than {rules.COMPUTING_SHARE:.0%} of the time goes into float32 on a processor with native "
                "bfloat16, or into a frozen backbone without cached features",
                f"validation takes more than {rules.VALIDATION_SHARE:.0%} of the time",
                f"more than {rules.BETWEEN_SHARE:.0%} of the time passes between steps",
            ]
        ),
    ]
    return parts


def stacked_bar(caption: str, parts: Mapping[str, float]) -> Markup:
    """One bar whose pieces are shares of a whole, with a legend that names them.

    Args:
        caption: what the whole is.
        parts: seconds of each piece, positive.
    """
    total = sum(parts.values())
    legend, pieces = [], []
    for number, (name, seconds) in enumerate(parts.items(), 1):
        label = f"{NAMES[name]} {seconds / total:.1%}"
        colour = f"var(--s{(number - 1) % 6 + 1})"
        legend.append(Markup('<span><span class="key" style="background: {}"></span>{}</span>').format(colour, label))
        pieces.append(
            Markup('<div title="{}" style="background: {}; flex: {:.5f} 0 0"></div>').format(
                f"{label}, {duration(seconds)}", colour, seconds / total
            )
        )
    return Markup(
        '<figure><figcaption>{}: {}</figcaption><div class="legend">{}</div>'
        '<div role="img" aria-label="{}" style="display: flex; height: 1.6rem; border-radius: 6px; overflow: hidden">'
        "{}</div></figure>"
    ).format(caption, duration(total), Markup("").join(legend), caption, Markup("").join(pieces))


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of the values do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] if ordered else 0.0


def duration(seconds: float) -> str:
    """A time with its unit, in three digits or hours and minutes."""
    if seconds < 1:
        return f"{seconds * 1e3:.3g}\N{NO-BREAK SPACE}ms"
    if seconds < 60:
        return f"{seconds:.3g}\N{NO-BREAK SPACE}s"
    minutes = round(seconds / 60)
    return f"{seconds / 60:.3g} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _quantiles(values: Sequence[float]) -> list[str]:
    return [milliseconds(quantile(values, share)) for share in (0.5, 0.95)]


def milliseconds(seconds: float) -> str:
    """Milliseconds without their unit."""
    return f"{1e3 * seconds:,.1f}"
