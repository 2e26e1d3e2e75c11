"""Defects of a cluster, planted as the real API shows them: each is named in one line with its cure."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from components.cluster import kube
from pipelines.manifests.installation import Installation
from pipelines.manifests.overlay import render
from pipelines.preflight.installed import numbers, older
from pipelines.preflight.preflight import exit_code, report
from tests.cluster.stand_ins.api import Refused
from tests.cluster.stand_ins.training_operator import container
from tests.pipelines.preflight.place import (
    ENDPOINTS,
    Place,
    a_restricted_namespace,
    change_secret,
    deployment,
    node,
)

Object = dict[str, Any]


def installed(place: Place, namespace: str, image: str) -> None:
    """Another image of a controller."""
    body = deployment(image)
    place.cluster.remove("deployments", body["metadata"]["name"], "apps", namespace)
    place.cluster.add(body, "deployments", "apps", namespace)


def an_old_kubernetes(place: Place) -> None:
    place.cluster.version_name = "v1.22.17"


def an_old_kubeflow_pipelines(place: Place) -> None:
    place.kfp.tag_name = "2.3.0"


def an_old_katib(place: Place) -> None:
    installed(place, "kubeflow", "docker.io/kubeflowkatib/katib-controller:v0.15.0")


def an_old_argo(place: Place) -> None:
    installed(place, "kubeflow", "gcr.io/ml-pipeline/workflow-controller:v3.3.10-license-compliance")


def an_old_kserve(place: Place) -> None:
    installed(place, "kserve", "kserve/kserve-controller-manager:v0.13.1")


def quota(hard: dict[str, str], used: dict[str, str]) -> Object:
    """As the quota controller fills in the status (pkg/controller/resourcequota)."""
    return {"metadata": {"name": "team"}, "spec": {"hard": hard}, "status": {"hard": hard, "used": used}}


def a_quota_with_nothing_left(place: Place) -> None:
    hard = {"requests.cpu": "20", "requests.memory": "64Gi", "pods": "50"}
    place.cluster.add(quota(hard, {**hard, "pods": "4"}), "resourcequotas")


def a_quota_for_one_worker_of_two(place: Place) -> None:
    place.cluster.add(quota({"limits.cpu": "10"}, {"limits.cpu": "500m"}), "resourcequotas")


def a_quota_without_gpus(place: Place) -> None:
    place.cluster.add(quota({"requests.nvidia.com/gpu": "2"}, {"requests.nvidia.com/gpu": "0"}), "resourcequotas")


def limits(**limit: Any) -> Object:
    return {"metadata": {"name": "limits"}, "spec": {"limits": [{"type": "Container", **limit}]}}


def a_limit_range_below_what_we_ask_for(place: Place) -> None:
    place.cluster.add(limits(max={"cpu": "2", "memory": "4Gi"}), "limitranges")


def a_limit_range_above_what_steps_ask_for(place: Place) -> None:
    place.cluster.add(limits(min={"memory": "2Gi"}), "limitranges")


def a_limit_range_that_wants_limits_near_requests(place: Place) -> None:
    place.cluster.add(limits(maxLimitRequestRatio={"cpu": "2"}), "limitranges")


def no_service_account_of_workers(place: Place) -> None:
    place.cluster.remove("serviceaccounts", "inventory-worker")


def no_service_account_of_the_predictor(place: Place) -> None:
    place.cluster.remove("serviceaccounts", "inventory-serve")


def no_service_account_of_steps(place: Place) -> None:
    place.question = replace(place.question, service_account="pipeline-runner")


def claim(storage_class: str | None) -> Object:
    spec: Object = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "50Gi"}}}
    if storage_class:
        spec["storageClassName"] = storage_class
    return {"metadata": {"name": "data-inventory-store-0"}, "spec": spec, "status": {"phase": "Pending"}}


def storage_class(name: str, default: bool = False) -> Object:
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
    return {"metadata": {"name": name, "annotations": annotations}, "provisioner": "example.com/disk"}


def no_default_storage_class(place: Place) -> None:
    place.cluster.add(storage_class("slow"), "storageclasses", "storage.k8s.io")
    place.cluster.add(claim(None), "persistentvolumeclaims")


def a_storage_class_that_is_not_there(place: Place) -> None:
    place.cluster.add(storage_class("slow", default=True), "storageclasses", "storage.k8s.io")
    place.cluster.add(claim("fast"), "persistentvolumeclaims")


def a_volume_that_nobody_provides(place: Place) -> None:
    place.cluster.add(storage_class("slow", default=True), "storageclasses", "storage.k8s.io")
    place.cluster.add(claim("slow"), "persistentvolumeclaims")
    place.cluster.event(
        "data-inventory-store-0", "ProvisioningFailed", "failed to provision volume: no space left in pool"
    )


def no_dns(place: Place) -> None:
    """What the endpoint slice controller writes when no pod of CoreDNS is ready (KEP-1672)."""
    away = copy.deepcopy(ENDPOINTS["endpoints"])
    away[0]["conditions"] = {"ready": False, "serving": False, "terminating": False}
    place.cluster.update(
        "endpointslices", "kube-dns-x1", lambda item: item.update(endpoints=away), "discovery.k8s.io", "kube-system"
    )


def a_clock_an_hour_ahead(place: Place) -> None:
    place.cluster.clock_ahead = 3600.0


def webhook_down(place: Place, plural: str, webhook: str, service: str, namespace: str, path: str) -> None:
    """apiserver/pkg/admission/plugin/webhook: with ``failurePolicy: Fail`` an InternalError, 500."""
    message = (
        f'Internal error occurred: failed calling webhook "{webhook}": failed to call webhook: Post '
        f'"https://{service}.{namespace}.svc:443/{path}?timeout=10s": no endpoints available for service "{service}"'
    )

    def refuse(key: Any, _: Any) -> None:
        if key[1] == plural:
            raise Refused(500, "InternalError", message)

    place.cluster.admit.append(refuse)


def the_webhook_of_kserve_down(place: Place) -> None:
    path = "validate-serving-kserve-io-v1beta1-inferenceservice"
    name = "inferenceservice.kserve-webhook-server.validator"
    webhook_down(place, "inferenceservices", name, "kserve-webhook-server-service", "kserve", path)


def the_webhook_of_katib_down(place: Place) -> None:
    name = "validator.experiment.katib.kubeflow.org"
    webhook_down(place, "experiments", name, "katib-controller", "kubeflow", "validate-experiment")


def the_webhook_of_the_training_operator_down(place: Place) -> None:
    name = "validator.pytorchjob.training-operator.kubeflow.org"
    path = "validate-kubeflow-org-v1-pytorchjob"
    webhook_down(place, "pytorchjobs", name, "training-operator", "kubeflow", path)


def katibs_webhook_of_pods_down(place: Place) -> None:
    webhook_down(place, "pods", "mutator.pod.katib.kubeflow.org", "katib-controller", "kubeflow", "mutate-pod")


def policy(name: str, *directions: str) -> Object:
    spec: Object = {"podSelector": {}, "policyTypes": list(directions)}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name}, "spec": spec}


def a_policy_that_lets_nothing_out(place: Place) -> None:
    place.cluster.add(policy("default-deny-egress", "Egress"), "networkpolicies", "networking.k8s.io")


def a_policy_that_lets_nothing_in(place: Place) -> None:
    place.cluster.add(policy("default-deny-ingress", "Ingress"), "networkpolicies", "networking.k8s.io")
    install_policies(place)


def install_policies(place: Place, egress: bool = False) -> None:
    asked = {"namespace": "team", "image": "i:1", "egress_policies": egress}
    for item in render(Installation.read(asked)):
        if item["kind"] == "NetworkPolicy":
            place.cluster.add(item, "networkpolicies", "networking.k8s.io")


def a_runtime_of_another_release(place: Place) -> None:
    (image,) = place.question.images
    place.question = replace(place.question, images=(image.replace(":1", ":2"),))
    place.tags.add("team/train:2")


def a_runtime_of_another_registry(place: Place) -> None:
    def change(item: Object) -> None:
        item["spec"]["containers"][0]["image"] = "ghcr.io/bin-inventory/serve:1"

    place.cluster.update("servingruntimes", "inventory-bundle", change, "serving.kserve.io")


def nodes_too_small_for_a_worker(place: Place) -> None:
    for name in ("a", "b"):
        place.cluster.update("nodes", name, lambda item: item["status"]["allocatable"].update(cpu="3920m"), ns="")


def without_gpus(place: Place, **settings: Any) -> None:
    place.settings(**{"workers": 1, "gpus_per_worker": 0, "tolerations": [], **settings})


def nodes_that_nobody_may_use(place: Place) -> None:
    without_gpus(place)


def nodes_without_the_label(place: Place) -> None:
    without_gpus(place, node_selector={"pool": "cpu"})


def no_room_in_memory(place: Place) -> None:
    without_gpus(place, memory="64Gi", tolerations=[{"operator": "Exists"}])
    for name in ("a", "b"):
        place.cluster.update("nodes", name, lambda item: item["status"]["allocatable"].update(memory="31Gi"), ns="")


def a_policy_of_the_cluster_that_refuses_our_pods(place: Place) -> None:
    def review(key: Any, body: Any) -> None:
        if key[1] == "pods" and not body["spec"].get("nodeSelector"):
            said = 'admission webhook "validate.kyverno.svc-fail" denied the request: pods need a nodeSelector'
            raise Refused(403, "Forbidden", said)

    place.cluster.admit.append(review)


def security_context_constraints(place: Place) -> None:
    """OpenShift's sccadmission (apiserver-library-go): the user has to be of the namespace's own range."""

    def review(key: Any, _: Any) -> None:
        if key[1] == "pods":
            raise Refused(
                403,
                "Forbidden",
                f'pods "{key[3]}" is forbidden: unable to validate against any security context constraint: [provider '
                "restricted-v2: .containers[0].runAsUser: Invalid value: 1000: must be in the ranges: [1000650000, "
                "1000659999]]",
            )

    place.cluster.admit.append(review)


INSIDE = "inventory-store.team.svc.k8s.example:8333"


def a_store_inside_that_is_not_there(place: Place) -> None:
    change_secret(place, S3_ENDPOINT_URL=f"http://{INSIDE}")
    kserves = {"serving.kserve.io/s3-endpoint": INSIDE}
    place.cluster.update("secrets", "inventory-store", lambda item: item["metadata"]["annotations"].update(kserves))


def a_store_inside_that_cannot_be_pulled(place: Place) -> None:
    a_store_inside_that_is_not_there(place)
    labels = {"app.kubernetes.io/name": "inventory-store"}
    place.cluster.add({"metadata": {"name": "inventory-store"}, "spec": {"selector": labels}}, "services")
    state = {"waiting": {"reason": "ErrImagePull", "message": "docker.io/chrislusf/seaweedfs:4.48: not found"}}
    body: Object = {"metadata": {"name": "inventory-store-0", "labels": labels}, "spec": {"containers": []}}
    status = {"phase": "Pending", "containerStatuses": [container(state, name="seaweedfs")]}
    place.cluster.add({**body, "status": status}, "pods")


DEFECTS: list[tuple[Callable[[Place], None], str, str, str]] = [
    # the defect, the check that names it, what it says, the cure
    (an_old_kubernetes, "kubernetes", "found v1.22.17, needed 1.25", "run it on Kubernetes 1.25"),
    (an_old_kubeflow_pipelines, "kubeflow pipelines", "found 2.3.0, needed 2.5", "install Kubeflow Pipelines 2.5"),
    (an_old_katib, "Katib", "found v0.15.0, needed 0.17", "install Katib 0.17 or newer"),
    (an_old_argo, "Argo Workflows", "found v3.3.10-license-compliance, needed 3.5", "install Argo Workflows 3.5"),
    (an_old_kserve, "KServe", "found v0.13.1, needed 0.15", "install KServe 0.15 or newer"),
    (a_quota_with_nothing_left, "quota team", "requests.cpu 0 left of 20, 8.5 wanted", "have it raised"),
    (a_quota_for_one_worker_of_two, "quota team", "limits.cpu 9.5 left of 10, 12 wanted", "cluster.cpu"),
    (a_quota_without_gpus, "quota team", "requests.nvidia.com/gpu 2 left of 2, 4 wanted", "workers"),
    (
        a_limit_range_below_what_we_ask_for,
        "limit range",
        "maximum cpu usage per Container is 2, but limit is 4",
        "cluster.cpu and memory, step_cpu",
    ),
    (
        a_limit_range_above_what_steps_ask_for,
        "limit range",
        "minimum memory usage per Container is 2Gi, but request is 1Gi",
        "step_memory",
    ),
    (
        a_limit_range_that_wants_limits_near_requests,
        "limit range",
        "cpu max limit to request ratio per Container is 2, but provided ratio is 8",
        "change it, or what is asked for",
    ),
    (no_service_account_of_workers, "service account inventory-worker", "a worker", "inventory manifests"),
    (no_service_account_of_the_predictor, "service account inventory-serve", "the predictor", "inventory manifests"),
    (no_service_account_of_steps, "service account pipeline-runner", "refuses a step", "inventory manifests"),
    (
        no_default_storage_class,
        "volume data-inventory-store-0",
        "no default StorageClass; there are: slow",
        "delete statefulset/inventory-store pvc/data-inventory-store-0 && inventory manifests",
    ),
    (
        a_storage_class_that_is_not_there,
        "volume data-inventory-store-0",
        "no StorageClass fast; there are: slow",
        "--storage-class NAME",
    ),
    (
        a_volume_that_nobody_provides,
        "volume data-inventory-store-0",
        "Pending, not bound: failed to provision volume: no space left",
        "kubectl -n team describe pvc",
    ),
    (no_dns, "dns", "no pod is ready behind kube-system/kube-dns", "kubectl -n kube-system get pods"),
    (a_clock_an_hour_ahead, "clocks", "from the cluster's; S3 refuses requests from 900 s on", "NTP"),
    (
        the_webhook_of_kserve_down,
        "inference service",
        "inferenceservice.kserve-webhook-server.validator does not answer",
        "kubectl -n kserve get pods",
    ),
    (the_webhook_of_katib_down, "search", "behind the Service katib-controller", "kubectl -n kubeflow get pods"),
    (
        the_webhook_of_the_training_operator_down,
        "training job",
        "behind the Service training-operator",
        "kubectl -n kubeflow get pods",
    ),
    (
        katibs_webhook_of_pods_down,
        "webhook mutator.pod.katib.kubeflow.org",
        "a step, a worker, the predictor",
        "kubectl -n kubeflow get pods",
    ),
    (
        a_policy_that_lets_nothing_out,
        "network policies",
        "default-deny-egress denies workers the way to DNS",
        "inventory manifests --namespace team --no-secrets --egress-policies",
    ),
    (
        a_policy_that_lets_nothing_in,
        "network policies",
        "default-deny-ingress denies algorithms of a search the way from Katib's controller",
        "katib.kubeflow.org/suggestion on 6789",
    ),
    (
        a_runtime_of_another_release,
        "serving runtime",
        "/team/serve:1, the package is of 127.0.0.1:",
        "--no-secrets --registry 127.0.0.1:",
    ),
    (a_runtime_of_another_registry, "serving runtime", "names ghcr.io/bin-inventory/serve:1", "--tag 1 | kubectl"),
    (
        nodes_too_small_for_a_worker,
        "gpus",
        "large enough for a worker (cpu 4, memory 8Gi",
        "ask for less (cluster.cpu",
    ),
    (nodes_that_nobody_may_use, "nodes", "every node has the taint nvidia.com/gpu:NoSchedule", "cluster.tolerations"),
    (nodes_without_the_label, "nodes", "no node has the labels {'pool': 'cpu'}", "change cluster.node_selector"),
    (no_room_in_memory, "nodes", "the largest has cpu 8, memory 31Gi", "add larger nodes"),
    (
        security_context_constraints,
        "security context constraints",
        "refuses a step, a worker, the predictor: unable to validate",
        "oc -n team adm policy add-scc-to-user nonroot-v2 -z ACCOUNT",
    ),
    (
        a_store_inside_that_is_not_there,
        "object store",
        "there is no Service inventory-store in namespace team",
        "install the store",
    ),
    (
        a_store_inside_that_cannot_be_pulled,
        "object store",
        f"no pod runs behind http://{INSIDE}: inventory-store-0: ErrImagePull: docker.io",
        "kubectl -n team describe pods -l app.kubernetes.io/name=inventory-store",
    ),
    (a_policy_of_the_cluster_that_refuses_our_pods, "pods", "pods need a nodeSelector", "change what refuses them"),
]


@pytest.mark.parametrize(("plant", "name", "message", "cure"), DEFECTS, ids=[defect[0].__name__ for defect in DEFECTS])
def test_a_planted_defect_is_named_once_with_its_cure(
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    plant: Callable[[Place], None],
    name: str,
    message: str,
    cure: str,
) -> None:
    monkeypatch.setattr(kube, "RETRIES", 0)  # a webhook that is away is asked again otherwise
    plant(place)
    checks = place.look()
    problems = [check for check in checks if check.state == "problem"]
    assert [check.name.startswith(name) for check in problems] == [True], report(checks)
    assert message in problems[0].message
    assert cure in problems[0].fix
    assert "\n" not in problems[0].line()
    assert exit_code(checks) == 1


def test_what_is_installed_is_said_with_what_is_needed_and_what_an_older_one_loses(place: Place) -> None:
    lines = report(place.look()).splitlines()
    assert "ok       Katib: found v0.19.0, needed 0.17" in lines
    assert any(line.endswith("found 2.17.0, needed 2.5") and "kubeflow pipelines" in line for line in lines)
    installed(place, "kserve", "kserve/kserve-controller-manager:v0.18.0")
    checks = place.look()
    (check,) = [each for each in checks if each.name == "KServe"]
    assert check.state == "warning"
    assert "with v0.18.0 in Standard mode a new model is tried by a second InferenceService" in check.message
    assert exit_code(checks) == 0, "what is lost stops no run"


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("kubeflow/training-operator:v1-3f15cb8", "says no version"),
        ("kubeflow/training-operator@sha256:" + "0" * 64, "says no version"),
    ],
)
def test_an_image_that_says_no_version_is_unknown(place: Place, image: str, said: str) -> None:
    body = deployment(image)
    body["metadata"]["name"] = "training-operator"
    place.cluster.remove("deployments", "training-operator", "apps", "kubeflow")
    place.cluster.add(body, "deployments", "apps", "kubeflow")
    (check,) = [each for each in place.look() if each.name == "training operator"]
    assert (check.state, said in check.message) == ("unknown", True)


@pytest.mark.parametrize(
    ("kept", "state"), [("3600", "warning"), ("604800", "ok"), (None, None)], ids=["an hour", "a week", "for ever"]
)
def test_how_long_argo_keeps_a_run_is_said(place: Place, kept: str | None, state: str | None) -> None:
    defaults = f"spec:\n  ttlStrategy:\n    secondsAfterCompletion: {kept}\n" if kept else "spec: {}\n"
    config = {"metadata": {"name": "workflow-controller-configmap"}, "data": {"workflowDefaults": defaults}}
    place.cluster.add(config, "configmaps", "", "kubeflow")
    found = [each for each in place.look() if each.name == "finished runs"]
    assert [each.state for each in found] == ([state] if state else [])
    if state == "warning":
        assert "after 3600 s" in found[0].message
        assert "cluster.ttl_seconds 86400" in found[0].message


def test_our_policies_leave_our_pods_what_they_need_where_everything_is_denied(place: Place) -> None:
    place.cluster.add(policy("default-deny-egress", "Egress"), "networkpolicies", "networking.k8s.io")
    install_policies(place, egress=True)
    (check,) = [each for each in place.look() if each.name == "network policies"]
    assert check.state == "ok", check.line()


def test_a_bound_volume_and_a_namespace_with_room_are_ok(place: Place) -> None:
    bound = {**claim("slow"), "status": {"phase": "Bound"}}
    place.cluster.add(bound, "persistentvolumeclaims")
    place.cluster.add(quota({"requests.cpu": "100", "pods": "50"}, {"requests.cpu": "1"}), "resourcequotas")
    place.cluster.add(limits(max={"cpu": "8"}), "limitranges")
    lines = report(place.look()).splitlines()
    assert "ok       volume data-inventory-store-0: bound, of StorageClass slow" in lines
    assert "ok       pods: the namespace takes a step, a worker, the predictor" in lines


def test_a_quota_must_have_room_for_the_pods_that_fetch_together(place: Place) -> None:
    place.cluster.add(quota({"requests.cpu": "100", "pods": "10"}, {"pods": "1"}), "resourcequotas")
    assert [each.name for each in place.look() if each.name.startswith("quota")] == []
    place.question = replace(place.question, download_pods=16)
    (check,) = [each for each in place.look() if each.name.startswith("quota")]
    assert check.message == "has no room for the 16 pods that fetch together: pods 9 left of 10, 16 wanted"
    assert "--download-pods" in check.fix


def test_a_quota_of_other_pods_is_not_ours(place: Place) -> None:
    other = quota({"pods": "0"}, {"pods": "0"})
    other["spec"]["scopes"] = ["BestEffort"]
    other["status"] = {"hard": {}, "used": {}}
    place.cluster.add(other, "resourcequotas")
    assert [each.name for each in place.look() if each.name.startswith("quota")] == []


def test_pods_of_ours_are_taken_under_restricted(place: Place) -> None:
    a_restricted_namespace(place)
    assert [each.state for each in place.look() if each.name == "pods"] == ["ok"]


@pytest.mark.parametrize(
    ("found", "needed", "is_older"),
    [
        ("v1.9.4", "1.8", False),
        ("1.7.0-rc.1", "1.8", True),
        ("2.0", "2.2", True),
        ("v4.0.5", "3.5", False),
        ("v0.20.0", "0.20", False),
        ("v1-3f15cb8", "1.8", False),
    ],
)
def test_versions_are_compared_by_their_numbers(found: str, needed: str, is_older: bool) -> None:
    assert older(found, needed) is is_older
    assert (numbers(found) is None) == ("-3f" in found)


def test_a_node_that_tells_nothing_of_scratch_space_counts_as_large_enough(place: Place) -> None:
    body = node("c", 4)
    body["status"]["allocatable"] = {"cpu": "8", "memory": "64Gi", "nvidia.com/gpu": "4"}
    place.cluster.add(body, "nodes")
    assert [each.state for each in place.look() if each.name == "gpus"] == ["ok"]
