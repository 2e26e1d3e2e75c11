"""SeaweedFS as the embedded object store: started for whoever needs it, stopped when nobody does.

Runs of one project folder share one store, so that what one run has downloaded, split or computed serves the
next. Each user holds a shared ``flock`` on ``users.lock``; a small supervisor process starts the server and waits for
the exclusive lock, which the kernel grants when the last user has gone, however it went (return, Ctrl-C,
``kill -9``). The supervisor then stops the server and leaves.
"""

import fcntl
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, ClassVar

from components.common.document import Document
from components.common.errors import InventoryError
from components.common.files import read_json, write_atomic
from components.common.local_store.internals import close_internals
from components.common.parent_process import die_with_parent, stop, try_lock, wait_for_lock
from components.common.retry import wait_for
from components.common.s3.client import connect
from components.common.s3.identity import Keys

START_SECONDS = 30
STOP_SECONDS = 15
POLL_SECONDS = 0.1
STATE_FILE = "server.json"
GRPC_OFFSET = 10_000
"""SeaweedFS listens for gRPC on each port plus this."""
SOCKET = "/tmp/seaweedfs-{service}-grpc-{port}.sock"  # noqa: S108 - SeaweedFS leaves no choice
"""Where SeaweedFS puts a Unix socket beside each gRPC port, and leaves it when it ends."""


class RunningStore(Document):
    """``STATE_FILE``, while the server runs."""

    KIND: ClassVar[str] = "running-store"
    pid: int
    environment: dict[str, str]
    """What names the store, with its credentials."""
    sockets: list[str] = []
    """What the server leaves in the temporary folder."""


@contextmanager
def local_store(folder: Path) -> Iterator[dict[str, str]]:
    """Keeps an object store running on loopback while the block runs.

    Args:
        folder: holds the store's data, credentials and log; closed to other users of the machine.

    Yields:
        The environment variables that name the store (``S3_ENDPOINT_URL`` and credentials).

    Raises:
        InventoryError: if the folder is another user's or the server does not come up; the message names its log.
    """
    _make_private(folder)
    with (folder / "users.lock").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)  # waits while a supervisor shuts down
        with (folder / "start.lock").open("w") as start:
            fcntl.flock(start, fcntl.LOCK_EX)
            environment = _running(folder) or _start(folder)
        try:
            yield environment
        finally:
            fcntl.flock(users, fcntl.LOCK_UN)
            _wait_for_stop(folder)


def _make_private(folder: Path) -> None:
    """Makes the folder, and closes it to others also where an earlier version had left it open."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        folder.chmod(0o700)
    except PermissionError as error:
        raise InventoryError(f"the store's folder {folder} belongs to another user; choose another folder") from error


def _state(folder: Path) -> RunningStore | None:
    """What was written about the server; None when nothing was, or nothing that can be read."""
    try:
        return RunningStore.load(folder / STATE_FILE)
    except (OSError, InventoryError):
        return None


def _running(folder: Path) -> dict[str, str] | None:
    state = _state(folder)
    return state.environment if state and _answers(state.environment) else None


def _answers(environment: dict[str, str]) -> bool:
    try:
        connect(
            environment["S3_ENDPOINT_URL"],
            Keys(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]),
            region="us-east-1",
            retries=0,
        ).list_buckets()
    except Exception:  # noqa: BLE001, RUF100 - any failure means "not up (yet)"
        return False
    return True


def _start(folder: Path) -> dict[str, str]:
    _forget(folder)  # what a supervisor left that was killed
    with (folder / "supervisor.log").open("ab") as log:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "components.common.local_store.server", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the run; the supervisor leaves when the last user has gone
        )
    wait_for(lambda: _running(folder) or supervisor.poll() is not None, START_SECONDS, POLL_SECONDS)
    if environment := _running(folder):
        return environment
    if supervisor.poll() is None:
        supervisor.terminate()
    raise InventoryError(f"the embedded object store did not start; its log is {folder / 'weed.log'}")


def _wait_for_stop(folder: Path) -> None:
    """Waits until the supervisor has stopped the server, or someone else has begun to use it."""

    def over() -> bool:
        # a lock that is shared has other users; one that nobody has, the supervisor is about to take
        others = not _may_lock(folder, fcntl.LOCK_EX) and _may_lock(folder, fcntl.LOCK_SH)
        return others or not (folder / STATE_FILE).exists()

    wait_for(over, STOP_SECONDS, POLL_SECONDS)


def _may_lock(folder: Path, operation: int) -> bool:
    """Whether the users' lock could be taken (``flock``) by one more."""
    with (folder / "users.lock").open("w") as users:
        return try_lock(users, operation)


