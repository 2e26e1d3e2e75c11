"""What to change about a training, computed from what was measured.

Every rule has a threshold, a constant of this module, below which it is silent. Advice is sorted by the share of the
training's time that it is about, so the first is the most useful.
"""

from collections.abc import Callable
from dataclasses import dataclass

from components.pages.text import whole_percent
from components.settings.training import TrainingSettings
from components.train.data.features import reason_not_to_cache
from components.train.profile.records import Recorded

FEWEST_STEPS = 20
"""A shorter training is not judged."""
MATERIAL = 0.02
"""Advice about a smaller share of the whole time is not worth reading."""
WAITING_SHARE = 0.05
"""Of the step time, spent waiting for images: SageMaker's and this project's own mark for a healthy input."""
BUSY_GPU = 0.5
"""Utilisation under which a GPU has room for larger batches."""
BUSY_CORES = 0.7
"""Share of the cores that a training on them should keep busy."""
FREE_CORES = 0.5
"""Cores that must lie idle before more threads are advised."""
CROWDED_SHARE = 0.2
"""Share of the cores that other programs may take while no core is free."""
MEMORY_SHARE = 0.9
"""Of what may be used; the kernel ends a process at 1."""
GPU_MEMORY_SHARE = 0.95
"""Torch keeps what it once took, so a GPU's memory may well be nearly full."""
COMMUNICATION_SHARE = 0.1
"""Of the step time, that the exchange of gradients adds."""
UNEVEN_SHARE = 0.1
"""How much longer than the fastest the slowest worker may compute."""
COMPUTING_SHARE = 0.25
"""Of the whole time, in forward and backward passes, from which faster arithmetic pays."""
VALIDATION_SHARE = 0.25
"""Of the whole time."""
BETWEEN_SHARE = 0.05
"""Of the whole time, between steps: checkpoints, records, agreement of the workers."""


@dataclass(frozen=True)
class Advice:
    """One thing to change."""

    change: str
    evidence: str
    share: float
    """Of the training's time that it is about; more than 1 for what may end the training."""


@dataclass(frozen=True)
class Measurements:
    """What the rules look at."""

    recorded: Recorded
    settings: TrainingSettings
    seconds: dict[str, float]
    wall: dict[str, float]

    @property
    def step_seconds(self) -> float:
        """Time inside steps."""
        return sum(self.seconds.values())

    @property
    def all_seconds(self) -> float:
        """Time that was recorded, steps and all else."""
        return sum(self.wall.values())

    def of_steps(self, part: str) -> float:
        """A part's share of the time inside steps."""
        return self.seconds[part] / self.step_seconds

    @property
    def computing(self) -> float:
        """Share of the recorded time in forward and backward passes."""
        return self.of_all(self.seconds["forward"] + self.seconds["backward"])

    def of_all(self, seconds: float) -> float:
        """Share of the recorded time."""
        return seconds / self.all_seconds


def advise(recorded: Recorded, settings: TrainingSettings) -> list[Advice]:
    """What to change, most useful first; nothing when all is well or too little was measured."""
    facts = Measurements(recorded, settings, recorded.seconds(), recorded.wall())
    if recorded.steps < FEWEST_STEPS or not facts.step_seconds:
        return []
    found = [advice for rule in RULES if (advice := rule(facts)) and advice.share >= MATERIAL]
    return sorted(found, key=lambda advice: -advice.share)


def waiting_for_data(facts: Measurements) -> Advice | None:
    """Images come later than they are needed (``WAITING_SHARE``)."""
    waited, last = facts.seconds["data"], facts.recorded.last
    if facts.of_steps("data") <= WAITING_SHARE:
        return None
    busy = facts.recorded.busy_cores()
    evidence = f"{whole_percent(facts.of_steps('data'))} of the step time ({waited:.1f} s) was spent waiting for images"
    if facts.recorded.data_at_epoch_start > 0.5 * waited:
        evidence += ", most of it at the first step of an epoch"
    evidence += f"; {last.decode_threads} thread{'s' * (last.decode_threads > 1)} decoded"
    if reason_not_to_cache(facts.settings) is None:
        change = f"Larger batches of cached features: batch_size = {2 * facts.settings.batch_size}."
    elif busy is None or (1 - busy) * last.cores >= FREE_CORES:
        change = f"Decode with more threads: decode_threads = {2 * last.decode_threads}, or a store that is nearer."
    else:
        change = "Give the training more cores, or split into smaller photos (short_side): decoding has no core left."
    if busy is not None:
        evidence += f", and the processor was {whole_percent(busy)} busy"
    return Advice(change, f"{evidence}.", facts.of_all(waited))


