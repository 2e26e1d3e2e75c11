"""The profiler: a hook that records, and in the end says what to change."""

import time
from contextlib import ExitStack

import psutil
import torch

from components.common.background import call_periodically
from components.common.machine import usable_cores, usable_memory
from components.common.progress import note
from components.common.store import Store
from components.counter.training_log import EpochRecord
from components.documents.trained import Advice, ProfileSummary, Utilisation
from components.documents.training_profile import RecordedMachine, WorkerRecord
from components.documents.training_spec import TrainingSpec
from components.train.data.batches import decode_threads
from components.train.engine.dispensable import dispensable
from components.train.engine.hooks import Findings, Hook, StepReport
from components.train.engine.workers import Workers
from components.train.model.precision import uses_bf16
from components.train.profile.advice import advise
from components.train.profile.gpu import gpu_readers
from components.train.profile.machine import Machine, busy_seconds, host_readers, training_processes
from components.train.profile.page import render
from components.train.profile.records import Recorded, read_records
from components.train.profile.step_times import StepTimes
from components.train.profile.trace import Trace

STORE_SECONDS = 60.0
"""A worker that is killed loses at most this much of its record."""
EXACT_EVERY = 25
"""On a GPU one step in so many waits for the device between its parts."""


class Profiler(Hook):
    """Records the time of a worker's steps and, on the first worker of each host, what the machine does.

    All workers make one together, before the training.
    """

    def __init__(self, job: TrainingSpec, store: Store, workers: Workers) -> None:
        self.job, self.store, self.workers = job, store, workers
        self.times = StepTimes()
        self._is_gpu = workers.device.type == "cuda"
        self._threads = torch.get_num_threads()
        self._automatic = job.settings.model_copy(update={"precision": "auto"})
        self._count = 0
        start = torch.tensor([time.time() if workers.leads else 0.0], dtype=torch.float64, device=workers.device)
        self.began = round(float(workers.sum(start)), 3)
        self._began, self._first_step_at = time.perf_counter(), 0.0
        self._trace: Trace | None = None
        if job.settings.trace_steps and workers.leads:
            self._trace = Trace(job.settings.trace_steps, f"{job.profile_key}/trace.json.gz", store, workers.device)
        self._machine: Machine | None = None
        if workers.local_rank == 0:
            self._machine = Machine(host_readers(training_processes(workers.local_world)) | gpu_readers(self._gpus()))
            self._busy = busy_seconds()
        self._stored_at, self._ended = time.monotonic(), False
        self._watching = ExitStack()
        self._watching.enter_context(
            call_periodically(
                job.settings.profile_ms / 1000, self._watch, "profiler", stop_seconds=None
            )  # no step waits for it
        )

    def gpu_samples(self) -> list[tuple[float, float]]:
        """Utilisation of this host's GPUs so far: seconds since the start and percent; empty without a GPU."""
        samples = self._machine.samples() if self._machine else []
        return [(sample.at, 100 * sample.values["gpu"]) for sample in samples if "gpu" in sample.values]

    def on_step(self, report: StepReport, network: torch.nn.Module) -> None:
        """Books the step's time."""
        traced = self._trace is not None and self._trace.step()
        self.times.step(report, exact=self.exact_times or not self._is_gpu, traced=traced)
        if self._count == 0:
            self._first_step_at = time.perf_counter() - self._began
        self._count += 1
        self.exact_times = self._is_gpu and self._count % EXACT_EVERY == EXACT_EVERY - 1

    def on_epoch(self, record: EpochRecord, network: torch.nn.Module) -> None:
        """Books the validation's time."""
        self.times.epoch()

    def summary(self) -> Findings:
        """Writes the page of all attempts; its figures and advice are the outcome's ``profile``."""
        self._end()
        self.workers.wait()  # every worker has left its record
        if not self.workers.leads:
            return {}
        with dispensable("the profile was"):
            recorded = read_records(self.store, self._attempts_key)
            return {"profile": self._report(recorded)} if recorded.attempts else {}
        return {}

    def close(self) -> None:
        """Ends the watching, and leaves the record if that has not been done."""
        self._end()

    @property
    def _attempts_key(self) -> str:
        return f"{self.job.profile_key}/attempts"

    def _report(self, recorded: Recorded) -> ProfileSummary:
        advice = advise(recorded, self.job.settings)
        page_key = f"{self.job.profile_key}/report.html"
        self.store.put_bytes(page_key, render(recorded, advice, self.job).encode())
        return ProfileSummary(
            seconds={part: round(seconds, 3) for part, seconds in recorded.seconds().items()},
            steps=recorded.steps,
            utilisation=Utilisation(cpu=rounded(recorded.busy_cores()), gpu=rounded(recorded.mean("gpu"))),
            advice=[Advice(change=item.change, evidence=item.evidence) for item in advice],
            page_key=page_key,
            trace_key=recorded.trace.key if recorded.trace else None,
        )

    def _watch(self) -> None:
        """Looks at the machine and stores the record at times."""
        if self._machine:
            self._machine.look()
        if time.monotonic() - self._stored_at >= STORE_SECONDS:
            self._store()
            self._stored_at = time.monotonic()

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        try:
            self._watching.close()
        except Exception as error:  # noqa: BLE001, RUF100 - no reason to lose what was trained
            note(f"the profile's samples end early, training goes on: {error!r}")
        self.times.end()
        if self._trace:
            self._trace.end()
        if self._machine:
            self._machine.look()  # a training of less than one interval has a sample, too
        self._store()

    def _store(self) -> None:
        with dispensable("the profile's samples were"):
            key = f"{self._attempts_key}/{self.began:.3f}-{self.workers.rank:05d}.json"
            self._record().put(self.store, key)

    def _record(self) -> WorkerRecord:
        workers = self.workers
        return WorkerRecord(
            began=self.began,
            recorded_seconds=round(time.perf_counter() - self._began, 3),
            first_step_at=round(self._first_step_at, 3),
            rank=workers.rank,
            host=workers.host,
            hosts=workers.hosts,
            world=workers.world,
            local_world=workers.local_world,
            device=torch.cuda.get_device_name(workers.device) if self._is_gpu else "cpu",
            is_gpu=self._is_gpu,
            cores=usable_cores(),
            memory_limit=usable_memory(),
            memory_total=psutil.virtual_memory().total,
            compute_threads=self._threads,
            native_bf16=uses_bf16(self._automatic, workers.device),
            decode_threads=decode_threads(self.job.settings, workers),
            times=self.times.record(),
            machine=self._machine_record(),
            trace=self._trace.result if self._trace else None,
        )

    def _machine_record(self) -> RecordedMachine | None:
        if self._machine is None:
            return None
        samples = self._machine.samples()
        names = sorted({name for sample in samples for name in sample.values})
        elapsed = time.perf_counter() - self._began
        busy = [round((now - then) / elapsed, 4) for now, then in zip(busy_seconds(), self._busy, strict=True)]
        return RecordedMachine(
            at=[round(sample.at, 3) for sample in samples],
            seconds=[round(sample.seconds, 3) for sample in samples],
            metrics={name: [rounded(sample.values.get(name)) for sample in samples] for name in names},
            core_use=busy,
        )

    def _gpus(self) -> list[int]:
        """Torch's numbers of the GPUs that train on this host."""
        if not self._is_gpu:
            return []
        if self.workers.world == 1:  # one of several trials on this host may have any of them
            return [self.workers.device.index]
        return sorted({rank % torch.cuda.device_count() for rank in range(self.workers.local_world)})


def rounded(value: float | None) -> float | None:
    """Fractions to four places, bytes and rates to whole ones."""
    return value if value is None else round(value, 4) if abs(value) < 1000 else round(value)
