"""The same behaviour of both registries: the index in a real object store, and Kubeflow's client against its API."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from components.common.errors import InventoryError
from components.common.store import Store
from components.registry.entry import Event, Index, ModelFacts
from components.registry.registry import Registry, open_registry, read_index, register
from tests.registry.model_registry_api import ModelRegistryApi, model_registry

NAME = "bin-counter"


@pytest.fixture(params=["object store", "Kubeflow Model Registry"])
def registry(request: pytest.FixtureRequest, store: Store) -> Iterator[Registry]:
    if request.param == "object store":
        yield open_registry(store, {})
        return
    with model_registry("a-token") as (url, _):
        yield open_registry(store, {"MODEL_REGISTRY_URL": url, "MODEL_REGISTRY_TOKEN": "a-token"})


def facts(version: str, sha256: str = "0" * 64, promote: bool = True, accuracy: float = 0.5) -> ModelFacts:
    return ModelFacts(
        version=version,
        bundle_key=f"runs/{version}/model",
        uri=f"s3://inventory/runs/{version}/model",
        model_sha256=sha256,
        dataset_id="d" * 64,
        dataset_key=f"runs/{version}/dataset.json",
        run_id=version,
        metrics={"accuracy": accuracy, "within_one": 0.8, "mae": 0.7, "intervals": {"accuracy": [0.4, 0.6]}},
        decision={"promote": promote, "summary": "as the gate says"},
    )


def serve(registry: Registry, version: str, run_id: str = "") -> None:
    registry.record(NAME, Event(kind="in service", version=version, run_id=run_id))


def roll_back(registry: Registry, left: str, version: str) -> None:
    registry.record(NAME, Event(kind="rolled back", version=version, left=left))


def states(registry: Registry) -> dict[str, str]:
    return {version: entry.state for version, entry in read_index(registry, NAME).entries.items()}


def look(registry: Registry) -> Index:
    return read_index(registry, NAME)


def test_nothing_is_registered_at_first(registry: Registry) -> None:
    found = look(registry)
    assert (found.entries, found.in_service, found.before) == ({}, None, None)
    with pytest.raises(InventoryError, match=r"there is no model x; none is registered"):
        found.get("x")


def test_every_field_comes_back_as_it_was_registered(registry: Registry) -> None:
    register(registry, NAME, facts("a"))
    entry = look(registry).get("a")
    assert ModelFacts(**{name: getattr(entry, name) for name in ModelFacts.model_fields}) == facts("a")
    assert entry.created > 1_700_000_000
    assert entry.state == "candidate"


def test_states_follow_what_happens_to_models(registry: Registry) -> None:
    for version, promote in (("a", True), ("b", True), ("c", False)):
        register(registry, NAME, facts(version, promote=promote))
    assert states(registry) == {"a": "candidate", "b": "candidate", "c": "rejected"}
    serve(registry, "a", run_id="a")
    serve(registry, "b", run_id="b")
    assert states(registry) == {"a": "archived", "b": "in service", "c": "rejected"}
    found = look(registry)
    (first,), (second,) = found.get("a").served, found.get("b").served
    assert first.until == second.since
    assert (second.until, second.run_id) == (None, "b")
    assert found.before == found.get("a")


def test_a_chain_of_rollbacks_goes_back_one_model_at_a_time_and_forward_again(registry: Registry) -> None:
    for version in ("a", "b", "c"):
        register(registry, NAME, facts(version))
        serve(registry, version)
    roll_back(registry, "c", "b")
    assert (look(registry).in_service.version, look(registry).before.version) == ("b", "a")
    roll_back(registry, "b", "a")
    assert (look(registry).in_service.version, look(registry).before) == ("a", None)
    serve(registry, "c")
    assert (look(registry).in_service.version, look(registry).before.version) == ("c", "a")
    assert [period.until is None for period in look(registry).get("c").served] == [False, True]


def test_two_rollbacks_of_the_same_model_go_back_once(registry: Registry) -> None:
    for version in ("a", "b", "c"):
        register(registry, NAME, facts(version))
        serve(registry, version)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: roll_back(registry, "c", "b"), range(2)))
    assert look(registry).in_service.version == "b"


def test_of_many_who_promote_at_once_exactly_one_model_is_in_service(registry: Registry) -> None:
    versions = [f"v{number}" for number in range(4)]
    for version in versions:
        register(registry, NAME, facts(version))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda version: serve(registry, version), versions))
    found = look(registry)
    assert sorted(found.service) == versions  # nobody's promotion is lost
    assert list(states(registry).values()).count("in service") == 1
    assert sum(entry.served[-1].until is None for entry in found.entries.values()) == 1


def test_a_second_registration_adds_what_is_new_and_keeps_the_history(registry: Registry) -> None:
    register(registry, NAME, facts("a", accuracy=0.5))
    created = look(registry).get("a").created
    serve(registry, "a")
    register(registry, NAME, facts("a", accuracy=0.6))
    entry = look(registry).get("a")
    assert (entry.metrics.accuracy, entry.created, entry.state) == (0.6, created, "in service")


def test_another_network_under_the_same_version_is_not_in_service(registry: Registry) -> None:
    register(registry, NAME, facts("a"))
    serve(registry, "a")
    register(registry, NAME, facts("b"))
    serve(registry, "b")
    register(registry, NAME, facts("b", sha256="1" * 64, promote=False))
    assert look(registry).in_service.version == "a"
    assert look(registry).get("b").state != "in service"


def test_a_removed_model_is_not_listed_and_never_rolled_back_to(registry: Registry) -> None:
    for version in ("a", "b", "c"):
        register(registry, NAME, facts(version))
        serve(registry, version)
    registry.record(NAME, Event(kind="removed", version="b"))
    assert list(look(registry).entries) == ["a", "c"]
    assert look(registry).before.version == "a"


def test_a_removed_model_that_is_trained_again_is_a_new_one(registry: Registry) -> None:
    register(registry, NAME, facts("a"))
    registry.record(NAME, Event(kind="removed", version="a"))
    register(registry, NAME, facts("a"))
    assert states(registry) == {"a": "candidate"}
    serve(registry, "a")
    assert look(registry).in_service.version == "a"


def test_other_names_are_other_models(registry: Registry) -> None:
    register(registry, "bin-counter-north", facts("a"))
    assert not look(registry).entries


def test_an_event_that_is_none_is_named(store: Store) -> None:
    store.put_bytes(f"registry/{NAME}/00000000000000000001-a.json", b"{}")
    with pytest.raises(InventoryError, match=rf"registry/{NAME}/0+1-a\.json is no event of the model registry"):
        open_registry(store, {}).events(NAME)


def test_a_writer_whose_clock_is_behind_still_comes_last(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("a", "b"):
        register(registry, NAME, facts(version))
    serve(registry, "a")
    monkeypatch.setattr("time.time_ns", lambda: 1_000)
    monkeypatch.setattr("time.time", lambda: 1e-6)
    serve(registry, "b")
    assert look(registry).in_service.version == "b"


def test_the_registrys_pages_show_what_serves_the_metrics_and_where_the_bundle_is(store: Store) -> None:
    with model_registry() as (url, api):
        registry = open_registry(store, {"MODEL_REGISTRY_URL": url})
        for version in ("a", "b"):
            register(registry, NAME, facts(version))
            serve(registry, version)
        registry.record(NAME, Event(kind="removed", version="a"))
    shown = {row["name"]: row for row in api.rows["model_versions"]}
    (model,) = api.rows["registered_models"]
    assert model["customProperties"]["in_service"]["string_value"] == "b"
    assert shown["b"]["customProperties"]["accuracy"]["double_value"] == 0.5
    assert (shown["a"]["state"], shown["b"]["state"]) == ("ARCHIVED", "LIVE")
    assert [row["uri"] for row in api.rows["artifacts"]] == [facts("a").uri, facts("b").uri]
    assert {row["modelFormatName"] for row in api.rows["artifacts"]} == {"inventory-bundle"}


def _versions_of_others(api: ModelRegistryApi) -> None:
    model = api.create("registered_models", {"name": NAME}, lambda _: False)
    api.create("model_versions", {"name": "theirs", "registeredModelId": model["id"]}, lambda _: False)


def test_versions_that_others_registered_are_left_alone(store: Store) -> None:
    with model_registry() as (url, api):
        _versions_of_others(api)
        registry = open_registry(store, {"MODEL_REGISTRY_URL": url})
        register(registry, NAME, facts("a"))
        assert list(look(registry).entries) == ["a"]
    assert api.rows["model_versions"][0]["customProperties"] == {}


@pytest.mark.parametrize(
    ("trouble", "words"),
    [("wrong token", r"HTTP 401"), ("nobody there", r"cannot be used"), ("another API", "HTTP 404")],
)
def test_a_model_registry_that_cannot_be_used_is_one_line(store: Store, trouble: str, words: str) -> None:
    with model_registry("right") as (url, _):
        address: dict[str, Callable[[], str]] = {
            "wrong token": lambda: url,
            "nobody there": lambda: "http://127.0.0.1:9",
            "another API": lambda: f"{url}/somewhere",
        }
        token = "wrong" if trouble == "wrong token" else "right"
        with pytest.raises(InventoryError, match=rf"the Model Registry at .*{words}") as error:
            open_registry(store, {"MODEL_REGISTRY_URL": address[trouble](), "MODEL_REGISTRY_TOKEN": token})
    assert "\n" not in str(error.value)
    assert "right" not in str(error.value)
