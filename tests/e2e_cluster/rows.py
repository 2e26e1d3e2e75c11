"""The rows of the table: what a run on a cluster has to come through, each a plain function of the place.

A row returns what is worth a note, and raises when it did not come out as it should. Rows after ``plain`` take up the
service that it leaves.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kubernetes.client import V1Pod

from components.cluster import inference_service as services
from components.cluster.jobs.job import JobKind, job_name
from components.cluster.jobs.pytorchjob import PYTORCHJOB
from components.cluster.jobs.trainjob import TRAINJOB
from components.cluster.kube import Object
from components.sources.rendered.bins import rendered_photo
from pipelines.kubeflow.api import follow
from tests.e2e_cluster import restricted as restricted_namespace
from tests.e2e_cluster.place import NAME, FailedError, Place, until

FORCED = 'gate={"enforce": false}'
"""600 drawn bins and two epochs make no model that a gate lets through."""
LONG = ("epochs=8", 'gate={"floor_accuracy": 1}')
"""A training that lasts long enough to be disturbed, and is not deployed."""
START, RESUME, LEASE = 900.0, 900.0, 420.0
"""Seconds for a worker to start, for a disturbed one to go on, and for an abandoned one to end."""
LOAD = Path(__file__).with_name("load.py")


def preflight(place: Place) -> str:
    """Nothing that a run needs is missing."""
    account = ["--service-account", place.service_account] if place.service_account else []
    said = place.inventory(
        "preflight", "--namespace", place.namespace, "--host", place.access.host, "--package", str(place.package),
        "--cluster", json.dumps({**place.cluster, "store_secret": NAME}), "--json", *account, code=None,
    )  # fmt: skip
    checks = json.loads(said)
    problems = [f"{check['name']}: {check['message']}" for check in checks if check["state"] == "problem"]
    if problems:
        raise FailedError("; ".join(problems))
    return f"{len(checks)} checks, {sum(check['state'] == 'unknown' for check in checks)} unknown"


def plain(place: Place) -> str:
    """A run of 600 bins and two epochs ends with a model in service."""
    run = place.submit("epochs=2", FORCED)
    follow(place.client, run)
    return f"run {run} serves {_served(place, run)}"


def query(place: Place) -> str:
    """Photos are answered from outside, through the Kubernetes API where no host resolves."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(8):
            (Path(folder) / f"{number}.jpg").write_bytes(rendered_photo(number))
        said = place.inventory("query", folder, "--service", NAME, "--namespace", place.namespace, "--json")
    answers = [json.loads(line) for line in said.splitlines()]
    if len(answers) != 8 or any("count" not in answer for answer in answers):
        raise FailedError(f"{len(answers)} lines, not an answer for each of 8 photos: {said[:200]}")
    return "8 photos answered"


def second(place: Place) -> str:
    """Another run replaces the model while requests come in, and none is lost."""
    before = services.served_uri(place.service.get(NAME) or {"spec": {"predictor": {}}})
    with _load(place) as sums:
        run = place.submit("epochs=2", FORCED, 'training={"seed": 1}')
        follow(place.client, run)
        if _served(place, run) == before:
            raise FailedError(f"the run {run} changed nothing: {before} is still in service")
    return _nothing_lost(sums)


def rollback(place: Place) -> str:
    """The model before is in service again, and no request is lost meanwhile."""
    with _load(place) as sums:
        said = place.inventory("rollback", "--name", NAME, "--namespace", place.namespace)
    again = next(line for line in said.splitlines() if "is in service again" in line)
    return f"{_nothing_lost(sums)}; {again}"


def tune(place: Place) -> str:
    """A search of three trials ends, and the run with it."""
    run = place.submit("epochs=1", "tune=true", 'tuning={"max_trials": 3}', LONG[1])
    follow(place.client, run)
    return f"run {run}"


def terminate(place: Place) -> str:
    """The worker of a terminated run ends by itself."""
    run = place.submit("epochs=500", LONG[1])
    selector = _training(place, run)
    start = time.monotonic()
    place.client.terminate_run(run)
    until(lambda: not _running(place, selector), LEASE, "the end of the worker")
    return f"worker gone after {time.monotonic() - start:.0f} s"


def step_deleted(place: Place) -> str:
    """The train step's pod is deleted, and its successor adopts the job."""
    run = place.submit(*LONG)
    selector = _training(place, run)
    worker = _running(place, selector)[0].metadata.uid
    place.core.delete_namespaced_pod(_step_pod(place, run).metadata.name, place.namespace)
    follow(place.client, run)
    kind = _kind(place)
    job = kind.resource(place.api, place.namespace).get(job_name(run)) or {}
    pods = place.core.list_namespaced_pod(place.namespace, label_selector=selector).items
    if any(pod.metadata.uid != worker for pod in pods):
        raise FailedError(f"the job was not adopted: another worker has trained; {job.get('status')}")
    return "job adopted"


def evict_single(place: Place) -> str:
    """The only worker is evicted, and goes on from its checkpoint."""
    return _evicted(place, {}, 0)


def evict_one_of_two(place: Place) -> str:
    """One of two workers is evicted."""
    return _evicted(place, {"workers": 2}, 1)


