"""The search that a run may ask for: from its settings to those that its training takes."""

import json
from typing import Any

from components.common.progress import note
from components.common.step.run_step import run_step
from components.common.store import Store
from components.counter.dataset import DatasetManifest
from components.documents.search_plan import Search, make_search_plan
from components.documents.search_result import SearchResult, Trial
from components.documents.trained import TrainedModel
from components.settings.cluster import ClusterSettings
from components.settings.run import RunSettings, is_settings
from components.tune.compare import Comparison, compare
from components.tune.holdout import part_validation
from components.tune.page.report import in_words, render


def tune(store: Store, dataset: DatasetManifest, settings: RunSettings, run_id: str) -> dict[str, Any]:
    """Searches better hyperparameters; the dataset's test split is not opened.

    Returns:
        ``settings`` for the training: with the best ``training`` options, and with ``trained`` when the best trial's
        model may be taken as it is; ``report_key``, ``result_key``, ``best`` and ``verdict``.

    Raises:
        InventoryError: for refused settings, an empty split, too many failed trials, or none that succeeded.
    """
    inputs = {"run_id": run_id, "dataset_id": dataset.dataset_id, "settings": settings.model_dump(mode="json")}
    return run_step(
        store,
        "tune",
        inputs,
        lambda: _tune(store, dataset, settings, run_id),
        usable=lambda done: _is_there(store, done),
    )


def _is_there(store: Store, done: dict[str, Any]) -> bool:
    """Whether what an earlier attempt left is whole."""
    key = done.get("report_key")
    return is_settings(done.get("settings")) and isinstance(key, str) and store.exists(key)


def _tune(store: Store, dataset: DatasetManifest, settings: RunSettings, run_id: str) -> dict[str, Any]:
    tuning, training, folder = settings.tuning, settings.training, f"runs/{run_id}/tune"
    plan = make_search_plan(run_id, f"{folder}/dataset.json", training, settings.explicit, tuning)
    for name in sorted(set(tuning.parameters) - set(plan.space)):
        note(f"tune: {name} stays {getattr(training, name)}, since the run gives it")
    searched, held_out = part_validation(store, dataset)
    searched.put(store, plan.dataset_key)
    result = _search(settings.cluster)(plan, store)
    best = result.best
    comparison = _compare(store, held_out, result)
    keys = {"result_key": f"{folder}/result.json", "report_key": f"{folder}/report.html"}
    found = {**result.as_json(), "comparison": None if comparison is None else comparison.model_dump()}
    store.put_bytes(keys["result_key"], json.dumps(found, indent=1).encode())
    store.put_bytes(keys["report_key"], render(result, comparison, tuning.final_training).encode())
    verdict, _ = in_words(result, comparison)
    note(f"tune: best of {len(result.trials)} trials: {best.name}. {verdict}")
    improved = {**plan.training.model_dump(mode="json"), **best.parameters}
    trained = {"outcome_key": best.outcome_key} if tuning.final_training == "reuse" else None
    chosen = {**settings.model_dump(mode="json"), "training": improved, "trained": trained}
    return {
        "settings": chosen,
        **keys,
        "best": {"name": best.name, "objective": best.objective, "parameters": best.parameters},
        "verdict": verdict,
    }


def _search(cluster: ClusterSettings) -> Search:
    """Katib on a cluster, Optuna on one machine, where Katib's SDK may be missing."""
    from components.cluster.jobs.choose import runs_on_cluster

    if runs_on_cluster():
        from components.cluster import kube
        from components.tune.katib.search import KatibSearch

        return KatibSearch(kube.connect(), kube.namespace(), cluster)
    from components.tune.optuna.search import search

    return search


def _compare(store: Store, held_out: DatasetManifest, result: SearchResult) -> Comparison | None:
    """The best trial against the default one; None when there is nothing to compare."""
    best, default = result.best, result.default
    if default is None or default.status != "succeeded" or best == default:
        return None
    return compare(store, held_out, _bundle(store, best), _bundle(store, default), result.objective)


def _bundle(store: Store, trial: Trial) -> str:
    return TrainedModel.fetch(store, trial.outcome_key).bundle_key
