"""The Experiment that we describe: right by Katib's models and its webhook, and its trials are our trainings."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from kubeflow.katib import ApiClient

from components.cluster.jobs.experiment import LONGEST_NAME, experiment, experiment_name
from components.cluster.jobs.pytorchjob import pytorchjob
from components.cluster.jobs.trainjob import trainjob
from components.common.errors import InventoryError
from components.common.store import Store
from components.counter.training_log import LINES
from components.documents.search_plan import SearchPlan
from components.settings.cluster import MOST_PODS, ClusterSettings
from components.settings.training import TrainingSettings
from components.settings.tuning import TuningSettings
from tests.cluster.stand_ins.pod_security import violations
from tests.cluster.stand_ins.rules import experiment_refused, trainjob_refused
from tests.cluster.stand_ins.schemas import problems
from tests.cluster.stand_ins.training_operator import environment
from tests.drawn_bins import make_dataset
from tests.train.fitting import fast, train_here
from tests.tune.katib.controller import Object, observed, substituted, told, wrapped

ROOT = Path(__file__).parents[3]
RUN = "0b1e6a3c-9d1f-4c51-8a5e-0f6a3b1c2d3e"
JOB = f"s3://inventory/runs/{RUN}/trials/default/train/job.json"
OWNER = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "inventory-x", "uid": "1-2"}
WIDE = {
    "space": {
        "learning_rate": {"min": 1e-5, "max": 1e-2, "log": True},
        "dropout": {"min": 0, "max": 0.5, "step": 0.1},
        "epochs": {"min": 1, "max": 20},
        "warmup_epochs": {"min": 0, "max": 2},
        "image_size": {"min": 64, "max": 224, "step": 32},
        "backbone": {"values": ["resnet18", "vit_tiny_patch16_224.augreg_in21k"]},
        "balanced": {"values": [True, False]},
    }
}
HYPERBAND = {"algorithm": "hyperband", "parallel_trials": 9, "max_trials": 10}
ELASTIC = {"workers": 2, "min_workers": 1, "max_workers": 4}


def plan(tuning: dict[str, Any] | None = None) -> SearchPlan:
    settings = TuningSettings.read(tuning or {})
    return SearchPlan(RUN, "key", TrainingSettings(select_by=settings.objective), settings.parameters, settings)


def described(tuning: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None) -> Object:
    return experiment(plan(tuning), ClusterSettings.read(cluster or {}), "team", JOB, [OWNER])


class Answer:
    """What the SDK reads an object from."""

    def __init__(self, body: Object) -> None:
        self.data = json.dumps(body)


CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "defaults": ({}, {}),
    "a wide space": ({**WIDE, "algorithm": "random"}, {}),
    "hyperband": ({**WIDE, **HYPERBAND}, {}),
    "cmaes": ({"algorithm": "cmaes", "seed": 7}, {"workers": 3}),
    "bayesian": ({"algorithm": "bayesianoptimization", "objective": "rmse", "early_stopping": "none"}, {}),
    "elastic": ({"resume_policy": "LongRunning", "objective": "loss"}, ELASTIC),
}
EACH = pytest.mark.parametrize(("tuning", "cluster"), CASES.values(), ids=CASES)


@EACH
def test_it_comes_back_unchanged_from_the_sdks_own_models(tuning: dict[str, Any], cluster: dict[str, Any]) -> None:
    body, client = described(tuning, cluster), ApiClient()
    model = client.deserialize(Answer(body), "V1beta1Experiment")
    assert type(model.spec.objective).__name__ == "V1beta1ObjectiveSpec"
    assert client.sanitize_for_serialization(model) == body


@EACH
def test_it_is_right_by_its_schema_and_passes_katibs_webhook(tuning: dict[str, Any], cluster: dict[str, Any]) -> None:
    body = described(tuning, cluster)
    assert experiment_refused(body) is None
    assert problems(body, "experiments.kubeflow.org") == []


@EACH
def test_its_trials_are_right_pytorchjobs_with_right_pods(tuning: dict[str, Any], cluster: dict[str, Any]) -> None:
    job = trial(described(tuning, cluster))
    assert problems(job, "pytorchjobs.kubeflow.org") == []
    for replicas in job["spec"]["pytorchReplicaSpecs"].values():
        pod = {"apiVersion": "v1", "kind": "Pod", **replicas["template"]}
        pod["metadata"] = {**pod["metadata"], "name": "pod"}
        kubernetes_validate.validate(pod, "1.34", strict=True)
        assert violations(pod["spec"]) == []
        assert pod["metadata"]["labels"]["sidecar.istio.io/inject"] == "false"
        assert pod["metadata"]["annotations"]["sidecar.istio.io/inject"] == "false"


def trial(body: Object, **values: str) -> Object:
    """A trial's job, with the first value of each parameter unless another is given."""
    first = {each["name"]: (each["feasibleSpace"].get("list") or [each["feasibleSpace"].get("min")])[0]
             for each in body["spec"]["parameters"]}  # fmt: skip
    assigned = [{"name": name, "value": value} for name, value in {**first, **values}.items()]
    return substituted(body["spec"]["trialTemplate"], f"{body['metadata']['name']}-abcd1234", assigned)


