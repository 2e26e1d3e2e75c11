"""The MLflow tracking server that the environment names, asked through MLflow's own client; the package is optional.

It is imported only where something is to be logged: that takes a second.
"""

import queue
import re
import threading
from collections.abc import Callable, MutableMapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeVar

from components.common.document import shown
from components.common.errors import InventoryError, first_line

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

URI_VARIABLE, RUN_VARIABLE = "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID"
DEFAULTS = {
    # MLflow's own 120 s and seven tries would hold a step for a quarter of an hour
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",  # it would tell its makers what is called
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # where results go, and with the password of the address
}
"""What MLflow's client is told where the user says nothing else; seconds and tries of one request."""

SCHEMES = {"http", "https", "databricks", "databricks-uc", "uc", "file", "sqlite", "postgresql", "mysql", "mssql"}
"""Of addresses that MLflow's client knows, beside paths (``_tracking_store_registry`` there)."""

T = TypeVar("T")


def is_installed() -> bool:
    """Whether MLflow's client can be imported."""
    return find_spec("mlflow") is not None


def open_client(environment: MutableMapping[str, str]) -> "MlflowClient":
    """MLflow's client of the server at ``MLFLOW_TRACKING_URI``; nothing is asked yet.

    Args:
        environment: gets ``DEFAULTS``; must be this process's own for them to count, and for the credentials, which
            MLflow reads there.

    Raises:
        InventoryError: if the package is not installed, or as ``check_address``.
    """
    if not is_installed():
        raise InventoryError(
            "mlflow-skinny is not installed; pip install 'bin-inventory[mlflow]', in an image the build argument MLFLOW"
        )
    for name, value in DEFAULTS.items():
        environment.setdefault(name, value)
    check_address(environment[URI_VARIABLE])
    from mlflow.tracking import MlflowClient

    return MlflowClient(environment[URI_VARIABLE])


def check_address(uri: str) -> None:
    """Refuses an address that MLflow's client does not know, without asking anybody.

    Raises:
        InventoryError: naming the variable.
    """
    scheme = re.match(r"([^/:+]+)[^/:]*:", uri)  # a host's name before its port too
    if scheme and scheme[1] not in SCHEMES:
        raise InventoryError(
            f"{URI_VARIABLE} is '{without_credentials(uri)}', which MLflow's client cannot use; give the address of "
            "a tracking server, such as http://127.0.0.1:5000"
        )


def within(seconds: float, work: Callable[[], T]) -> T:
    """Does some work in a thread of its own, and waits for it so long.

    Raises:
        TimeoutError: if it takes longer; the thread is left alone, and ends with this process at the latest.
        Exception: what the work has raised.
    """
    done: queue.SimpleQueue[T | Exception] = queue.SimpleQueue()

    def attempt() -> None:
        try:
            done.put(work())
        except Exception as error:  # noqa: BLE001, RUF100 - raised below
            done.put(error)

    threading.Thread(target=attempt, name="mlflow", daemon=True).start()
    try:
        outcome = done.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"it took longer than {seconds:g} s") from None
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def without_credentials(text: str) -> str:
    """A text without the names, passwords and queries of the addresses in it, such as MLflow's errors hold."""
    text = re.sub(r"//\S*@", "//", text)  # too much rather than too little: a password may hold anything
    return re.sub(r"(//[^\s?]*)\?\S*", r"\1", text)  # nor the tokens that a query may hold


def plain(error: Exception) -> str:
    """What went wrong, in one line that may be shown."""
    return shown(without_credentials(first_line(error)))