def idle_gpu(facts: Measurements) -> Advice | None:
    """The GPU computes less than half of the time (``BUSY_GPU``) and does not wait for images."""
    gpu = facts.recorded.mean("gpu")
    if gpu is None or gpu >= BUSY_GPU or facts.of_steps("data") > WAITING_SHARE:
        return None
    memory = facts.recorded.highest("gpu_memory")
    size = facts.settings.batch_size
    evidence = f"The GPU was {whole_percent(gpu)} busy, and images were there in time"
    if memory is not None:
        evidence += f"; {whole_percent(memory)} of its memory was used"
    if memory is None or memory < MEMORY_SHARE / 2:
        change = f"Larger batches: batch_size = {2 * size} (now {size}), with a learning rate raised to suit."
    else:
        change = "Fewer, larger pieces of work: compile = true, or accumulate = 1 if it is more."
    return Advice(change, f"{evidence}.", 1 - gpu)


def idle_cores(facts: Measurements) -> Advice | None:
    """A training on the processor leaves cores idle that its threads do not reach (``BUSY_CORES``, ``FREE_CORES``)."""
    last, own, busy = facts.recorded.last, facts.recorded.mean("process_cpu"), facts.recorded.busy_cores()
    if last.is_gpu or own is None or busy is None:
        return None
    cores, threads = last.cores, last.compute_threads * last.local_world
    free = (1 - busy) * cores
    if own / cores >= BUSY_CORES or free < FREE_CORES or threads + 1 > cores:
        return None
    wanted = int(cores) // last.local_world
    return Advice(
        f"Compute on all cores: threads = {wanted} (now {last.compute_threads}), or 0, which shares the cores.",
        f"The training kept {own:.1f} of {cores:g} cores busy, {last.local_world} x {last.compute_threads} "
        f"threads compute, and {free:.1f} cores were idle.",
        1 - own / cores,
    )


def crowded_cores(facts: Measurements) -> Advice | None:
    """Other programs take the cores that the training wants (``CROWDED_SHARE``)."""
    last, own, busy = facts.recorded.last, facts.recorded.mean("process_cpu"), facts.recorded.busy_cores()
    if last.is_gpu or own is None or busy is None or last.machine is None or last.cores != len(last.machine.core_use):
        return None  # in a container with a quota the other cores are none of its business
    others, free = busy * last.cores - own, (1 - busy) * last.cores
    if others <= CROWDED_SHARE * last.cores or free >= FREE_CORES:
        return None
    return Advice(
        "Let the training have the machine to itself, or give it a node where it has.",
        f"Other programs kept {others:.1f} of {last.cores:g} cores busy, the training {own:.1f}; none was free.",
        facts.computing * others / last.cores,
    )


def too_many_threads(facts: Measurements) -> Advice | None:
    """More compute threads than cores: they take turns, and wait for each other."""
    last = facts.recorded.last
    threads = last.compute_threads * last.local_world
    if last.is_gpu or threads <= last.cores:
        return None
    return Advice(
        f"Fewer threads or processes: threads = {max(1, int(last.cores) // last.local_world)}.",
        f"{last.local_world} x {last.compute_threads} threads computed on {last.cores:g} cores.",
        facts.computing * (1 - last.cores / threads),
    )


def full_memory(facts: Measurements) -> Advice | None:
    """The memory is nearly used up (``MEMORY_SHARE``)."""
    last, contained = facts.recorded.last, facts.recorded.last.memory_limit < facts.recorded.last.memory_total
    used = facts.recorded.highest("process_memory" if contained else "memory")
    if used is None or used / last.memory_limit <= MEMORY_SHARE:
        return None
    where = "the container may use" if contained else "the machine has"
    return Advice(
        f"More memory for the training, or batches computed in pieces: accumulate = {2 * facts.settings.accumulate}.",
        f"{used / 2**30:.1f} of the {last.memory_limit / 2**30:.1f} GiB that {where} were in use.",
        2.0,
    )


