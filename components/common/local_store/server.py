"""SeaweedFS as the embedded object store: started for whoever needs it, stopped when nobody does.

Runs of one project folder share one store, so that what one run has downloaded, split or computed serves the
next. Each user holds a shared ``flock`` on ``users.lock``; a small supervisor process starts the server and waits for
the exclusive lock, which the kernel grants when the last user has gone, however it went (return, Ctrl-C,
``kill -9``). The supervisor then stops the server and leaves.
"""

import fcntl
import json
import secrets
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from components.common.errors import InventoryError
from components.common.files import read_json, write_atomic
from components.common.parent_process import die_with_parent
from components.common.s3.client import connect
from components.common.s3.identity import Keys

START_SECONDS = 30
STOP_SECONDS = 15
GRPC_OFFSET = 10_000
"""SeaweedFS listens for gRPC on each port plus this."""


@contextmanager
def local_store(folder: Path) -> Iterator[dict[str, str]]:
    """Keeps an object store running on loopback while the block runs.

    Args:
        folder: holds the store's data, credentials and log.

    Yields:
        The environment variables that name the store (``S3_ENDPOINT_URL`` and credentials).

    Raises:
        InventoryError: if the server does not come up; the message names its log.
    """
    folder.mkdir(parents=True, exist_ok=True)
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


def _state_file(folder: Path) -> Path:
    return folder / "server.json"


def _running(folder: Path) -> dict[str, str] | None:
    try:
        environment: dict[str, str] = read_json(_state_file(folder))["environment"]
    except (OSError, ValueError, KeyError):
        return None
    return environment if _answers(environment) else None


def _answers(environment: dict[str, str]) -> bool:
    client = connect(
        environment["S3_ENDPOINT_URL"],
        Keys(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]),
        region="us-east-1",
        retries=0,
    )
    try:
        client.list_buckets()
    except Exception:  # noqa: BLE001, RUF100 - any failure means "not up (yet)"
        return False
    return True


def _start(folder: Path) -> dict[str, str]:
    _state_file(folder).unlink(missing_ok=True)
    with (folder / "supervisor.log").open("ab") as log:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "components.common.local_store.server", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the run; the supervisor leaves when the last user has gone
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        environment = _running(folder)
        if environment:
            return environment
        if supervisor.poll() is not None:
            break
        time.sleep(0.1)
    if supervisor.poll() is None:
        supervisor.terminate()
    raise InventoryError(f"the embedded object store did not start; its log is {folder / 'weed.log'}")


def _wait_for_stop(folder: Path) -> None:
    """Waits until the supervisor has stopped the server, or someone else has begun to use it."""
    deadline = time.monotonic() + STOP_SECONDS
    with (folder / "users.lock").open("w") as users:
        while _state_file(folder).exists() and time.monotonic() < deadline:
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if _has_other_users(folder):
                    return
            else:  # the supervisor is about to take the lock
                fcntl.flock(users, fcntl.LOCK_UN)
            time.sleep(0.1)


def _has_other_users(folder: Path) -> bool:
    """True when the lock is shared (users), False when it is exclusive (the supervisor shutting down)."""
    with (folder / "users.lock").open("w") as users:
        try:
            fcntl.flock(users, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


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
    """The store's own credentials, made once and readable by the user alone."""
    path = folder / "s3.json"
    if not path.exists():
        identity = {
            "name": "pipeline",
            "credentials": [{"accessKey": secrets.token_hex(10), "secretKey": secrets.token_hex(20)}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        write_atomic(path, json.dumps({"identities": [identity]}))  # mkstemp makes it 0600
    pair = read_json(path)["identities"][0]["credentials"][0]
    return pair["accessKey"], pair["secretKey"]


def _serve(folder: Path, log: IO[bytes]) -> tuple[subprocess.Popen[bytes], dict[str, str]]:
    access_key, secret_key = _keys(folder)
    data = folder / "data"
    data.mkdir(exist_ok=True)
    master, volume, filer, s3 = _free_ports(4)
    server = subprocess.Popen(
        [
            str(Path(sysconfig.get_path("scripts")) / "weed"),
            "-logtostderr=true",
            "mini",
            f"-dir={data}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-master.port={master}",
            f"-volume.port={volume}",
            f"-filer.port={filer}",
            f"-s3.port={s3}",
            f"-s3.config={folder / 's3.json'}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.iam=false",
            "-s3.allowDeleteBucketNotEmpty=false",
            "-webdav=false",
            "-admin.ui=false",
        ],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        preexec_fn=die_with_parent,
    )
    environment = {
        "S3_ENDPOINT_URL": f"http://127.0.0.1:{s3}",
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "AWS_REGION": "us-east-1",
    }
    return server, environment


def keep(folder: Path) -> int:
    """Runs the server until nobody uses it; the supervisor's main function.

    Returns:
        0 when the server was stopped because its last user had gone, 1 when it failed.
    """
    with (folder / "weed.log").open("wb") as log:
        server, environment = _serve(folder, log)
        try:
            deadline = time.monotonic() + START_SECONDS
            while not _answers(environment):
                if server.poll() is not None or time.monotonic() > deadline:
                    return 1
                time.sleep(0.1)
            write_atomic(_state_file(folder), json.dumps({"pid": server.pid, "environment": environment}))
            with (folder / "users.lock").open("w") as users:
                while True:
                    try:
                        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        break
                    except BlockingIOError:
                        if server.poll() is not None:
                            return 1
                        time.sleep(0.2)
                _stop(server)  # while the exclusive lock keeps new users waiting
                _state_file(folder).unlink(missing_ok=True)
            return 0
        finally:
            _stop(server)


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sys.exit(keep(Path(sys.argv[1])))
