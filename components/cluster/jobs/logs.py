"""The leading worker's log, line by line in the step's own log, across dropped connections and restarts."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial

import kubernetes
import urllib3
from kubernetes.client import ApiClient, ApiException, V1Pod

from components.cluster.kube import TIMEOUT_SECONDS
from components.common.background import call_periodically
from components.common.progress import note

QUIET_SECONDS = 60.0
"""A log that says nothing for this long is asked for again; the connection may have died without a word."""
LAST_LINES_SECONDS = 2.0
WORKER_CONTAINERS = ("pytorch", "node")


@contextmanager
def log_shown(api: ApiClient, namespace: str, selectors: Sequence[str], poll_seconds: float) -> Iterator[None]:
    """Prints a pod's log while the block runs, and what is left of it afterwards.

    A log is a help, not the truth about a job: whatever goes wrong with it is tried again and never raised. The first
    of the leading pod's ``selectors`` that finds any pod counts; a log that has ended is asked for again.
    """
    tail = _Tail(api, namespace, selectors)
    with call_periodically(
        poll_seconds,
        tail.follow,
        "log",
        at_once=True,
        last=partial(tail.follow, to_its_end=False),
        failed=lambda error: note(f"the log of the training cannot be shown: {error!r}"),
        stop_seconds=LAST_LINES_SECONDS,
    ):
        yield


class _Tail:
    """What was printed, and what is new."""

    def __init__(self, api: ApiClient, namespace: str, selectors: Sequence[str]) -> None:
        self._core = kubernetes.client.CoreV1Api(api)
        self._namespace = namespace
        self._selectors = selectors
        self._read_to: dict[tuple[str, int], str] = {}  # time stamp of the last printed line, by container

    def follow(self, to_its_end: bool = True) -> None:
        """Prints the new lines of the log, and those that are still to come until it ends."""
        # when the pod is gone, or the connection broke, the next round asks again
        with suppress(ApiException, urllib3.exceptions.HTTPError):
            for pod, container, uid, restarts in self._leader():
                self._print(pod, container, (uid, restarts), follow=to_its_end)

    def _leader(self) -> Iterator[tuple[str, str, str, int]]:
        """The leading pod's name, its worker's container, uid and restarts, once there is something to say."""
        for selector in self._selectors:
            pods = self._core.list_namespaced_pod(
                self._namespace, label_selector=selector, _request_timeout=TIMEOUT_SECONDS
            ).items
            if pods:
                newest = max(pods, key=lambda pod: pod.metadata.creation_timestamp)
                if newest.status.phase in ("Running", "Succeeded", "Failed"):
                    restarts = sum(status.restart_count for status in newest.status.container_statuses or [])
                    yield newest.metadata.name, worker_container(newest), newest.metadata.uid, restarts
                return

    def _print(self, pod: str, name: str, container: tuple[str, int], *, follow: bool) -> None:
        response = self._core.read_namespaced_pod_log(
            pod,
            self._namespace,
            container=name,
            follow=follow,
            timestamps=True,  # tells after a broken connection which lines have been printed
            _preload_content=False,
            _request_timeout=(TIMEOUT_SECONDS[0], QUIET_SECONDS),
        )
        try:
            rest = b""
            for part in response.stream(2**16):
                *lines, rest = (rest + part).split(b"\n")
                for line in lines:
                    self._show(container, line)
            if rest:
                self._show(container, rest)
        finally:
            response.close()
            response.release_conn()

    def _show(self, container: tuple[str, int], line: bytes) -> None:
        stamp, _, text = line.decode(errors="replace").partition(" ")
        if stamp > self._read_to.get(container, ""):
            self._read_to[container] = stamp
            print(text, flush=True)


def worker_container(pod: V1Pod) -> str:
    """The container that trains: operators call it ``pytorch`` or ``node``, and side-cars may come before it.

    The API answers for a pod of several containers only when one is named.
    """
    names = [container.name for container in pod.spec.containers]
    return next((name for name in names if name in WORKER_CONTAINERS), names[0] if names else "")
