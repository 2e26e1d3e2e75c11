import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import certifi
import pytest
import yaml
from kubernetes.client import ApiClient, ApiException

from components.cluster.jobs.job import JobKind
from components.cluster.jobs.katib import INJECTION_LABEL
from components.common.errors import InventoryError
from components.common.local_store.server import local_store
from components.common.store import open_store
from pipelines.kubeflow.image_registry import split_image
from pipelines.preflight import operators
from pipelines.preflight.cluster import ROLE, rights
from pipelines.preflight.preflight import exit_code, report
from tests.cluster.stand_ins.api import CUSTOM_KINDS, Refused
from tests.cluster.stand_ins.schemas import CRDS
from tests.pipelines.preflight.place import GPU, Place, a_restricted_namespace, change_secret


def test_a_cluster_that_has_everything_is_all_ok(place: Place) -> None:
    checks = place.look()
    assert [check.line() for check in checks if check.state != "ok"] == []
    assert exit_code(checks) == 0
    names = [check.name for check in checks]
    assert {"kubernetes", "kubeflow pipelines", "rights", "dns", "pods", "object store", "clocks", "gpus"} <= set(names)
    assert len(set(names)) == len(names)
    assert json.loads(report(checks, as_json=True))[0]["name"] == "kubernetes"
    assert report(checks).splitlines()[0].startswith("ok       kubernetes: version v1.34.0 at http://127.0.0.1:")


def test_the_rights_asked_for_are_those_of_the_shipped_role(place: Place) -> None:
    place.look()
    rules = yaml.safe_load(ROLE.read_text())["rules"]
    assert len(rights()) == sum(len(rule["resources"]) * len(rule["verbs"]) for rule in rules)
    reviews = [path for method, path in place.cluster.requests if path.endswith("selfsubjectaccessreviews")]
    assert len(reviews) == len(rights())


def wrong_host(place: Place) -> None:
    place.cluster.url = "http://127.0.0.1:9"
    place.kubeconfig()


def a_host_that_is_no_kubernetes(place: Place) -> None:
    place.cluster.url = place.kfp.url
    place.kubeconfig()


def expired_token(place: Place) -> None:
    place.cluster.token = "renewed"


def login_page(place: Place) -> None:
    place.cluster.login_page = True


def no_kubeconfig(place: Place) -> None:
    place.kubeconfig().write_text("")


def no_namespace(place: Place) -> None:
    place.question = replace(place.question, namespace="other")


def no_katib_label(place: Place) -> None:
    place.cluster.update("namespaces", "team", lambda item: item["metadata"].update(labels={}), ns="")


def no_katib(place: Place) -> None:
    place.cluster.missing_kinds |= {f"{plural}.kubeflow.org" for plural in ("experiments", "trials", "suggestions")}


def no_kserve(place: Place) -> None:
    kinds = ("inferenceservices", "servingruntimes", "clusterstoragecontainers")
    place.cluster.missing_kinds |= {f"{plural}.serving.kserve.io" for plural in kinds}


def no_training_operator_at_all(place: Place) -> None:
    place.cluster.missing_kinds |= {"pytorchjobs.kubeflow.org", "trainjobs.trainer.kubeflow.org"}


def not_the_launcher_asked_for(place: Place) -> None:
    place.settings(launcher="trainjob")
    place.cluster.missing_kinds.add("trainjobs.trainer.kubeflow.org")


def no_right_to_create_jobs(place: Place) -> None:
    place.cluster.forbidden |= {("create", "kubeflow.org", "pytorchjobs"), ("delete", "kubeflow.org", "pytorchjobs")}


def no_right_to_read_logs(place: Place) -> None:
    place.cluster.forbidden.add(("get", "", "pods/log"))


def no_secret(place: Place) -> None:
    place.cluster.remove("secrets", "inventory-store")


def a_secret_without_a_key(place: Place) -> None:
    change_secret(place, AWS_SECRET_ACCESS_KEY=None)


def a_secret_without_annotations(place: Place) -> None:
    place.cluster.update("secrets", "inventory-store", lambda item: item["metadata"].pop("annotations"))


