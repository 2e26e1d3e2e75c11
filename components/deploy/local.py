"""The model as a process on this machine that ends with the run."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from components.client.endpoint import Endpoint
from components.common.errors import InventoryError
from components.common.parent_process import LOCK_FILE
from components.common.retry import wait_for
from components.counter.signing.keys import SIGNING_VARIABLE
from components.deploy.deployer import Candidate, Revision
from components.deploy.smoke import reachable
from components.documents.deployed import Service

START_SECONDS = 60
POLL_SECONDS = 0.1
ADDRESS = re.compile(r"^serving .* at (http://127\.0\.0\.1:\d+)$", re.MULTILINE)
SERVICE_FILE, LOG_FILE = "service.json", "service.log"
SUPERVISOR = "components.common.local_store.supervise"
NOT_FOR_SERVERS = ("AWS_", SIGNING_VARIABLE)


class LocalDeployer:
    """Serves on a free loopback port; ``service.json`` in the run's folder names the process in service.

    The server runs under ``components.common.local_store.supervise``, which ends it when the run's lock is released.
    """

    def __init__(self, run_folder: Path) -> None:
        self.run_folder = run_folder

    def start(self, candidate: Candidate) -> Revision:
        """Starts the server and waits until it is ready; the error of one that does not come up names its log."""
        log = self.run_folder / LOG_FILE
        log.unlink(missing_ok=True)  # a server that still runs goes on writing to its own file
        with log.open("wb") as output:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", SUPERVISOR, str(self.run_folder / LOCK_FILE), "--"),
                    *(sys.executable, "-m", "components.serve", "--bundle", str(candidate.folder), "--port", "0"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={name: value for name, value in os.environ.items() if not name.startswith(NOT_FOR_SERVERS)},
                start_new_session=True,  # outlives the step; Ctrl-C is for the run
            )
        try:
            endpoint = Endpoint(_address(log, process), candidate.bundle.name)
            reachable([endpoint], START_SECONDS, lambda: _failure(log, process))
        except BaseException:
            _end(process.pid)
            raise
        return Revision(endpoint, candidate, Service(pid=process.pid, url=endpoint.url, model_name=endpoint.model_name))

    def promote(self, revision: Revision) -> str:
        """Names the revision as the one in service and ends the one before it, which first answers what it has."""
        file = self.run_folder / SERVICE_FILE
        before = Service.load_if_whole(file)
        revision.service.write(file)
        if before:
            _end(before.pid)
        return revision.endpoint.url

    def roll_back(self, revision: Revision) -> None:
        """Ends the revision's process."""
        _end(revision.service.pid)


def _address(log: Path, process: subprocess.Popen[bytes]) -> str:
    """Waits for the line in which the server says where it listens."""

    def said() -> str | None:
        if found := ADDRESS.search(log.read_text(errors="replace")):
            return found[1]
        if reason := _failure(log, process):
            raise InventoryError(reason)
        return None

    address = wait_for(said, START_SECONDS, POLL_SECONDS)
    if address is None:
        raise InventoryError(f"the model server did not start within {START_SECONDS} s; its log is {log}")
    return address


def _failure(log: Path, process: subprocess.Popen[bytes]) -> str | None:
    if process.poll() is None:
        return None
    lines = log.read_text(errors="replace").strip().splitlines()
    return f"the model server ended at once ({lines[-1] if lines else 'no output'}); its log is {log}"


def _end(pid: int | None) -> None:
    """Asks a supervisor to stop its server; a number that now belongs to another process is left alone."""
    if pid is None:
        return
    try:
        process = psutil.Process(pid)
        if SUPERVISOR in process.cmdline():
            process.send_signal(signal.SIGTERM)
    except psutil.NoSuchProcess:
        return
