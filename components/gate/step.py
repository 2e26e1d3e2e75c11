"""The gate as a step: decides whether a model goes into service, says why, and registers it."""

from components.cluster import kube
from components.common.progress import note
from components.common.step.run_step import document_step
from components.common.store import Store
from components.counter import bundle as bundles
from components.counter.bundle import ONNX_FILE, Bundle
from components.counter.dataset import DatasetManifest
from components.counter.network import ENGINE
from components.counter.signing.keys import signing_key
from components.counter.signing.stored import sign_stored
from components.documents.gated import Decision, GatedModel
from components.documents.trained import TrainedModel
from components.gate.challenge import challenge
from components.gate.page import render
from components.registry.in_service import InService, find_in_service, serves_on_cluster
from components.registry.registry import facts_of, open_registry, read_index, register
from components.settings.gate import GatePolicy, decision_key
from components.settings.serving import ServingSettings

DEFAULT_POLICY, DEFAULT_SERVICE = GatePolicy(), ServingSettings()


def gate(
    store: Store,
    dataset: DatasetManifest,
    evaluated: TrainedModel,
    run_id: str,
    policy: GatePolicy = DEFAULT_POLICY,
    serving: ServingSettings = DEFAULT_SERVICE,
) -> GatedModel:
    """Decides whether an evaluated model goes into service; done anew on every run, since it looks at the world.

    A model that does is signed, where there is a key to sign with; the one that is in service already is not again.

    Args:
        store: holds the bundles and the dataset; ``runs/<run_id>/gate.json`` and ``gate.html`` are written there.
        dataset: on whose test bins it is decided.
        evaluated: says where the bundle lies and which rules fired.
        run_id: the run.
        policy: what a model must show.
        serving: the service, under whose name models are registered.

    Raises:
        InventoryError: if the model cannot be run or has other counts than the dataset, there is
            no test bin, the registry or the cluster cannot be asked, or the key cannot sign.
    """
    key = evaluated.bundle_key
    failed_rules = [rule for rule in evaluated.fired if rule in policy.rules]

    def work() -> GatedModel:
        registry = open_registry(store)
        known = read_index(registry, serving.name)
        incumbent, candidate = find_in_service(store, known, serving), bundles.fetch_description(store, key)
        same = _is_same(incumbent, key, candidate)
        if same:
            said = f"Promoted: {candidate.version} is in service already"
            decision = Decision(promote=True, summary=said, criteria=[], n=0)
        else:
            recorded = incumbent.entry.metrics.accuracy if incumbent and incumbent.entry else None
            before = incumbent.bundle_key if incumbent else None
            decision = challenge(
                store,
                dataset,
                key,
                before,
                policy,
                failed_rules,
                recorded,
                overwritten=before == key,
                expected=candidate,
            ).model_copy(update={"engine": ENGINE})
        if not decision.promote:
            way_out = "Deployed all the same: gate.enforce is false"
            if policy.enforce:
                way_out = f"To overrule: {_promotion(candidate.version, serving.name)}"
            decision = decision.model_copy(update={"summary": f"{decision.summary}. {way_out}"})
        note(f"gate: {decision.summary}")
        approved = decision.promote or not policy.enforce
        if approved and not same and (private_key := signing_key()):  # what is not looked at is not signed
            sign_stored(store, key, private_key, candidate)
            note(f"signed model {candidate.version}")
        outcome = GatedModel(
            approved="yes" if approved else "no",
            reasons=[criterion.reason for criterion in decision.criteria if criterion.ok == decision.promote],
            decision=decision,
            version=candidate.version,
            in_service=incumbent.bundle_key if incumbent else None,
            policy=policy,
            decision_key=decision_key(run_id),
            page_key=f"runs/{run_id}/gate.html",
        )
        outcome.put(store, outcome.decision_key)
        store.put_bytes(outcome.page_key, render(decision, candidate.version, run_id, policy.metric).encode())
        if candidate.version not in known.entries or not _is_same(incumbent, key, candidate):
            register(registry, serving.name, facts_of(store, key, candidate, run_id, decision))
        return outcome

    inputs = {
        "bundle_key": key,
        "dataset_id": dataset.dataset_id,
        "run_id": run_id,
        "policy": policy.model_dump(),
        "rules": failed_rules,
        "name": serving.name,
    }
    return document_step(store, "gate", inputs, GatedModel, work, always=True)


def _is_same(incumbent: InService | None, key: str, candidate: Bundle) -> bool:
    """Whether the candidate is in service already, as when a run is tried again after its deployment."""
    if incumbent is None or incumbent.bundle_key != key:
        return False
    return incumbent.entry is None or incumbent.entry.model_sha256 == candidate.files[ONNX_FILE].sha256


def _promotion(version: str, name: str) -> str:
    """The command by which a person overrules the gate."""
    words = ["inventory promote", version]
    words += ["--name", name] if name != DEFAULT_SERVICE.name else []
    words += ["--namespace", kube.namespace()] if serves_on_cluster() else []
    return " ".join(words)
