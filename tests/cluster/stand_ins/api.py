"""A stand-in for the Kubernetes API server, for tests: real HTTP on loopback, objects in memory.

It keeps what a client can get wrong: resourceVersion conflicts, names that are taken, status as a subresource,
garbage collection through ownerReferences, foreground deletion, watches that end or expire (410), label and field
selectors, discovery of custom kinds, access reviews, pod logs, bearer tokens, dry runs, strict validation. Custom
objects are checked against the operators' published schemas where those lie beside the checkout (unknown fields are
dropped, or refused where the client asks for that), and against the rules of the operators' webhooks. A test plays the
controllers through ``Cluster``'s methods, and plants failures with ``fail``.
"""

import copy
import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from tests.cluster.stand_ins import admission, rules, schemas

Object = dict[str, Any]
Key = tuple[str, str, str, str]  # group, plural, namespace, name

CORE_KINDS = {
    "pods": "Pod",
    "events": "Event",
    "secrets": "Secret",
    "configmaps": "ConfigMap",
    "namespaces": "Namespace",
    "nodes": "Node",
    "serviceaccounts": "ServiceAccount",
    "services": "Service",
    "resourcequotas": "ResourceQuota",
    "limitranges": "LimitRange",
    "persistentvolumeclaims": "PersistentVolumeClaim",
}
GROUP_KINDS = {
    ("apps", "v1", "deployments"): "Deployment",
    ("discovery.k8s.io", "v1", "endpointslices"): "EndpointSlice",
    ("networking.k8s.io", "v1", "networkpolicies"): "NetworkPolicy",
    ("storage.k8s.io", "v1", "storageclasses"): "StorageClass",
}
"""Kubernetes' own, outside of the core."""
CUSTOM_KINDS = {
    ("kubeflow.org", "v1", "pytorchjobs"): "PyTorchJob",
    ("kubeflow.org", "v1beta1", "experiments"): "Experiment",
    ("kubeflow.org", "v1beta1", "trials"): "Trial",
    ("kubeflow.org", "v1beta1", "suggestions"): "Suggestion",
    ("trainer.kubeflow.org", "v1alpha1", "trainjobs"): "TrainJob",
    ("serving.kserve.io", "v1beta1", "inferenceservices"): "InferenceService",
    ("serving.kserve.io", "v1alpha1", "servingruntimes"): "ServingRuntime",
    ("serving.kserve.io", "v1alpha1", "clusterstoragecontainers"): "ClusterStorageContainer",
    ("argoproj.io", "v1alpha1", "workflows"): "Workflow",
    ("kueue.x-k8s.io", "v1beta1", "workloads"): "Workload",
    ("kueue.x-k8s.io", "v1beta2", "workloads"): "Workload",
}
CLUSTER_SCOPED = (
    "namespaces",
    "nodes",
    "customresourcedefinitions",
    "storageclasses",
    "clusterstoragecontainers",
)
NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
PATH = re.compile(
    r"^/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+)/(?P<version>[^/]+))"
    r"(?:/namespaces/(?P<namespace>[^/]+)(?=/))?/(?P<plural>[^/]+)(?:/(?P<name>[^/]+)(?:/(?P<sub>[^/]+))?)?$"
)


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message


