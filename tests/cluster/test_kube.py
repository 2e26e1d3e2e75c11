from base64 import b64encode
from pathlib import Path

import pytest
import yaml
from kubernetes.client import ApiClient

from components.cluster import kube
from components.cluster.kube import UnknownFieldError
from components.cluster.proxy import Proxy, open_pool, proxy_for
from components.cluster.resource import Resource
from components.common.errors import InventoryError
from pipelines.samples import samples
from tests.cluster.stand_ins.api import Cluster, Refused
from tests.cluster.stand_ins.schemas import CRDS


@pytest.mark.parametrize("ask", [kube.connect, kube.namespace])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"clusters: [", "while parsing .*, line 1, column 12"),
        (b"the kubeconfig is on the other laptop", "it holds something else"),
        (b"clusters: 3", "it holds something else"),
        (b"\xff\xfe\x00\x81", "it holds something else"),
        (None, "Is a directory"),
    ],
)
def test_a_kubeconfig_that_is_none_is_one_line(
    ask, content: bytes | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config"
    path.mkdir() if content is None else path.write_bytes(content)
    monkeypatch.setenv("KUBECONFIG", str(path))
    with pytest.raises(InventoryError, match=f"^cannot read the kubeconfig {path}: {reason}; mend it, or") as refused:
        ask()
    assert "\n" not in str(refused.value)


PYTORCHJOBS = ("kubeflow.org", "v1", "pytorchjobs", "team")


def test_a_field_that_the_cluster_does_not_know_is_refused_and_never_dropped(cluster: Cluster, api: ApiClient) -> None:
    if not CRDS.exists():
        pytest.skip("the operators' schemas do not lie beside this checkout")
    jobs, job = Resource(api, *PYTORCHJOBS), yaml.safe_load(samples()["pytorchjob.yaml"])
    unknown = {**job, "spec": {**job["spec"], "deadline": 1}}
    for dry_run in (True, False):
        with pytest.raises(UnknownFieldError, match=r"its kind knows no spec\.deadline on this cluster"):
            jobs.create(unknown, dry_run=dry_run)
    assert jobs.first_accepted([unknown, job]) is job
    assert cluster.items("pytorchjobs", "kubeflow.org") == []
    made = jobs.create(job)
    assert made
    with pytest.raises(UnknownFieldError, match=r"knows no spec\.deadline"):
        jobs.patch(made["metadata"]["name"], {"spec": {"deadline": 1}})


def test_a_webhook_that_takes_no_dry_run_leaves_the_answer_to_the_creation(cluster: Cluster, api: ApiClient) -> None:
    def review(*_: object) -> None:
        raise Refused(400, "BadRequest", 'admission webhook "policy" does not support dry run')

    cluster.admit.append(review)
    assert Resource(api, *PYTORCHJOBS).create(yaml.safe_load(samples()["pytorchjob.yaml"]), dry_run=True) is None


KYVERNO = (
    'admission webhook "validate.kyverno.svc-fail" denied the request: \n\nresource PyTorchJob/team/x was blocked due '
    "to the following policies \n\nrequire-labels:\n  check: 'validation error: The label `owner` is required.'\n"
)
"""As Kyverno words it (pkg/webhooks/utils/block.go, GetBlockedMessages)."""
REFUSALS = (
    # status, what the API server says, what a person reads
    (
        403,
        'pytorchjobs.kubeflow.org is forbidden: User "system:serviceaccount:team:steps" cannot create resource',
        r"the service account may not do this \(403: .*\); apply manifests/ or ask for the right",
    ),
    (403, 'User "system:anonymous" cannot create resource', r"does not accept the credentials \(403\); sign in again"),
    (403, KYVERNO, r"the cluster refuses this object \(403: .* following policies require-labels: check: .*required"),
    (
        403,
        'admission webhook "psp.example" denied the request: a container cannot run with fsGroup 0',
        r"the cluster refuses this object \(403: .*cannot run with fsGroup",
    ),
    (
        403,
        'pytorchjobs.kubeflow.org "x" is forbidden: exceeded quota: team, requested: count/pytorchjobs=1',
        r"the cluster refuses this object \(403: .*exceeded quota",
    ),
    (
        403,
        'pytorchjobs.kubeflow.org "x" is forbidden: unable to create new content in namespace team because it is being '
        "terminated",
        r"the cluster refuses this object \(403: .*being terminated",
    ),
    (
        422,
        "pytorchjobs.kubeflow.org is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
        r"the cluster refuses this object \(422: ",
    ),
    (404, 'namespaces "team" not found', "there is no such object .*namespace the right one"),
)


@pytest.mark.parametrize(("status", "said", "read"), REFUSALS)
def test_a_refusal_is_one_line_with_its_own_cure(
    cluster: Cluster, api: ApiClient, status: int, said: str, read: str
) -> None:
    def review(*_: object) -> None:
        raise Refused(status, "Forbidden", said)

    cluster.admit.append(review)
    with pytest.raises(InventoryError, match=read) as refused:
        Resource(api, *PYTORCHJOBS).create(yaml.safe_load(samples()["pytorchjob.yaml"]))
    assert "\n" not in str(refused.value)
    assert r"\n" not in str(refused.value)


def test_a_token_that_is_renewed_under_a_pod_is_waited_for(
    cluster: Cluster, api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kube, "in_cluster", lambda: True)
    cluster.fail(401, "GET")
    jobs = Resource(api, *PYTORCHJOBS)
    assert kube.with_retries(lambda: jobs.get("none"), pause_seconds=0.01) is None


def test_an_answer_that_asks_to_wait_for_an_hour_is_not_waited_for_so_long(api: ApiClient) -> None:
    retries = api.configuration.retries
    assert retries.parse_retry_after("3600") == kube.MOST_RETRY_AFTER


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        ("http://127.0.0.1:9", "NewConnectionError: .*refused"),
        ("http://api.invalid", "NameResolutionError: .*"),
    ],
)
def test_why_the_api_cannot_be_reached_is_said(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str, reason: str
) -> None:
    cluster.url = server
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig(tmp_path / "config")))
    monkeypatch.setattr(kube, "RETRIES", 0)
    with pytest.raises(kube.ClusterAwayError, match=rf"broke off \({reason}\); check the kubeconfig"):
        Resource(kube.connect(), *PYTORCHJOBS).get("none")


