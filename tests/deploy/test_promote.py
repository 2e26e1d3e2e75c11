"""Registered models go into service by hand: on real servers, and on an InferenceService whose controller is played."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from components.cluster import inference_service as services
from components.cluster import inference_status, kube
from components.cluster.resource import Resource
from components.common.errors import InventoryError
from components.common.store import Store
from components.counter import bundle as bundles
from components.counter.bundle import InputTransform
from components.counter.dataset import DatasetManifest
from components.deploy import cluster as deployment
from components.deploy import smoke
from components.deploy.promote import Cluster, promote, roll_back
from components.registry.in_service import on_cluster
from components.registry.registry import Registry, facts_of, open_registry, put_in_service, read_index, register
from components.settings.serving import ServingSettings
from tests.cluster.stand_ins.api import Cluster as Api
from tests.cluster.stand_ins.api import running
from tests.deploy.kserve_controller import Controller
from tests.packed_bins import RawBin, pack
from tests.steps import split_bins
from tests.tiny_model import photo, serving, write_bundle
from tests.waiting import wait_until

NAME = "bin-counter"


@pytest.fixture
def registry(store: Store) -> Registry:
    return open_registry(store, {})


@pytest.fixture
def dataset(store: Store) -> DatasetManifest:
    bins = [RawBin(f"{number:05d}", number % 5 + 1, [f"A{number}"], photo(number % 5 + 1), {}) for number in range(60)]
    manifest = split_bins(store, pack(store, bins), "60/20/20")
    store.put_bytes("dataset.json", manifest.model_dump_json().encode())
    return manifest


@pytest.fixture
def add(store: Store, registry: Registry, dataset: DatasetManifest, tmp_path: Path) -> Callable[..., Path]:
    """Registers a tiny model and returns its folder."""

    def register_one(version: str, temperature: float = 1.0) -> Path:
        folder = tmp_path / version
        provenance = {"dataset_id": dataset.dataset_id, "dataset_key": "dataset.json"}
        bundle = write_bundle(folder, version=version, temperature=temperature, provenance=provenance)
        key = f"runs/{version}/model"
        bundles.upload(store, folder, key)
        register(registry, NAME, facts_of(store, key, bundle, version))
        return folder

    return register_one


def in_service(registry: Registry) -> str | None:
    entry = read_index(registry, NAME).in_service
    return entry.version if entry else None


def servers() -> set[psutil.Process]:
    """The model servers that run, those of other tests included."""

    def serves(process: psutil.Process) -> bool:
        try:
            return "components.serve" in process.cmdline()
        except psutil.Error:  # it has ended; nobody collects it before this process does
            return False

    return {child for child in psutil.Process().children(recursive=True) if serves(child)}


def test_models_are_promoted_after_a_smoke_test_and_rolled_back_one_at_a_time(store, registry, add):
    running_before = servers()
    for version in ("a", "b"):
        add(version)
    first = promote(store, registry, NAME, "a")
    assert (first.entry.version, first.before, first.smoke.bins) == ("a", None, 8)
    second = promote(store, registry, NAME, "b")
    assert (second.entry.version, second.before.version, in_service(registry)) == ("b", "a", "b")
    back = roll_back(store, registry, NAME)
    assert (back.entry.version, back.before.version, in_service(registry)) == ("a", "b", "a")
    with pytest.raises(InventoryError, match="nothing to go back to: only a was ever in service as bin-counter"):
        roll_back(store, registry, NAME)
    wait_until(lambda: servers() <= running_before, "no model server is left", 30)


def test_two_promotions_at_once_leave_one_model_in_service(store, registry, add):
    for version in ("a", "b"):
        add(version)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda version: promote(store, registry, NAME, version), ["a", "b"]))
    found = read_index(registry, NAME)
    assert sorted(found.service) == ["a", "b"]
    assert [entry.state for entry in found.entries.values()].count("in service") == 1


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("not registered", "there is no model b; the newest are a"),
        ("files gone", "there is no such object"),
        ("overwritten", "not those that were registered"),
        ("dataset gone", "there is no such object"),
        ("cannot be served", "the model server ended at once"),
    ],
)
def test_what_does_not_answer_as_it_should_goes_nowhere(store, registry, add, tmp_path, trouble, words):
    add("a")
    put_in_service(registry, store, NAME, "runs/a/model")
    if trouble != "not registered":
        folder = add("b")
    if trouble == "files gone":
        store.delete("runs/b/model/model.onnx")
    elif trouble == "overwritten":
        other = write_bundle(tmp_path / "other", version="b", counts=[1, 2, 3])
        assert other.version == "b"
        bundles.upload(store, tmp_path / "other", "runs/b/model")
    elif trouble == "dataset gone":
        store.delete("dataset.json")
    elif trouble == "cannot be served":
        bundle = bundles.load(folder).model_copy(update={"input": InputTransform(size=64)})
        bundles.save(bundle, folder)
        bundles.upload(store, folder, "runs/b/model")
    with pytest.raises(InventoryError, match=words) as error:
        promote(store, registry, NAME, "b")
    assert "\n" not in str(error.value)
    assert in_service(registry) == "a"


def test_wrong_answers_are_not_promoted(store, registry, add, monkeypatch):
    add("a")
    run_network = smoke.run
    monkeypatch.setattr(smoke, "run", lambda session, images: -run_network(session, images))
    with pytest.raises(InventoryError, match="not the model's own"):
        promote(store, registry, NAME, "a")
    assert in_service(registry) is None


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Api, Cluster]]:
    for api in running(Api()):
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(tmp_path / "kubeconfig")))
        monkeypatch.setattr(deployment, "REACH_SECONDS", 5.0)
        yield api, Cluster(kube.connect(), kube.namespace())


def test_on_a_cluster_the_inference_service_changes_its_model_and_nothing_else(store, registry, add, cluster):
    api, place = cluster
    one, two = add("a"), add("b", temperature=2.0)
    with serving(one) as first, serving(two) as second:
        controller = Controller(
            api, "Knative", {store.uri("runs/a/model"): first.url, store.uri("runs/b/model"): second.url}
        )
        try:
            assert on_cluster(store, read_index(registry, NAME), ServingSettings(), place.api, place.namespace) is None
            promote(store, registry, NAME, "a", place)
            resize(place)
            change = promote(store, registry, NAME, "b", place)
            service = the_service(place)
            assert change.url == inference_status.service_urls(service)[0]
            assert services.served_uri(service) == store.uri("runs/b/model")
            assert service["spec"]["predictor"]["model"]["resources"]["requests"]["memory"] == "3Gi"
            found = read_index(registry, NAME)
            assert on_cluster(store, found, ServingSettings(), place.api, place.namespace).entry.version == "b"

            promote(store, registry, NAME, "b", place, shadow="a")
            assert services.shadow_uri(the_service(place)) == store.uri("runs/a/model")
            found = read_index(registry, NAME)
            shadowed = on_cluster(store, found, ServingSettings(), place.api, place.namespace)
            assert (shadowed.entry.version, shadowed.shadow_key) == ("b", "runs/a/model")
            for wrong, words in (("z", "there is no model z"), ("s3://another/runs/a/model", "not in the bucket")):
                with pytest.raises(InventoryError, match=words):
                    promote(store, registry, NAME, "b", place, shadow=wrong)
            promote(store, registry, NAME, "b", place, shadow="none")
            assert services.shadow_uri(the_service(place)) is None

            assert roll_back(store, registry, NAME, place).entry.version == "a"
            assert services.served_uri(the_service(place)) == store.uri("runs/a/model")

            put_in_service(registry, store, NAME, "runs/b/model")  # as if somebody had changed the service by hand
            with pytest.raises(InventoryError, match=r"serves runs/a/model, not b as recorded"):
                roll_back(store, registry, NAME, place)
        finally:
            controller.close()


def resource(place: Cluster) -> Resource:
    return services.KIND.resource(place.api, place.namespace)


def the_service(place: Cluster) -> dict:
    return resource(place).get(NAME)


def resize(place: Cluster) -> None:
    """A platform engineer gives the pods more memory."""
    amounts = {"cpu": "1", "memory": "3Gi"}
    body = {"spec": {"predictor": {"model": {"resources": {"requests": amounts, "limits": amounts}}}}}
    resource(place).patch(NAME, json.loads(json.dumps(body)))


@pytest.mark.parametrize(
    ("annotations", "canary", "expected"),
    [
        ({services.BEFORE_ANNOTATION: "s3://x/old"}, None, "s3://x/new"),
        ({services.BEFORE_ANNOTATION: "s3://x/old"}, 10, "s3://x/old"),
        ({}, 10, ""),
        ({services.STOP_ANNOTATION: "true"}, None, ""),
        ({}, None, "s3://x/new"),
    ],
    ids=["changed by hand", "a canary is under way", "only a canary", "stopped", "made by hand"],
)
def test_what_an_inference_service_says_is_in_service(annotations, canary, expected):
    model = {"model": {"storageUri": "s3://x/new"}}
    spec = {"predictor": {**model, **({} if canary is None else {"canaryTrafficPercent": canary})}}
    assert services.stable_uri({"metadata": {"annotations": annotations}, "spec": spec}) == expected
