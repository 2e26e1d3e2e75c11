"""The object store's secret and what is behind it, and the secrets of registries."""

import base64
import contextlib
import os
import tempfile
from collections.abc import Iterator
from urllib.parse import urlsplit

import kubernetes
from kubernetes.client import ApiClient
from minio.error import S3Error

from components.cluster import kube
from components.cluster.jobs.pods import Pods
from components.cluster.pods import STORE_FOLDER, STORE_KEYS, STORE_REQUIRED
from components.common.errors import InventoryError
from components.common.store import Store, open_store
from components.settings.serving import ServingSettings
from pipelines.manifests.store_secret import asked_for
from pipelines.preflight import predictor_store
from pipelines.preflight.check import Check, Question, ask
from pipelines.preflight.clocks import clocks

CA_BUNDLE = "AWS_CA_BUNDLE"
ROLE_ANNOTATION = "eks.amazonaws.com/role-arn"
"""Of a service account: its pods are given a token that buys credentials of this role."""
OF_A_POD = ("AWS_WEB_IDENTITY_", "AWS_ROLE_", "AWS_CONTAINER_", "AWS_REGION", "AWS_DEFAULT_REGION")
"""Beginnings of the variables that a cloud gives a pod with a role."""


def secrets_and_store(api: ApiClient, question: Question) -> list[Check]:
    """Looks at the secrets and their keys, and at the object store with the very credentials in its secret."""
    name, namespace = question.settings.store_secret, question.namespace
    what, create = f"secret {name}", asked_for(name, namespace)
    try:
        secret = ask(kubernetes.client.CoreV1Api(api).read_namespaced_secret, name, namespace)
    except InventoryError:
        return [Check(what, "unknown", "these credentials may not read it", "ask who may, or run it as a step")]
    if secret is None:
        return [Check(what, "problem", f"there is none in namespace {namespace}", create)]
    values = {key: base64.b64decode(value).decode(errors="replace") for key, value in (secret.data or {}).items()}
    checks = _contents(api, question, what, values)
    if all(check.state == "ok" for check in checks):
        checks += _round_trip(api, question, values)
        if all(check.name != "object store" or check.state != "unknown" for check in checks):
            certificate = values.get(values.get(CA_BUNDLE, "").removeprefix(f"{STORE_FOLDER}/"))
            checks.append(clocks(api, values["S3_ENDPOINT_URL"], certificate))
        if values.get(STORE_KEYS[0]):
            annotations = secret.metadata.annotations or {}
            checks.append(predictor_store.with_keys(api, namespace, what, values, annotations))
        else:
            checks.append(predictor_store.with_role(values["S3_ENDPOINT_URL"]))
    pulled = [*question.settings.image_pull_secrets, *question.serving.image_pull_secrets]
    for secret_name in dict.fromkeys(pulled):
        checks.append(_pull_secret(api, namespace, secret_name))
    return checks


def _contents(api: ApiClient, question: Question, what: str, values: dict[str, str]) -> list[Check]:
    """Whether the secret holds what steps and workers take from it, and whether each of them has an identity."""
    add = f"add the keys with `kubectl -n {question.namespace} edit {what}`"
    missing = [key for key in (*STORE_REQUIRED, *STORE_KEYS) if not values.get(key)]
    if not set(STORE_KEYS) <= set(missing):
        roles = []
    elif not (roles := _roles(api, question)):
        add += f", or give the service accounts a role with the annotation {ROLE_ANNOTATION}"
    missing = [key for key in missing if not roles or key not in STORE_KEYS]
    if missing:
        return [Check(what, "problem", f"lacks {', '.join(missing)}", add)]
    bundle = values.get(CA_BUNDLE, "")
    file = bundle.removeprefix(f"{STORE_FOLDER}/")
    if bundle.startswith(STORE_FOLDER) and file not in values:
        return [Check(what, "problem", f"has {CA_BUNDLE} but no {file}", f"add the certificate under {file}")]
    if "ca.crt" in values and not bundle:
        cure = f"add {CA_BUNDLE} with the value {STORE_FOLDER}/ca.crt"
        return [Check(what, "problem", f"has ca.crt, and no {CA_BUNDLE} that names it", cure)]
    return [Check(what, "ok", f"has {', '.join(sorted(values))}"), *roles]


def _roles(api: ApiClient, question: Question) -> list[Check]:
    """One line for each service account of steps, workers and predictor; none when none of them has a role."""
    accounts = [question.service_account, question.settings.service_account, ServingSettings().service_account]
    checks, core = [], kubernetes.client.CoreV1Api(api)
    for account in filter(None, accounts):
        what = f"role of {account}"
        cure = f"kubectl -n {question.namespace} annotate serviceaccount {account} {ROLE_ANNOTATION}=…"
        try:
            found = ask(core.read_namespaced_service_account, account, question.namespace)
        except InventoryError:
            checks.append(Check(what, "unknown", "these credentials may not read the service account"))
            continue
        if found is None:
            missing = f"there is no such service account in {question.namespace}"
            checks.append(Check(what, "problem", missing, question.install))
        elif role := (found.metadata.annotations or {}).get(ROLE_ANNOTATION):
            checks.append(Check(what, "ok", role))
        else:
            checks.append(Check(what, "problem", "has none, and the store's secret has no keys", cure))
    return checks if any(check.state in ("ok", "unknown") for check in checks) else []


