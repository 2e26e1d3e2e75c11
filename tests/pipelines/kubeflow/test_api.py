from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import kfp_server_api
import pytest

from components.common.errors import InventoryError
from pipelines.compiler import compile_pipeline
from pipelines.kubeflow.access import Access, check_access, find_access, open_client, plain_errors
from pipelines.kubeflow.api import follow, runs, submit, upload
from tests import loopback
from tests.loopback import Answering
from tests.pipelines.kubeflow.kfp_api import KfpApi, serving
from tests.pipelines.test_compiler import GOLDEN, small_pipeline


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[KfpApi]:
    monkeypatch.setenv("HOME", str(tmp_path))
    with serving(KfpApi()) as started:
        yield started


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return compile_pipeline(tmp_path / "small.yaml", small_pipeline("registry/control:1.2"))


def access(api: KfpApi, **environment: str) -> Access:
    return find_access(api.url, environment.pop("namespace", None), environment)


def test_the_first_upload_makes_the_pipeline_and_the_next_adds_a_version_only_when_something_changed(
    api: KfpApi, package: Path, tmp_path: Path
) -> None:
    api.pipelines.append({"pipeline_id": "1", "display_name": "another"})
    where = access(api)
    first = upload(open_client(where), where, package)
    again = upload(open_client(where), where, package)
    changed = compile_pipeline(tmp_path / "other.yaml", small_pipeline("registry/control:1.3"))
    second = upload(open_client(where), where, changed)
    assert [item["display_name"] for item in api.pipelines] == ["another", "small"]
    assert (first.created, again.created, second.created) == (True, False, True)
    assert first.version.startswith("1.2-")
    assert second.version.startswith("1.3-")
    assert first.pipeline_id == second.pipeline_id
    assert again.version_id == first.version_id


@pytest.mark.parametrize(("release", "drop_downs"), [("2.17.0", True), ("2.15.0", False), ("", False)])
def test_a_release_that_knows_no_drop_downs_gets_the_pipeline_without(
    api: KfpApi, release: str, drop_downs: bool
) -> None:
    api.tag_name = release
    where = access(api)
    uploaded = upload(open_client(where), where, GOLDEN["inventory"])
    assert uploaded.created
    assert [("literals:" in package) for package in api.packages] == [drop_downs, drop_downs]
    assert api.pipelines[0]["description"].startswith("Learns to count the items")
    assert "|**source**" in api.versions[-1]["description"]


@pytest.mark.parametrize(("said", "told"), [("", 0), ("what it was once", 1)])
def test_a_pipeline_whose_description_is_an_older_one_is_told_with_its_new_version(
    api: KfpApi, package: Path, said: str, told: int, capsys: pytest.CaptureFixture[str]
) -> None:
    api.pipelines.append({"pipeline_id": "7", "display_name": "small", "description": said})
    where = access(api)
    for created in (True, False):
        assert upload(open_client(where), where, package).created is created
    line = "the pipeline small keeps the description of its first upload; the version has its own"
    assert capsys.readouterr().out.count(line) == told


def test_a_run_carries_version_arguments_and_service_account(api: KfpApi, package: Path) -> None:
    api.multi_user = True
    where = access(api, namespace="team")
    client = open_client(where)
    run_id, link = submit(client, where, package, {"name": "we"}, service_account="default-editor")
    (run,) = api.runs
    assert run["run_id"] == run_id
    assert link == f"{api.url}/#/runs/details/{run_id}"
    assert run["runtime_config"]["parameters"] == {"name": "we", "store_secret": "inventory-store"}
    assert run["service_account"] == "default-editor"
    assert run["pipeline_version_reference"]["pipeline_version_id"] == api.versions[-1]["pipeline_version_id"]
    assert api.experiments[0]["namespace"] == "team"
    assert [each.state for each in runs(client, where)] == ["pending"]
    assert runs(client, where)[0].seconds is None


def test_a_recurring_run_has_a_schedule_and_no_two_at_once(api: KfpApi, package: Path) -> None:
    where = access(api)
    submit(open_client(where), where, package, {}, cron="0 0 3 * * *")
    (recurring,) = api.recurring
    assert recurring["trigger"]["cron_schedule"]["cron"] == "0 0 3 * * *"
    assert str(recurring["max_concurrency"]) == "1"
    assert api.runs == []


KUBEFLOWS_OWN = {
    "bin-inventory-x1": "RUNNING",
    "bin-inventory-x1(0)": "RUNNING",
    "root": "RUNNING",
    "root(0)": "RUNNING",
    "download(0)": "RUNNING",
    "download-driver": "SUCCEEDED",
    "download-driver(0)": "SUCCEEDED",
    "executor": "RUNNING",
    "executor(0)": "RUNNING",
}
"""Tasks that Kubeflow Pipelines 2.17 lists beside the steps, the Workflow first."""


