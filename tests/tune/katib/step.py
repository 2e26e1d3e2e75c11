"""A search under Katib in a process of its own, so that a test can kill it: ``python -m tests.tune.katib.step RUN``."""

import sys
from typing import Any

from components.cluster import kube
from components.cluster.owned_object import Timeouts
from components.common.step.run_step import main_step
from components.common.store import open_store
from components.documents.search_plan import SearchPlan
from components.documents.search_result import SearchResult
from components.settings.cluster import ClusterSettings
from components.settings.training import TrainingSettings
from components.settings.tuning import TuningSettings
from components.tune.katib.search import KatibSearch

QUICK = Timeouts(poll=0.2, removal=20, outcome=1.0, away=20, renew=0.3)


def plan(run_id: str, **tuning: Any) -> SearchPlan:
    """Four trials, the default and three of Katib, two of them at a time."""
    settings = TuningSettings.read({"max_trials": 4, "max_failed_trials": 1, **tuning})
    return SearchPlan(
        run_id,
        f"runs/{run_id}/tune/dataset.json",
        TrainingSettings(select_by="accuracy"),
        settings.parameters,
        settings,
    )


def verdict(result: SearchResult) -> str:
    """What a search found, in one line."""
    counts = ", ".join(sorted(trial.status for trial in result.trials))
    return f"found {result.best.objective}: {counts}"


def main(run_id: str) -> None:
    search = KatibSearch(kube.connect(), "team", ClusterSettings(pending_seconds=15), QUICK)
    print("verdict: " + verdict(search(plan(run_id), open_store())), flush=True)


if __name__ == "__main__":
    main_step(lambda: main(sys.argv[1]))
