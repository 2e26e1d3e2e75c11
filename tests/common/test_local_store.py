"""The embedded object store: up for whoever needs it, gone when nobody does, closed to strangers."""

import signal
import ssl
import subprocess
import sys
from pathlib import Path

import grpc
import httpx
import psutil
import pytest

from components.common.errors import InventoryError
from components.common.files import read_json
from components.common.local_store.server import RunningStore, local_store
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


def listening(folder: Path) -> set[tuple[str, int]]:
    """Where the server of a folder listens."""
    connections = psutil.Process(server_pid(folder)).connections("tcp")
    return {(each.laddr.ip, each.laddr.port) for each in connections if each.status == psutil.CONN_LISTEN}


def got_over_http(url: str, method: str) -> bool:
    """Whether a stranger without credentials or certificate is served."""
    try:
        return httpx.request(method, url, verify=False, timeout=5, content=b"evil").is_success
    except httpx.TransportError:
        return False


def got_over_grpc(port: int, method: str, encrypted: bool) -> bool:
    address = f"127.0.0.1:{port}"
    if encrypted:
        try:
            trusted = ssl.get_server_certificate(("127.0.0.1", port)).encode()
        except OSError:  # no TLS there
            return False
        channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(trusted))
    else:
        channel = grpc.insecure_channel(address)
    with channel:
        try:
            channel.unary_unary(method)(b"", timeout=5)
        except grpc.RpcError as error:
            return error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL)
    return True


READS = [
    "/",
    "/buckets/mine/a",
    "/mine/a",
    "/dir/assign",
    "/dir/status",
    "/cluster/status",
    "/vol/status",
    "/ui/index.html",
]
CALLS = [
    "/filer_pb.SeaweedFiler/GetFilerConfiguration",
    "/master_pb.Seaweed/GetMasterConfiguration",
    "/volume_server_pb.VolumeServer/VolumeServerStatus",
]


def test_strangers_on_this_machine_neither_read_nor_write_at_any_port(tmp_path: Path) -> None:
    with local_store(tmp_path) as environment:
        mine = open_store({**environment, "INVENTORY_BUCKET": "mine"})
        mine.put_bytes("a", b"kept")
        found = listening(tmp_path)
        assert {host for host, _ in found} == {"127.0.0.1"}
        ports = {port for _, port in found}
        assert len(ports) >= 8
        served = [
            (port, method, scheme, path)
            for port in ports
            for scheme in ("http", "https")
            for method, paths in (("GET", READS), ("PUT", ["/buckets/mine/a", "/mine/a"]), ("DELETE", ["/mine/a"]))
            for path in paths
            if got_over_http(f"{scheme}://127.0.0.1:{port}{path}", method)
        ]
        assert served == []
        called = [
            (port, call, encrypted)
            for port in ports
            for call in CALLS
            for encrypted in (False, True)
            if got_over_grpc(port, call, encrypted)
        ]
        assert called == []
        assert mine.get_bytes("a") == b"kept"


def test_the_folder_is_the_users_alone_also_where_it_was_open_before(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir(mode=0o755)
    with local_store(folder):
        assert folder.stat().st_mode & 0o077 == 0
        for name in ("s3.json", "server.json", "internal.key", "security.toml"):
            assert (folder / name).stat().st_mode & 0o077 == 0


def test_leaves_no_socket_in_the_temporary_folder(tmp_path: Path) -> None:
    with local_store(tmp_path):
        sockets = [
            each.laddr
            for each in psutil.Process(server_pid(tmp_path)).connections("unix")
            if each.laddr.startswith("/")
        ]
    assert sockets
    assert [path for path in sockets if Path(path).exists()] == []


def test_removes_the_sockets_of_a_server_that_was_killed(tmp_path: Path) -> None:
    user = start_user(tmp_path)
    state = RunningStore.load(tmp_path / "server.json")
    supervisor = psutil.Process(state.pid).parent()
    supervisor.kill()
    wait_until(lambda: not psutil.pid_exists(state.pid), "the server has ended with its supervisor")
    user.kill()
    user.wait(10)
    assert any(Path(path).exists() for path in state.sockets)
    with local_store(tmp_path):
        assert [path for path in state.sockets if Path(path).exists()] == []


@pytest.mark.parametrize("content", [b"", b"[]", b'{"identities": [{}], "environment": 1}', b"\xff\x00"])
def test_damaged_credentials_and_state_are_made_anew(tmp_path: Path, content: bytes) -> None:
    with local_store(tmp_path) as environment:
        open_store(environment).put_bytes("a", b"kept")
    for name in ("s3.json", "server.json", "security.toml", "internal.key"):
        (tmp_path / name).write_bytes(content)
    with local_store(tmp_path) as environment:
        assert open_store(environment).get_bytes("a") == b"kept"


def test_an_endpoint_that_is_no_url_is_refused() -> None:
    with pytest.raises(InventoryError, match="is not an S3 endpoint"):
        connect("127.0.0.1:9000")
