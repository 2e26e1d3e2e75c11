"""The deploy step against a stand-in Kubernetes API whose controller the test plays; models are real servers."""

from collections.abc import Callable, Iterator

import pytest
from kubernetes.client import ApiClient

from components.cluster import inference_service as services
from components.cluster import inference_status
from components.common.errors import InventoryError
from components.counter import bundle as bundles
from components.deploy import cluster as deployment
from components.deploy import smoke
from components.deploy.cluster import ClusterDeployer
from components.deploy.deployer import Candidate, put_into_service
from components.deploy.smoke import LabelledBin
from components.documents.deployed import DeployedModel
from components.settings.serving import ServingSettings
from tests.cluster.stand_ins.api import Cluster, merge
from tests.cluster.stand_ins.rules import inference_service_refused
from tests.cluster.stand_ins.schemas import CRDS, problems
from tests.deploy.kserve_controller import NAME, TRIAL, Controller
from tests.tiny_model import photo, serving, write_bundle
from tests.waiting import wait_until

SETTINGS = ServingSettings(ready_seconds=1)
BINS = [LabelledBin(str(count), photo(count), count) for count in (1, 3, 5)]
needs_schemas = pytest.mark.skipif(not CRDS.exists(), reason="the operators' schemas do not lie beside this checkout")
MODES = pytest.mark.parametrize("mode", ["Standard", "Knative"])


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Iterator[dict[str, tuple[Candidate, str]]]:
    """Two models, each with its server: version -> (candidate, URL)."""
    first, second = tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second")
    write_bundle(first, version="1")
    write_bundle(second, version="2", temperature=2.0)
    with serving(first) as one, serving(second) as two:
        yield {
            version: (Candidate(bundles.load(folder), folder, f"s3://inventory/runs/{version}/model"), server.url)
            for version, folder, server in (("1", first, one), ("2", second, two))
        }


@pytest.fixture
def started() -> list[Controller]:
    return []


@pytest.fixture
def control(cluster: Cluster, models, monkeypatch, started) -> Iterator[Callable[..., Controller]]:
    """Starts KServe's controller in one of its modes."""

    def start(mode: str, **behaviour: object) -> Controller:
        servers = {candidate.uri: url for candidate, url in models.values()}
        controller = Controller(cluster, mode, {**servers, **behaviour.pop("servers", {})}, **behaviour)
        started.append(controller)
        if mode == "Standard":  # its addresses are names that only a cluster's DNS knows
            monkeypatch.setattr(
                inference_status,
                "canary_urls",
                lambda service, _: [
                    controller.canary.url
                    if service["spec"].get("canary") or service["metadata"]["name"] == TRIAL
                    else controller.main.url
                ],
            )
        return controller

    monkeypatch.setattr(deployment, "REACH_SECONDS", 5.0)
    monkeypatch.setattr(smoke, "ROUTE_SECONDS", 2.0)
    yield start
    for controller in started:
        controller.close()


@pytest.fixture
def deploy(api: ApiClient, models, started) -> Callable[..., DeployedModel]:
    def put(version: str, settings: ServingSettings = SETTINGS) -> DeployedModel:
        for controller in started:
            controller.settle()
        return put_into_service(ClusterDeployer(api, "team", settings), models[version][0], BINS)

    return put


def uri(version: str) -> str:
    return f"s3://inventory/runs/{version}/model"


@MODES
def test_the_first_model_and_then_a_better_one_go_into_service(control, deploy, mode):
    controller = control(mode)
    first = deploy("1")
    assert (first.version, first.smoke.correct) == ("1", 3)
    assert controller.traffic == {uri("1"): 100}
    second = deploy("2")
    assert (second.version, second.model_name) == ("2", NAME)
    assert second.url == controller.main.url
    assert controller.traffic == {uri("2"): 100}
    assert {uri("1"): 90, uri("2"): 10} in controller.history
    assert "ownerReferences" not in controller.service["metadata"]


def test_clients_keep_their_address_and_pods_are_replaced_for_a_new_model_only(control, deploy):
    controller = control("Standard")
    for number, version in enumerate(("1", "2", "2", "1"), 1):
        deploy(version)
        wait_until(lambda version=version: controller.traffic.get(uri(version)), "the traffic has moved")
        assert len(controller.rollouts) == {1: 1, 2: 2, 3: 2, 4: 3}[number]
    assert {names[0] for names in controller.names} == {f"{NAME}-predictor"}
    assert len(controller.names[-1]) == 1, "no canary is left"
    assert controller.autoscalers == set(), "nor an autoscaler of one"


