"""The deploy step on one machine: real store, real dataset, real server process under its supervisor."""

import fcntl
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from components.client.query import query
from components.common.errors import InventoryError
from components.common.parent_process import RUN_FOLDER_VARIABLE
from components.common.store import Store
from components.counter import bundle as bundles
from components.counter.dataset import DatasetManifest
from components.counter.signing.keys import PUBLIC_VARIABLE, SIGNING_VARIABLE
from components.deploy import smoke
from components.deploy.step import deploy
from components.documents.trained import TrainedModel
from components.gate.step import gate
from components.registry.registry import open_registry, read_index
from components.settings.gate import GatePolicy
from tests.documents import trained
from tests.packed_bins import RawBin, pack
from tests.signing_keys import Pair, write_pair
from tests.steps import split_bins
from tests.tiny_model import photo, write_bundle
from tests.waiting import wait_until_gone

OWNER = """
import fcntl, sys, time
with open(sys.argv[1], "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    print("held", flush=True)
    time.sleep(600)
"""


def served(store: Store) -> str:
    """The version in service."""
    return read_index(open_registry(store), "bin-counter").in_service.version


@pytest.fixture
def dataset(store: Store) -> DatasetManifest:
    bins = [RawBin(f"{number:05d}", number % 5 + 1, [f"A{number}"], photo(number % 5 + 1), {}) for number in range(60)]
    return split_bins(store, pack(store, bins), "60/20/20")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds the run's lock, as ``inventory run`` does."""
    lock = tmp_path / "lock"
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(lock)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout.readline() == "held\n"
    monkeypatch.setenv(RUN_FOLDER_VARIABLE, str(tmp_path))
    yield owner
    owner.kill()
    owner.wait()
    owner.stdout.close()


def evaluated(store: Store, folder: Path, **changes: object) -> TrainedModel:
    write_bundle(folder, **changes)
    bundles.upload(store, folder, f"runs/{folder.name}/model")
    return trained(f"runs/{folder.name}/model")


def test_models_take_over_from_each_other_and_end_with_the_run_however_it_ends(store, dataset, run, tmp_path):
    first = deploy(store, dataset, evaluated(store, tmp_path / "first"), "r1")
    assert (first.model_name, first.version) == ("bin-counter", "test-1")
    assert first.smoke.bins == first.smoke.correct == 8
    assert query(first.url, photo(4), 4).verdict == "agrees"

    second = deploy(store, dataset, evaluated(store, tmp_path / "second", version="test-2"), "r1")
    assert json.loads((tmp_path / "service.json").read_text())["url"] == second.url
    assert query(second.url, photo(2)).model == "test-2"
    wait_until_gone(first.pid)
    assert (first.replaced, second.replaced) == (None, "test-1")
    assert served(store) == "test-2"

    with pytest.raises(InventoryError, match="is not the model's own"):
        deploy_with_wrong_answers(store, dataset, evaluated(store, tmp_path / "third", version="test-3"))
    assert query(second.url, photo(2)).model == "test-2"
    assert json.loads((tmp_path / "service.json").read_text())["url"] == second.url
    assert served(store) == "test-2"

    server = [child.pid for child in psutil.Process(second.pid).children()]
    run.kill()
    for pid in (second.pid, *server):
        wait_until_gone(pid)


def deploy_with_wrong_answers(store: Store, dataset: DatasetManifest, outcome: TrainedModel) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(smoke, "run", lambda session, images: -run_network(session, images))
        deploy(store, dataset, outcome, "r1")


def test_of_two_models_approved_at_once_only_the_first_goes_into_service(store, dataset, run, tmp_path):
    models = {name: evaluated(store, tmp_path / name, version=name) for name in ("one", "two")}
    for name, model in models.items():
        assert gate(store, dataset, model, name, GatePolicy(minimum_bins=5, draws=100)).in_service is None
    deploy(store, dataset, models["one"], "one")
    deploy(store, dataset, models["one"], "one")  # tried again
    with pytest.raises(InventoryError, match="compared with nothing, but runs/one/model has gone into service since"):
        deploy(store, dataset, models["two"], "two")
    assert served(store) == "one"
    gate(store, dataset, models["two"], "two", GatePolicy(minimum_bins=5, draws=100, enforce=False))
    assert deploy(store, dataset, models["two"], "two").replaced == "one"


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """Keys that the environment names, for the gate and for whoever verifies."""
    pair = write_pair(tmp_path / "keys")
    monkeypatch.setenv(SIGNING_VARIABLE, str(pair.private))
    monkeypatch.setenv(PUBLIC_VARIABLE, str(pair.public))
    return pair