def test_a_trial_differs_from_a_training_in_arguments_and_katibs_label_only() -> None:
    body = described(cluster={"workers": 2, "ttl_seconds": 7200})
    job = trial(body, learning_rate="0.002", batch_size="64", epochs="12")
    name = job["metadata"]["name"]
    arguments = ["--job", JOB, "--output", f"runs/{RUN}/trials/{name}"]
    arguments += ["--learning_rate=0.002", "--batch_size=64", "--epochs=12"]
    settings = ClusterSettings.read({"workers": 2, "ttl_seconds": 7200})
    training = pytorchjob(name, "team", RUN, arguments, settings)
    for replicas in training["spec"]["pytorchReplicaSpecs"].values():
        replicas["template"]["metadata"]["labels"]["katib.kubeflow.org/experiment"] = body["metadata"]["name"]
    assert job == training


def test_a_finished_job_stays_until_katib_has_noticed() -> None:
    template = described(cluster={"ttl_seconds": 0})["spec"]["trialTemplate"]
    assert template["trialSpec"]["spec"]["runPolicy"]["ttlSecondsAfterFinished"] >= 600
    assert template["retain"] is True


def test_only_the_trials_own_pods_have_the_labels_that_the_network_policy_selects() -> None:
    """Katib hands an Experiment's labels on to the pods of its algorithm, which must hear from Katib's controller."""
    body = described()
    assert "labels" not in body["metadata"]
    labels = trial(body)["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["metadata"]["labels"]
    policies = yaml.safe_load_all((ROOT / "manifests" / "base" / "network-policies.yaml").read_text())
    (wanted,) = [each["spec"]["podSelector"] for each in policies if each["metadata"]["name"] == "inventory-workers"]
    assert wanted["matchLabels"].items() <= labels.items()


def test_every_setting_reaches_the_experiment() -> None:
    settings = {
        "objective": "rmse",
        "algorithm": "random",
        "max_trials": 7,
        "parallel_trials": 3,
        "max_failed_trials": 2,
        "early_stopping": "median",
        "resume_policy": "FromVolume",
        "seed": 11,
    }
    body = described(settings)
    spec = body["spec"]
    assert spec["objective"]["type"] == "minimize"
    assert spec["objective"]["objectiveMetricName"] == LINES["rmse"]
    assert "goal" not in spec["objective"]
    kept = {strategy["name"]: strategy["value"] for strategy in spec["objective"]["metricStrategies"]}
    assert kept == {LINES["rmse"]: "min", LINES["loss"]: "min", LINES["accuracy"]: "max"}
    assert spec["algorithm"] == {
        "algorithmName": "random",
        "algorithmSettings": [{"name": "random_state", "value": "11"}],
    }
    assert spec["maxTrialCount"] == 6, "the default is made beside Katib"
    assert spec["parallelTrialCount"] == 3
    assert spec["maxFailedTrialCount"] == 3, "Katib gives up at so many, we at one more than allowed"
    assert spec["earlyStopping"]["algorithmName"] == "medianstop"
    assert spec["resumePolicy"] == "FromVolume"
    assert body["metadata"]["ownerReferences"] == [OWNER]
    assert "maxFailedTrialCount" not in described({"max_trials": 3, "max_failed_trials": 3})["spec"]
    assert described({"max_trials": 2, "parallel_trials": 9})["spec"]["parallelTrialCount"] == 1


def test_the_space_is_told_as_katib_reads_it() -> None:
    spaces = {each["name"]: each for each in described({**WIDE, "algorithm": "random"})["spec"]["parameters"]}
    assert spaces["learning_rate"] == {
        "name": "learning_rate",
        "parameterType": "double",
        "feasibleSpace": {"min": "0.00001", "max": "0.01", "distribution": "logUniform"},
    }
    assert spaces["epochs"]["feasibleSpace"] == {"min": "1", "max": "20", "distribution": "uniform"}
    assert spaces["epochs"]["parameterType"] == "int"
    assert spaces["balanced"]["feasibleSpace"] == {"list": ["True", "False"]}


@pytest.mark.parametrize("algorithm", ["random", "tpe", "cmaes"])
def test_a_stepped_range_starts_at_its_lower_bound(algorithm: str) -> None:
    described_spaces = described({**WIDE, "algorithm": algorithm})["spec"]["parameters"]
    spaces = {each["name"]: each["feasibleSpace"] for each in described_spaces}
    if algorithm == "cmaes":
        assert spaces["image_size"] == {"min": "64", "max": "224", "step": "32", "distribution": "uniform"}
        return
    # hyperopt would draw multiples of the step: 64, 96, … here, but 0 from 1 to 9 by 4
    assert spaces["image_size"] == {"list": ["64", "96", "128", "160", "192", "224"]}
    assert [float(value) for value in spaces["dropout"]["list"]] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])