def test_knative_makes_one_revision_for_each_new_model(control, deploy):
    controller = control("Knative")
    for version in ("1", "2", "1"):
        deploy(version)
    controller.settle()
    assert len(controller._revisions) == 3


@MODES
def test_models_replace_each_other_time_and_again(control, deploy, mode):
    controller = control(mode)
    for version in ("1", "2", "1", "2"):
        assert deploy(version).version == version
        wait_until(lambda version=version: controller.traffic == {uri(version): 100}, "the traffic has moved")


@MODES
def test_of_two_deployments_at_once_the_replaced_one_fails_and_leaves_the_other_alone(
    control, deploy, models, api, mode
):
    control(mode)
    deploy("1")
    deployer = ClusterDeployer(api, "team", SETTINGS)
    replaced = deployer.start(models["2"][0])
    other = Candidate(models["2"][0].bundle, models["2"][0].folder, uri("3"))
    current = deployer._get()
    deployer._change(lambda body: services.start_canary(body, other.uri, SETTINGS))
    with pytest.raises(InventoryError, match="another deployment replaced it"):
        deployer.promote(replaced)
    spec = deployer._get()["spec"]
    assert spec != current["spec"]
    deployer.roll_back(replaced)
    assert deployer._get()["spec"] == spec


def test_a_service_that_somebody_else_made_is_not_touched(api, control, deploy):
    controller = control("Standard")
    body = services.inference_service("team", uri("1"), SETTINGS)
    body["metadata"]["labels"] = {"app": "another"}
    services.KIND.resource(api, "team").create(body)
    with pytest.raises(InventoryError, match="not made by this workflow"):
        deploy("1")
    assert services.served_uri(controller.service) == uri("1")
    assert services.STOP_ANNOTATION not in services.annotations(controller.service)


@MODES
def test_a_model_that_answers_wrongly_is_rolled_back_with_the_reason(control, deploy, models, mode):
    controller = control(mode, servers={uri("2"): models["1"][1]})
    deploy("1")
    with pytest.raises(InventoryError, match="answers for model 1, not for 2"):
        deploy("2")
    wait_until(lambda: controller.traffic.get(uri("1")) == 100, "the traffic has moved")
    assert not any(entry.get(uri("2"), 0) > 10 for entry in controller.history)


@MODES
def test_a_model_that_never_gets_ready_is_taken_out_with_the_reason(control, deploy, mode):
    controller = control(mode, ready=lambda bundle: bundle == uri("1"))
    deploy("1")
    with pytest.raises(InventoryError, match="was not ready within 1 s"):
        deploy("2")
    wait_until(lambda: controller.traffic == {uri("1"): 100}, "the traffic has moved")
    assert controller.main.target
    assert not any(uri("2") in entry for entry in controller.history)


@MODES
def test_a_model_that_cannot_be_loaded_fails_at_once_with_the_controllers_words(control, deploy, mode):
    control(mode, ready=lambda bundle: bundle == uri("1"), broken="no such object in the bucket")
    deploy("1")
    with pytest.raises(InventoryError, match="ModelLoadFailed: no such object in the bucket"):
        deploy("2", ServingSettings(ready_seconds=600))


@MODES
def test_a_gateway_that_answers_404_after_ready_is_waited_for(control, deploy, mode):
    controller = control(mode)
    deploy("1")
    controller.canary.missing = 5
    assert deploy("2").version == "2"
    assert controller.traffic == {uri("2"): 100}


@MODES
def test_a_first_model_that_answers_wrongly_is_stopped_and_not_deleted(control, deploy, models, mode):
    controller = control(mode, servers={uri("1"): models["2"][1]})
    with pytest.raises(InventoryError, match="answers for model 2, not for 1"):
        deploy("1")
    assert controller.service["metadata"]["annotations"][services.STOP_ANNOTATION] == "true"
    deploy("2")
    assert services.STOP_ANNOTATION not in controller.service["metadata"]["annotations"]
    wait_until(lambda: controller.traffic == {uri("2"): 100}, "the traffic has moved")


@MODES
def test_the_model_in_service_is_checked_again_and_left_alone(control, deploy, mode):
    controller = control(mode)
    deploy("1")
    before = controller.service["spec"]
    assert deploy("1").version == "1"
    assert controller.service["spec"] == before


