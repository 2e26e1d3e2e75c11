"""Cores and memory: affinity, control groups of both versions under a faked root, and what the user says."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from components.common import machine
from components.common.errors import InventoryError
from components.common.machine import usable_cores, usable_memory, usable_threads
from components.counter import scoring
from components.counter.network import open_session
from components.documents.training_spec import TrainingSpec
from components.download.fetch import groups_at_once
from components.serve import __main__ as serve
from components.settings.presets import resolve
from components.split import bins as split
from components.train.data.batches import decode_threads
from components.train.engine.workers import Workers
from components.train.launchers import host
from components.train.launchers.local import LocalLauncher
from components.train.worker import compute_threads
from components.tune.optuna.search import _Local
from tests.tiny_model import write_bundle

V1 = "4:memory:/pod/a\n2:cpu,cpuacct:/pod/a\n0::/pod/a\n"
V2 = "0::/pod/a\n"
NODE_CORES = 64


@pytest.fixture(scope="module")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    write_bundle(folder)
    return folder


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A machine of 64 cores whose control groups are the given files under ``sys/fs/cgroup``."""
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(NODE_CORES)))
    for variable in (machine.CORES_VARIABLE, machine.MEMORY_VARIABLE, "OMP_NUM_THREADS"):
        monkeypatch.delenv(variable, raising=False)

    def write(own: str, files: dict[str, str]) -> None:
        files = {f"sys/fs/cgroup/{name}": text for name, text in files.items()} | {"proc/self/cgroup": own}
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(f"{text}\n")

    return write


def quota(folder: str, microseconds: int, period: int = 100_000) -> dict[str, str]:
    """The files of a limit of processor time, of version 1."""
    return {f"{folder}/cpu.cfs_quota_us": str(microseconds), f"{folder}/cpu.cfs_period_us": str(period)}


LIMITS = [
    pytest.param("", {}, NODE_CORES, None, id="no control groups"),
    pytest.param(V2, {"pod/a/cpu.max": "max 100000", "pod/a/memory.max": "max"}, NODE_CORES, None, id="v2 unlimited"),
    pytest.param(V2, {"pod/a/cpu.max": "50000 100000", "pod/a/memory.max": "1048576"}, 0.5, 2**20, id="v2 own group"),
    pytest.param(
        V2,
        {"pod/a/cpu.max": "max 100000", "pod/cpu.max": "350000 100000", "pod/a/memory.max": "max", "memory.max": "99"},
        3.5,
        99,
        id="v2 a group above",
    ),
    pytest.param("0::/\n", {"cpu.max": "200000 100000"}, 2, None, id="v2 in a container of its own"),
    pytest.param(
        V2, {"pod/cpu.max": "200000 100000", "pod/a/cpu.max": "800000 100000"}, 2, None, id="v2 the tightest counts"
    ),
    pytest.param(V2, {"cpu.max": "200000 100000"}, 2, None, id="v2 the group's path is the host's"),
    pytest.param(
        V1,
        quota("cpu,cpuacct/pod/a", -1) | {"memory/pod/a/memory.limit_in_bytes": str(2**63 - 4096)},
        NODE_CORES,
        None,
        id="v1 unlimited",
    ),
    pytest.param(
        V1,
        quota("cpu,cpuacct/pod", 25_000) | {"memory/memory.limit_in_bytes": "1048576"},
        0.25,
        2**20,
        id="v1 a group above",
    ),
    pytest.param(V1, quota("cpu", 300_000), 3, None, id="v1 mounted under the controller's name"),
]


@pytest.mark.parametrize(("own", "files", "cores", "memory"), LIMITS)
def test_a_container_may_use_what_its_control_groups_give_it(node, own, files, cores, memory) -> None:
    node(own, files)
    assert usable_cores() == cores
    assert usable_memory() == (memory or psutil.virtual_memory().total)


def test_threads_are_whole_and_shared_by_the_processes_of_a_host(node) -> None:
    node(V2, {"pod/a/cpu.max": "350000 100000"})
    assert [usable_threads(processes) for processes in (1, 2, 8)] == [3, 1, 1]


def test_what_the_user_says_takes_the_place_of_what_is_found(node, monkeypatch: pytest.MonkeyPatch) -> None:
    node(V2, {"pod/a/cpu.max": "50000 100000"})
    monkeypatch.setenv("INVENTORY_CORES", "6")
    monkeypatch.setenv("INVENTORY_MEMORY_GIB", "1.5")
    assert (usable_cores(), usable_memory()) == (6, 3 * 2**29)


@pytest.mark.parametrize("text", ["many", "0", "-1", "nan", "inf"])
def test_a_number_of_cores_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("INVENTORY_CORES", text)
    with pytest.raises(InventoryError, match=f"INVENTORY_CORES is '{text}'; give a number above 0"):
        usable_cores()