def a_wrong_secret_key(place: Place) -> None:
    change_secret(place, AWS_SECRET_ACCESS_KEY="wrong")


def a_prefix_that_cannot_be_one(place: Place) -> None:
    change_secret(place, INVENTORY_PREFIX="private//team")


def a_wrong_access_key(place: Place) -> None:
    change_secret(place, AWS_ACCESS_KEY_ID="nobody")


def no_keys_and_no_role(place: Place) -> None:
    change_secret(place, AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None)


def give_roles(place: Place, *accounts: str) -> None:
    """Takes the keys away, and gives service accounts a role in their place."""
    change_secret(place, AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None, S3_ENDPOINT_URL="https://s3.amazonaws.com")
    role = {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/inventory"}
    for account in accounts:
        place.cluster.update("serviceaccounts", account, lambda item: item["metadata"].update(annotations=role))


def a_predictor_without_a_role(place: Place) -> None:
    give_roles(place, "inventory-worker")


def a_role_for_a_store_that_is_not_aws(place: Place) -> None:
    give_roles(place, "inventory-worker", "inventory-serve")
    change_secret(place, S3_ENDPOINT_URL="https://minio.example")


def a_certificate_that_nobody_names(place: Place) -> None:
    change_secret(place, **{"ca.crt": "-----BEGIN CERTIFICATE-----"})


def a_name_without_its_certificate(place: Place) -> None:
    change_secret(place, AWS_CA_BUNDLE="/etc/inventory/store/root.pem")


def a_config_map_without_the_certificate(place: Place) -> None:
    change_secret(place, **{"AWS_CA_BUNDLE": "/etc/ssl/store.crt"})
    annotation = {"serving.kserve.io/s3-cabundle-configmap": "authority"}
    place.cluster.update("secrets", "inventory-store", lambda item: item["metadata"]["annotations"].update(annotation))
    place.cluster.add({"metadata": {"name": "authority"}, "data": {"ca.crt": "…"}}, "configmaps")


def a_store_that_is_away(place: Place) -> None:
    change_secret(place, S3_ENDPOINT_URL="http://127.0.0.1:9")


def no_pull_secret(place: Place) -> None:
    place.cluster.remove("secrets", "key")


def an_image_that_was_not_pushed(place: Place) -> None:
    place.tags.clear()


def no_gpu_nodes(place: Place) -> None:
    for name in ("a", "b"):
        place.cluster.remove("nodes", name, namespace="")


def too_few_gpus(place: Place) -> None:
    place.cluster.remove("nodes", "b", namespace="")


def a_taint_without_toleration(place: Place) -> None:
    place.settings(tolerations=[])


def a_selector_that_no_node_has(place: Place) -> None:
    place.settings(node_selector={"pool": "other"})


def knative_mode_without_knative(place: Place) -> None:
    place.cluster.kserve_mode = "Knative"


def an_old_trainer(place: Place) -> None:
    place.settings(launcher="trainjob", workers=2)
    place.cluster.releases["trainer"] = "2.1.0"


def a_service_that_a_policy_refuses(place: Place) -> None:
    def review(key: Any, _: Any) -> None:
        if key[1] == "inferenceservices":
            raise Refused(403, "Forbidden", 'admission webhook "validate.kyverno.svc" denied the request: no')

    place.cluster.admit.append(review)


def no_serving_runtime(place: Place) -> None:
    place.cluster.remove("servingruntimes", "inventory-bundle", "serving.kserve.io")


def a_serving_image_that_was_not_pushed(place: Place) -> None:
    place.tags.discard("team/serve:1")


def a_session_token(place: Place) -> None:
    change_secret(place, AWS_SESSION_TOKEN="short")


def a_region_that_kserve_is_not_told(place: Place) -> None:
    change_secret(place, AWS_REGION="eu-west-1")


def an_authority_that_kserve_does_not_mount(place: Place) -> None:
    change_secret(place, AWS_CA_BUNDLE="/etc/ssl/store.crt")


def kfp_login_page(place: Place) -> None:
    place.kfp.login_page = True


def kfp_for_several_users(place: Place) -> None:
    place.kfp.multi_user = True


DEFECTS: list[tuple[Callable[[Place], None], str, str, str]] = [
    # the defect, the check that names it, what it says, the fix
    (wrong_host, "kubernetes", "cannot be reached", "check the kubeconfig"),
    (a_host_that_is_no_kubernetes, "kubernetes", "not as a Kubernetes API", "check the server in the kubeconfig"),
    (expired_token, "kubernetes", "does not accept the credentials (401)", "sign in again or renew the token"),
    (login_page, "kubernetes", "sign-in page instead of JSON", "sign in again"),
    (no_kubeconfig, "kubernetes", "no Kubernetes cluster", "set KUBECONFIG"),
    (no_namespace, "namespace other", "there is none", "kubectl create namespace other"),
    (no_katib_label, "katib label", "trials would report no metric", f"kubectl label namespace team {INJECTION_LABEL}"),
    (
        no_katib,
        "experiments.kubeflow.org",
        "tune wants v1beta1, the cluster serves kubeflow.org as v1",
        "install Katib",
    ),
    (no_kserve, "inferenceservices.serving.kserve.io", "unknown to the cluster", "install KServe"),
    (no_training_operator_at_all, "pytorchjobs.kubeflow.org", "train wants v1", "training operator"),
    (not_the_launcher_asked_for, "trainjobs.trainer.kubeflow.org", "unknown", "install Kubeflow Trainer"),
    (
        no_right_to_create_jobs,
        "right pytorchjobs.kubeflow.org",
        "may not create, delete",
        "inventory manifests --namespace team",
    ),
    (no_right_to_read_logs, "right pods/log", "may not get", "inventory manifests --namespace team"),
    (no_secret, "secret inventory-store", "there is none in namespace team", "create secret generic inventory-store"),
    (a_secret_without_a_key, "secret inventory-store", "lacks AWS_SECRET_ACCESS_KEY", "kubectl -n team edit secret"),
    (
        a_secret_without_annotations,
        "store of the predictor",
        "KServe would look for models elsewhere",
        "kubectl -n team annotate secret inventory-store --overwrite serving.kserve.io/s3-endpoint=127.0.0.1:",
    ),
    (a_wrong_secret_key, "object store", "refused the credentials", "check AWS_ACCESS_KEY_ID"),
    (a_wrong_access_key, "object store", "refused the credentials (InvalidAccessKeyId)", "check AWS_ACCESS_KEY_ID"),
    (a_prefix_that_cannot_be_one, "object store", "two slashes in a row", "private/team/inventory"),
    (
        no_keys_and_no_role,
        "secret inventory-store",
        "lacks AWS_ACCESS_KEY_ID, AWS_SECRET",
        "eks.amazonaws.com/role-arn",
    ),
    (a_predictor_without_a_role, "role of inventory-serve", "has none", "annotate serviceaccount inventory-serve eks."),
    (a_role_for_a_store_that_is_not_aws, "store of the predictor", "to AWS alone", "add AWS_ACCESS_KEY_ID"),
    (a_certificate_that_nobody_names, "secret inventory-store", "no AWS_CA_BUNDLE", "/etc/inventory/store/ca.crt"),
    (a_name_without_its_certificate, "secret inventory-store", "AWS_CA_BUNDLE but no root.pem", "under root.pem"),
    (a_config_map_without_the_certificate, "store of the predictor", "the key store.crt", "--from-file=store.crt"),
    (a_store_that_is_away, "object store", "cannot be reached", "check S3_ENDPOINT_URL"),
    (no_pull_secret, "secret key", "there is none", "create secret docker-registry key"),
    (an_image_that_was_not_pushed, "image", "has no such image", "make images"),
    (no_gpu_nodes, "gpus", f"no node has {GPU}", "add GPU nodes"),
    (too_few_gpus, "gpus", "2 x 2 nvidia.com/gpu wanted, the nodes have room for 1", "fewer cluster.workers"),
    (a_taint_without_toleration, "gpus", f"has the taint {GPU}:NoSchedule", '"operator": "Exists"'),
    (a_selector_that_no_node_has, "gpus", "has the labels {'pool': 'other'}", "change cluster.node_selector"),
    (knative_mode_without_knative, "inference service", "no Knative Serving", "install Knative"),
    (a_service_that_a_policy_refuses, "inference service", "validate.kyverno.svc", "change what"),
    (no_serving_runtime, "serving runtime inventory-bundle", "there is none in namespace team", "inventory manifests"),
    (
        a_serving_image_that_was_not_pushed,
        "serving runtime",
        "has no such image",
        "or name another: inventory manifests",
    ),
    (a_session_token, "store of the predictor", "AWS_SESSION_TOKEN, which KServe does not hand", "keys that last"),
    (a_region_that_kserve_is_not_told, "store of the predictor", "and its region", "s3-region=eu-west-1"),
    (an_authority_that_kserve_does_not_mount, "store of the predictor", "names no ConfigMap", "s3-cabundle-configmap="),
    (a_restricted_namespace, "pod security of the predictor", "storage initializer", "ClusterStorageContainer"),
    (kfp_login_page, "kubeflow pipelines", "sign-in page", "set KF_PIPELINES_TOKEN"),
    (kfp_for_several_users, "kubeflow pipelines", "serves several users", "give --namespace"),
]


@pytest.mark.parametrize(("plant", "name", "message", "fix"), DEFECTS, ids=[defect[0].__name__ for defect in DEFECTS])
def test_a_planted_defect_is_found_named_and_given_its_fix(
    place: Place, plant: Callable[[Place], None], name: str, message: str, fix: str
) -> None:
    plant(place)
    checks = place.look()
    problems = [check for check in checks if check.state == "problem"]
    found = next((check for check in problems if check.name.startswith(name)), None)
    assert found, report(checks)
    assert message in found.message
    assert fix in found.fix
    assert "\n" not in found.line()
    assert exit_code(checks) == 1
    assert len(problems) <= 2, "one defect is not reported as many"


@pytest.mark.skipif(not CRDS.exists(), reason="the operators' schemas do not lie beside this checkout")
def test_an_old_trainer_is_named_with_what_is_lost(place: Place) -> None:
    an_old_trainer(place)
    (check,) = [check for check in place.look() if check.name == "training job"]
    assert check.state == "warning"
    assert "found Kubeflow Trainer 2.1, needed 2.2" in check.message
    place.cluster.releases.clear()
    assert "ok       training job: the cluster takes a TrainJob" in report(place.look())


@pytest.mark.skipif(not CRDS.exists(), reason="the operators' schemas do not lie beside this checkout")
@pytest.mark.parametrize(("release", "how"), [("0.18.0", "a second InferenceService"), ("0.20.0", "spec.canary")])
def test_how_a_new_model_is_tried_is_said(place: Place, release: str, how: str) -> None:
    place.cluster.releases["kserve"] = release
    assert f"a new model is tried by {how}" in report(place.look())
    assert place.cluster.items("inferenceservices", "serving.kserve.io") == []


def test_a_namespace_where_nothing_is_installed_gets_one_line_for_each_lack(place: Place) -> None:
    place.cluster.add({"kind": "Namespace", "metadata": {"name": "empty"}}, "namespaces")
    place.question = replace(place.question, namespace="empty")
    place.cluster.missing_kinds = {f"{plural}.{group}" for group, _, plural in CUSTOM_KINDS}
    # the namespace itself is read with the rights of whoever asks
    place.cluster.forbidden = {right for right in rights() if right[2] != "namespaces"}
    problems = [check for check in place.look() if check.state == "problem"]
    assert len({check.name for check in problems}) == len(problems)
    assert {"katib label", "secret inventory-store"} <= {check.name for check in problems}
    assert all(check.fix for check in problems)


def test_what_cannot_be_looked_at_is_unknown_and_no_problem(place: Place) -> None:
    place.cluster.forbidden |= {("get", "", "secrets"), ("list", "", "nodes"), ("get", "", "configmaps")}
    place.cluster.forbidden |= {("get", "apps", "deployments"), ("create", "", "pods")}
    place.cluster.forbidden |= {("list", "networking.k8s.io", "networkpolicies"), ("list", "", "resourcequotas")}
    place.cluster.forbidden |= {("list", "discovery.k8s.io", "endpointslices")}
    checks = {check.name: check.state for check in place.look()}
    hidden = ("secret inventory-store", "gpus", "versions", "pods", "network policies", "dns")
    assert [checks[name] for name in hidden] == ["unknown"] * len(hidden)
    assert exit_code(place.look()) == 0


def test_the_operators_init_container_is_a_matter_for_a_restricted_namespace(place: Place) -> None:
    a_restricted_namespace(place)
    (check,) = [check for check in place.look() if check.name == "pod security"]
    assert check.state == "unknown"
    assert "make the training elastic" in check.fix
    place.settings(min_workers=1, max_workers=2)
    assert [check.state for check in place.look() if check.name == "pod security"] == ["ok"]


def test_a_cluster_without_the_training_operator_lacks_nothing(place: Place) -> None:
    place.cluster.missing_kinds.add("pytorchjobs.kubeflow.org")
    checks = place.look()
    assert [check.line() for check in checks if check.state == "problem"] == []
    said = {check.name: check.message for check in checks}
    assert said["pytorchjobs.kubeflow.org"] == "not there, and not needed"
    assert said["training job"] == "the cluster takes a TrainJob"
    assert said["search"] == "the cluster takes an Experiment, whose trials are TrainJobs"
    a_restricted_namespace(place)
    assert [check.state for check in place.look() if check.name == "pod security"] == ["ok"], "no init container of its"


def test_katibs_collector_is_a_matter_for_a_restricted_namespace(place: Place) -> None:
    assert [check.state for check in place.look() if check.name == "pod security of trials"] == ["ok"]
    a_restricted_namespace(place)
    (check,) = [check for check in place.look() if check.name == "pod security of trials"]
    assert check.state == "unknown"
    assert "injectSecurityContext" in check.fix


def test_a_store_with_an_address_of_the_cluster_is_left_to_a_pod(place: Place) -> None:
    change_secret(place, S3_ENDPOINT_URL="http://seaweedfs.kubeflow.svc.cluster.local:8333")
    labels = {"app": "seaweedfs"}
    place.cluster.add({"metadata": {"name": "seaweedfs"}, "spec": {"selector": labels}}, "services", "", "kubeflow")
    pod = {"metadata": {"name": "seaweedfs-0", "labels": labels}, "spec": {"containers": []}}
    place.cluster.add({**pod, "status": {"phase": "Running"}}, "pods", "", "kubeflow")
    (check,) = [check for check in place.look() if check.name == "object store"]
    assert (check.state, check.fix) == ("unknown", "ask from a pod")


def test_no_secret_value_is_printed(place: Place, store_environment: dict[str, str]) -> None:
    text = report(place.look()) + report(place.look(), as_json=True)
    assert store_environment["AWS_SECRET_ACCESS_KEY"] not in text
    assert store_environment["AWS_ACCESS_KEY_ID"] not in text


def test_an_anonymous_token_is_fetched_where_the_registry_wants_one(place: Place) -> None:
    image = place.question.images[0].replace("team/train", "private/train")
    place.tags.add("private/train:1")
    place.question = replace(place.question, images=(image,))
    assert [check.state for check in place.look() if check.name.startswith("image")] == ["ok"]
    place.tags.add("login-only")
    assert [check.state for check in place.look() if check.name.startswith("image")] == ["unknown"]


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("ghcr.io/a/b:1", ("ghcr.io", "a/b", "1")),
        ("localhost:5000/b:1@sha256:00", ("localhost:5000", "b", "sha256:00")),
        ("python:3.11", ("registry-1.docker.io", "library/python", "3.11")),
        ("docker.io/chrislusf/seaweedfs:4.48", ("registry-1.docker.io", "chrislusf/seaweedfs", "4.48")),
    ],
)
def test_image_names_are_read_as_container_tools_read_them(image: str, parts: tuple[str, str, str]) -> None:
    assert split_image(image) == parts