def _pull_secret(api: ApiClient, namespace: str, name: str) -> Check:
    what = f"secret {name}"
    try:
        found = ask(kubernetes.client.CoreV1Api(api).read_namespaced_secret, name, namespace)
    except InventoryError:
        return Check(what, "unknown", "these credentials may not read it")
    if found is None:
        fix = f"kubectl -n {namespace} create secret docker-registry {name} …"
        return Check(what, "problem", f"there is none in namespace {namespace}", fix)
    if found.type != "kubernetes.io/dockerconfigjson":
        return Check(what, "problem", f"is of type {found.type}, no registry login", "make it with docker-registry")
    return Check(what, "ok", "a registry login")


def _round_trip(api: ApiClient, question: Question, values: dict[str, str]) -> list[Check]:
    """Writes, reads, lists and removes a small object, as whom the secret says."""
    what, endpoint = "object store", values["S3_ENDPOINT_URL"]
    host = urlsplit(endpoint).hostname or ""
    inside = ".svc." in f"{host}." or ("." not in host and host != "localhost")
    if inside and not kube.in_cluster():
        return [_behind(api, question, endpoint, host)]
    identity = {}
    if not values.get(STORE_KEYS[0]):
        identity = {name: value for name, value in os.environ.items() if name.startswith(OF_A_POD)}
        if not kube.in_cluster():
            return [Check(what, "unknown", "a service account's role can be tried by its pods alone", "ask from a pod")]
    try:
        with _certificate(values) as trusting:
            store = open_store({**identity, **trusting})
            key = f"preflight/{os.getpid()}"
            store.put_bytes(key, b"round trip")
            try:
                same = store.get_bytes(key) == b"round trip" and key in store.list("preflight/")
            finally:
                store.delete(key)
    except InventoryError as error:
        return [Check.problem(what, error, "check the values in the store's secret")]
    if not same:
        return [Check(what, "problem", f"{endpoint} gave back something else than was written", "change it")]
    place = store.uri("").removeprefix("s3://").rstrip("/")
    done = Check(what, "ok", f"wrote, read, listed and removed an object in {place} at {endpoint}")
    return [done, *_bucket_itself(store)]


def _behind(api: ApiClient, question: Question, endpoint: str, host: str) -> Check:
    """Whether anything can answer at an address inside the cluster: its Service, and a pod behind it that runs."""
    what = "object store"
    name, namespace = [*host.split("."), question.namespace][:2]
    inside = Check(what, "unknown", f"{endpoint} is an address inside the cluster", "ask from a pod")
    try:
        service = ask(kubernetes.client.CoreV1Api(api).read_namespaced_service, name, namespace)
        if service is None:
            message = f"{endpoint}: there is no Service {name} in namespace {namespace}"
            return Check(what, "problem", message, "install the store, or name another in S3_ENDPOINT_URL")
        if not service.spec.selector:
            return inside
        labels = ",".join(f"{key}={value}" for key, value in service.spec.selector.items())
        pods = Pods(api, namespace, [name], labels, what)
        if any(pod.started for pod in pods.poll()):
            return inside
    except InventoryError:
        return inside
    message = f"no pod runs behind {endpoint}: {pods.why_pending('there is none')}"
    return Check(what, "problem", message, f"kubectl -n {namespace} describe pods -l {labels}")


def _bucket_itself(store: Store) -> list[Check]:
    """KServe's storage initializer begins with a HeadBucket since 0.18, which keys of a prefix need not allow."""
    try:
        store.client.bucket_exists(store.bucket)
    except S3Error:
        message = f"KServe 0.18 and later ask for the bucket {store.bucket} itself first (HeadBucket), which is denied"
        cure = (
            "let the bucket's policy allow s3:ListBucket for HEAD, as Kubeflow Pipelines 2.17 does, or use KServe 0.16"
        )
        return [Check("bucket of the predictor", "unknown", message, cure)]
    return []


@contextlib.contextmanager
def _certificate(values: dict[str, str]) -> Iterator[dict[str, str]]:
    """The secret's values, with a file of this machine in place of the certificate that a pod mounts."""
    rest = {key: value for key, value in values.items() if key != CA_BUNDLE}
    certificate = values.get(values.get(CA_BUNDLE, "").removeprefix(f"{STORE_FOLDER}/"))
    if certificate is None:
        yield rest
        return
    with tempfile.NamedTemporaryFile("w", suffix=".crt") as file:
        file.write(certificate)
        file.flush()
        yield {**rest, CA_BUNDLE: file.name}
