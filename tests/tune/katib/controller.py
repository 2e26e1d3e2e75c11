"""Plays Katib 0.19 and the trials' operator against the stand-in API, one deed at a time, as a test tells it.

The substitution of parameters, the collector, the end of a trial and the Experiment's status follow Katib's sources
(generator.go, utils.go and file-metricscollector.go, job_util.go, status_util.go); its webhook is in
``tests.cluster.stand_ins.rules``.
"""

import json
import math
import random
import re
import threading
import time
import uuid
from collections.abc import Sequence

from components.cluster.jobs.job import JobKind
from components.cluster.jobs.pytorchjob import PYTORCHJOB
from components.cluster.jobs.trainjob import TRAINJOB
from components.common import lease
from components.common.store import Store
from components.counter.training_log import EpochRecord, lines
from components.documents.training_spec import TrainingSpec
from components.settings.training import TrainingSettings
from tests.cluster.stand_ins import trainer, training_operator
from tests.cluster.stand_ins.api import Cluster, Key, Object, now
from tests.cluster.stand_ins.rules import trial_labels
from tests.cluster.stand_ins.training_operator import GROUP, container
from tests.documents import epoch, trained
from tests.waiting import wait_until

COLLECTOR = "metrics-logger-and-collector"
UNAVAILABLE = "unavailable"


