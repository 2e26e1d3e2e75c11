"""Lists a bucket page by page, from any store: also one that knows the first version of listing only, or none."""

from collections.abc import Iterator

from minio import Minio
from minio.datatypes import Object, parse_list_objects
from minio.helpers import DictType, check_bucket_name

from components.common.errors import InventoryError

KEYS_OF_A_PAGE = 1000
MOST_PAGES = 20_000
"""20 million keys; a listing that goes on after so many is taken for one that does not end."""


def list_objects(
    client: Minio, bucket: str, prefix: str, delimiter: str = "", headers: DictType | None = None
) -> Iterator[Object]:
    """Lists the objects under a prefix; those without a size are common prefixes, up to ``delimiter``.

    A store that gives no token for the next page is asked for what follows the last key, by both versions' names for
    that (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjects.html).

    Raises:
        InventoryError: if the listing does not get on; for the client's errors see ``plain_errors``.
    """
    query = {
        "list-type": "2",
        "delimiter": delimiter,
        "encoding-type": "url",
        "max-keys": str(KEYS_OF_A_PAGE),
        "prefix": prefix,
    }
    check_bucket_name(bucket)
    seen: set[str] = set()
    onwards: dict[str, str] = {}
    for _ in range(MOST_PAGES):
        # ``_execute`` signs and sends: the client's own listing has no end when the store does not get on.
        answer = client._execute("GET", bucket, headers=headers, query_params={**query, **onwards})
        objects, is_truncated, token, _ = parse_list_objects(answer)
        first = str(objects[0].object_name) if objects else f"after {token}"
        if first in seen:
            raise InventoryError(
                f"cannot list s3://{bucket}/{prefix}: the store gives the same keys again and again ({first!r}); "
                "it does not know this kind of listing: give a file_list, or a copy elsewhere"
            )
        seen.add(first)
        yield from objects
        if not is_truncated:
            return
        has_token = b"<NextContinuationToken>" in answer.data
        last = str(token or "")
        onwards = {"continuation-token": last} if has_token else {"start-after": last, "marker": last}
    raise InventoryError(
        f"cannot list s3://{bucket}/{prefix}: more than {MOST_PAGES * KEYS_OF_A_PAGE:,} keys; give a longer prefix"
    )