@dataclass
class Failure:
    """A planted failure: the next ``times`` requests that match get ``status`` instead of an answer.

    ``after`` lets the request take effect first, as when an answer is lost on its way. Status 0 breaks the
    connection off.
    """

    status: int
    method: str = ""
    path: str = ""
    times: int = 1
    after: bool = False
    headers: dict[str, str] = field(default_factory=dict)


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Cluster:
    """The objects of a cluster, and the server that hands them out."""

    def __init__(self) -> None:
        self.lock = threading.Condition(threading.RLock())
        self.objects: dict[Key, Object] = {}
        self.history: list[tuple[int, str, Key, Object]] = []
        self.version = 100
        self.oldest = 0
        self.failures: list[Failure] = []
        self.requests: list[tuple[str, str]] = []
        self.forbidden: set[tuple[str, str, str]] = set()  # (verb, group, resource[/subresource])
        self.missing_kinds: set[str] = set()  # plural.group
        self.token: str | None = None
        self.login_page = False
        self.logs: dict[tuple[str, str], list[str]] = {}
        self.ended_logs: set[tuple[str, str]] = set()
        self.dropped_watches = 0
        self.admit: list[Callable[[Key, Object], None]] = []  # more webhooks, which may change it or raise Refused
        self.on_create: list[Callable[[Key, Object], None]] = []
        self.releases: dict[str, str] = {}  # of operators; the newest where none is given
        self.kserve_mode = "Standard"
        self.version_name = "v1.34.0"
        self.clock_ahead = 0.0  # seconds
        self.closing = False
        cluster = self

        class Handler(_Handler):
            pass

        Handler.cluster = cluster
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self) -> None:
        with self.lock:
            self.closing = True
            self.lock.notify_all()
        self.server.shutdown()
        self.server.server_close()

    def kubeconfig(self, path: Path, namespace: str = "team", token: str | None = None) -> Path:
        """Writes a kubeconfig that points here."""
        user = {"token": token} if token else {}
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "test",
                    "clusters": [{"name": "test", "cluster": {"server": self.url}}],
                    "users": [{"name": "test", "user": user}],
                    "contexts": [
                        {"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}
                    ],
                }
            )
        )
        return path

    # what a test or a controller does

    def fail(self, status: int, method: str = "", path: str = "", times: int = 1, after: bool = False) -> None:
        """Plants a failure; see ``Failure``."""
        with self.lock:
            headers = {"Retry-After": "0"} if status == 429 else {}
            self.failures.append(Failure(status, method, path, times, after, headers))

    def expire_watches(self) -> None:
        """Forgets the past, as etcd's compaction does: older resourceVersions get 410."""
        with self.lock:
            self.history.clear()
            self.oldest = self.version

    def drop_watches(self) -> None:
        """Breaks off every open watch and log without a word."""
        with self.lock:
            self.dropped_watches += 1
            self.lock.notify_all()

    def items(self, plural: str, group: str = "", namespace: str | None = None) -> list[Object]:
        with self.lock:
            return [
                copy.deepcopy(item)
                for key, item in sorted(self.objects.items())
                if key[:2] == (group, plural) and namespace in (None, key[2])
            ]

    def get(self, plural: str, name: str, group: str = "", namespace: str = "team") -> Object | None:
        with self.lock:
            return copy.deepcopy(self.objects.get((group, plural, namespace, name)))

    def add(self, body: Object, plural: str, group: str = "", namespace: str = "team") -> Object:
        """Creates an object with its status, as a controller that fills it in at once."""
        with self.lock:
            namespace = "" if plural in CLUSTER_SCOPED else namespace
            key = (group, plural, namespace, body["metadata"]["name"])
            return self._create(key, body, keep_status=True)

    def update(
        self, plural: str, name: str, change: Callable[[Object], None], group: str = "", ns: str = "team"
    ) -> None:
        """Changes an object in place, status included."""
        with self.lock:
            key = (group, plural, ns, name)
            if key in self.objects:
                changed = copy.deepcopy(self.objects[key])
                change(changed)
                self._store(key, changed, "MODIFIED")

    def remove(self, plural: str, name: str, group: str = "", namespace: str = "team") -> None:
        """Deletes an object and whatever it owns."""
        with self.lock:
            self._remove((group, plural, namespace, name))

    def log(self, pod: str, *lines: str, namespace: str = "team", end: bool = False) -> None:
        """Lets a pod's container print lines, and end."""
        with self.lock:
            stamped = [f"{time.time_ns() / 1e9:.9f} {line}" for line in lines]
            for line in stamped:
                seconds, text = line.split(" ", 1)
                whole, fraction = seconds.split(".")
                stamp = datetime.fromtimestamp(int(whole), UTC).strftime("%Y-%m-%dT%H:%M:%S")
                self.logs.setdefault((namespace, pod), []).append(f"{stamp}.{fraction}Z {text}")
            if end:
                self.ended_logs.add((namespace, pod))
            self.lock.notify_all()

    def event(self, about: str, reason: str, message: str, kind: str = "Warning", namespace: str = "team") -> None:
        """Records an event about an object."""
        name = f"{about}.{uuid.uuid4().hex[:12]}"
        involved = {"name": about, "namespace": namespace}
        body = {"metadata": {"name": name}, "involvedObject": involved, "reason": reason, "message": message}
        self.add({**body, "type": kind, "count": 1, "apiVersion": "v1", "kind": "Event"}, "events", "", namespace)

    # the store

    def _store(self, key: Key, item: Object, kind: str) -> Object:
        self.version += 1
        item["metadata"]["resourceVersion"] = str(self.version)
        if kind == "DELETED":
            self.objects.pop(key, None)
        else:
            self.objects[key] = item
        self.history.append((self.version, kind, key, copy.deepcopy(item)))
        self.lock.notify_all()
        return copy.deepcopy(item)

    def _create(self, key: Key, body: Object, *, keep_status: bool = False, dry_run: bool = False) -> Object:
        if key in self.objects:
            raise Refused(409, "AlreadyExists", f'{key[1]}.{key[0]} "{key[3]}" already exists')
        item = copy.deepcopy(body)
        if not keep_status:
            item.pop("status", None)
        metadata = item["metadata"]
        metadata.update(uid=str(uuid.uuid4()), creationTimestamp=now(), generation=1)
        if key[2]:
            metadata["namespace"] = key[2]
        return item if dry_run else self._store(key, item, "ADDED")

    def _remove(self, key: Key, propagation: str = "Background") -> None:
        item = self.objects.get(key)
        if item is None:
            return
        if propagation == "Foreground" and self._owned(item["metadata"]["uid"]):
            marked = copy.deepcopy(item)
            marked["metadata"]["deletionTimestamp"] = now()
            marked["metadata"]["finalizers"] = ["foregroundDeletion"]
            self._store(key, marked, "MODIFIED")
            threading.Timer(0.15, self._finish_foreground, (key, item["metadata"]["uid"])).start()
            return
        self._store(key, item, "DELETED")
        if propagation != "Orphan":
            for owned in self._owned(item["metadata"]["uid"]):
                self._remove(owned)

    def _finish_foreground(self, key: Key, uid: str) -> None:
        """The owner stays as long as what it owns, such as a pod of a dead node (pkg/controller/garbagecollector)."""
        with self.lock:
            for owned in self._owned(uid):
                self._remove(owned)
            if self._owned(uid, going=True):
                return
            if key in self.objects and self.objects[key]["metadata"]["uid"] == uid:
                self._store(key, self.objects[key], "DELETED")

    def _owned(self, uid: str, *, going: bool = False) -> list[Key]:
        return [
            key
            for key, item in self.objects.items()
            if any(owner["uid"] == uid for owner in item["metadata"].get("ownerReferences", []))
            and ("deletionTimestamp" in item["metadata"]) == going
        ]


