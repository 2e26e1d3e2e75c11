"""The trials of a search as the object store remembers them: a search that was killed goes on where it stood."""

import json

from pydantic import ValidationError

from components.common.files import content_hash
from components.common.progress import note
from components.common.store import Store
from components.documents.search_plan import SearchPlan
from components.documents.search_result import DEFAULT_TRIAL, Trial
from components.settings.space import describe
from components.settings.training import MACHINE_OPTIONS


class TrialStore:
    """One ``trial.json`` per trial, beside the trial's results; what an attempt with another plan left is removed."""

    def __init__(self, plan: SearchPlan, store: Store) -> None:
        self.plan, self.store = plan, store
        self._forget_another_plan()
        self.trials: dict[str, Trial] = {}
        keys = [key for key in store.list(f"{plan.output}/") if key.endswith("/trial.json")]
        found = [trial for key in keys if (trial := self._read(key))]
        for trial in sorted(found, key=lambda trial: (trial.name != DEFAULT_TRIAL, trial.name)):
            self.trials[trial.name] = trial

    def _read(self, key: str) -> Trial | None:
        try:
            return Trial.model_validate_json(self.store.get_bytes(key))
        except ValidationError:
            note(f"tune: the record of a trial, {self.store.uri(key)}, is damaged; the trial is done again")
            self.store.delete(key)
            return None

    def write(self, trial: Trial) -> Trial:
        """Remembers a trial's newest state."""
        self.store.put_bytes(f"{trial.output}/trial.json", trial.model_dump_json(indent=1).encode())
        self.trials[trial.name] = trial
        return trial

    def discard(self, trial: Trial, part: str) -> None:
        """Removes a part of a trial's results from the store, such as ``model``."""
        for key in list(self.store.list(f"{trial.output}/{part}")):
            self.store.delete(key)

    def _forget_another_plan(self) -> None:
        key = f"{self.plan.output}/plan.json"
        mine = {
            "dataset": content_hash(self.store.get_bytes(self.plan.dataset_key).decode()),
            "training": self.plan.training.model_dump(exclude=set(MACHINE_OPTIONS)),
            "space": {name: describe(parameter) for name, parameter in self.plan.space.items()},
            "objective": self.plan.tuning.objective,
            "algorithm": self.plan.tuning.algorithm,
        }
        data = self.store.get_bytes_or_none(key)
        if data is not None and _parsed(data) != mine:
            note("tune: the trials of an earlier attempt were of another search and are removed")
            for old in list(self.store.list(f"{self.plan.output}/")):
                if old != self.plan.dataset_key:
                    self.store.delete(old)
        self.store.put_bytes(key, json.dumps(mine, indent=1).encode())


def _parsed(data: bytes) -> object:
    """What JSON holds; None when it is damaged."""
    try:
        parsed: object = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return parsed