class Katib:
    """Makes trials for every Experiment, and moves them through their lives."""

    kind: JobKind = PYTORCHJOB
    """Of the trials' jobs; the other is a TrainJob."""

    def __init__(self, cluster: Cluster, store: Store) -> None:
        self.cluster, self.store = cluster, store
        self.experiments_made = self.jobs_made = 0
        self.suggests = True
        self.injects = True
        self.random = random.Random(0)
        cluster.on_create.append(self._created)

    # what a test looks at

    @property
    def experiment(self) -> Object | None:
        found = self.cluster.items("experiments", GROUP)
        return found[0] if found else None

    @property
    def trials(self) -> list[Object]:
        return self.cluster.items("trials", GROUP)

    @property
    def active(self) -> list[str]:
        return [trial["metadata"]["name"] for trial in self.trials if not ended(trial)]

    def pods(self, job: str) -> list[str]:
        label = self.kind.pods.partition("=")[0]
        return [
            pod["metadata"]["name"]
            for pod in self.cluster.items("pods")
            if pod["metadata"].get("labels", {}).get(label) == job
        ]

    def command(self, job: str) -> list[str]:
        found = self.job(job)
        assert found
        if "trainer" in found["spec"]:
            return list(found["spec"]["trainer"]["command"])
        (first, *_) = found["spec"]["pytorchReplicaSpecs"].values()
        return list(first["template"]["spec"]["containers"][0]["command"])

    def job(self, name: str) -> Object | None:
        return self.cluster.get(self.kind.plural, name, self.kind.group)

    @property
    def jobs(self) -> list[Object]:
        return self.cluster.items(self.kind.plural, self.kind.group)

    # what the trainer does

    def train(self, job: str, values: Sequence[float]) -> list[str]:
        """Trains: writes the outcome to where the command says, with these accuracies; returns what it prints."""
        described, output, changed = told(self.command(job))
        base = TrainingSpec.model_validate_json(self.store.get_bytes(self.store.key(described)))
        settings = TrainingSettings.read({**base.settings.model_dump(), **changed})
        job_of_trial = base.model_copy(update={"settings": settings, "output": output or base.output})
        history = [measures(number, value) for number, value in enumerate(values, 1)]
        best = max(history, key=lambda record: record.validation_accuracy)
        outcome = trained(
            settings=settings,
            validation={name.removeprefix("validation_"): value for name, value in best if "validation_" in name},
            history=history,
            intervals=[(time.time() - 1, time.time())],
        )
        outcome.put(self.store, job_of_trial.outcome_key)
        return [line for record in history for line in lines(record)]

    # what the training operator does

    def start(self, job: str) -> None:
        """Every pod runs."""
        for pod in self.pods(job):
            self._pod(pod, "Running", {"running": {}})
        self._job_condition(job, "Running")

    def finish(self, job: str) -> None:
        for pod in self.pods(job):
            self._pod(pod, "Succeeded", {"terminated": {"exitCode": 0, "reason": "Completed"}})
        self._job_condition(job, self.kind.succeeded)

    def crash(self, job: str, code: int, reason: str) -> None:
        self._pod(self.pods(job)[0], "Failed", {"terminated": {"exitCode": code, "reason": reason}})
        self._job_condition(job, "Failed", f"{self.kind.kind} {job} is failed because 1 replica(s) failed")

    def _pod(self, name: str, phase: str, state: Object) -> None:
        pod = self.cluster.get("pods", name)
        assert pod
        statuses = [container(state=state, name=pod["spec"]["containers"][0]["name"])]
        if len(pod["spec"]["containers"]) > 1:  # the collector's comes first, and it fails when the training does
            code = {"terminated": {"exitCode": 255, "reason": "Error"}} if phase == "Failed" else state
            statuses.insert(0, {**container(state=code), "name": COLLECTOR})
        if "terminated" in state:
            self.cluster.log(name, end=True)
        status = {"phase": phase, "containerStatuses": statuses}
        self.cluster.update("pods", name, lambda item: item.update(status=status))

    def _job_condition(self, job: str, kind: str, message: str = "") -> None:
        change = lambda item: add_condition(item, kind, f"{self.kind.kind}{kind}", message)  # noqa: E731
        self.cluster.update(self.kind.plural, job, change, self.kind.group)

    # what Katib does with a trial

    def succeed(self, trial: str, *values: float, outcome: bool = True) -> None:
        """The training ends well after as many epochs as there are values, and its metric is collected."""
        self.start(trial)
        printed = self.train(trial, values)
        if not outcome:
            self.store.delete(f"runs/{self._run()}/trials/{trial}/train/outcome.json")
        self.finish(trial)
        self._end(trial, "Succeeded", printed)

    def stop_early(self, trial: str, *values: float) -> None:
        """The collector ends the training after some epochs, as median stop wants it."""
        self.start(trial)
        printed = [line for number, value in enumerate(values, 1) for line in lines(measures(number, value))]
        self.finish(trial)  # the wrapped command ends with 0
        self._end(trial, "EarlyStopped", printed)

    def fail(self, trial: str, code: int = 1, reason: str = "Error") -> None:
        self.start(trial)
        self.crash(trial, code, reason)
        self._end(trial, "Failed", [])

    def lose_metrics(self, trial: str) -> None:
        """The training ends well, and the collector finds no metric in what was printed."""
        self.start(trial)
        self.train(trial, [0.5])
        self.finish(trial)
        self._end(trial, "MetricsUnavailable", ["Acuracy: 0.5"])

    def end_without_collector(self, trial: str) -> None:
        """The training ends well, and there is no collector: Katib goes on waiting."""
        self.start(trial)
        self.train(trial, [0.5])
        self.finish(trial)

    def obey_lease(self, run_id: str, stale_seconds: float) -> threading.Thread:
        """Plays every trial's watch over the lease, in the background, until Katib gives up and no trial is left."""

        def watch() -> None:
            while not self.cluster.closing and self.experiment and (self.active or not ended(self.experiment)):
                if lease.is_stale(self.store, run_id, stale_seconds):
                    for trial in self.active:
                        self.fail(trial, 1)  # the wrapped command ends with 1, whatever the training ended with
                time.sleep(0.1)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        return thread

    def _end(self, name: str, condition: str, printed: list[str]) -> None:
        found = self.cluster.get("trials", name, GROUP)
        assert found
        job = self.job(name)
        if job:  # Katib knows nothing of a job but what the template's conditions find (GetDeployedJobStatus)
            side = "failure" if condition == "Failed" else "success"
            assert holds(self.experiment["spec"]["trialTemplate"][f"{side}Condition"], job)
        messages = [each["message"] for each in job["status"]["conditions"] if each["type"] == condition] if job else []

        def change(trial: Object) -> None:
            add_condition(trial, "Running", "TrialRunning", "Trial is running", status="False")
            message = (
                f"Trial has failed. Job message: {messages[0]}" if condition == "Failed" else f"Trial: {condition}"
            )
            add_condition(trial, condition, f"Trial{condition}", message)
            if condition != "EarlyStopped":
                trial["status"]["completionTime"] = now()
            if printed:
                trial["status"]["observation"] = observed(printed, trial["spec"])

        self.cluster.update("trials", name, change, GROUP)
        self.reconcile()

    # what Katib does with an Experiment

    def _created(self, key: Key, item: Object) -> None:
        if key[:2] == (self.kind.group, self.kind.plural):
            self.jobs_made += 1
            (trainer if self.kind is TRAINJOB else training_operator).make_pods(self.cluster, item)
            self._inject(item)
        elif key[:2] == (GROUP, "experiments"):
            self.experiments_made += 1
            suggestion = {"metadata": self._owned(item, item["metadata"]["name"]), "kind": "Suggestion"}
            spec = {"algorithm": item["spec"]["algorithm"], "requests": item["spec"]["parallelTrialCount"]}
            self.cluster.add({**suggestion, "apiVersion": "kubeflow.org/v1beta1", "spec": spec}, "suggestions", GROUP)
            self._experiment_condition("Created", "Experiment is created")
            self.reconcile()

    def refuse_algorithm(self, message: str) -> None:
        """The algorithm's service refuses its settings."""
        name = self._name()
        change = lambda item: add_condition(item, "Failed", "SuggestionFailed", message)  # noqa: E731
        self.cluster.update("suggestions", name, change, GROUP)
        self._experiment_condition("Failed", "Suggestion has failed")

    def reconcile(self) -> None:
        """Counts the trials, judges the Experiment, and makes as many new trials as it wants."""
        if not self.experiment:
            return
        spec, trials = self.experiment["spec"], self.trials
        ends = [ended(trial) for trial in trials]
        failed = ends.count("Failed") + ends.count("MetricsUnavailable")
        complete = sum(end is not None for end in ends)
        optimal = best_of(trials, spec["objective"])

        def change(item: Object) -> None:
            item["status"] |= {"trials": len(trials), "trialsFailed": failed, "trialsRunning": len(trials) - complete}
            if optimal:
                assigned = optimal["spec"]["parameterAssignments"]
                item["status"]["currentOptimalTrial"] = {
                    "bestTrialName": optimal["metadata"]["name"],
                    "parameterAssignments": assigned,
                    "observation": optimal["status"]["observation"],
                }

        self.cluster.update("experiments", self._name(), change, GROUP)
        if spec.get("maxFailedTrialCount") is not None and failed and failed >= spec["maxFailedTrialCount"]:
            self._experiment_condition("Failed", "Experiment has failed because max failed count has reached")
        elif complete >= spec["maxTrialCount"]:
            self._experiment_condition("Succeeded", "Experiment has succeeded because max trial count has reached")
        elif self.suggests:
            self._experiment_condition("Running", "Experiment is running")
            wanted = min(spec["maxTrialCount"] - complete, spec["parallelTrialCount"])
            for _ in range(wanted - (len(trials) - complete)):
                self._make_trial(self.experiment)

    def _make_trial(self, experiment: Object) -> None:
        name = f"{experiment['metadata']['name']}-{uuid.UUID(int=self.random.getrandbits(128)).hex[:8]}"
        spec = experiment["spec"]
        assigned = [{"name": each["name"], "value": drawn(each, self.random)} for each in spec["parameters"]]
        metadata = self._owned(experiment, name)
        metadata["labels"] = trial_labels(experiment)
        trial = {
            "apiVersion": "kubeflow.org/v1beta1",
            "kind": "Trial",
            "metadata": metadata,
            "spec": {
                "objective": spec["objective"],
                "metricsCollector": spec["metricsCollectorSpec"],
                "parameterAssignments": assigned,
                "primaryPodLabels": spec["trialTemplate"]["primaryPodLabels"],
                "primaryContainerName": spec["trialTemplate"]["primaryContainerName"],
                "runSpec": substituted(spec["trialTemplate"], name, assigned),
            },
            "status": {"startTime": now(), "completionTime": None},
        }
        add_condition(trial, "Running", "TrialRunning", "Trial is running")
        made = self.cluster.add(trial, "trials", GROUP)
        body = {**trial["spec"]["runSpec"]}
        body["metadata"] = {**body["metadata"], **self._owned(made, name)}
        assert body["kind"] == self.kind.kind
        key = (self.kind.group, self.kind.plural, "team", name)
        with self.cluster.lock:
            job = self.cluster._create(key, body)
        for react in self.cluster.on_create:
            react(key, job)

    def _inject(self, job: Object) -> None:
        """What the pod webhook does to the pods of a trial."""
        trial = self.cluster.get("trials", job["metadata"]["name"], GROUP)
        if trial is None or not self.injects:
            return
        primary = trial["spec"]["primaryPodLabels"].items()

        def change(pod: Object) -> None:
            labels = pod["metadata"]["labels"] | trial["metadata"]["labels"]
            pod["metadata"]["labels"] = {**labels, "katib.kubeflow.org/trial": trial["metadata"]["name"]}
            if primary <= labels.items():
                (worker,) = [
                    each for each in pod["spec"]["containers"] if each["name"] == trial["spec"]["primaryContainerName"]
                ]
                worker["args"] = [wrapped(worker["command"])]
                worker["command"] = ["sh", "-c"]
                pod["spec"] = {**pod["spec"], "containers": [*pod["spec"]["containers"], {"name": COLLECTOR}]}

        for pod in self.pods(job["metadata"]["name"]):
            self.cluster.update("pods", pod, change)

    def _experiment_condition(self, kind: str, message: str) -> None:
        change = lambda item: add_condition(item, kind, f"Experiment{kind}", message)  # noqa: E731
        self.cluster.update("experiments", self._name(), change, GROUP)

    def _name(self) -> str:
        assert self.experiment
        return str(self.experiment["metadata"]["name"])

    def _run(self) -> str:
        assert self.experiment
        return str(self.experiment["metadata"]["annotations"]["bin-inventory/run-id"])

    def wait_for_trials(self, count: int = 1) -> list[str]:
        wait_until(lambda: len(self.active) >= count, f"{count} trials go on")
        return self.active

    @staticmethod
    def _owned(owner: Object, name: str) -> Object:
        reference = {key: owner[key] for key in ("apiVersion", "kind")}
        metadata = owner["metadata"]
        return {
            "name": name,
            "ownerReferences": [{**reference, "name": metadata["name"], "uid": metadata["uid"], "controller": True}],
        }


