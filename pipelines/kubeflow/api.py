"""A Kubeflow Pipelines API: upload the compiled pipeline, start runs, follow and list them."""

import contextlib
import io
import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kfp_server_api
import urllib3
import yaml
from kfp import Client
from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials

from components.cluster import kube
from components.cluster.proxy import open_pool, proxy_for
from components.common.code import CODE_VARIABLE
from components.common.errors import InventoryError
from components.common.files import sha256_bytes
from components.common.progress import note
from pipelines.compiler import images
from pipelines.kubeflow.arguments import check_parameters, environment_of
from pipelines.kubeflow.form import completed, description, knows_drop_downs, without_drop_downs

HOST_VARIABLE = "KF_PIPELINES_ENDPOINT"
TOKEN_VARIABLE = "KF_PIPELINES_TOKEN"  # noqa: S105 - a variable's name
COOKIE_VARIABLE = "KF_PIPELINES_COOKIE"
TOKEN_FILE_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"  # noqa: S105 - set by Kubeflow in notebooks
TOKEN_FILE = Path("/var/run/secrets/kubeflow/pipelines/token")
IN_CLUSTER_HOST = "http://ml-pipeline.kubeflow.svc:8888"
EXPERIMENT = "bin-inventory"
HINTS = {401: f"; renew {TOKEN_VARIABLE} or {COOKIE_VARIABLE}", 403: "; is the namespace yours?"}
FINAL = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED")
POLL_SECONDS = 5.0


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
        return Client(
            host=access.host,
            namespace=access.namespace or "kubeflow",
            existing_token=None if credentials else access.token,
            credentials=credentials,  # a projected token changes while a run is followed
            cookies=access.cookie,
            ssl_ca_cert=access.ca_file,
            proxy=proxy_for(access.host),
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


@dataclass(frozen=True)
class Uploaded:
    """A pipeline and one version of it."""

    name: str
    version: str
    pipeline_id: str
    version_id: str
    link: str
    created: bool
    """False when that very version was there already."""


def upload(client: Client, access: Access, package: Path, version: str | None = None) -> Uploaded:
    """Creates the pipeline, or adds a version to it; what is there already is left alone.

    ``access`` is what the client was opened with; the version's name is ``default_version`` by default.

    Raises:
        InventoryError: if the file is no compiled pipeline, or the API refuses.
    """
    ir = read_package(package)
    name = ir["pipelineInfo"]["name"]
    version = version or default_version(package)
    pipeline = _find(
        lambda token: client.list_pipelines(page_token=token, page_size=100, namespace=access.namespace),
        "pipelines",
        lambda item: item.display_name == name,
        "list the pipelines",
    )
    about = ir["pipelineInfo"].get("description")
    if pipeline is None:
        with plain_errors(f"create the pipeline {name}"), _fit_for(access, package) as file:
            pipeline = client.upload_pipeline(str(file), name, about, namespace=access.namespace)
    key = pipeline.pipeline_id
    found = _find(
        lambda token: client.list_pipeline_versions(key, page_token=token, page_size=100),
        "pipeline_versions",
        lambda item: item.display_name == version,
        f"list the versions of {name}",
    )
    created = found is None
    if found is None:
        if (pipeline.description or "") != (about or ""):  # Kubeflow can change its name and tags alone
            note(f"the pipeline {name} keeps the description of its first upload; the version has its own")
        with plain_errors(f"add version {version} to the pipeline {name}"), _fit_for(access, package) as file:
            found = client.upload_pipeline_version(str(file), version, pipeline_id=key, description=description(ir))
    link = f"{access.host}/#/pipelines/details/{key}/version/{found.pipeline_version_id}"
    return Uploaded(name, version, key, found.pipeline_version_id, link, created)


@contextlib.contextmanager
def _fit_for(access: Access, package: Path) -> Iterator[Path]:
    """The package as this Kubeflow Pipelines takes it: without drop-downs where it does not know them."""
    if knows_drop_downs(api_version(access)):
        yield package
        return
    with tempfile.TemporaryDirectory(prefix="upload-") as folder:
        file = Path(folder) / package.name
        file.write_text(without_drop_downs(package.read_text()))
        yield file


def _find(ask: Callable[[str], Any], field: str, wanted: Callable[[Any], bool], doing: str) -> Any:
    """The first item over all pages that is wanted; None when there is none."""
    token = ""
    while True:
        with plain_errors(doing):
            page = ask(token)
        for item in getattr(page, field) or []:
            if wanted(item):
                return item
        token = page.next_page_token or ""
        if not token:
            return None


def read_package(package: Path) -> dict[str, Any]:
    """The IR document of a compiled pipeline.

    Raises:
        InventoryError: if the file cannot be read or is no compiled pipeline.
    """
    try:
        text = package.read_text()
        ir = next(yaml.safe_load_all(text))
        if not (ir["root"] and ir["pipelineInfo"]["name"] and images(text)):
            raise ValueError
    except OSError as error:
        raise InventoryError(f"cannot read {package}: {error.strerror}; make it with `inventory compile`") from error
    except (LookupError, AttributeError, ValueError, TypeError, StopIteration, yaml.YAMLError) as error:
        raise InventoryError(f"{package} is no compiled pipeline; make it with `inventory compile`") from error
    return dict(ir)


def default_version(package: Path) -> str:
    """The images' tag, code that is not theirs, and the file's hash, shortened: the same file, the same version."""
    tag = images(package.read_text())[0].rpartition(":")[2][:20]
    code = environment_of(read_package(package)).get(CODE_VARIABLE)
    return "-".join([tag, *([f"code.{code[:12]}"] if code else []), sha256_bytes(package.read_bytes())[:8]])


def submit(
    client: Client,
    access: Access,
    package: Path,
    arguments: Mapping[str, Any],
    name: str | None = None,
    experiment: str = EXPERIMENT,
    service_account: str | None = None,
    cron: str | None = None,
) -> tuple[str, str]:
    """Uploads the package as a version and starts a run of it, or a recurring run.

    Args:
        client: of ``open_client``.
        access: what it was opened with.
        package: the YAML that ``inventory compile`` wrote.
        arguments: the pipeline's parameters; those not given are sent with their defaults.
        name: of the run; default the pipeline's and the time.
        experiment: groups runs; made when missing.
        service_account: that the steps run as; default Kubeflow's.
        cron: six fields, seconds first, such as ``0 0 3 * * *``: a recurring run instead of one now.

    Returns:
        The run's (or recurring run's) id, and its address in the UI.

    Raises:
        InventoryError: for an unknown parameter, and whatever the API refuses.
    """
    ir = read_package(package)
    check_parameters(ir, arguments)
    parameters = completed(ir, arguments)
    version = upload(client, access, package)
    with plain_errors(f"open the experiment {experiment}"):
        group = client.create_experiment(experiment, namespace=access.namespace).experiment_id
    name = name or f"{version.name} {time.strftime('%Y-%m-%d %H:%M:%S')}"
    what = {
        "params": parameters,
        "pipeline_id": version.pipeline_id,
        "version_id": version.version_id,
        "service_account": service_account,
    }
    with plain_errors("start the run"):
        if cron is None:
            run = client.run_pipeline(group, name, **what)
            return run.run_id, f"{access.host}/#/runs/details/{run.run_id}"
        again = {"cron_expression": cron, "max_concurrency": 1, "no_catchup": True}
        recurring = client.create_recurring_run(group, name, **again, **what)
    return recurring.recurring_run_id, f"{access.host}/#/recurringrun/details/{recurring.recurring_run_id}"


def follow(client: Client, run_id: str, poll_seconds: float = POLL_SECONDS, away_seconds: float = 600.0) -> None:
    """Reports each step's state as it changes, until the run ends.

    Args:
        client: of the API.
        run_id: of the run, as the API names it.
        poll_seconds: between two looks.
        away_seconds: for which the API may not answer.

    Raises:
        InventoryError: if the run fails or is cancelled, naming the steps that failed, or the API stays away, or the
            sign-in ends before the run.
    """
    states: dict[str, str] = {}
    doing = f"follow the run {run_id}"

    def look() -> Any:
        with plain_errors(doing):
            run = client.get_run(run_id)
        if run.run_id is None:  # the client reads an empty run out of whatever is no JSON
            raise InventoryError(
                f"cannot {doing}, which goes on: something else than Kubeflow Pipelines answered, as a sign-in page "
                f"does; renew {TOKEN_VARIABLE} or {COOKIE_VARIABLE}, then see `inventory runs`"
            )
        return run

    while True:
        run = kube.with_retries(look, away_seconds, poll_seconds)
        details = run.run_details.task_details if run.run_details else None
        for task in details or []:
            step = str(task.display_name)
            if task.state is None or _is_kubeflows_own(task):
                continue
            if states.get(step) != str(task.state):
                note(f"{step}: {str(task.state).lower()}")
            states[step] = str(task.state)
        if run.state in FINAL:
            break
        time.sleep(poll_seconds)
    if run.state not in ("SUCCEEDED", "SKIPPED"):
        failed = sorted(step for step, state in states.items() if state == "FAILED")
        where = f" in {', '.join(failed)}; its log says why" if failed else ""
        reason = f": {run.error.message}" if run.error and run.error.message else ""
        raise InventoryError(f"the run {run_id} {str(run.state).lower()}{where}{reason}")


def _is_kubeflows_own(task: Any) -> bool:
    """Whether a task means nothing to a user: drivers, executors, attempts (``train(0)``), the Workflow.

    Seen with Kubeflow Pipelines 2.17; the Workflow has its name from the pipeline, and pods have theirs from it.
    """
    name = str(task.display_name)
    if name in ("root", "executor") or name.endswith(("-driver", ")")):
        return True
    return any(str(child.pod_name).startswith(f"{name}-") for child in task.child_tasks or [])


@dataclass(frozen=True)
class Run:
    """One line of ``inventory runs``."""

    run_id: str
    name: str
    state: str
    created: str
    seconds: float | None
    """From creation to the end; None while it runs."""


def runs(client: Client, access: Access, experiment: str = EXPERIMENT, limit: int = 20) -> list[Run]:
    """The newest runs of an experiment; empty when there is none.

    Raises:
        InventoryError: if the API refuses.
    """
    with plain_errors("list the runs"):
        try:
            group = client.get_experiment(experiment_name=experiment, namespace=access.namespace).experiment_id
        except ValueError:  # no such experiment yet
            return []
        page = client.list_runs(page_size=limit, sort_by="created_at desc", experiment_id=group)
    return [
        Run(
            run_id=run.run_id,
            name=run.display_name,
            state=str(run.state or "PENDING").lower(),
            created=run.created_at.isoformat(timespec="seconds"),
            # an unfinished run has the epoch as its end
            seconds=(run.finished_at - run.created_at).total_seconds()
            if run.finished_at and run.finished_at > run.created_at
            else None,
        )
        for run in page.runs or []
    ]
