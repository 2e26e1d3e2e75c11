"""How to reach a Kubeflow Pipelines API, and what it raises as lines that say what to do."""

import contextlib
import io
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kfp_server_api
import urllib3
from kfp import Client
from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials

from components.cluster import kube
from components.cluster.proxy import Proxy, open_pool, proxy_for
from components.common.errors import InventoryError

HOST_VARIABLE = "KF_PIPELINES_ENDPOINT"
TOKEN_VARIABLE = "KF_PIPELINES_TOKEN"  # noqa: S105 - a variable's name
COOKIE_VARIABLE = "KF_PIPELINES_COOKIE"
TOKEN_FILE_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"  # noqa: S105 - set by Kubeflow in notebooks
TOKEN_FILE = Path("/var/run/secrets/kubeflow/pipelines/token")
IN_CLUSTER_HOST = "http://ml-pipeline.kubeflow.svc:8888"
HINTS = {401: f"; renew {TOKEN_VARIABLE} or {COOKIE_VARIABLE}", 403: "; is the namespace yours?"}


@dataclass(frozen=True)
class Access:
    """How to reach a Kubeflow Pipelines API; credentials come from the environment or files, never from arguments."""

    host: str
    namespace: str | None = None
    """The user's profile in a multi-user Kubeflow; None on a single-user one."""
    token: str | None = None
    cookie: str | None = None
    ca_file: str | None = None

    def __repr__(self) -> str:
        return f"Access({self.host})"  # no credential in a log


def find_access(
    host: str | None = None, namespace: str | None = None, environment: Mapping[str, str] = os.environ
) -> Access:
    """Puts together where the API is and who we are.

    Args:
        host: URL of the API or of the Kubeflow dashboard's ``/pipeline``; default ``KF_PIPELINES_ENDPOINT``, and in a
            pod the API's service in the namespace kubeflow.
        namespace: the user's profile, when Kubeflow has several users.
        environment: ``KF_PIPELINES_TOKEN`` (a bearer token), ``KF_PIPELINES_COOKIE`` (such as
            ``oauth2_proxy_kubeflow=…``), ``KF_PIPELINES_SA_TOKEN_PATH`` (a pod's projected token),
            ``SSL_CERT_FILE`` (certificates to trust).

    Raises:
        InventoryError: if there is no host.
    """
    host = host or environment.get(HOST_VARIABLE) or (IN_CLUSTER_HOST if kube.in_cluster() else None)
    if not host:
        raise InventoryError(
            f"no Kubeflow Pipelines API: give --host or set {HOST_VARIABLE}, such as http://…/pipeline"
        )
    token = environment.get(TOKEN_VARIABLE)
    token_file = Path(environment.get(TOKEN_FILE_VARIABLE, TOKEN_FILE))
    if token is None and token_file.is_file():
        token = token_file.read_text().strip()
    host = (host if "://" in host else f"https://{host}").rstrip("/")
    return Access(host, namespace, token, environment.get(COOKIE_VARIABLE), environment.get("SSL_CERT_FILE"))


def check_access(access: Access) -> str:
    """Asks the API for its health, as JSON.

    Returns:
        ``multi-user`` or ``single-user``.

    Raises:
        InventoryError: if nobody answers, the credentials are refused, or a sign-in page or something else answers.
    """
    url = f"{access.host}/apis/v2beta1/healthz"
    try:
        response = _get(access, url)
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        raise InventoryError(
            f"the Kubeflow Pipelines API at {access.host} cannot be reached ({kube.broken(error)}); "
            f"check --host and the network, or `kubectl -n kubeflow port-forward svc/ml-pipeline 8888`"
        ) from error
    page = response.headers.get("Content-Type", "").startswith("text/html") or 300 <= response.status < 400
    if response.status in (401, 403):
        raise InventoryError(
            f"{access.host} refused the credentials ({response.status}); renew {TOKEN_VARIABLE} or {COOKIE_VARIABLE}"
        )
    if page:
        raise InventoryError(
            f"{access.host} answered with a sign-in page instead of JSON; the token or cookie has expired or is "
            f"missing: set {TOKEN_VARIABLE}, or {COOKIE_VARIABLE} from a browser that is signed in"
        )
    try:
        health = json.loads(response.data)
        if response.status != 200 or not isinstance(health, dict):
            raise ValueError
    except ValueError as error:
        raise InventoryError(
            f"{url} answered {response.status} and not as Kubeflow Pipelines does; is it the right --host "
            "(the API itself, or the dashboard's address with /pipeline)?"
        ) from error
    return "multi-user" if health.get("multi_user") else "single-user"