def _free_ports(count: int) -> list[int]:
    """Ports that are free together with their gRPC partners."""
    ports: list[int] = []
    candidates = iter(range(20_000 + secrets.randbelow(20_000), 54_000))
    while len(ports) < count:
        port = next(candidates)
        if all(_is_free(number) for number in (port, port + GRPC_OFFSET)):
            ports.append(port)
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        with suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return True
        return False


def _keys(folder: Path) -> tuple[str, str]:
    """The store's own credentials, readable by the user alone; made anew when there are none that can be read."""
    path = folder / "s3.json"
    try:
        pair = read_json(path)["identities"][0]["credentials"][0]
        access_key, secret_key = pair["accessKey"], pair["secretKey"]
        if not (isinstance(access_key, str) and isinstance(secret_key, str) and access_key and secret_key):
            raise ValueError("keys are text")
    except (OSError, ValueError, LookupError, TypeError):
        access_key, secret_key = secrets.token_hex(10), secrets.token_hex(20)
        identity = {
            "name": "pipeline",
            "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        write_atomic(path, json.dumps({"identities": [identity]}))  # mkstemp makes it 0600
    return access_key, secret_key


def _serve(folder: Path, log: IO[bytes]) -> tuple[subprocess.Popen[bytes], RunningStore]:
    access_key, secret_key = _keys(folder)
    close_internals(folder)
    (folder / "data").mkdir(exist_ok=True)
    master, volume, filer, s3, admin = _free_ports(5)
    server = subprocess.Popen(
        [
            str(Path(sysconfig.get_path("scripts")) / "weed"),
            "-logtostderr=true",
            "mini",
            "-dir=data",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-master.port={master}",
            f"-volume.port={volume}",
            f"-filer.port={filer}",
            f"-s3.port={s3}",
            f"-admin.port={admin}",
            "-filer.localSocket=filer.sock",
            "-s3.localSocket=s3.sock",
            "-s3.config=s3.json",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.iam=false",
            "-s3.allowDeleteBucketNotEmpty=false",
            "-master.telemetry=false",
            "-webdav=false",
            "-admin.ui=false",
        ],
        cwd=folder,  # where security.toml is; and a socket's path may have 107 bytes only
        # without what would win over security.toml; and HTTP/2 delays the stop
        env={name: value for name, value in os.environ.items() if not name.startswith("WEED_")}
        | {"GODEBUG": "http2server=0,http2client=0"},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        preexec_fn=die_with_parent,
    )
    ports = {"master": master, "volume": volume, "filer": filer, "s3": s3, "admin": admin}
    return server, RunningStore(
        pid=server.pid,
        environment={
            "S3_ENDPOINT_URL": f"http://127.0.0.1:{s3}",
            "AWS_ACCESS_KEY_ID": access_key,
            "AWS_SECRET_ACCESS_KEY": secret_key,
            "AWS_REGION": "us-east-1",
        },
        sockets=[SOCKET.format(service=name, port=port + GRPC_OFFSET) for name, port in ports.items()],
    )


def _forget(folder: Path) -> None:
    """Removes what says that the server runs, and what it leaves in the temporary folder."""
    state = _state(folder)
    for socket_file in state.sockets if state else ():
        with suppress(OSError):  # of another user's by now
            Path(socket_file).unlink(missing_ok=True)
    (folder / STATE_FILE).unlink(missing_ok=True)


def keep(folder: Path) -> int:
    """Runs the server until nobody uses it: the supervisor's main function; returns 1 if the server failed, else 0."""
    with (folder / "weed.log").open("wb") as log:
        server, state = _serve(folder, log)
        try:
            wait_for(lambda: _answers(state.environment) or server.poll() is not None, START_SECONDS, POLL_SECONDS)
            if server.poll() is not None or not _answers(state.environment):
                return 1
            state.write(folder / STATE_FILE)
            with (folder / "users.lock").open("w") as users:
                if not wait_for_lock(users, fcntl.LOCK_EX, server):
                    return 1
                stop(server, STOP_SECONDS)  # while the exclusive lock keeps new users waiting
                _forget(folder)
            return 0
        finally:
            stop(server, STOP_SECONDS)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sys.exit(keep(Path(sys.argv[1])))
