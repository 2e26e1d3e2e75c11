"""Two hosts on one machine: network namespaces with addresses and names of their own, joined by a bridge."""

import os
import shlex
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


def ip(*words: str) -> None:
    """Runs ``ip``."""
    subprocess.run(["ip", *words], check=True, capture_output=True)


def possible() -> bool:
    """Whether this process may make network namespaces."""
    name = f"probe{os.getpid()}"
    if os.geteuid() != 0:
        return False
    try:
        ip("netns", "add", name)
        ip("netns", "delete", name)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


@dataclass(frozen=True)
class Host:
    """One host."""

    name: str
    address: str
    namespace: str
    hosts_file: Path

    def start(self, command: Sequence[str], environment: dict[str, str], log: Path) -> "subprocess.Popen[bytes]":
        """Starts a process on this host, with its name and its view of the others' names."""
        mount = f"mount --bind {shlex.quote(str(self.hosts_file))} /etc/hosts"
        script = f"hostname {self.name} && {mount} && exec {shlex.join(command)}"
        with log.open("ab") as file:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, "unshare", "--mount", "--uts", "sh", "-c", script],
                env=environment,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    def kill(self) -> None:
        """Ends every process of this host at once, as when its power fails."""
        listed = subprocess.run(["ip", "netns", "pids", self.namespace], check=True, capture_output=True, text=True)
        for pid in listed.stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


@contextmanager
def network(names: Sequence[str], folder: Path) -> Iterator[tuple[list[Host], str]]:
    """Makes the hosts while the block runs.

    Yields:
        The hosts, and the address under which they reach this process.
    """
    tag = f"{os.getpid() % 100_000}"
    bridge, here = f"br{tag}", "10.77.0.1"
    hosts_file = folder / "hosts"
    addresses = [f"10.77.0.{10 + index}" for index in range(len(names))]
    lines = [f"{address} {name}" for address, name in zip(addresses, names, strict=True)]
    hosts_file.write_text("\n".join(["127.0.0.1 localhost", *lines]) + "\n")
    hosts = []
    try:
        ip("link", "add", bridge, "type", "bridge")
        ip("addr", "add", f"{here}/24", "dev", bridge)
        ip("link", "set", bridge, "up")
        for index, (name, address) in enumerate(zip(names, addresses, strict=True)):
            namespace, outside = f"inv{tag}-{index}", f"v{tag}-{index}"
            ip("netns", "add", namespace)
            hosts.append(Host(name, address, namespace, hosts_file))
            ip("link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", namespace)
            ip("link", "set", outside, "master", bridge, "up")
            ip("-n", namespace, "addr", "add", f"{address}/24", "dev", "eth0")
            ip("-n", namespace, "link", "set", "eth0", "up")
            ip("-n", namespace, "link", "set", "lo", "up")
        yield hosts, here
    finally:
        for host in hosts:
            with suppress(subprocess.CalledProcessError):
                ip("netns", "delete", host.namespace)
        with suppress(subprocess.CalledProcessError):
            ip("link", "delete", bridge)


@contextmanager
def forwarded(address: str, port: int) -> Iterator[int]:
    """Forwards a port of ``address`` to the same service on loopback; yields the port."""
    with socket.create_server((address, 0)) as server:
        threading.Thread(target=_accept, args=(server, port), daemon=True).start()
        yield server.getsockname()[1]


def _accept(server: socket.socket, port: int) -> None:
    with suppress(OSError):  # the server was closed
        while True:
            client, _ = server.accept()
            upstream = socket.create_connection(("127.0.0.1", port))
            for source, sink in ((client, upstream), (upstream, client)):
                threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
