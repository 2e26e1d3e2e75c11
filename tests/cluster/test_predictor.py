"""Every option of the service reaches the predictor, can be read back from it, and leaves it with the options."""

import copy
from typing import Any

import kubernetes_validate
import pytest
import yaml

from components.cluster import inference_service as services
from components.cluster.predictor import OF_STORE, changed, predictor, shadow_of, shown
from components.common.s3.identity import FOLDER_VARIABLE
from components.serve.__main__ import parser
from components.settings.serving import ServingSettings
from pipelines.manifests.overlay import MANIFESTS
from tests.cluster.stand_ins.api import merge

URIS = ["s3://inventory/runs/1/model", "s3://inventory/runs/2/model"]
EVERYTHING: dict[str, Any] = {
    "min_replicas": 2,
    "max_replicas": 5.0,  # KFP passes the numbers of a dictionary as floats
    "scale_target": 70,
    "cpu": "4",
    "memory": "4Gi",
    "service_account": "team-serve",
    "threads": 3,
    "engine": "openvino",
    "max_body_mib": 8,
    "max_photos": 32,
    "allow_origins": ["https://stock.example", "http://[::1]:8080"],
    "drift_window": 500,
    "grpc": True,
    "log_requests": True,
    "shadow": "s3://inventory/runs/3/model",
    "store_secret": "team-store",
    "timeout_seconds": 60,
    "env": {"OMP_NUM_THREADS": "3"},
    "secret_env": {"STOCK_TOKEN": "inventory-serving/token"},
    "labels": {"team": "north", "kueue.x-k8s.io/queue-name": "serving"},
    "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"},
    "node_selector": {"pool": "serving"},
    "tolerations": [{"key": "serving", "operator": "Exists", "effect": "NoSchedule"}],
    "image_pull_secrets": ["registry-key"],
}
SETTINGS = ServingSettings.read(EVERYTHING)


def test_every_option_reaches_the_predictor() -> None:
    made = predictor(URIS[0], SETTINGS)
    assert (made["timeout"], made["maxReplicas"], made["nodeSelector"]) == (60, 5, {"pool": "serving"})
    assert made["tolerations"] == EVERYTHING["tolerations"]
    assert made["imagePullSecrets"] == [{"name": "registry-key"}]
    assert made["labels"] == {**EVERYTHING["labels"], **predictor("", ServingSettings())["labels"]}
    assert made["annotations"].items() >= EVERYTHING["annotations"].items()
    reference = {"secretKeyRef": {"name": "inventory-serving", "key": "token"}}
    assert [each for each in made["model"]["env"] if each["name"] not in OF_STORE] == [
        {"name": "OMP_NUM_THREADS", "value": "3"},
        {"name": "STOCK_TOKEN", "valueFrom": reference},
    ]


def test_a_server_with_a_shadow_gets_the_stores_credentials_by_reference_and_no_other_does() -> None:
    made = predictor(URIS[0], SETTINGS)
    variables = {each["name"]: each for each in made["model"]["env"]}
    assert variables["S3_ENDPOINT_URL"]["valueFrom"]["secretKeyRef"]["name"] == "team-store"
    (volume,), (mount,) = made["volumes"], made["model"]["volumeMounts"]
    assert (volume["name"], volume["secret"]) == (mount["name"], {"secretName": "team-store"})
    assert variables[FOLDER_VARIABLE]["value"] == mount["mountPath"]
    for alone in (predictor(EVERYTHING["shadow"], SETTINGS), predictor(URIS[0], ServingSettings(shadow="none"))):
        assert "volumes" not in alone
        assert not {"--shadow", "S3_ENDPOINT_URL"} & {word.partition("=")[0] for word in str(alone).split("'")}


def test_what_goes_into_service_is_its_own_shadow_no_more() -> None:
    made = predictor(URIS[0], SETTINGS)
    assert shadow_of(made) == EVERYTHING["shadow"]
    promoted = merge(made, changed(made, shown(made, "bin-counter"), EVERYTHING["shadow"]))
    assert promoted == predictor(EVERYTHING["shadow"], SETTINGS.model_copy(update={"shadow": None}))
    assert shadow_of(promoted) is None


def test_the_server_takes_the_options_that_it_is_given_after_those_of_the_runtime() -> None:
    runtime = yaml.safe_load((MANIFESTS / "base" / "serving-runtime.yaml").read_text())
    (container,) = runtime["spec"]["containers"]
    options = parser().parse_args(container["args"] + predictor(URIS[0], SETTINGS)["model"]["args"])
    assert (options.threads, options.max_body_mib, options.max_photos, options.drift_window) == (3, 8, 32, 500)
    assert options.log_requests
    assert options.shadow == EVERYTHING["shadow"]
    assert options.engine == EVERYTHING["engine"]
    assert options.grpc_port == predictor(URIS[0], SETTINGS)["model"]["ports"][1]["containerPort"]
    assert options.allow_origin == EVERYTHING["allow_origins"]


def test_its_pod_is_right_by_kubernetes() -> None:
    made = predictor(URIS[0], SETTINGS)
    container = {
        "name": "server",
        "image": "x",
        **{key: made["model"][key] for key in ("args", "env", "ports", "resources", "volumeMounts")},
    }
    spec = {
        key: made[key] for key in ("volumes", "nodeSelector", "tolerations", "imagePullSecrets", "serviceAccountName")
    }
    metadata = {"name": "x", "labels": made["labels"], "annotations": made["annotations"]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {**spec, "containers": [container]}}
    kubernetes_validate.validate(pod, "1.34", strict=True)


@pytest.mark.parametrize("settings", [ServingSettings(), SETTINGS, ServingSettings(container_concurrency=0)])
def test_a_service_shows_the_settings_that_it_was_made_with(settings: ServingSettings) -> None:
    assert services.settings_of(services.inference_service("team", URIS[0], settings)) == settings


@pytest.mark.parametrize("before", [{}, EVERYTHING, {"env": {"TZ": "UTC"}, "labels": {"owner": "me"}, "threads": 1}])
@pytest.mark.parametrize("after", [{}, EVERYTHING, {"container_concurrency": 3, "labels": {"team": "south"}}])
def test_other_settings_leave_nothing_of_those_before(before: dict[str, Any], after: dict[str, Any]) -> None:
    old, new = ServingSettings.read(before), ServingSettings.read(after)
    made = predictor(URIS[0], old)
    assert merge(made, changed(made, new, URIS[1])) == predictor(URIS[1], new)


def test_what_was_added_by_hand_stays_when_a_model_is_replaced() -> None:
    by_hand = copy.deepcopy(predictor(URIS[0], SETTINGS))
    by_hand |= {"affinity": {}, "runtimeClassName": "x"}
    by_hand["labels"]["app.kubernetes.io/part-of"] = "warehouse"
    by_hand["annotations"]["sidecar.istio.io/proxyCPU"] = "1"
    by_hand["model"]["livenessProbe"] = {"periodSeconds": 60}
    settings = shown(by_hand, "bin-counter")
    replaced = merge(by_hand, changed(by_hand, settings, URIS[1]))
    by_hand["model"]["storageUri"] = URIS[1]
    assert replaced == by_hand