def test_the_server_refuses_a_wrong_number_of_cores_on_one_line(monkeypatch, bundle_folder, capsys) -> None:
    monkeypatch.setenv("INVENTORY_CORES", "many")
    assert serve.main(["--bundle", str(bundle_folder)]) == 1
    assert capsys.readouterr().err.startswith("error: INVENTORY_CORES is 'many'")


FOUR_CPUS = [
    pytest.param(V1, quota("cpu,cpuacct/pod/a", 400_000), id="v1"),
    pytest.param(V2, {"pod/a/cpu.max": "400000 100000"}, id="v2"),
]


@pytest.mark.parametrize(("own", "files"), FOUR_CPUS)
class TestFourCpusOfANodeWithSixtyFour:
    """Every count of threads follows the quota."""

    @pytest.fixture(autouse=True)
    def limited(self, node, own, files) -> None:
        node(own, files)

    def test_training_and_its_decoding(self) -> None:
        settings, gpu = resolve("default", {}), torch.device("cuda")
        assert compute_threads(settings, Workers()) == 4
        assert compute_threads(settings, Workers(0, 2, 0, 2)) == 2
        assert decode_threads(settings, Workers(device=gpu)) == 4

    @pytest.mark.parametrize(("processes", "threads"), [(1, "4"), (2, "2")])
    def test_launched_workers(self, monkeypatch, processes, threads, store) -> None:
        launched = record_launches(monkeypatch, "torch.distributed.launcher.api")
        settings = resolve("default", {"processes": processes})
        LocalLauncher().run(TrainingSpec(run_id="r", dataset_key="d", output="o", settings=settings), store)
        assert launched == [threads]
        assert "OMP_NUM_THREADS" not in os.environ

    @pytest.mark.parametrize(("processes", "threads"), [(1, "4"), (2, "2")])
    def test_the_workers_of_a_host(self, monkeypatch, processes, threads) -> None:
        launched = record_launches(monkeypatch, host.__name__)
        monkeypatch.setenv("OMP_NUM_THREADS", "")  # so that it is put back afterwards
        del os.environ["OMP_NUM_THREADS"]
        assert host.main([f"--nproc-per-node={processes}", "--module", "components.train"]) == 0
        assert launched == [threads]

    def test_what_the_user_set_for_workers_stays(self, monkeypatch) -> None:
        launched = record_launches(monkeypatch, host.__name__)
        monkeypatch.setenv("OMP_NUM_THREADS", "7")
        assert host.main(["--nproc-per-node=2", "--module", "components.train"]) == 0
        assert launched == ["7"]

    def test_trials_on_one_machine(self) -> None:
        job = TrainingSpec(run_id="r", dataset_key="d", output="o", settings=resolve("default", {}))
        search = SimpleNamespace(
            alone=True,
            plan=SimpleNamespace(parallel=2, job=lambda *_: job),
            store=SimpleNamespace(put_bytes=lambda *_: None),
        )
        trial = SimpleNamespace(name="t", parameters={})
        assert _Local._job(search, trial).settings.threads == 4
        search.alone = False
        assert _Local._job(search, trial).settings.threads == 2

    def test_evaluation(self, bundle_folder) -> None:
        session = open_session(bundle_folder / "model.onnx", scoring.threads())
        assert (scoring.threads(), session.get_session_options().intra_op_num_threads) == (4, 4)

    def test_split(self, monkeypatch) -> None:
        pools = []
        monkeypatch.setattr(split, "ThreadPoolExecutor", lambda threads: pools.append(threads) or sys.exit())
        with pytest.raises(SystemExit):
            split.collect(None, SimpleNamespace(selected=0), 32, None, Path())
        assert pools == [4]

    def test_download(self) -> None:
        assert groups_at_once() == 4

    def test_server(self, monkeypatch, bundle_folder) -> None:
        opened = []
        monkeypatch.setattr(serve, "CountPredictor", lambda _, __, threads, *___: opened.append(threads) or sys.exit())
        with pytest.raises(SystemExit):
            serve.main(["--bundle", str(bundle_folder)])
        assert opened == [4]

    def test_profile(self) -> None:
        assert usable_cores() == 4


def record_launches(monkeypatch: pytest.MonkeyPatch, module: str) -> list[str | None]:
    """Puts nothing in the place of torch's launch, and notes the number of threads that workers would inherit."""
    launched: list[str | None] = []
    start = lambda *_: lambda *_: launched.append(os.environ.get("OMP_NUM_THREADS"))  # noqa: E731
    monkeypatch.setattr(f"{module}.elastic_launch", start)
    return launched
