"""Workers that do not train: each trial reports the values that a function of its hyperparameters gives.

What a real worker does is tested with real workers; this is for what the search makes of their messages.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.common.errors import InventoryError
from components.common.store import Store
from components.documents.search_plan import SearchPlan
from components.documents.search_result import SearchResult
from components.documents.training_spec import TrainingSpec
from components.tune.optuna import search as optuna_search
from components.tune.trial_store import TrialStore

Curve = Callable[[TrainingSpec], list[float]]


class ScriptedWorker:
    def __init__(self, log: Path) -> None:
        self.trial: str | None = None
        self.log = log
        self.log.write_text("what it printed\n")
        self.messages: list[dict[str, Any]] = []

    def answer(self, yes: bool) -> None:
        if not yes:
            self.messages = [{"kind": "stopped", "reason": ""}]


class ScriptedPool:
    """Lets busy workers speak in turns; ``started`` keeps what each trial was started with."""

    def __init__(self, folder: Path, store: Store, curve: Curve, stop_after: int | None = None) -> None:
        self.folder, self.store, self.curve, self.stop_after = folder, store, curve, stop_after
        self.workers: list[ScriptedWorker] = []
        self.started: list[tuple[str, TrainingSpec, bool]] = []
        self.most_busy = 0
        self._turn = 0

    def grow(self, size: int) -> None:
        while len(self.workers) < size:
            worker = ScriptedWorker(self.folder / f"{len(self.workers)}.log")
            worker.start = lambda *asked, worker=worker, **final: self._start(worker, *asked, **final)  # type: ignore[attr-defined]
            self.workers.append(worker)

    @property
    def idle(self) -> list[ScriptedWorker]:
        return [worker for worker in self.workers if worker.trial is None]

    @property
    def busy(self) -> list[ScriptedWorker]:
        return [worker for worker in self.workers if worker.trial is not None]

    def _start(self, worker: ScriptedWorker, name: str, job: TrainingSpec, metric: str, final: bool) -> None:
        worker.trial = name
        self.started.append((name, job, final))
        begun = {"kind": "begun"}
        try:
            values = self.curve(job)
        except InventoryError as error:
            worker.messages = [begun, {"kind": "failed", "reason": str(error)}]
            return
        epochs = [{"kind": "epoch", "epoch": epoch, "value": value} for epoch, value in enumerate(values, 1)]
        worker.messages = [begun, *([] if final else epochs), {"kind": "done", "values": values}]
        self.store.put_bytes(f"{job.output}/train/checkpoints/index.json", b"[]")
        if final:
            self.store.put_bytes(job.outcome_key, b"{}")

    def receive(self) -> tuple[ScriptedWorker, dict[str, Any]]:
        self.most_busy = max(self.most_busy, len(self.busy))
        if self.stop_after is not None and len(self.started) > self.stop_after:
            raise KeyboardInterrupt
        self._turn += 1
        worker = self.busy[self._turn % len(self.busy)]
        return worker, worker.messages.pop(0)


def search(plan: SearchPlan, store: Store, pool: ScriptedPool) -> SearchResult:
    """What ``optuna_search.search`` does, with these workers."""
    trial_store = TrialStore(plan, store)
    optuna_search._Local(plan, store, trial_store, pool).run()  # type: ignore[arg-type]
    return plan.result("optuna", plan.run_id, list(trial_store.trials.values()))