class _Handler(BaseHTTPRequestHandler):
    cluster: Cluster
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string((timestamp or time.time()) + self.cluster.clock_ahead)

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def do_PATCH(self) -> None:
        self._answer("PATCH")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def _answer(self, method: str) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        payload = self.rfile.read(length)
        body = json.loads(payload) if payload else None
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        path = unquote(parts.path).rstrip("/")
        with self.cluster.lock:
            self.cluster.requests.append((method, self.path))
        failure = self._planted(method, path, query)
        try:
            if failure and not failure.after:
                raise Refused(failure.status, "Planted", "planted failure")
            self._authenticate()
            if query.get("watch") in ("true", "True", "1"):
                self._watch(path, query)
                return
            if path.endswith("/log"):
                self._log(path, query)
                return
            with self.cluster.lock:
                status, answer = self._do(method, path, query, body)
            if failure:
                raise Refused(failure.status, "Planted", "planted failure, after it took effect")
        except Refused as refused:
            if refused.status == 0:
                self.close_connection = True
                self.connection.close()
                return
            details = {} if refused.reason == "NotServed" else {"details": {}}
            status = refused.status
            answer = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, **details}
            answer |= {"reason": refused.reason, "message": refused.message}
            if refused.reason == "NotServed":
                self._send(404, b"404 page not found\n", "text/plain")
                return
        if self.cluster.login_page:
            self._send(200, b"<!doctype html><title>Sign in</title>", "text/html")
            return
        self._send(status, json.dumps(answer).encode(), "application/json", failure.headers if failure else {})

    def _planted(self, method: str, path: str, query: dict[str, str]) -> Failure | None:
        with self.cluster.lock:
            for failure in self.cluster.failures:
                watches = "watch" in query
                if failure.method not in ("", "WATCH" if watches else method) or failure.path not in path:
                    continue
                failure.times -= 1
                if failure.times <= 0:
                    self.cluster.failures.remove(failure)
                return failure
        return None

    def _authenticate(self) -> None:
        expected = self.cluster.token
        if expected and self.headers.get("Authorization") != f"Bearer {expected}":
            raise Refused(401, "Unauthorized", "Unauthorized")

    def _send(self, status: int, data: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _do(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Object]:
        cluster = self.cluster
        if path == "/version":
            return 200, {"major": "1", "minor": "34", "gitVersion": cluster.version_name}
        if path == "/apis":
            return 200, self._groups()
        if method == "POST" and path.endswith("selfsubjectaccessreviews"):
            asked = body["spec"]["resourceAttributes"]
            resource = asked["resource"] + (f"/{asked['subresource']}" if asked.get("subresource") else "")
            allowed = (asked["verb"], asked.get("group", ""), resource) not in cluster.forbidden
            return 201, {**body, "status": {"allowed": allowed}}
        if found := re.fullmatch(r"/apis/([^/]+)/([^/]+)", path):
            return 200, self._resources(found[1], found[2])
        key, subresource, kind, _ = self._parse(path)
        self._authorise(method, key, subresource)
        if method == "GET":
            if key[3]:
                return 200, copy.deepcopy(self._existing(key))
            return 200, self._list(key, query, kind)
        if method == "POST":
            key = (*key[:3], body["metadata"]["name"])
            if not NAME.match(key[3]) or len(key[3]) > 253:
                raise Refused(422, "Invalid", f"metadata.name: Invalid value: {key[3]!r}")
            if kind not in (body.get("kind"), None):
                raise Refused(400, "BadRequest", f"{body.get('kind')} is no {kind}")
            self._check(key, body, query)
            if key[1] == "pods" and (refused := admission.pod_refused(cluster.items, key[2], body)):
                raise Refused(403, "Forbidden", f'pods "{key[3]}" is forbidden: {refused}')
            for review in cluster.admit:
                review(key, body)
            self._admit(key, body)
            made = cluster._create(key, body, dry_run="dryRun" in query)
            if "dryRun" in query:
                return 201, made
            for react in cluster.on_create:
                react(key, made)
            return 201, made
        if method == "DELETE":
            current = self._existing(key)
            wanted = ((body or {}).get("preconditions") or {}).get("uid")
            if wanted and wanted != current["metadata"]["uid"]:
                raise Refused(409, "Conflict", "the UID in the precondition does not match")
            propagation = (body or {}).get("propagationPolicy") or query.get("propagationPolicy") or "Background"
            cluster._remove(key, propagation)
            return 200, {"kind": "Status", "status": "Success"}
        return 200, self._change(method, key, query, subresource, body)

    def _change(self, method: str, key: Key, query: dict[str, str], subresource: str, body: Any) -> Object:
        current = self._existing(key)
        item = merge(current, body) if method == "PATCH" else copy.deepcopy(body)
        given = body.get("metadata", {}).get("resourceVersion")
        if given and given != current["metadata"]["resourceVersion"]:
            raise Refused(409, "Conflict", f"{key[3]}: the object has been modified; apply your changes to the latest")
        if subresource == "status":
            item = {**copy.deepcopy(current), "status": item.get("status", {})}
        elif "status" in current:
            item["status"] = current["status"]
        item["metadata"] = {**item["metadata"], "uid": current["metadata"]["uid"]}
        if item.get("spec") != current.get("spec"):
            item["metadata"]["generation"] = current["metadata"].get("generation", 0) + 1
        self._check(key, item, query, patched=method == "PATCH")
        self._admit(key, item, current)
        return copy.deepcopy(item) if "dryRun" in query else self.cluster._store(key, item, "MODIFIED")

    def _check(self, key: Key, body: Object, query: dict[str, str], patched: bool = False) -> None:
        """Drops or refuses fields that the schema does not know, and refuses what it forbids."""
        kind = f"{key[1]}.{key[0]}"
        release = self.cluster.releases.get(schemas.FILES.get(kind, ("", ""))[0], "")
        found, validator = schemas.schema(kind, release), schemas.validator(kind, release)
        if found is None or validator is None:
            return
        unknown = list(schemas.unknown_fields(found, body))
        if unknown and query.get("fieldValidation") == "Strict":
            said = "strict decoding error: " + ", ".join(f'unknown field "{path}"' for path, _, _ in unknown)
            if patched:  # the API server's answer repeats the whole object
                raise Refused(422, "Invalid", f'patch: Invalid value: "{json.dumps(body)}": {said}')
            raise Refused(
                400, "BadRequest", f"{body['kind']} in version {body['apiVersion']!r} cannot be handled: {said}"
            )
        for _, holder, name in unknown:
            del holder[name]
        for error in validator.iter_errors(body):
            raise Refused(422, "Invalid", f"{error.json_path.removeprefix('$.')}: {error.message}")

    def _admit(self, key: Key, body: Object, before: Object | None = None) -> None:
        """Asks the operator's webhook."""
        if before is None and key[1] == "inferenceservices":
            rules.inference_service_defaults(body, self.cluster.kserve_mode)
        if found := rules.WEBHOOKS.get(f"{key[1]}.{key[0]}"):
            status, name, refused = found
            if problem := refused(body, before):
                reason = "Forbidden" if status == 403 else "BadRequest"
                raise Refused(status, reason, f'admission webhook "{name}" denied the request: {problem}')

    def _existing(self, key: Key) -> Object:
        if key not in self.cluster.objects:
            raise Refused(404, "NotFound", f'{key[1]} "{key[3]}" not found')
        return self.cluster.objects[key]

    def _authorise(self, method: str, key: Key, subresource: str) -> None:
        verbs = {"GET": "get" if key[3] else "list", "POST": "create", "PUT": "update", "PATCH": "patch"}
        verb = verbs.get(method, "delete")
        resource = key[1] + (f"/{subresource}" if subresource else "")
        if (verb, key[0], resource) in self.cluster.forbidden:
            user = 'User "system:serviceaccount:team:steps"'
            raise Refused(403, "Forbidden", f'{resource} is forbidden: {user} cannot {verb} resource "{resource}"')

    def _parse(self, path: str) -> tuple[Key, str, str | None, str]:
        found = PATH.match(path)
        if not found:
            raise Refused(404, "NotServed", path)
        group, plural = found["group"] or "", found["plural"]
        version = found["version"] or "v1"
        known = CORE_KINDS.get(plural) if not group else {**CUSTOM_KINDS, **GROUP_KINDS}.get((group, version, plural))
        if known is None and plural != "customresourcedefinitions":
            raise Refused(404, "NotServed", path)
        if f"{plural}.{group}" in self.cluster.missing_kinds:
            raise Refused(404, "NotServed", path)
        namespace = found["namespace"] or ""
        return (group, plural, namespace, found["name"] or ""), found["sub"] or "", known, version

    def _groups(self) -> Object:
        groups: dict[str, set[str]] = {}
        for group, version, plural in CUSTOM_KINDS:
            if f"{plural}.{group}" not in self.cluster.missing_kinds:
                groups.setdefault(group, set()).add(version)
        return {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [
                {
                    "name": group,
                    "versions": [{"groupVersion": f"{group}/{v}", "version": v} for v in sorted(versions)],
                    "preferredVersion": {"groupVersion": f"{group}/{max(versions)}", "version": max(versions)},
                }
                for group, versions in groups.items()
            ],
        }

    def _resources(self, group: str, version: str) -> Object:
        resources = [
            {"name": plural, "singularName": kind.lower(), "namespaced": True, "kind": kind, "verbs": ["get"]}
            for (g, v, plural), kind in CUSTOM_KINDS.items()
            if (g, v) == (group, version) and f"{plural}.{g}" not in self.cluster.missing_kinds
        ]
        if not resources:
            raise Refused(404, "NotServed", f"{group}/{version}")
        return {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": f"{group}/{version}",
            "resources": resources,
        }

    def _list(self, key: Key, query: dict[str, str], kind: str | None) -> Object:
        items = [
            copy.deepcopy(item)
            for other, item in sorted(self.cluster.objects.items())
            if other[:2] == key[:2] and key[2] in ("", other[2]) and selected(item, query)
        ]
        metadata = {"resourceVersion": str(self.cluster.version)}
        return {"kind": f"{kind}List", "apiVersion": "v1", "metadata": metadata, "items": items}

    def _watch(self, path: str, query: dict[str, str]) -> None:
        cluster = self.cluster
        with cluster.lock:
            key, _, _, _ = self._parse(path)
            since = int(query.get("resourceVersion") or cluster.version)
            dropped = cluster.dropped_watches
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        deadline = time.monotonic() + float(query.get("timeoutSeconds") or 30)
        while True:
            with cluster.lock:
                if since < cluster.oldest:
                    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
                    self._chunk({"type": "ERROR", "object": status})
                    break
                events = [
                    (kind, item)
                    for version, kind, other, item in cluster.history
                    if version > since and other[:2] == key[:2] and key[2] in ("", other[2]) and selected(item, query)
                ]
                since = cluster.version
                if not events:
                    left = deadline - time.monotonic()
                    if left <= 0 or cluster.closing:
                        break
                    cluster.lock.wait(min(left, 0.5))
                    if cluster.dropped_watches != dropped:
                        self.close_connection = True
                        self.connection.close()
                        return
                    continue
            for kind, item in events:
                self._chunk({"type": kind, "object": item})
        self._end_chunks()

    def _log(self, path: str, query: dict[str, str]) -> None:
        cluster = self.cluster
        with cluster.lock:
            key, _, _, _ = self._parse(path)
            self._authorise("GET", key, "log")
            containers = [each["name"] for each in self._existing(key)["spec"].get("containers", [])]
            if len(containers) > 1 and query.get("container") not in containers:
                choice = f"choose one of: [{' '.join(containers)}]"
                raise Refused(400, "BadRequest", f"a container name must be specified for pod {key[3]}, {choice}")
            where, dropped = (key[2], key[3]), cluster.dropped_watches
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        at = 0
        while True:
            with cluster.lock:
                lines = cluster.logs.get(where, [])[at:]
                at += len(lines)
                over = (
                    query.get("follow") not in ("true", "True")
                    or where in cluster.ended_logs
                    or key not in cluster.objects
                    or cluster.closing
                )
                if not lines and not over:
                    cluster.lock.wait(0.5)
                    if cluster.dropped_watches != dropped:
                        self.close_connection = True
                        self.connection.close()
                        return
                    continue
            for line in lines:
                text = line if query.get("timestamps") in ("true", "True") else line.split(" ", 1)[1]
                self._raw_chunk(text.encode() + b"\n")
            if over and not lines:
                break
        self._end_chunks()

    def _chunk(self, value: Object) -> None:
        self._raw_chunk(json.dumps(value).encode() + b"\n")

    def _raw_chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _end_chunks(self) -> None:
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def handle(self) -> None:
        try:
            super().handle()
        except (BrokenPipeError, ConnectionResetError, OSError, ValueError):
            self.close_connection = True  # the client went away, or a test broke the connection off


def merge(current: Any, patch: Any) -> Any:
    """JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict) or not isinstance(current, dict):
        return copy.deepcopy(patch)
    made = copy.deepcopy(current)
    for key, value in patch.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = merge(made.get(key), value)
    return made


def selected(item: Object, query: dict[str, str]) -> bool:
    """Whether an object matches the request's label and field selectors (equality only)."""
    labels = item["metadata"].get("labels", {})
    for term in filter(None, query.get("labelSelector", "").split(",")):
        name, _, value = term.partition("=")
        if labels.get(name) != value.lstrip("="):
            return False
    for term in filter(None, query.get("fieldSelector", "").split(",")):
        path, _, value = term.partition("=")
        found: Any = item
        for part in path.split("."):
            found = (found or {}).get(part)
        if found != value:
            return False
    return True


def running(cluster: Cluster) -> Iterator[Cluster]:
    """For a fixture: yields the cluster, and closes it afterwards."""
    try:
        yield cluster
    finally:
        cluster.close()


def add_step_pod(cluster: Cluster, name: str) -> None:
    """The Workflow ``inventory-abc`` of a run, and the pod of one of its steps."""
    workflow = cluster.add({"kind": "Workflow", "metadata": {"name": "inventory-abc"}}, "workflows", "argoproj.io")
    owner = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "inventory-abc"}
    owner["uid"] = workflow["metadata"]["uid"]
    step = {"kind": "Pod", "metadata": {"name": name, "ownerReferences": [{**owner, "controller": True}]}}
    cluster.add({**step, "spec": {"containers": []}, "status": {"phase": "Running"}}, "pods")
