"""Who asks the object store: keys, or what a cloud gives a pod in their place.

The environment names one of these; the first that is there is taken, in the order of the AWS SDKs:

=============================================  ===================================================================
``AWS_ACCESS_KEY_ID`` …                        keys, with ``AWS_SECRET_ACCESS_KEY`` and, for temporary ones,
                                               ``AWS_SESSION_TOKEN``; read anew from the folder that
                                               ``INVENTORY_STORE_FOLDER`` names, where a cluster mounts the secret
``AWS_WEB_IDENTITY_TOKEN_FILE`` …              a service account's token, with ``AWS_ROLE_ARN``; exchanged at
                                               ``AWS_ENDPOINT_URL_STS``, else at AWS or at the store itself
``AWS_CONTAINER_CREDENTIALS_FULL_URI`` …       the agent of EKS Pod Identity or of ECS
the instance's role                            on AWS alone, unless ``AWS_EC2_METADATA_DISABLED`` is true
=============================================  ===================================================================

Without any of them requests are anonymous.
"""

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree.ElementTree import ParseError

import urllib3
from minio.credentials import Credentials, IamAwsProvider, Provider, StaticProvider, WebIdentityProvider

from components.common.errors import InventoryError
from components.common.progress import note

FOLDER_VARIABLE = "INVENTORY_STORE_FOLDER"
AHEAD_SECONDS = 300.0
"""Temporary credentials are renewed so long before they run out, or in the last quarter of a shorter life."""
AGAIN_SECONDS = 30.0
"""Pause between two tries to renew credentials that still last, and between two looks at mounted keys."""
SESSION = "inventory"
KEY, SECRET, TOKEN = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"


@dataclass(frozen=True)
class Keys:
    """An access key, with a token when it is temporary."""

    access: str
    secret: str
    token: str | None = None
    folder: str = ""
    """Where the keys lie as files that a cluster keeps up to date; empty for keys that stay as they are."""

    def provider(self, pool: urllib3.PoolManager) -> Provider:
        """What signs requests with these keys."""
        if not self.folder:
            return StaticProvider(self.access, self.secret, self.token)
        return _Mounted(self)


@dataclass(frozen=True)
class WebIdentity:
    """A service account whose token buys temporary credentials (STS AssumeRoleWithWebIdentity)."""

    token_file: str
    role: str
    session: str
    sts: str

    def provider(self, pool: urllib3.PoolManager) -> Provider:
        """What signs requests with credentials that the token has bought last."""

        def fetch() -> Credentials:
            token = {"access_token": Path(self.token_file).read_text().strip(), "expires_in": "0"}  # STS says how long
            return WebIdentityProvider(
                jwt_provider_func=lambda: token,
                sts_endpoint=self.sts,
                role_arn=self.role or None,
                role_session_name=self.session,
                http_client=pool,
            ).retrieve()

        who = f"the service account's token for {self.role or 'a role'}"
        return _Renewed(fetch, who, self.sts, "check AWS_ROLE_ARN, and whom the role trusts")


@dataclass(frozen=True)
class Machine:
    """What the container's agent or the instance itself hands out."""

    def provider(self, pool: urllib3.PoolManager) -> Provider:
        """What signs requests with the credentials that were handed out last."""
        where = "the machine's own address for credentials"
        cure = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine or its service account a role"
        return _Renewed(lambda: IamAwsProvider(http_client=pool).retrieve(), "this machine", where, cure)


Identity = Keys | WebIdentity | Machine


def find_identity(environment: Mapping[str, str], endpoint: str) -> Identity | None:
    """Who the environment says that we are; None for nobody.

    Args:
        environment: variables, as in the table above.
        endpoint: of the store, ``http(s)://host[:port]``: stores other than AWS exchange tokens themselves.

    Raises:
        InventoryError: if there is one half of a pair of keys.
    """
    if keys := keys_of(environment):
        return keys
    if token_file := environment.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        session = environment.get("AWS_ROLE_SESSION_NAME") or SESSION
        return WebIdentity(token_file, environment.get("AWS_ROLE_ARN", ""), session, _sts(environment, endpoint))
    agent = any(environment.get(f"AWS_CONTAINER_CREDENTIALS_{kind}_URI") for kind in ("RELATIVE", "FULL"))
    instance = is_aws(endpoint) and environment.get("AWS_EC2_METADATA_DISABLED", "").lower() != "true"
    return Machine() if agent or instance else None