def holds(expression: str, job: Object) -> bool:
    """Whether a condition of Katib's trial template holds for a job; of the form that Katib defaults to."""
    (kind,) = re.findall(r'^status\.conditions\.#\(type=="(\w+)"\)#\|#\(status=="True"\)#$', expression)
    return any(each["type"] == kind and each["status"] == "True" for each in job["status"].get("conditions", []))


def told(command: Sequence[str]) -> tuple[str, str, dict[str, str]]:
    """The job's address, the output and the changed options that a worker's command names."""
    words = list(command[command.index("components.train") + 1 :])
    job, output, changed = "", "", {}
    while words:
        match words.pop(0):
            case "--job":
                job = words.pop(0)
            case "--output":
                output = words.pop(0)
            case word:
                name, _, value = word.removeprefix("--").partition("=")
                changed[name] = value
    return job, output, changed


def measures(number: int, accuracy: float) -> EpochRecord:
    """An epoch's entry in the history."""
    loss, rmse = 2 - accuracy, 3 - accuracy
    return epoch(number, validation_accuracy=accuracy, validation_loss=loss, validation_rmse=rmse)


def wrapped(command: Sequence[str], early_stopping: bool = True, folder: str = "/var/log/katib") -> str:
    """The shell's command that the pod webhook makes of a worker's (utils.go; Kubernetes takes $$ for $)."""
    words = [*command, f"1>{folder}/metrics.log 2>&1"]
    if early_stopping:
        words.append(
            f"|| if test -f {folder}/$$.pid && [ $(head -n 1 {folder}/$$.pid) = early-stopped ]; "
            "then echo Training Container was Early Stopped; else echo Training Container was Failed; exit 1; fi"
        )
    return " ".join([*words, f"&& echo completed > {folder}/$$.pid"])