def api_version(access: Access) -> str:
    """The release of Kubeflow Pipelines, as the older of its two APIs says it (``tag_name``); "" where it does not."""
    try:
        response = _get(access, f"{access.host}/apis/v1beta1/healthz")
        return str(json.loads(response.data).get("tag_name") or "") if response.status == 200 else ""
    except (urllib3.exceptions.HTTPError, ValueError, AttributeError):
        return ""


def _get(access: Access, url: str) -> urllib3.BaseHTTPResponse:
    headers = {"Accept": "application/json"}
    if access.token:
        headers["Authorization"] = f"Bearer {access.token}"
    if access.cookie:
        headers["Cookie"] = access.cookie
    retries = urllib3.Retry(1, redirect=False, raise_on_redirect=False)
    pool = open_pool(url, ca_certs=access.ca_file, retries=retries)
    return pool.request("GET", url, headers=headers, timeout=urllib3.Timeout(connect=5, read=15))


class _Client(Client):
    """The official client, whose own way to name a proxy knows no credentials for it."""

    def __init__(self, proxy: Proxy | None, **options: Any) -> None:
        self._proxy = proxy
        super().__init__(**options)

    def _load_config(self, *options: Any) -> kfp_server_api.Configuration:
        configuration = super()._load_config(*options)
        if self._proxy:
            configuration.proxy, configuration.proxy_headers = self._proxy.url, self._proxy.headers
        return configuration


def open_client(access: Access) -> Client:
    """Opens the official client after ``check_access``.

    Raises:
        InventoryError: as ``check_access``, and for a missing namespace on a multi-user Kubeflow.
    """
    if check_access(access) == "multi-user" and not access.namespace:
        raise InventoryError(f"{access.host} serves several users; give --namespace, the name of your profile")
    projected = Path(os.environ.get(TOKEN_FILE_VARIABLE, TOKEN_FILE))
    credentials = ServiceAccountTokenVolumeCredentials(path=str(projected)) if projected.is_file() else None
    with warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")
        return _Client(
            proxy_for(access.host),
            host=access.host,
            namespace=access.namespace or "kubeflow",
            existing_token=None if credentials else access.token,
            credentials=credentials,  # a projected token changes while a run is followed
            cookies=access.cookie,
            ssl_ca_cert=access.ca_file,
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The official client prints links; the caller has its own words for them."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


@contextlib.contextmanager
def plain_errors(doing: str) -> Iterator[None]:
    """Turns what the client raises into one line."""
    try:
        with _quiet():
            yield
    except kfp_server_api.ApiException as error:
        body = error.body.decode(errors="replace") if isinstance(error.body, bytes) else str(error.body or "")
        try:
            said = json.loads(body)
            message = str(said.get("message") or said.get("error_message") or error.reason)
        except (ValueError, AttributeError):  # a gateway before it, with a page or a line of text
            message = str(error.reason) if "<" in body or not body else body
        hint = HINTS.get(error.status, "")
        later = error.status == 429 or error.status >= 500
        raise (kube.ClusterAwayError if later else InventoryError)(
            f"cannot {doing}: Kubeflow Pipelines answered {error.status}: {message[:300]}{hint}"
        ) from error
    except urllib3.exceptions.HTTPError as error:
        raise kube.ClusterAwayError(f"cannot {doing}: Kubeflow Pipelines broke off ({kube.broken(error)})") from error
