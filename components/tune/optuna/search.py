"""The search on one machine: Optuna chooses, a few worker processes train, the object store remembers."""

import tempfile
import time
from pathlib import Path
from typing import Any

from components.common.errors import InventoryError
from components.common.machine import usable_threads
from components.common.progress import Counter, note
from components.common.store import Store
from components.counter.training_log import rank
from components.documents.search_plan import SearchPlan
from components.documents.search_result import DEFAULT_TRIAL, FAILURES, SearchResult, Trial
from components.documents.training_spec import TrainingSpec
from components.settings.space import Value
from components.tune.optuna.pool import Message, Pool, Worker, pool
from components.tune.optuna.study import Study
from components.tune.trial_store import TrialStore

CHECKPOINTS = "train/checkpoints/"


def search(plan: SearchPlan, store: Store) -> SearchResult:
    """Runs the trials of a plan on this machine; see ``plan.Search``.

    The first trial has the given hyperparameters and is never stopped early. Only its model and the best trial's are
    written, when all trials are done; of the others, learning curves, logs and event files stay.
    """
    trial_store = TrialStore(plan, store)
    with tempfile.TemporaryDirectory(prefix="tune-") as folder, pool(Path(folder)) as workers:
        _Local(plan, store, trial_store, workers).run()
    return plan.result("optuna", plan.run_id, list(trial_store.trials.values()))