def observed(printed: Sequence[str], trial: Object) -> Object:
    """What the collector reads in a log, and the trial controller makes of it."""
    names = [trial["objective"]["objectiveMetricName"], *trial["objective"].get("additionalMetricNames", [])]
    filters = ";".join(trial["metricsCollector"]["source"]["filter"]["metricsFormat"]).split(";")
    found: dict[str, list[str]] = {name: [] for name in names}
    for line in printed:
        for expression in filters if any(name in line for name in names) else []:
            for match in re.finditer(expression, line):
                if match[1].strip() in found:
                    found[match[1].strip()].append(match[2].strip())
    if not found[names[0]]:
        found = {names[0]: []}
    metrics = []
    for name, values in found.items():
        ordered = sorted(values, key=float) or [UNAVAILABLE]
        latest = values[-1] if values else UNAVAILABLE
        metrics.append({"name": name, "min": ordered[0], "max": ordered[-1], "latest": latest})
    return {"metrics": metrics}


def substituted(template: Object, trial: str, assigned: Sequence[Object]) -> Object:
    """The trial's job, with a name and its parameters put in."""
    given = {each["name"]: each["value"] for each in assigned} | {"${trialSpec.Name}": trial}
    text = json.dumps(template["trialSpec"])
    for parameter in template["trialParameters"]:
        text = text.replace(f"${{trialParameters.{parameter['name']}}}", given[parameter["reference"]])
    body: Object = json.loads(text)
    body["metadata"] |= {"name": trial, "namespace": "team"}
    return body