def keys_of(environment: Mapping[str, str], before: str = "") -> Keys | None:
    """The keys that the environment holds in variables whose names begin so; None for none.

    Raises:
        InventoryError: if there is one half of a pair.
    """
    access, secret = environment.get(before + KEY), environment.get(before + SECRET)
    if access and secret:
        folder = environment.get(before + FOLDER_VARIABLE, "")
        return Keys(access, secret, environment.get(before + TOKEN) or None, folder)
    if access or secret:
        there, missing = (KEY, SECRET) if access else (SECRET, KEY)
        raise InventoryError(f"{before}{there} is set and {before}{missing} is not; set both or neither")
    return None


def region_of(environment: Mapping[str, str]) -> str | None:
    """The region that the environment names."""
    return environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or None


def is_aws(endpoint: str) -> bool:
    """Whether an endpoint is one of AWS itself."""
    return (urlsplit(endpoint).hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn"))


def _sts(environment: Mapping[str, str], endpoint: str) -> str:
    if given := environment.get("AWS_ENDPOINT_URL_STS"):
        return given
    if not is_aws(endpoint):
        return endpoint
    region = region_of(environment)
    host = f"sts.{region}.amazonaws.com" if region else "sts.amazonaws.com"
    return f"https://{host}.cn" if region and region.startswith("cn-") else f"https://{host}"


class _Mounted(Provider):
    """Keys from a mounted secret, which may be renewed while a training runs."""

    def __init__(self, first: Keys) -> None:
        self._keys, self._look_at = first, 0.0

    def retrieve(self) -> Credentials:
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + AGAIN_SECONDS
            self._keys = _read_keys(self._keys)
        return Credentials(self._keys.access, self._keys.secret, self._keys.token)


def _read_keys(keys: Keys) -> Keys:
    """The keys as they are now; those before where the folder cannot be read, or holds none."""
    # Kubernetes replaces the files of a secret together, by one symbolic link
    folder = (Path(keys.folder) / "..data").resolve()
    folder = folder if folder.is_dir() else Path(keys.folder)
    try:
        access, secret = ((folder / name).read_text() for name in (KEY, SECRET))
        token = (folder / TOKEN).read_text() if (folder / TOKEN).exists() else None
    except OSError:
        return keys
    return replace(keys, access=access, secret=secret, token=token or None) if access and secret else keys


class _Renewed(Provider):
    """Temporary credentials, renewed before they run out; they are kept while they last when that fails."""

    def __init__(self, fetch: Callable[[], Credentials], who: str, where: str, cure: str) -> None:
        self._fetch, self._who, self._where, self._cure = fetch, who, where, cure
        self._credentials: Credentials | None = None
        self._ends = self._renew_at = 0.0  # seconds since the epoch
        self._lock = threading.Lock()  # one of the threads that upload and download renews for all

    def retrieve(self) -> Credentials:
        with self._lock:
            if self._credentials is None or time.time() >= self._renew_at:
                try:
                    self._credentials = self._fetch()
                except (ValueError, OSError, ParseError, urllib3.exceptions.HTTPError) as error:
                    if self._credentials is None or time.time() >= self._ends:
                        raise self._refusal(error) from None  # the error names the token
                    note(f"store: {self._refusal(error)}; going on with the credentials before")
                    self._renew_at = time.time() + AGAIN_SECONDS
                else:
                    self._ends = _end(self._credentials)
                    self._renew_at = self._ends - min(AHEAD_SECONDS, (self._ends - time.time()) / 4)
            return self._credentials

    def _refusal(self, error: Exception) -> InventoryError:
        if status := re.search(r"HTTP status code (\d+)", str(error)):
            return InventoryError(f"{self._where} refused {self._who} (HTTP {status[1]}); {self._cure}")
        if isinstance(error, urllib3.exceptions.HTTPError):
            why = f"{self._where} cannot be reached ({type(getattr(error, 'reason', None) or error).__name__})"
        elif isinstance(error, OSError):
            why = f"{error.filename}: {error.strerror}"
        else:
            why = f"{self._where} gives none"
        return InventoryError(f"no credentials for {self._who}: {why}; {self._cure}")


def _end(credentials: Credentials) -> float:
    return credentials.expiration.replace(tzinfo=UTC).timestamp() if credentials.expiration else float("inf")
