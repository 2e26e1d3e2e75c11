"""The embedded object store: up for whoever needs it, gone when nobody does, closed to strangers."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from components.common.errors import InventoryError
from components.common.files import read_json
from components.common.local_store.server import local_store
from components.common.s3.client import connect
from components.common.store import open_store
from tests.waiting import wait_until

USER = """
import sys, time
from pathlib import Path
from components.common.local_store.server import local_store
with local_store(Path(sys.argv[1])) as environment:
    print(environment["S3_ENDPOINT_URL"], flush=True)
    time.sleep(60)
"""


def start_user(folder: Path) -> "subprocess.Popen[str]":
    user = subprocess.Popen([sys.executable, "-c", USER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert user.stdout is not None
    assert user.stdout.readline().startswith("http://127.0.0.1:")
    return user


def server_pid(folder: Path) -> int:
    return int(read_json(folder / "server.json")["pid"])


def test_keeps_what_was_written_from_one_start_to_the_next(tmp_path: Path) -> None:
    with local_store(tmp_path) as environment:
        open_store(environment).put_bytes("a/b", b"kept")
        pid = server_pid(tmp_path)
    assert not psutil.pid_exists(pid)
    with local_store(tmp_path) as environment:
        assert open_store(environment).get_bytes("a/b") == b"kept"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stops_when_its_only_user_ends(tmp_path: Path, how: signal.Signals) -> None:
    user = start_user(tmp_path)
    pid = server_pid(tmp_path)
    user.send_signal(how)
    user.wait(30)
    wait_until(lambda: not psutil.pid_exists(pid), "the server has ended")


def test_two_users_share_one_server_and_the_first_to_leave_does_not_stop_it(tmp_path: Path) -> None:
    with local_store(tmp_path) as environment:
        store = open_store(environment)
        user = start_user(tmp_path)
        pid = server_pid(tmp_path)
        user.kill()
        user.wait(10)
        looks = psutil.Process(pid).parent().num_ctx_switches  # the supervisor sleeps between two looks at its users
        enough = looks().voluntary + 3
        wait_until(lambda: looks().voluntary > enough, "the supervisor has looked again")
        store.put_bytes("still", b"here")
        assert server_pid(tmp_path) == pid


def test_is_closed_to_anonymous_and_wrong_credentials(store_environment: dict[str, str]) -> None:
    endpoint = store_environment["S3_ENDPOINT_URL"]
    with pytest.raises(InventoryError, match="refused the credentials"):
        open_store({"S3_ENDPOINT_URL": endpoint, "AWS_REGION": "us-east-1"})
    with pytest.raises(InventoryError, match="refused the credentials"):
        open_store({**store_environment, "AWS_SECRET_ACCESS_KEY": "wrong"})


def test_listens_on_loopback_only(tmp_path: Path) -> None:
    with local_store(tmp_path):
        listening = [
            connection.laddr.ip
            for connection in psutil.Process(server_pid(tmp_path)).connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        ]
    assert set(listening) == {"127.0.0.1"}


def test_credentials_are_readable_by_the_user_alone(tmp_path: Path) -> None:
    with local_store(tmp_path):
        for name in ("s3.json", "server.json"):
            assert (tmp_path / name).stat().st_mode & 0o077 == 0


def test_an_endpoint_that_is_no_url_is_refused() -> None:
    with pytest.raises(InventoryError, match="is not an S3 endpoint"):
        connect("127.0.0.1:9000")
