"""How the source of the bins is written down; whether it can be opened is ``components.sources.open``'s question."""

import re

from components.common.errors import InventoryError

KINDS = "rendered[:N[:SEED]], s3://bucket/prefix, a directory, a .tar, a .zip or a .csv of own photos"
DEFAULT_BINS, MOST_BINS = 4000, 1_000_000
S3 = "s3://"
BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,254}")
ELSEWHERE = {
    **dict.fromkeys((S3, "s3a://", "s3n://"), "write s3://bucket/prefix"),
    "gs://": "write s3://bucket/prefix, with HMAC keys and the source_endpoint https://storage.googleapis.com",
    "file://": "give the path alone",
    **dict.fromkeys(
        ("http://", "https://", "ftp://", "hf://", "az://", "abfs://", "abfss://", "wasb://", "wasbs://"),
        "download it and give the file or folder; what lies in S3 is written s3://bucket/prefix",
    ),
}
"""What to do about an address that is read nowhere, by how it begins."""


def is_rendered(text: str) -> bool:
    """Whether a source's bins are drawn and not photographed."""
    return text.partition(":")[0] == "rendered"


def check_source(text: str) -> None:
    """Refuses what is no source's address.

    Raises:
        InventoryError: saying which kinds of sources there are.
    """
    if is_rendered(text):
        read_rendered(text)
    elif text.startswith(S3):
        bucket = text.removeprefix(S3).partition("/")[0]
        if not BUCKET.fullmatch(bucket):
            said = f"'{bucket}' is no bucket's name" if bucket else "the source names no bucket"
            raise InventoryError(f"cannot open {text}: {said}; write s3://bucket/prefix")
    elif not text.strip() or "://" in text:
        advice = next((advice for start, advice in ELSEWHERE.items() if text.lower().startswith(start)), "")
        raise InventoryError(f"unknown source '{text}'; {advice or f'give {KINDS}'}")


def check_file_list(text: str) -> None:
    """Refuses an address that no list of bins can be read from; a path, or none, may be one."""
    if "://" in text and not text.startswith(S3):
        raise InventoryError(f"the file_list '{text}' cannot be read; give a path or s3://…")


def read_rendered(text: str) -> tuple[int, int]:
    """Reads ``rendered``, ``rendered:N`` or ``rendered:N:SEED`` into a number of bins and a seed.

    Raises:
        InventoryError: if N or SEED is not a number, or N is out of range.
    """
    numbers = text.split(":")[1:]
    if len(numbers) > 2 or not all(re.fullmatch(r"[0-9]{1,9}", number) for number in numbers):
        raise InventoryError(f"unknown source '{text}'; write rendered, rendered:N or rendered:N:SEED")
    bins, seed = [*map(int, numbers), *(DEFAULT_BINS, 0)[len(numbers) :]]
    if not 1 <= bins <= MOST_BINS:
        raise InventoryError(f"the source '{text}' asks for {bins:,} bins; give 1 to {MOST_BINS:,}")
    return bins, seed


def check_endpoint(endpoint: str, source: str) -> None:
    """Refuses an endpoint that is no address, or that the source has no use for; empty is none.

    Raises:
        InventoryError: saying what to write.
    """
    if not endpoint:
        return
    if not source.startswith(S3):
        raise InventoryError(f"source_endpoint is only for s3:// sources, and the source is '{source}'; leave it empty")
    if not re.fullmatch(r"https?://[^/\s]+/?\S*", endpoint):
        raise InventoryError(
            f"the source_endpoint '{endpoint}' is not an S3 endpoint; write http://… or https://host:port"
        )