def test_following_tells_each_change_once_and_survives_an_upgrade_of_the_api(
    api: KfpApi, package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = access(api)
    client = open_client(where)
    run_id, _ = submit(client, where, package, {})
    api.states = [
        ("RUNNING", {**KUBEFLOWS_OWN, "download": "RUNNING", "train": None}),
        ("RUNNING", {"root": "RUNNING", "download": "RUNNING"}),
        ("SUCCEEDED", {"root": "SUCCEEDED", "download": "SUCCEEDED"}),
    ]
    api.failures = 2
    follow(client, run_id, poll_seconds=0.01)
    told = capsys.readouterr().out.splitlines()
    assert [line for line in told if "again" not in line] == ["download: running", "download: succeeded"]


def test_a_failed_run_names_the_step(api: KfpApi, package: Path) -> None:
    where = access(api)
    client = open_client(where)
    run_id, _ = submit(client, where, package, {})
    api.states = [("FAILED", {"root": "FAILED", "download": "SUCCEEDED", "train": "FAILED"})]
    with pytest.raises(InventoryError, match=f"the run {run_id} failed in train; its log says why"):
        follow(client, run_id, poll_seconds=0.01)


def test_a_proxy_gets_its_credentials_with_every_request(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Passing(Answering):
        def do_GET(self) -> None:
            is_known = self.headers.get("Proxy-Authorization") == f"Basic {b64encode(b'me:p@ss').decode()}"
            self.answer(200 if is_known else 407, "{}", "application/json")

    monkeypatch.setenv("HOME", str(tmp_path))
    with loopback.serving(Passing) as proxy:
        monkeypatch.setenv("http_proxy", proxy.replace("://", "://me:p%40ss@"))
        monkeypatch.delenv("no_proxy", raising=False)
        client = open_client(find_access("http://kfp.example", environment={}))
        assert runs(client, find_access("http://kfp.example", environment={})) == []


def test_a_run_that_does_not_exist_is_not_waited_for(api: KfpApi) -> None:
    with pytest.raises(InventoryError, match="answered 404: Run 7 not found"):
        follow(open_client(access(api)), "7", poll_seconds=0.01)


def test_a_sign_in_that_ends_before_the_run_does_not_leave_us_waiting_for_ever(api: KfpApi, package: Path) -> None:
    where = access(api)
    client = open_client(where)
    run_id, _ = submit(client, where, package, {})
    api.login_page = True
    with pytest.raises(InventoryError, match=f"follow the run {run_id}, which goes on: .* renew KF_PIPELINES_TOKEN"):
        follow(client, run_id, poll_seconds=0.01)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (403, "RBAC: access denied", "answered 403: RBAC: access denied; is the namespace yours"),
        (401, "<html>Sign in</html>", "answered 401: Unauthorized; renew KF_PIPELINES_TOKEN"),
        (400, '["no", "object"]', "answered 400: "),
        (400, "{}", "answered 400: Bad"),
    ],
)
def test_what_a_gateway_answers_is_one_line(status: int, body: str, said: str) -> None:
    error = kfp_server_api.ApiException(status, {400: "Bad", 401: "Unauthorized", 403: "Forbidden"}[status])
    error.body = body
    with pytest.raises(InventoryError, match=said), plain_errors("ask"):
        raise error


def login_page(api: KfpApi) -> Access:
    api.login_page = True
    return access(api)


def expired_token(api: KfpApi) -> Access:
    api.token = "fresh"
    return access(api, KF_PIPELINES_TOKEN="stale")


def wrong_cookie(api: KfpApi) -> Access:
    api.cookie = "session=fresh"
    return access(api, KF_PIPELINES_COOKIE="session=stale")


def wrong_path(api: KfpApi) -> Access:
    return find_access(f"{api.url}/elsewhere", None, {})


def nobody_there(_: KfpApi) -> Access:
    return find_access("http://127.0.0.1:9", None, {})


def no_namespace(api: KfpApi) -> Access:
    api.multi_user = True
    return access(api)


@pytest.mark.parametrize(
    ("reach", "problem"),
    [
        (login_page, "sign-in page instead of JSON"),
        (expired_token, r"refused the credentials \(401\); renew KF_PIPELINES_TOKEN"),
        (wrong_cookie, r"refused the credentials \(401\)"),
        (wrong_path, "not as Kubeflow Pipelines does; is it the right --host"),
        (nobody_there, "cannot be reached"),
        (no_namespace, "serves several users; give --namespace"),
    ],
)
def test_an_api_that_does_not_let_us_in_is_one_clear_line(api: KfpApi, reach, problem: str) -> None:
    with pytest.raises(InventoryError, match=problem) as refused:
        open_client(reach(api))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("how", ["token", "cookie", "token file"])
def test_each_kind_of_credential_opens_the_api(api: KfpApi, package: Path, tmp_path: Path, how: str) -> None:
    environment = {}
    if how == "cookie":
        api.cookie = environment["KF_PIPELINES_COOKIE"] = "session=abc"
    elif how == "token":
        api.token = environment["KF_PIPELINES_TOKEN"] = "abc"
    else:
        (tmp_path / "token").write_text("abc\n")
        api.token, environment["KF_PIPELINES_SA_TOKEN_PATH"] = "abc", str(tmp_path / "token")
    where = access(api, **environment)
    assert check_access(where) == "single-user"
    assert upload(open_client(where), where, package).created
    assert "abc" not in repr(where)


def test_arguments_and_packages_are_checked_before_anything_is_sent(api: KfpApi, package: Path, tmp_path: Path) -> None:
    where = access(api)
    client = open_client(where)
    with pytest.raises(InventoryError, match=r"no parameter 'nmae'; did you mean name\? it has name, store_secret"):
        submit(client, where, package, {"nmae": "x"})
    with pytest.raises(InventoryError, match=r"cannot read .*; make it with `inventory compile`"):
        upload(client, where, tmp_path / "missing.yaml")
    (tmp_path / "other.yaml").write_text("a: 1")
    with pytest.raises(InventoryError, match="no compiled pipeline"):
        upload(client, where, tmp_path / "other.yaml")
    assert api.versions == []


def test_without_a_host_the_line_says_what_to_set() -> None:
    with pytest.raises(InventoryError, match="give --host or set KF_PIPELINES_ENDPOINT"):
        find_access(None, None, {})