def evict_elastic(place: Place) -> str:
    """One of two workers of an elastic job is evicted."""
    return _evicted(place, {"workers": 2, "min_workers": 1, "max_workers": 2}, 1)


def evict_host(place: Place) -> str:
    """The worker of an elastic job that the others meet at is evicted."""
    return _evicted(place, {"workers": 2, "min_workers": 1, "max_workers": 2}, 0)


def restricted(place: Place) -> str:
    """A namespace that enforces ``restricted`` takes workers and predictor."""
    return restricted_namespace.check(place)


def prune(place: Place) -> str:
    """Old models go, and what is in service answers as before."""
    said = place.inventory("prune", "--name", NAME, "--keep", "0", "--older-than", "0", "--namespace", place.namespace)
    query(place)
    return said.strip().splitlines()[-1]


ROWS: dict[str, Callable[[Place], str]] = {
    row.__name__.replace("_", "-"): row
    for row in (
        preflight,
        plain,
        query,
        second,
        rollback,
        tune,
        terminate,
        step_deleted,
        evict_single,
        evict_one_of_two,
        evict_elastic,
        evict_host,
        restricted,
        prune,
    )
}


def _served(place: Place, run: str) -> str:
    service = place.service.get(NAME)
    uri = services.served_uri(service) if service else "nothing"
    if run not in uri:
        raise FailedError(f"the InferenceService serves {uri}, not the model of run {run}")
    return uri


@contextmanager
def _load(place: Place) -> Iterator[Object]:
    """Lets a pod ask the service at its address inside the cluster while the block runs; the sums come after it."""
    if (place.service.get(NAME) or {}).get("status", {}).get("address") is None:
        raise FailedError(f"there is no InferenceService {NAME} with an address; run the row plain first")
    url = place.service.get(NAME)["status"]["address"]["url"]
    pod = f"{NAME}-load"
    command = ["python", "-c", LOAD.read_text(), f"{url}/v1/models/{NAME}:predict", str(place.rate), "7200"]
    limits = {"cpu": "200m", "memory": "256Mi"}
    security = {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {
        "name": "load",
        "image": place.image,
        "command": command,
        "resources": {"requests": limits, "limits": {**limits, "cpu": "1"}},
        "securityContext": security,
    }
    place.core.create_namespaced_pod(
        place.namespace,
        {
            "metadata": {"name": pod, "labels": {"app": NAME}, "annotations": {"sidecar.istio.io/inject": "false"}},
            "spec": {"containers": [container], "restartPolicy": "Never", "automountServiceAccountToken": False},
        },
    )
    sums: Object = {}
    try:
        until(lambda: place.log(pod, "load"), 180, "the first request")
        yield sums
        time.sleep(5)
        sums.update(json.loads(place.log(pod, "load").splitlines()[-1]))
    finally:
        place.core.delete_namespaced_pod(pod, place.namespace, grace_period_seconds=0)


def _nothing_lost(sums: Object) -> str:
    if sums["lost"]:
        raise FailedError(f"{sums['lost']} of {sums['sent']} requests were lost: {sums['errors']}")
    return f"{sums['sent']} requests, 0 lost"


def _kind(place: Place) -> JobKind:
    chosen = place.cluster.get("launcher", "auto")
    has = PYTORCHJOB.is_served(place.api)
    return PYTORCHJOB if chosen == "pytorchjob" or (chosen == "auto" and has) else TRAINJOB


def _running(place: Place, selector: str) -> list[V1Pod]:
    return [pod for pod in place.pods(selector) if pod.status.phase == "Running"]


def _training(place: Place, run: str, workers: int = 1) -> str:
    """Waits until the workers of a run have trained an epoch, and returns the selector of their pods."""
    selector = _kind(place).pods.format(name=job_name(run))

    def trained() -> bool:
        pods = _running(place, selector)
        logs = [place.log(pod.metadata.name, pod.spec.containers[0].name) for pod in pods]
        return len(pods) == workers and any("Epoch 1/" in log for log in logs)

    until(trained, START, "the first epoch")
    return selector


def _step_pod(place: Place, run: str) -> V1Pod:
    """The pod of the train step, by the name that Argo gives its node."""
    for pod in place.pods(f"pipeline/runid={run}"):
        node = (pod.metadata.annotations or {}).get("workflows.argoproj.io/node-name", "")
        if pod.status.phase == "Running" and ".train(" in node and ".executor(" in node:
            return pod
    raise FailedError(f"the train step of run {run} has no running pod")


def _evicted(place: Place, cluster: Object, index: int) -> str:
    """Evicts a worker in its second epoch; the run has to end well all the same, with no epoch done again."""
    run = place.submit(*LONG, cluster=cluster)
    selector = _training(place, run, cluster.get("workers", 1))
    workers = sorted(_running(place, selector), key=lambda pod: str(pod.metadata.name))
    victim = workers[min(index, len(workers) - 1)]
    start = time.monotonic()
    place.evict(victim)

    def back() -> bool:
        return any(
            pod.metadata.uid not in {worker.metadata.uid for worker in workers} for pod in _running(place, selector)
        )

    until(back, RESUME, "a new worker")
    seconds = time.monotonic() - start
    follow(place.client, run)
    return f"{victim.metadata.name} back after {seconds:.0f} s, run {run} went on"