@MODES
def test_a_canary_left_by_a_killed_step_is_replaced(control, deploy, models, api, mode):
    controller = control(mode)
    deploy("1")
    ClusterDeployer(api, "team", SETTINGS).start(models["2"][0])  # and then the step is killed
    assert deploy("1").version == "1"
    wait_until(lambda: controller.traffic.get(uri("1")) == 100, "the traffic has moved")
    assert deploy("2").version == "2"
    wait_until(lambda: controller.traffic == {uri("2"): 100}, "the traffic has moved")


def test_another_change_at_the_same_time_is_no_harm(control, deploy, cluster):
    controller = control("Standard")
    deploy("1")
    cluster.fail(409, "PATCH", NAME, times=2)
    cluster.fail(503, "PATCH", NAME, times=1, after=True)
    assert deploy("2").version == "2"
    assert controller.traffic == {uri("2"): 100}


def test_why_a_model_failed_is_told_where_it_cannot_be_taken_out(control, deploy, cluster):
    def never(_: str) -> bool:
        cluster.forbidden.add(("patch", services.GROUP, services.PLURAL))
        return False

    control("Standard", ready=never, lag=0.5)
    with pytest.raises(InventoryError, match=r"was not ready within 1 s: .*; and the model could not be taken out: "):
        deploy("1")


def test_a_change_whose_answer_is_lost_is_waited_for_like_any_other(control, deploy, cluster):
    controller = control("Knative")
    deploy("1")
    controller.settle()
    controller.lag = 3.0  # longer than a gateway may lead to the model before
    cluster.fail(503, "PATCH", NAME, times=1, after=True)
    assert deploy("2", ServingSettings(ready_seconds=20)).version == "2"


@needs_schemas
def test_a_kserve_tries_a_model_in_a_second_service(control, deploy, cluster, capsys):
    cluster.releases["kserve"] = "0.18.0"
    controller = control("Standard")
    for version in ("1", "2", "1"):
        assert deploy(version).url == controller.main.url
        assert controller.traffic == {uri(version): 100}
    assert "knows no spec.canary" in capsys.readouterr().out
    assert len(controller.rollouts) == 3
    trial = cluster.get(services.PLURAL, TRIAL, services.GROUP)
    assert services.stopped(trial), "no pod of it is left"


@needs_schemas
def test_a_wrong_model_in_a_second_service_leaves_the_first_alone(control, deploy, cluster, models):
    cluster.releases["kserve"] = "0.18.0"
    controller = control("Standard", servers={uri("2"): models["1"][1]})
    deploy("1")
    before = controller.service["spec"]
    with pytest.raises(InventoryError, match="answers for model 1, not for 2"):
        deploy("2")
    assert controller.service["spec"] == before
    assert services.stopped(cluster.get(services.PLURAL, TRIAL, services.GROUP))


@pytest.mark.parametrize(("stable", "wanted"), [(0, 2), (1, 2), (2, 1)])
def test_a_canary_never_asks_for_more_pods_than_the_model_in_service(control, deploy, stable, wanted):
    controller = control("Standard")
    deploy("1", ServingSettings(ready_seconds=5, min_replicas=stable))
    assert deploy("2", ServingSettings(ready_seconds=5, min_replicas=wanted)).version == "2"
    assert controller.service["spec"]["predictor"]["minReplicas"] == wanted


@pytest.mark.parametrize(
    ("mode", "metric", "words"),
    [
        ("Standard", "concurrency", "Standard mode does not scale on concurrency; use cpu or memory"),
        ("Standard", "rps", "Standard mode does not scale on rps"),
        ("Knative", "cpu", r"\[cpu\] is not a supported metric"),
        ("Knative", "memory", r"\[memory\] is not a supported metric"),
    ],
)
def test_a_metric_that_the_mode_does_not_know_is_refused_before_anything_is_made(control, deploy, mode, metric, words):
    controller = control(mode)
    with pytest.raises(InventoryError, match=words):
        deploy("1", ServingSettings(scale_metric=metric))
    assert controller.service is None
    deploy("1")
    before = controller.service["spec"]
    with pytest.raises(InventoryError, match=f"does not scale on {metric}"):
        deploy("2", ServingSettings(scale_metric=metric))
    assert controller.service["spec"] == before


@pytest.mark.parametrize(
    ("mode", "settings", "words"),
    [
        (
            "Standard",
            ServingSettings(container_concurrency=4),
            "container_concurrency: KServe's Standard mode ignores it",
        ),
        ("Knative", ServingSettings(grpc=True), r"serving\.grpc: a Knative service has one port"),
    ],
)
def test_an_option_that_the_mode_does_not_know_is_refused_before_anything_is_made(
    control, deploy, mode, settings, words
):
    controller = control(mode)
    with pytest.raises(InventoryError, match=words):
        deploy("1", settings)
    assert controller.service is None