def test_with_keys_the_gate_signs_and_nothing_else_goes_into_service(store, dataset, run, pair, tmp_path):
    model = evaluated(store, tmp_path / "one", version="one")
    policy = GatePolicy(minimum_bins=5, draws=100, enforce=False)
    with pytest.raises(InventoryError, match="is not signed"):
        deploy(store, dataset, model, "one")
    assert gate(store, dataset, model, "one", policy).approved == "yes"
    service = deploy(store, dataset, model, "one")
    assert query(service.url, photo(4)).model == "one"
    for process in (psutil.Process(service.pid), *psutil.Process(service.pid).children()):
        assert SIGNING_VARIABLE not in process.environ()
        assert process.environ()[PUBLIC_VARIABLE] == str(pair.public)

    write_bundle(tmp_path / "one", version="one", temperature=3.0)  # and its hashes, by whom the store lets write
    bundles.upload(store, tmp_path / "one", model.bundle_key)
    with pytest.raises(InventoryError, match=r"the signature of .* does not hold"):
        deploy(store, dataset, model, "one")
    refused = evaluated(store, tmp_path / "two", version="two", temperature=1.0)
    assert gate(store, dataset, refused, "two", GatePolicy(minimum_bins=10_000)).approved == "no"
    assert not store.exists(f"{refused.bundle_key}/{bundles.SIGNATURE_FILE}"), "what the gate refuses is not signed"
    assert query(service.url, photo(4)).model == "one"

    secret = pair.private.read_bytes().splitlines()[1]
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.parent != pair.private.parent]
    assert all(secret not in content for content in map(Path.read_bytes, files))
    assert all(secret not in store.get_bytes(key) for key in store.list(""))


def test_a_bundle_that_changes_while_the_gate_looks_is_neither_registered_nor_signed(store, dataset, pair, tmp_path):
    model = evaluated(store, tmp_path / "good", version="good")
    write_bundle(tmp_path / "bad", version="good", temperature=9.0)

    def exchanged(*described: object) -> object:
        found = fetch_description(*described)
        bundles.upload(store, tmp_path / "bad", model.bundle_key)
        return found

    with pytest.MonkeyPatch.context() as patch:
        fetch_description = bundles.fetch_description
        patch.setattr(bundles, "fetch_description", exchanged)
        with pytest.raises(InventoryError, match="was changed while the gate looked at it"):
            gate(store, dataset, model, "good", GatePolicy(minimum_bins=5, draws=100))
    assert not store.exists(f"{model.bundle_key}/{bundles.SIGNATURE_FILE}")
    assert read_index(open_registry(store, {}), "bin-counter").in_service is None


run_network = smoke.run


def test_a_model_that_cannot_be_served_fails_with_the_servers_own_line(store, dataset, run, tmp_path):
    broken = evaluated(store, tmp_path / "broken")
    bundle = bundles.load(tmp_path / "broken")
    (tmp_path / "broken" / "model.onnx").write_bytes(b"no network")
    bundles.save(bundle, tmp_path / "broken")
    bundles.upload(store, tmp_path / "broken", broken.bundle_key)
    with pytest.raises(InventoryError, match=r"model\.onnx is not a model.*its log is"):
        deploy(store, dataset, broken, "r1")
    assert not (tmp_path / "service.json").exists()


def test_without_a_run_there_is_no_place_to_serve(store, dataset, tmp_path, monkeypatch):
    monkeypatch.delenv(RUN_FOLDER_VARIABLE, raising=False)
    with pytest.raises(InventoryError, match=RUN_FOLDER_VARIABLE):
        deploy(store, dataset, trained("runs/x/model"), "r1")


def test_the_smoke_test_takes_every_count_in_turn(store, dataset):
    counts = [item.expected_quantity for item in smoke.labelled_bins(store, dataset)]
    assert len(counts) == 8
    assert set(counts) == {1, 2, 3, 4, 5}


def test_the_supervisor_passes_on_the_commands_exit_code(tmp_path):
    lock = tmp_path / "lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        command = [sys.executable, "-m", "components.common.local_store.supervise", str(lock), "--"]
        ended = subprocess.run([*command, sys.executable, "-c", "raise SystemExit(7)"], timeout=30)
    assert ended.returncode == 7


def test_the_supervisor_explains_its_command_line():
    ended = subprocess.run(
        [sys.executable, "-m", "components.common.local_store.supervise", "x"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("usage: ")