class _Local:
    """A search while it runs."""

    def __init__(self, plan: SearchPlan, store: Store, trial_store: TrialStore, workers: Pool) -> None:
        self.plan, self.store, self.trial_store, self.pool = plan, store, trial_store, workers
        self.study = Study(plan)
        self.waiting: list[Trial] = []
        """Begun by an earlier attempt; each goes on from its checkpoint."""
        self.used_up = False
        """Whether the space holds no combination that was not tried."""
        self._take_over()
        self.count = Counter("trials", plan.tuning.max_trials)
        self.count(len(self._finished()))
        # trials that share a cache of features wait until the first one has filled it
        self.alone = plan.training.trainable == "head" and plan.training.cache_features and not self._finished()

    def _take_over(self) -> None:
        """Sorts the trials of an earlier attempt into those that are done and those to go on with."""
        known = list(self.trial_store.trials.values())
        too_many = sum(trial.status in FAILURES for trial in known) > self.plan.tuning.max_failed_trials
        for trial in known:
            if trial.status == "running" or (too_many and trial.status in FAILURES):
                self.waiting.append(trial)
            else:
                self.study.remember(trial)
        if known:
            note(f"tune: {len(known) - len(self.waiting)} trials were done before, {len(self.waiting)} go on")

    def _finished(self) -> list[Trial]:
        return [trial for trial in self.trial_store.trials.values() if trial.status != "running"]

    def run(self) -> None:
        """Until all trials are done and the models that are wanted are written.

        Raises:
            InventoryError: if more trials fail than are allowed.
        """
        self._hand_out()
        while self.pool.busy:
            self._take(*self.pool.receive())
            self._hand_out()
        while unwritten := [trial for trial in self._kept() if not self.store.exists(trial.outcome_key)]:
            self._write_models(unwritten)
        for trial in self._finished():
            self.trial_store.discard(trial, CHECKPOINTS)

    def _write_models(self, trials: list[Trial]) -> None:
        """Takes trials from their checkpoints to their bundles; one that cannot be written has failed."""
        self.pool.grow(len(trials))
        for worker, trial in zip(self.pool.idle, trials, strict=False):
            worker.start(trial.name, self._job(trial), self.plan.tuning.objective, final=True)
        while self.pool.busy:
            worker, message = self.pool.receive()
            if message["kind"] == "begun":
                continue
            trial, worker.trial = self.trial_store.trials[worker.trial or ""], None
            if message["kind"] != "done":
                self._fail(trial, _reason(message, worker.log))

    def _hand_out(self) -> None:
        """Gives every idle worker a trial, as far as there are any left."""
        while len(self.pool.busy) < (1 if self.alone else self.plan.parallel):
            left = self.plan.tuning.max_trials - len(self._finished())
            self.pool.grow(max(1, min(self.plan.parallel, left)))
            trial = self._next()
            if trial is None:
                return
            self.trial_store.write(trial)
            self.pool.idle[0].start(trial.name, self._job(trial), self.plan.tuning.objective, final=False)

    def _job(self, trial: Trial) -> TrainingSpec:
        """A trial's training: one process with its share of the cores, or with all of them while it is alone."""
        job = self.plan.job(trial.name, trial.parameters)
        share = usable_threads(1 if self.alone else self.plan.parallel)
        machine = {"processes": 1, "threads": job.settings.threads or share}
        job = job.model_copy(update={"settings": job.settings.model_copy(update=machine)})
        job.put(self.store, job.job_key)
        return job

    def _next(self) -> Trial | None:
        trials = self.trial_store.trials
        if self.waiting:
            old = self.waiting.pop(0)
            self.study.start(old.name, old.parameters)
            return old.model_copy(update={"status": "running", "start": time.time(), "end": None, "reason": ""})
        if len(trials) >= self.plan.tuning.max_trials or self.used_up:
            return None
        parameters: dict[str, Value] | None = self.plan.default
        if DEFAULT_TRIAL not in trials:
            name = DEFAULT_TRIAL
            self.study.start(name, self.plan.default)
        else:
            name = f"{len(trials):03}"
            parameters = self.study.propose(name)
        if parameters is None:
            self.used_up = True
            note("tune: every combination of the space has been tried")
            return None
        return self.plan.trial(name, parameters, status="running", start=time.time())

    def _take(self, worker: Worker, message: Message) -> None:
        """Answers a worker's question, or writes down how its trial ended."""
        trial = self.trial_store.trials[worker.trial or ""]
        match message:
            case {"kind": "begun"}:  # the worker has imported torch, which is none of the trial's time
                self.trial_store.write(trial.model_copy(update={"start": time.time()}))
            case {"kind": "epoch", "epoch": epoch, "value": value}:
                self.alone = False
                self.trial_store.write(trial.model_copy(update={"epochs": [*trial.epochs[: epoch - 1], value]}))
                worker.answer(not self._give_up(trial, epoch, value))
            case {"kind": "done", "values": values}:
                self._end(worker, trial, status="succeeded", epochs=values, objective=self._best_of(values))
            case {"kind": "stopped", "reason": reason}:
                reason = reason or f"half of the others were better after {len(trial.epochs)} epochs"
                self._end(worker, trial, status="early stopped", objective=self._best_of(trial.epochs), reason=reason)
            case _:
                self._end(worker, trial, status="failed", objective=None, reason=_reason(message, worker.log))

    def _give_up(self, trial: Trial, epoch: int, value: float) -> bool:
        last = self.plan.job(trial.name, trial.parameters).settings.epochs
        hopeless = self.study.is_hopeless(trial.name, epoch, value)
        return hopeless and trial.name != DEFAULT_TRIAL and epoch < last

    def _end(self, worker: Worker, trial: Trial, **known: Any) -> None:
        """Writes down a trial's end, says it, and removes what nobody needs any more."""
        self.alone, worker.trial = False, None
        before = self._kept()
        trial = self.trial_store.write(trial.model_copy(update={"end": time.time(), **known}))
        self.study.finish(trial)
        self.store.put_file(f"{trial.output}/log.txt", worker.log)
        self.count()
        note(self._line(trial))
        for other in [*before, trial]:
            if other not in self._kept():
                self.trial_store.discard(other, CHECKPOINTS)
        self._check_failures()

    def _fail(self, trial: Trial, reason: str) -> None:
        """Writes down that a trial's model cannot be written."""
        self.trial_store.write(trial.model_copy(update={"status": "failed", "objective": None, "reason": reason}))
        note(f"trial {trial.name} has failed after all: {reason}")
        self._check_failures()

    def _check_failures(self) -> None:
        failed = [trial for trial in self.trial_store.trials.values() if trial.status in FAILURES]
        if len(failed) > self.plan.tuning.max_failed_trials:
            raise InventoryError(
                f"{len(failed)} trials failed, tuning.max_failed_trials allows {self.plan.tuning.max_failed_trials}; "
                + "; ".join(f"{trial.name}: {trial.reason}" for trial in failed[-3:])
            )

    def _kept(self) -> list[Trial]:
        """The trials whose models are kept: the default's and the best one's."""
        done = [trial for trial in self.trial_store.trials.values() if trial.status == "succeeded"]
        best = sorted(done, key=lambda trial: rank(self.plan.tuning.objective, trial.objective or 0.0))[:1]
        return best + [trial for trial in done if trial.name == DEFAULT_TRIAL and trial not in best]

    def _best_of(self, values: list[float]) -> float | None:
        return min(values, key=lambda value: rank(self.plan.tuning.objective, value), default=None)

    def _line(self, trial: Trial) -> str:
        """One line about a finished trial."""
        what = ", ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
                         for name, value in trial.parameters.items())  # fmt: skip
        objective = self.plan.tuning.objective
        found = trial.reason if trial.objective is None else f"{objective} {trial.objective:.4f}"
        best = self._kept()
        lead = f"; best so far {best[0].name} with {best[0].objective:.4f}" if best else ""
        return f"trial {trial.name} {trial.status} after {trial.elapsed:.0f} s: {found} ({what}){lead}"


def _reason(message: Message, log: Path) -> str:
    """Why a trial failed: what it says, or how its process died and what that said last."""
    if message["kind"] != "died":
        return str(message.get("reason", message["kind"]))
    lines = log.read_text(errors="replace").strip().splitlines()
    last = f", its last line: {lines[-1][:200]}" if lines else ""
    return f"its process ended with exit code {message['code']}{last}"
