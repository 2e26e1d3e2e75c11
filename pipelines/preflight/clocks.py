"""Whether cluster and object store agree on the time: S3 refuses a request that was signed 15 minutes off."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import urllib3
from kubernetes.client import ApiClient

from pipelines.preflight.check import Check, ask

MOST_SECONDS = 300
"""Apart: a third of what S3 puts up with (RequestTimeTooSkewed, 900 s)."""


def clocks(api: ApiClient, endpoint: str, certificate: str | None) -> Check:
    """Compares the clocks of the API server, the store and this machine, as their answers' headers say.

    ``certificate`` is that of the store's private authority, in PEM.
    """
    pool = urllib3.PoolManager(ca_cert_data=certificate, retries=False, timeout=urllib3.Timeout(connect=5, read=10))
    try:
        store = _time(pool.request("HEAD", endpoint, redirect=False).headers)
    except (urllib3.exceptions.HTTPError, OSError, ValueError):
        store = None
    if store is None:
        return Check("clocks", "unknown", f"{endpoint} does not tell the time here")
    cluster = _time(getattr(version_answer(api), "headers", {}))
    for whose, time in (("this machine's", datetime.now(UTC)), ("the cluster's", cluster)):
        apart = abs((time - store).total_seconds()) if time else 0.0
        if apart > MOST_SECONDS:
            message = f"the object store's is {apart:.0f} s from {whose}; S3 refuses requests from 900 s on"
            return Check("clocks", "problem", message, "let NTP set the clocks of the store's host and of the nodes")
    return Check("clocks", "ok", "cluster, object store and this machine agree on the time")


def version_answer(api: ApiClient) -> Any:
    """What the API server answers to who asks for its version, with the answer's headers."""
    return ask(
        api.call_api,
        "/version",
        "GET",
        auth_settings=["BearerToken"],
        header_params={"Accept": "application/json"},
        _preload_content=False,
        _return_http_data_only=True,
    )


def _time(headers: Mapping[str, str]) -> datetime | None:
    said = headers.get("Date")
    return parsedate_to_datetime(said) if said else None