def test_hyperband_shares_out_epochs_and_draws_evenly_from_what_stands_for_a_log_range() -> None:
    spec = described({**WIDE, **HYPERBAND})["spec"]
    settings = {each["name"]: each["value"] for each in spec["algorithm"]["algorithmSettings"]}
    assert settings == {"resource_name": "epochs", "r_l": "20", "eta": "3"}
    assert "earlyStopping" not in spec, "hyperband compares trials that have come to their own end"
    spaces = {each["name"]: each["feasibleSpace"] for each in spec["parameters"]}
    rates = [float(rate) for rate in spaces["learning_rate"]["list"]]
    assert (rates[0], rates[-1]) == (1e-5, 1e-2)
    steps = {round(later / rate, 3) for rate, later in pairwise(rates)}
    assert len(steps) == 1, "evenly spaced in the logarithm"
    assert [float(value) for value in spaces["dropout"]["list"]] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert spaces["image_size"]["list"] == ["64", "96", "128", "160", "192", "224"]
    assert spaces["warmup_epochs"] == {"min": "0.0", "max": "2.0", "distribution": "uniform"}


@pytest.mark.parametrize(
    ("tuning", "problem"),
    [
        (
            {"algorithm": "cmaes", "space": {"learning_rate": {"min": 0.1, "max": 1}, "balanced": {"values": [True]}}},
            "tuning.algorithm: cmaes needs two or more options with min and max to search (given: learning_rate)",
        ),
        (
            {**HYPERBAND, "max_trials": 9},
            "tuning.max_trials: hyperband needs at least 10 for so many epochs (given: 9)",
        ),
        ({**HYPERBAND, "parallel_trials": 8}, "tuning.parallel_trials: hyperband needs at least 9 for so many epochs"),
        (
            {"algorithm": "bayesianoptimization", "space": {"dropout": {"min": 0, "max": 0.5, "step": 0.1}}},
            "tuning.space.dropout.step: Katib's bayesianoptimization knows no steps; leave it out",
        ),
        (
            {"space": {"weights": {"values": ["https://host/w?a=1&b=2", "none"]}}},
            "tuning.space.weights: Katib passes trial arguments through a shell",
        ),
    ],
)
def test_what_katib_cannot_search_is_refused(tuning: dict[str, Any], problem: str) -> None:
    with pytest.raises(InventoryError) as error:
        described(tuning)
    assert problem in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("tuning", "given", "problem"),
    [
        ({"algorithm": "cmaes"}, "epochs", "cmaes needs two or more options with min and max to search (given: learn"),
        (HYPERBAND, "epochs", "tuning.space.epochs: hyperband shares out epochs"),
    ],
)
def test_what_the_run_gives_itself_may_leave_an_algorithm_too_little(
    tuning: dict[str, Any], given: str, problem: str
) -> None:
    whole = plan(tuning)
    left = replace(whole, space={name: parameter for name, parameter in whole.space.items() if name != given})
    with pytest.raises(InventoryError, match=re.escape(problem)):
        experiment(left, ClusterSettings(), "team", JOB)


def test_names_leave_room_for_what_katib_appends() -> None:
    assert experiment_name("a-short-run") == "tune-a-short-run"
    for run in (RUN, "x" * 200, "My Run"):
        name = experiment_name(run)
        assert name == experiment_name(run)
        assert name != experiment_name(f"{run}2")
        assert len(name) <= LONGEST_NAME <= 40
        assert len(f"{name}-bayesianoptimization") <= 63
        assert len(f"{name}-abcd1234-worker-999") <= 63