def test_a_prefix_that_the_keys_do_not_reach_is_told_from_a_wrong_key(
    place: Place, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("limited")
    keys = [{"accessKey": "team-key", "secretKey": "team-secret"}]
    rights = [f"{action}:shared/private/team/*" for action in ("Read", "Write", "List")]
    owner = {"name": "owner", "credentials": [{"accessKey": "o", "secretKey": "o"}], "actions": ["Admin", "List"]}
    team = {"name": "team", "credentials": keys, "actions": rights}
    (folder / "s3.json").write_text(json.dumps({"identities": [owner, team]}))
    with local_store(folder) as environment:
        open_store({**environment, "INVENTORY_BUCKET": "shared"})
        own = {"AWS_ACCESS_KEY_ID": "team-key", "AWS_SECRET_ACCESS_KEY": "team-secret", "INVENTORY_BUCKET": "shared"}
        change_secret(place, S3_ENDPOINT_URL=environment["S3_ENDPOINT_URL"], **own, INVENTORY_PREFIX="private/other")
        (denied,) = [check for check in place.look() if check.name == "object store"]
        assert (denied.state, denied.message) == (
            "problem",
            f"cannot open s3://shared/private/other/: {environment['S3_ENDPOINT_URL']} knows the credentials and "
            "refuses them this place (AccessDenied)",
        )
        assert denied.fix.startswith("set INVENTORY_BUCKET and INVENTORY_PREFIX to what their policy allows")
        change_secret(place, INVENTORY_PREFIX="private/team/inventory")
        checks = {check.name: check for check in place.look()}
    assert checks["object store"].state == "ok"
    assert "in shared/private/team/inventory at" in checks["object store"].message
    assert "HeadBucket" in checks["bucket of the predictor"].message, "SeaweedFS lets no such keys ask for the bucket"
    assert "s3:ListBucket for HEAD" in checks["bucket of the predictor"].fix


def test_roles_take_the_place_of_keys(place: Place) -> None:
    give_roles(place, "inventory-worker", "inventory-serve", "default-editor")
    place.question = replace(place.question, service_account="default-editor")
    checks = {check.name: check for check in place.look()}
    for account in ("inventory-worker", "inventory-serve", "default-editor"):
        assert checks[f"role of {account}"].line() == f"ok       role of {account}: arn:aws:iam::1:role/inventory"
    assert checks["store of the predictor"].state == "ok"
    assert (checks["object store"].state, checks["object store"].fix) == ("unknown", "ask from a pod")


def test_a_session_token_that_the_storage_initializer_is_given_is_no_problem(place: Place) -> None:
    change_secret(place, AWS_SESSION_TOKEN="short")
    reference = {"secretKeyRef": {"name": "inventory-store", "key": "AWS_SESSION_TOKEN", "optional": True}}
    container = {"name": "storage-initializer", "env": [{"name": "AWS_SESSION_TOKEN", "valueFrom": reference}]}
    body = {"metadata": {"name": "default"}, "spec": {"container": container}}
    place.cluster.add(body, "clusterstoragecontainers", "serving.kserve.io", "")
    (check,) = [check for check in place.look() if check.name == "store of the predictor"]
    assert check.state == "ok"


def test_a_certificate_that_everybody_is_given_is_no_problem(place: Place) -> None:
    change_secret(
        place, **{"AWS_CA_BUNDLE": "/etc/inventory/store/ca.crt", "ca.crt": Path(certifi.where()).read_text()}
    )
    annotation = {"serving.kserve.io/s3-cabundle-configmap": "authority"}
    place.cluster.update("secrets", "inventory-store", lambda item: item["metadata"]["annotations"].update(annotation))
    place.cluster.add({"metadata": {"name": "authority"}, "data": {"ca.crt": "…"}}, "configmaps")
    states = {check.name: check.state for check in place.look()}
    assert states["secret inventory-store"] == states["object store"] == states["store of the predictor"] == "ok"


@pytest.mark.parametrize("look", [operators.training, operators.search])
def test_a_cluster_that_does_not_tell_its_kinds_is_not_one_without_them(
    look: Callable[..., object], place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> JobKind:
        raise InventoryError("cannot ask for kinds (403)") from ApiException(status=403)

    monkeypatch.setattr(operators, "choose", refused)
    with pytest.raises(InventoryError, match="cannot ask for kinds"):
        look(ApiClient(), place.question)
