"""The region that requests to an S3 endpoint are signed for."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from minio.error import S3Error

from components.common.errors import InventoryError

DEFAULT = "us-east-1"
"""What AWS's global endpoint means, and what most stores that know no regions expect."""
VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")
REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
HOSTS = (
    re.compile(r"(?:^|\.)s3(?:-fips|-website)?[.-](?:dualstack\.)?([a-z]{2}(?:-[a-z]+)+-\d+)\.(?:vpce\.)?amazonaws\."),
    re.compile(r"^s3\.([a-z]{2,}(?:-[a-z0-9]+)+)\.(?:[a-z0-9-]+\.)+(?!local$|internal$)[a-z]+$"),  # s3.nl-ams.scw.cloud
    re.compile(r"^s3\.([a-z]{2,4}\d?)\.(?:io|perf)\.cloud\.ovh\.[a-z]+$"),
    re.compile(r"(?:^|\.)([a-z]{3}\d)\.digitaloceanspaces\.com$"),
    re.compile(r"(?:^|\.)([a-z]{2}-[a-z]+-\d+)\.linodeobjects\.com$"),
    re.compile(r"(?:^|\.)([a-z]{3}\d)\.your-objectstorage\.com$"),
    re.compile(r"(?:^|\.)objectstorage\.([a-z]+-[a-z]+-\d+)\.oraclecloud\.com$"),
    re.compile(r"(?:^|\.)oss-([a-z]+-[a-z]+(?:-\d+)?)(?:-internal)?\.aliyuncs\.com$"),
)
WITHOUT_REGIONS = re.compile(r"\.r2\.cloudflarestorage\.com$|^storage\.googleapis\.com$")
TOLD = (
    re.compile(rb"<Region>([A-Za-z0-9_-]+)</Region>"),
    re.compile(rb"expecting (?:'|&#39;|&apos;)([A-Za-z0-9_-]+)"),
)


def region_of(endpoint: str, environment: Mapping[str, str]) -> str:
    """The region to sign with: ``SOURCE_AWS_REGION``, the endpoint's own, ``AWS_REGION``, ``AWS_DEFAULT_REGION``.

    Raises:
        InventoryError: if a variable holds no region's name.
    """
    chosen = environment.get("SOURCE_AWS_REGION", "").strip()
    if chosen:
        return _checked("SOURCE_AWS_REGION", chosen)
    host = urlsplit(endpoint).hostname or ""
    if WITHOUT_REGIONS.search(host):
        return "auto"
    for pattern in HOSTS:
        if match := pattern.search(host):
            return match[1]
    for name in VARIABLES:
        if value := environment.get(name, "").strip():
            return _checked(name, value)
    return DEFAULT


def told_region(error: S3Error) -> str | None:
    """The region that a store's refusal names: 301 or 400 of AWS, AuthorizationHeaderMalformed of any store."""
    response = error.response
    if response is None:
        return None
    told = response.headers.get("x-amz-bucket-region", "")
    if not told:
        body = response.data or b""
        told = next((match[1].decode() for pattern in TOLD if (match := pattern.search(body))), "")
    return told if REGION.fullmatch(told) else None


def _checked(name: str, region: str) -> str:
    if not REGION.fullmatch(region):
        raise InventoryError(f"{name} is {region[:60]!r}, which is no region; write one such as eu-west-1")
    return region
