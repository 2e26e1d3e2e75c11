from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from components.common.store import Store
from components.documents.training_spec import TrainingSpec
from components.train.engine.workers import Workers
from components.train.watch.trainer_status import (
    CERTIFICATE_VARIABLE,
    TOKEN_VARIABLE,
    URL_VARIABLE,
    TrainerStatus,
)
from components.train.worker import watchers
from tests.client.gateway import certificate
from tests.cluster.stand_ins.status_server import StatusServer, status_server
from tests.documents import epoch
from tests.train.fitting import fast
from tests.waiting import wait_until

NETWORK = torch.nn.Identity()
QUICK = 0.02


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StatusServer]:
    (tmp_path / "token").write_text("first\n")
    with status_server(certificate(tmp_path, "localhost")) as started:
        yield started


@pytest.fixture
def environment(server: StatusServer, tmp_path: Path) -> dict[str, str]:
    return {
        URL_VARIABLE: server.url,
        CERTIFICATE_VARIABLE: str(tmp_path / "gateway.crt"),
        TOKEN_VARIABLE: str(tmp_path / "token"),
    }


def test_percent_seconds_left_and_metrics_are_seen_after_every_epoch(
    server: StatusServer, environment: dict[str, str]
) -> None:
    status = TrainerStatus(epochs=4, environment=environment, seconds=QUICK)
    wait_until(lambda: server.reports, "the beginning is reported")
    for number in (1, 2):
        status.on_epoch(epoch(number, seconds=10.0 * number), NETWORK)
        wait_until(lambda: len(server.reports) > number, f"epoch {number} is reported")  # noqa: B023
    status.summary()
    status.close()
    assert [report["progressPercentage"] for report in server.reports] == [0, 25, 50, 100]
    # 3 epochs of 10 s; 2 epochs of 15 s; it ended before its last epoch
    assert [report.get("estimatedRemainingSeconds") for report in server.reports] == [None, 30, 30, 0]
    metrics = {metric["name"]: metric["value"] for metric in server.reports[2]["metrics"]}
    assert metrics["validation_loss"] == "0.8"
    assert metrics["validation_accuracy"] == "0.4"
    assert server.reports[3]["metrics"] == server.reports[2]["metrics"]


def test_a_continued_training_goes_on_from_its_percentage(server: StatusServer, environment: dict[str, str]) -> None:
    status = TrainerStatus(epochs=10, environment=environment, seconds=QUICK)
    status.on_epoch(epoch(8, seconds=2.0), NETWORK)
    status.close()
    assert server.reports[-1]["progressPercentage"] == 80
    assert server.reports[-1]["estimatedRemainingSeconds"] == 4


def test_a_token_that_changed_is_read_anew(server: StatusServer, environment: dict[str, str]) -> None:
    status = TrainerStatus(epochs=2, environment=environment, seconds=QUICK)
    wait_until(lambda: server.reports, "the beginning is reported")
    server.token = "second"
    Path(environment[TOKEN_VARIABLE]).write_text("second\n")
    status.on_epoch(epoch(1), NETWORK)
    status.close()
    assert server.reports[-1]["progressPercentage"] == 50


@pytest.mark.parametrize("wrong", [URL_VARIABLE, CERTIFICATE_VARIABLE, TOKEN_VARIABLE, "nobody"])
def test_a_report_that_fails_is_said_once_and_ends_no_training(
    server: StatusServer, environment: dict[str, str], wrong: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    another, _ = certificate(tmp_path / "other", "localhost")
    (tmp_path / "stale").write_text("stale")
    values = {
        URL_VARIABLE: f"{server.url}/elsewhere",
        CERTIFICATE_VARIABLE: str(another),
        TOKEN_VARIABLE: str(tmp_path / "stale"),
    }
    changed = {wrong: values[wrong]} if wrong in values else {URL_VARIABLE: "https://localhost:9/"}
    status = TrainerStatus(epochs=3, environment={**environment, **changed}, seconds=QUICK)
    for number in (1, 2, 3):
        status.on_epoch(epoch(number), NETWORK)
    status.summary()
    status.close()
    assert server.reports == []
    assert capsys.readouterr().out.count("the TrainJob does not show this training's progress: ") == 1


@pytest.mark.parametrize("missing", [URL_VARIABLE, CERTIFICATE_VARIABLE, TOKEN_VARIABLE, None])
def test_only_a_worker_that_was_told_where_reports(environment: dict[str, str], missing: str | None) -> None:
    told = {name: value for name, value in environment.items() if name != missing}
    assert TrainerStatus.wanted(told) is (missing is None)


@pytest.mark.parametrize("rank", [0, 1])
def test_of_all_workers_the_leading_one_reports(
    environment: dict[str, str], store: Store, rank: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    job = TrainingSpec(run_id="r1", dataset_key="k", output="runs/r1", settings=fast(profile=False))
    made = watchers(job, 3, store, Workers(rank=rank, world=2), {})
    for watcher in made:
        watcher.close()
    assert [type(watcher) for watcher in made if isinstance(watcher, TrainerStatus)] == [TrainerStatus] * (rank == 0)