@MODES
def test_options_go_into_service_with_the_next_model_and_out_with_the_one_after(control, deploy, mode):
    controller = control(mode)
    wanted = SETTINGS.model_copy(update={"threads": 2, "labels": {"team": "north"}, "timeout_seconds": 30})
    deploy("1")
    deploy("2", wanted)
    assert services.settings_of(controller.service) == wanted.model_copy(update={"ready_seconds": 900})
    deploy("1")
    assert services.settings_of(controller.service) == ServingSettings()
    assert "timeout" not in controller.service["spec"]["predictor"]


@MODES
def test_the_model_in_service_gets_another_shadow_or_none_and_keeps_its_options(control, deploy, mode):
    controller = control(mode)
    deploy("1", SETTINGS.model_copy(update={"threads": 2}))
    shadowed = SETTINGS.model_copy(update={"shadow": uri("2")})
    for settings, shadow in ((shadowed, uri("2")), (SETTINGS, uri("2")), (ServingSettings(shadow="none"), None)):
        assert deploy("1", settings).version == "1"
        assert (services.shadow_uri(controller.service), services.served_uri(controller.service)) == (shadow, uri("1"))
        assert services.settings_of(controller.service).threads == 2
    deploy("1", shadowed)
    assert deploy("2", services.settings_of(controller.service)).version == "2"
    assert (services.shadow_uri(controller.service), services.served_uri(controller.service)) == (None, uri("2"))


def service(mode: str, **changes: object) -> dict:
    body = services.inference_service("team", uri("1"), SETTINGS)
    if mode == "Standard":
        body["metadata"]["annotations"][services.MODE_ANNOTATION] = mode
    return {**body, "status": {"deploymentMode": mode, **changes}}


def test_the_longest_name_leaves_room_for_kserves_label_of_a_canary():
    """``isvc.`` and the Deployment's name is the value of a label (GetRawServiceLabel), of 63 characters at most."""
    service = {"metadata": {"name": "n" * 40}, "spec": {"predictor": {}, "canary": [{}]}}
    ServingSettings(name=service["metadata"]["name"])
    assert len(inference_status.pod_labels(service, uri("1")).partition("=")[2]) <= 63


def test_a_new_model_is_addressed_alone_in_both_modes():
    standard = merge(service("RawDeployment"), services.start_canary(service("RawDeployment"), uri("2"), SETTINGS))
    host = f"http://{NAME}-{services.revision_name(uri('2'))}-predictor.team.svc"
    assert inference_status.canary_urls(standard, uri("2")) == [host, f"{host}:8080"]
    tagged = {"tag": "latest", "revisionName": "r2", "url": "http://latest-bin-counter-predictor.team.example.com"}
    untagged = {"revisionName": "r1", "percent": 90}
    part = {"latestReadyRevision": "r2", "traffic": [untagged, tagged]}
    assert inference_status.canary_urls(service("Serverless", components={"predictor": part}), uri("2")) == [
        "http://latest-bin-counter-predictor.team.svc",
        tagged["url"],
    ]


@MODES
def test_every_object_satisfies_kserves_schema_and_its_webhook(mode):
    current = service(mode)
    metric = "cpu" if mode == "Standard" else "concurrency"
    settings = ServingSettings(scale_metric=metric, scale_target=4, min_replicas=0, shadow=uri("9"))
    steps = [
        lambda body: {},
        lambda body: services.start_canary(body, uri("2"), settings),
        lambda body: services.rollback_patch(body, uri("2"), alone=False),
        lambda body: services.start_canary(body, uri("3"), settings),
        lambda body: services.promote_canary(body, uri("3"), settings),
        lambda body: services.rollback_patch(body, uri("3"), alone=True),
        lambda body: services.start_alone(body, uri("4"), settings),
    ]
    for step in steps:
        before, current = current, merge(current, step(current))
        assert problems(current, "inferenceservices.serving.kserve.io") == []
        assert inference_service_refused(current, before) is None
    assert services.served_uri(current) == uri("4")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"canary_percent": 101}, "serving.canary_percent"),
        ({"min_replicas": 5, "max_replicas": 2}, "min_replicas 5 is more than max_replicas 2"),
        ({"memory": "much"}, "serving.memory"),
        ({"name": "Bin Counter"}, "serving.name"),
        ({"colour": "red"}, "serving has no option 'colour'"),
    ],
)
def test_a_wrong_option_is_refused_with_its_name(values, message):
    with pytest.raises(InventoryError, match=message):
        ServingSettings.read(values)
