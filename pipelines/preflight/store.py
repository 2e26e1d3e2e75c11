"""The object store's secret and what is behind it, and the secrets of registries."""

import base64
import contextlib
import os
import tempfile
from collections.abc import Iterator
from urllib.parse import urlsplit

import kubernetes
from kubernetes.client import ApiClient

from components.cluster import kube
from components.cluster.pods import STORE_FOLDER, STORE_REQUIRED
from components.common.errors import InventoryError
from components.common.store import open_store
from pipelines.preflight.check import Check, NoSuchError, Question, refusals
from pipelines.preflight.clocks import clocks

KSERVE = "serving.kserve.io/"
CA_ANNOTATION = f"{KSERVE}s3-cabundle-configmap"


def secrets_and_store(api: ApiClient, question: Question) -> list[Check]:
    """Looks at the secrets and their keys, and at the object store with the very credentials in its secret."""
    name, namespace = question.settings.store_secret, question.namespace
    what = f"secret {name}"
    literals = " ".join(f"--from-literal={key}=…" for key in STORE_REQUIRED)
    create = f"kubectl -n {namespace} create secret generic {name} {literals}"
    try:
        with refusals():
            secret = kubernetes.client.CoreV1Api(api).read_namespaced_secret(
                name, namespace, _request_timeout=kube.TIMEOUT_SECONDS
            )
    except NoSuchError:
        return [Check(what, "problem", f"there is none in namespace {namespace}", create)]
    except InventoryError:
        return [Check(what, "unknown", "these credentials may not read it", "ask who may, or run it as a step")]
    values = {key: base64.b64decode(value).decode(errors="replace") for key, value in (secret.data or {}).items()}
    missing = [key for key in STORE_REQUIRED if not values.get(key)]
    checks = []
    if missing:
        problem = f"lacks {', '.join(missing)}"
        checks.append(Check(what, "problem", problem, f"add the keys with `kubectl -n {namespace} edit {what}`"))
    elif values.get("AWS_CA_BUNDLE", "").startswith(STORE_FOLDER) and "ca.crt" not in values:
        checks.append(Check(what, "problem", "has AWS_CA_BUNDLE but no ca.crt", "add the certificate under ca.crt"))
    else:
        checks.append(Check(what, "ok", f"has {', '.join(sorted(values))}"))
        checks.append(_round_trip(values))
        if checks[-1].state != "unknown":
            checks.append(clocks(api, values["S3_ENDPOINT_URL"], values.get("ca.crt")))
        checks.append(_for_kserve(what, namespace, values, secret.metadata.annotations or {}))
    for secret_name in question.settings.image_pull_secrets:
        checks.append(_pull_secret(api, namespace, secret_name))
    return checks


def _for_kserve(what: str, namespace: str, values: dict[str, str], annotations: dict[str, str]) -> Check:
    """KServe's storage initializer takes endpoint, region and authority from annotations of the secret.

    It is given the secret's AWS_CA_BUNDLE as a path, and mounts there the ConfigMap of an annotation, but never the
    secret itself; it is never given AWS_SESSION_TOKEN (KServe, pkg/credentials/s3/utils.go).
    """
    endpoint = values["S3_ENDPOINT_URL"]
    if values.get("AWS_SESSION_TOKEN"):
        return Check(
            "store of the predictor",
            "problem",
            f"{what} has AWS_SESSION_TOKEN, which KServe does not hand to the predictor",
            "use keys that last, or give the service account inventory-serve a cloud identity",
        )
    url = urlsplit(endpoint)
    wanted = {f"{KSERVE}s3-endpoint": url.netloc, f"{KSERVE}s3-usehttps": "1" if url.scheme == "https" else "0"}
    if values.get("AWS_REGION"):
        wanted[f"{KSERVE}s3-region"] = values["AWS_REGION"]
    if values.get("AWS_CA_BUNDLE") and not annotations.get(CA_ANNOTATION):
        return Check(
            "store of the predictor",
            "problem",
            f"{what} names no ConfigMap with the certificate, which KServe would mount for the predictor",
            f"kubectl -n {namespace} create configmap inventory-store-ca --from-file=ca.crt && "
            f"kubectl -n {namespace} annotate {what} {CA_ANNOTATION}=inventory-store-ca",
        )
    if {name: annotations.get(name) for name in wanted} == wanted:
        return Check("store of the predictor", "ok", f"{what} has the annotations that KServe reads")
    written = " ".join(f"{name}={value}" for name, value in wanted.items())
    return Check(
        "store of the predictor",
        "problem",
        f"the annotations of {what} do not name {endpoint} and its region, so KServe would look for models elsewhere",
        f"kubectl -n {namespace} annotate {what} --overwrite {written}",
    )


def _pull_secret(api: ApiClient, namespace: str, name: str) -> Check:
    what = f"secret {name}"
    try:
        with refusals():
            found = kubernetes.client.CoreV1Api(api).read_namespaced_secret(
                name, namespace, _request_timeout=kube.TIMEOUT_SECONDS
            )
    except NoSuchError:
        fix = f"kubectl -n {namespace} create secret docker-registry {name} …"
        return Check(what, "problem", f"there is none in namespace {namespace}", fix)
    except InventoryError:
        return Check(what, "unknown", "these credentials may not read it")
    if found.type != "kubernetes.io/dockerconfigjson":
        return Check(what, "problem", f"is of type {found.type}, no registry login", "make it with docker-registry")
    return Check(what, "ok", "a registry login")


def _round_trip(values: dict[str, str]) -> Check:
    """Writes, reads and removes a small object, with the secret's own credentials."""
    endpoint = values["S3_ENDPOINT_URL"]
    host = urlsplit(endpoint).hostname or ""
    inside = host.endswith((".svc", ".svc.cluster.local")) or ("." not in host and host != "localhost")
    if inside and not kube.in_cluster():
        return Check("object store", "unknown", f"{endpoint} is an address inside the cluster", "ask from a pod")
    try:
        with _certificate(values):
            store = open_store(values)
            key = f"preflight/{os.getpid()}"
            store.put_bytes(key, b"round trip")
            try:
                same = store.get_bytes(key) == b"round trip"
            finally:
                store.delete(key)
    except InventoryError as error:
        message, _, fix = str(error).partition("; ")
        return Check("object store", "problem", message, fix or "check the values in the store's secret")
    if not same:
        return Check("object store", "problem", f"{endpoint} gave back something else than was written", "change it")
    return Check("object store", "ok", f"wrote, read and removed an object in {store.bucket} at {endpoint}")


@contextlib.contextmanager
def _certificate(values: dict[str, str]) -> Iterator[None]:
    """Trusts the secret's own authority while the block runs."""
    if "ca.crt" not in values:
        yield
        return
    before = os.environ.get("AWS_CA_BUNDLE")
    with tempfile.NamedTemporaryFile("w", suffix=".crt") as file:
        file.write(values["ca.crt"])
        file.flush()
        os.environ["AWS_CA_BUNDLE"] = file.name
        try:
            yield
        finally:
            if before is None:
                del os.environ["AWS_CA_BUNDLE"]
            else:
                os.environ["AWS_CA_BUNDLE"] = before