PROXY = "http://proxy.example:3128"


@pytest.fixture
def surroundings(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that names the proxy, and no exception."""
    for name in ("HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, PROXY)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("NO_PROXY", "no_proxy", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("server", "environment", "proxied"),
    [
        ("https://10.1.2.3:6443", {}, True),
        ("https://10.1.2.3:6443", {"NO_PROXY": "10.0.0.0/8,.svc"}, False),
        ("https://[fd00::1]:6443", {"NO_PROXY": "fd00::/8"}, False),
        ("https://10.1.2.3:6443", {"NO_PROXY": "*"}, False),
        ("https://10.1.2.3:6443", {"NO_PROXY": "localhost, *"}, False),
        ("https://api.example:6443", {"NO_PROXY": ".example"}, False),
        ("https://api.example:6443", {"NO_PROXY": "example:6443"}, False),
        ("https://notexample:6443", {"NO_PROXY": "example"}, True),
        ("https://api.example:6443", {"NO_PROXY": "api.example", "no_proxy": "other"}, True),
        ("https://api.example:6443", {"https_proxy": ""}, False),
        ("http://localhost:8888", {}, False),
        ("http://127.0.0.1:8888", {}, False),
        ("https://127.0.0.2:8888", {}, False),
        ("https://[::1]:8888", {}, False),
        ("https://10.96.0.1", {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}, False),
        ("http://ml-pipeline.kubeflow.svc:8888", {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}, False),
        ("http://ml-pipeline.kubeflow.svc.cluster.local", {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}, False),
        ("http://ml-pipeline:8888", {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}, False),
        ("https://registry.example", {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}, True),
        ("https://[fd00::1]", {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}, True),
    ],
)
def test_the_environments_proxy_leads_to_where_it_leads_kubectl_and_from_a_pod_to_what_is_outside(
    surroundings: pytest.MonkeyPatch, server: str, environment: dict[str, str], proxied: bool
) -> None:
    for name, value in environment.items():
        surroundings.setenv(name, value)
    assert proxy_for(server) == (Proxy(PROXY, {}) if proxied else None)


@pytest.mark.parametrize(
    ("named", "url", "credentials"),
    [
        ("proxy.example:3128", PROXY, None),
        ("https://proxy.example:3128/", "https://proxy.example:3128", None),
        ("http://me:p%40ss@proxy.example:3128", PROXY, "me:p@ss"),
        ("me:pässword@proxy.example:3128", PROXY, "me:pässword"),
    ],
)
def test_a_proxy_may_have_credentials_and_needs_no_scheme(
    cluster: Cluster,
    tmp_path: Path,
    surroundings: pytest.MonkeyPatch,
    named: str,
    url: str,
    credentials: str | None,
) -> None:
    cluster.url = "https://10.1.2.3:6443"
    surroundings.setenv("KUBECONFIG", str(cluster.kubeconfig(tmp_path / "config")))
    surroundings.setenv("HTTPS_PROXY", named)
    made = kube.connect().configuration
    sent = {"proxy-authorization": f"Basic {b64encode(credentials.encode()).decode()}"} if credentials else {}
    assert (made.proxy, made.proxy_headers) == (url, sent)
    assert open_pool(cluster.url).connection_pool_kw["_proxy_headers"] == sent


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ("socks5://me:secret@proxy.example:1080", "names a proxy of the kind socks5; only http and https work"),
        ("http://", "names no proxy: it has no host"),
        ("http://me:secret@proxy.example:port", "names no proxy: it is no address"),
    ],
)
def test_what_is_no_http_proxy_is_refused_in_one_line(
    surroundings: pytest.MonkeyPatch, named: str, reason: str
) -> None:
    surroundings.setenv("HTTPS_PROXY", named)
    with pytest.raises(InventoryError, match=f"^HTTPS_PROXY {reason}; set HTTPS_PROXY to http://HOST:PORT$"):
        proxy_for("https://10.1.2.3:6443")


def test_a_variable_for_the_kubeconfig_that_is_empty_counts_as_none(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "")
    monkeypatch.setattr(
        "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(cluster.kubeconfig(tmp_path / "config"))
    )
    assert kube.namespace() == "team"
    assert kube.connect().configuration.host == cluster.url
