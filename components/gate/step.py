"""The gate as a step: decides whether a model goes into service, says why, and registers it."""

import json
from dataclasses import replace
from typing import Any

from components.common.progress import note
from components.common.run_step import run_step
from components.common.store import Store
from components.counter import bundle as bundles
from components.counter.bundle import ONNX_FILE, Bundle
from components.counter.dataset import DatasetManifest
from components.gate.challenge import challenge
from components.gate.decision import Decision
from components.gate.page import render
from components.registry.in_service import InService, find_in_service
from components.registry.registry import facts_of, open_registry, read_index, register
from components.settings.gate import GatePolicy, decision_key
from components.settings.serving import ServingSettings

DEFAULT_POLICY, DEFAULT_SERVICE = GatePolicy(), ServingSettings()


def gate(
    store: Store,
    dataset: DatasetManifest,
    evaluated: dict[str, Any],
    run_id: str,
    policy: GatePolicy = DEFAULT_POLICY,
    serving: ServingSettings = DEFAULT_SERVICE,
) -> dict[str, Any]:
    """Decides whether an evaluated model goes into service; done anew on every run, since it looks at the world.

    Args:
        store: holds the bundles and the dataset; ``runs/<run_id>/gate.json`` and ``gate.html`` are written there.
        dataset: the dataset on whose test bins it is decided.
        evaluated: the evaluate step's outcome: ``bundle_key`` and the training's ``rules``.
        run_id: the run.
        policy: what a model must show.
        serving: the service; its name is the one under which models are registered.

    Returns:
        ``approved`` (``yes`` or ``no``), ``reasons`` (what failed, or what was met), ``decision`` (see ``Decision``),
        ``version``, ``in_service`` (bundle key of what was in service, None when nothing was), ``policy``,
        ``decision_key`` and ``page_key``.

    Raises:
        InventoryError: if the model cannot be run or has other counts than the dataset, there is
            no test bin, or the registry or the cluster cannot be asked.
    """
    key = evaluated["bundle_key"]
    fired = [rule["rule"] for rule in evaluated.get("rules", []) if rule.get("status") == "fired"]
    failed_rules = [rule for rule in fired if rule in policy.rules]

    def work() -> dict[str, Any]:
        registry = open_registry(store)
        known = read_index(registry, serving.name)
        incumbent, candidate = find_in_service(store, known, serving), bundles.look(store, key)
        if _is_same(incumbent, key, candidate):
            decision = _already(candidate.version)
        else:
            decision = _decide(store, dataset, key, incumbent, policy, failed_rules)
        if not (policy.enforce or decision.promote):
            decision = replace(decision, summary=f"{decision.summary}. Deployed all the same: gate.enforce is false")
        note(f"gate: {decision.summary}")
        keys = {"decision_key": decision_key(run_id), "page_key": f"runs/{run_id}/gate.html"}
        outcome = {
            "approved": "yes" if decision.promote or not policy.enforce else "no",
            "reasons": [criterion.reason for criterion in decision.criteria if criterion.ok == decision.promote],
            "decision": decision.as_dict(),
            "version": candidate.version,
            "in_service": incumbent.bundle_key if incumbent else None,
            "policy": policy.model_dump(),
            **keys,
        }
        page = render(decision, candidate.version, run_id, policy.metric)
        store.put_bytes(keys["decision_key"], json.dumps(outcome, indent=1).encode())
        store.put_bytes(keys["page_key"], page.encode())
        if candidate.version not in known.entries or not _is_same(incumbent, key, candidate):
            register(registry, serving.name, facts_of(store, key, candidate, run_id, decision.as_dict()))
        return outcome

    inputs = {
        "bundle_key": key,
        "dataset_id": dataset.dataset_id,
        "run_id": run_id,
        "policy": policy.model_dump(),
        "rules": failed_rules,
        "name": serving.name,
    }
    return run_step(store, "gate", inputs, work, always=True)


def _is_same(incumbent: InService | None, key: str, candidate: Bundle) -> bool:
    """Whether the candidate is in service already, as when a run is tried again after its deployment."""
    if incumbent is None or incumbent.bundle_key != key:
        return False
    return incumbent.entry is None or incumbent.entry.model_sha256 == candidate.files[ONNX_FILE].sha256


def _already(version: str) -> Decision:
    return Decision(promote=True, summary=f"Promoted: {version} is in service already", criteria=[], n=0)


def _decide(
    store: Store,
    dataset: DatasetManifest,
    key: str,
    incumbent: InService | None,
    policy: GatePolicy,
    failed_rules: list[str],
) -> Decision:
    if incumbent is None:
        return challenge(store, dataset, key, None, policy, failed_rules)
    return challenge(
        store,
        dataset,
        key,
        incumbent.bundle_key,
        policy,
        failed_rules,
        recorded_accuracy=incumbent.entry.metrics.get("accuracy") if incumbent.entry else None,
        overwritten=incumbent.bundle_key == key,
    )