@pytest.mark.parametrize("workers", [1, 2, MOST_PODS])
def test_a_trainjob_trials_pods_have_names_that_jobset_takes(workers: int) -> None:
    settings = ClusterSettings.read({"workers": workers, "launcher": "trainjob"})
    job = trial(experiment(plan(), settings, "team", JOB, describe=trainjob))
    assert len(job["metadata"]["name"]) == LONGEST_NAME + len("-abcd1234"), "as long as can be"
    assert trainjob_refused(job) is None


@pytest.mark.parametrize(
    ("describe", "workers", "stops"),
    [(pytorchjob, 1, True), (pytorchjob, 2, True), (trainjob, 1, True), (trainjob, 2, False)],
)
def test_a_trial_is_stopped_early_where_its_job_ends_with_its_first_worker(
    describe: Callable[..., Object], workers: int, stops: bool
) -> None:
    settings = ClusterSettings.read({"workers": workers})
    body = experiment(plan({"early_stopping": "median"}), settings, "team", JOB, describe=describe)
    assert ("earlyStopping" in body["spec"]) == stops


def found(log: str, body: Object) -> Object:
    """What Katib's collector finds in a log."""
    wanted = {"objective": body["spec"]["objective"], "metricsCollector": body["spec"]["metricsCollectorSpec"]}
    return {metric["name"]: metric for metric in observed(log.splitlines(), wanted)["metrics"]}


def test_katibs_filter_finds_every_metric_in_what_a_training_prints(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = make_dataset(store, tmp_path / "dataset", {"train": 12, "validation": 6})
    history = train_here(store, dataset, fast(epochs=3, select_by="accuracy")).history
    metrics = found(capsys.readouterr().out, described())
    assert len(metrics) == len(LINES) == 3
    for metric, line in LINES.items():
        values = [round(getattr(epoch, f"validation_{metric}"), 4) for epoch in history]
        assert (float(metrics[line]["min"]), float(metrics[line]["max"])) == (min(values), max(values))
        assert float(metrics[line]["latest"]) == values[-1]


def test_katibs_filter_finds_nothing_where_nothing_was_measured() -> None:
    log = "Epoch 1/2 (3 s): Training Loss: 1.2, Training Accuracy: 0.3\nValidation Loss: nan\nValidation Accuracy: nan"
    assert found(log, described()) == {
        LINES["accuracy"]: {"name": LINES["accuracy"], **dict.fromkeys(("min", "max", "latest"), "unavailable")}
    }


@pytest.mark.slow
def test_a_trials_very_command_trains_as_katib_starts_it_and_its_metric_is_found(
    store: Store, store_environment: dict[str, str], tmp_path: Path
) -> None:
    """The command as the webhook wraps it, in a real shell."""
    dataset = make_dataset(store, tmp_path / "dataset", {"train": 12, "validation": 6})
    tuning = TuningSettings.read(
        {"space": {"learning_rate": {"min": 1e-5, "max": 1e-2}, "epochs": {"min": 1, "max": 3}}}
    )
    search = SearchPlan("real", "runs/real/dataset.json", fast(select_by="accuracy"), tuning.parameters, tuning)
    base = search.job("default", {})
    store.put_bytes(base.dataset_key, dataset.model_dump_json().encode())
    store.put_bytes(base.job_key, base.model_dump_json().encode())
    body = experiment(search, ClusterSettings(), "team", store.uri(base.job_key))
    job = trial(body, learning_rate="0.003", epochs="2")

    command = job["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]["containers"][0]["command"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    variables = environment(job, "master", 0) | {"PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": port}
    variables |= store_environment | {"INVENTORY_BUCKET": store.bucket, "OMP_NUM_THREADS": "1"}
    variables |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(
        ["sh", "-c", wrapped(command, folder=str(tmp_path))],
        env={key: value for key, value in os.environ.items() if key == "HOME"} | variables,
        timeout=200,
    )
    log = (tmp_path / "metrics.log").read_text()
    assert done.returncode == 0, log

    _, output, changed = told(command)
    outcome = json.loads(store.get_bytes(f"{output}/train/outcome.json"))
    assert {name: str(outcome["settings"][name]) for name in changed} == {"learning_rate": "0.003", "epochs": "2"}
    metrics = found(log, body)
    kept = round(outcome["validation"]["accuracy"], 4)
    assert kept == float(metrics[LINES["accuracy"]]["max"]), "the kept epoch is the one that Katib goes by"