def drawn(parameter: Object, generator: random.Random) -> str:
    """One value of a parameter, as Katib passes it."""
    space = parameter["feasibleSpace"]
    if parameter["parameterType"] == "categorical":
        return str(generator.choice(space["list"]))
    low, high = float(space["min"]), float(space["max"])
    if space.get("distribution") == "logUniform":
        value = math.exp(generator.uniform(math.log(low), math.log(high)))
    else:
        value = generator.uniform(low, high)
    if step := float(space.get("step", 0)):
        value = round(value / step) * step  # hyperopt's quniform, which knows no bounds
    return str(round(value)) if parameter["parameterType"] == "int" else str(value)


def best_of(trials: Sequence[Object], objective: Object) -> Object | None:
    """The trial with the best objective among those that have one, whatever became of them."""
    kept = {each["name"]: each["value"] for each in objective["metricStrategies"]}[objective["objectiveMetricName"]]
    values = {}
    for index, trial in enumerate(trials):
        for metric in (trial["status"].get("observation") or {}).get("metrics", []):
            if metric["name"] == objective["objectiveMetricName"] and metric[kept] != UNAVAILABLE:
                values[index] = float(metric[kept])
    if not values:
        return None
    choose = max if objective["type"] == "maximize" else min
    return trials[choose(values, key=lambda index: values[index])]


def ended(item: Object) -> str | None:
    """The condition in which a trial or an Experiment has ended."""
    ends = ("Succeeded", "Failed", "Killed", "EarlyStopped", "MetricsUnavailable")
    conditions = item.get("status", {}).get("conditions", [])
    return next((each["type"] for each in conditions if each["type"] in ends and each["status"] == "True"), None)


def add_condition(item: Object, kind: str, reason: str, message: str, status: str = "True") -> None:
    """Adds a condition to an object's status, or changes it."""
    entry = {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now()}
    found = item.setdefault("status", {})
    found["conditions"] = [each for each in found.get("conditions", []) if each["type"] != kind] + [entry]