def full_gpu_memory(facts: Measurements) -> Advice | None:
    """The GPU's memory is nearly used up (``GPU_MEMORY_SHARE``)."""
    used = facts.recorded.highest("gpu_memory")
    if used is None or used <= GPU_MEMORY_SHARE:
        return None
    return Advice(
        f"Batches computed in pieces: accumulate = {2 * facts.settings.accumulate}.",
        f"{whole_percent(used)} of the GPU's memory was in use.",
        1.5,
    )


def communication(facts: Measurements) -> Advice | None:
    """Workers wait for each other and for the exchange of gradients (``COMMUNICATION_SHARE``, ``UNEVEN_SHARE``)."""
    share = facts.of_steps("communication")
    if share <= COMMUNICATION_SHARE:
        return None
    spent = facts.seconds["communication"]
    evidence = f"{whole_percent(share)} of the step time ({spent:.1f} s) was spent on the exchange of gradients"
    own = {
        worker.rank: sum(seconds for part, seconds in worker.times.scaled().items() if part != "communication")
        for worker in facts.recorded.attempts[-1].workers
    }
    slowest, fastest = max(own, key=own.__getitem__), min(own.values())
    if own[slowest] > (1 + UNEVEN_SHARE) * fastest:
        change = f"Find out what slows worker {slowest} down: the others wait for it at every step."
        more = whole_percent(own[slowest] / fastest - 1)
        evidence += f"; worker {slowest} needs {more} longer than the fastest for its own part"
    else:
        change = "Exchange less often: a larger batch_size, or fewer processes with more threads each."
        evidence += f", and the {len(own)} workers compute equally fast"
    return Advice(change, f"{evidence}.", facts.of_all(spent))


def wide_arithmetic(facts: Measurements) -> Advice | None:
    """float32 where the processor computes bfloat16 natively (``COMPUTING_SHARE``)."""
    share = facts.computing
    if facts.settings.precision != "fp32" or not facts.recorded.last.native_bf16 or share <= COMPUTING_SHARE:
        return None
    return Advice(
        "Compute in bfloat16: precision = auto.",
        f"Forward and backward passes in float32 took {whole_percent(share)} of the time, and this processor computes "
        "bfloat16 natively.",
        share / 2,
    )


def frozen_backbone(facts: Measurements) -> Advice | None:
    """A frozen backbone computes the same features again in every epoch (``COMPUTING_SHARE``)."""
    settings, share = facts.settings, facts.of_all(facts.seconds["forward"])
    reason = reason_not_to_cache(settings)
    if settings.trainable != "head" or reason is None or settings.epochs < 2 or share <= COMPUTING_SHARE:
        return None
    return Advice(
        "Let the features of the frozen backbone be cached: cache_features = true, no augmentation but the flip.",
        f"Passing every image through the frozen backbone took {whole_percent(share)} of the time: {reason}.",
        share,
    )


def long_validation(facts: Measurements) -> Advice | None:
    """Validation takes much of the time (``VALIDATION_SHARE``)."""
    share = facts.of_all(facts.wall["validation"])
    if share <= VALIDATION_SHARE:
        return None
    return Advice(
        "Fewer validation bins (the split's ratios): the epochs are short for so many.",
        f"Validation after each epoch took {whole_percent(share)} of the time ({facts.wall['validation']:.1f} s).",
        share,
    )


def long_pauses(facts: Measurements) -> Advice | None:
    """Much time passes between steps (``BETWEEN_SHARE``)."""
    share, settings = facts.of_all(facts.wall["between"]), facts.settings
    if share <= BETWEEN_SHARE:
        return None
    return Advice(
        f"Checkpoints and records less often: checkpoint_seconds (now {settings.checkpoint_seconds:g}), "
        f"checkpoint_steps (now {settings.checkpoint_steps}), record_steps (now {settings.record_steps}).",
        f"{whole_percent(share)} of the time ({facts.wall['between']:.1f} s) passed between steps.",
        share,
    )


RULES: tuple[Callable[[Measurements], Advice | None], ...] = (
    full_memory,
    full_gpu_memory,
    waiting_for_data,
    idle_gpu,
    idle_cores,
    crowded_cores,
    too_many_threads,
    communication,
    wide_arithmetic,
    frozen_backbone,
    long_validation,
    long_pauses,
)
