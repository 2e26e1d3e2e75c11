"""Stores that are not AWS, buckets that deny listing, and regions."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from components.common.errors import InventoryError
from components.common.s3.identity import Keys
from components.sources.open import open_source
from components.sources.s3.find import find_bucket, find_object, read_object
from components.sources.s3.region import region_of
from components.sources.source import Entry, UnreadableError
from tests.loopback import Answering, serving
from tests.sources.bins_on_disk import good_bins, put_all

Answer = tuple[int, str, dict[str, str]]


@contextmanager
def store_of(answer: Callable[[str, dict[str, str], str], Answer | bytes]) -> Iterator[str]:
    """A store on loopback whose answer to each GET a function gives: its path, its query and what signed it."""

    class Handler(Answering):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: value[0] for name, value in parse_qs(parts.query, keep_blank_values=True).items()}
            given = answer(unquote(parts.path), query, self.headers.get("Authorization", ""))
            status, body, headers = (200, given, {}) if isinstance(given, bytes) else given
            self.answer(status, body, "application/xml", headers)

    with serving(Handler) as url:
        yield url


def error(status: int, code: str, more: str = "", **headers: str) -> Answer:
    return status, f"<Error><Code>{code}</Code><Message>no</Message>{more}</Error>", headers


def page(keys: list[str], is_truncated: bool = False, more: str = "") -> bytes:
    contents = "".join(f"<Contents><Key>{key}</Key><ETag>1</ETag><Size>1</Size></Contents>" for key in keys)
    head = f"<Name>bins</Name><IsTruncated>{str(is_truncated).lower()}</IsTruncated>{more}"
    return f"<ListBucketResult>{head}{contents}</ListBucketResult>".encode()


KEYS = sorted(good_bins(4))


def test_a_store_of_the_first_listing_only_is_asked_on_by_its_marker():
    def answer(path, query, _):
        rest = [key for key in KEYS if key > query.get("marker", "") and key.startswith(query["prefix"])]
        return page(rest[:3], len(rest) > 3)

    with store_of(answer) as url:
        assert len(open_source("s3://bins", url, {}).entries()) == 4


@pytest.mark.parametrize(
    "next_page",
    [
        lambda number: page(KEYS, True),
        lambda number: page(KEYS, True, f"<NextContinuationToken>{number}</NextContinuationToken>"),
        lambda number: page([], True),
        lambda number: page([], True, "<NextContinuationToken>same</NextContinuationToken>"),
    ],
    ids=["no token", "tokens that lead nowhere", "nothing", "nothing, with a token"],
)
def test_a_listing_that_does_not_get_on_ends_with_one_line(next_page):
    asked: list[str] = []
    with (
        store_of(lambda path, query, _: next_page(asked.append(path) or len(asked))) as url,
        pytest.raises(InventoryError, match=r"same keys again and again") as caught,
    ):
        open_source("s3://bins", url, {}).entries()
    assert len(asked) < 20
    assert "\n" not in str(caught.value)


def test_a_bucket_that_may_be_read_but_not_listed_needs_a_file_list():
    objects = {f"/bins/{key}": data for key, data in good_bins(4).items()}

    def answer(path, query, _):
        return error(403, "AccessDenied") if path not in objects else objects[path]

    with store_of(answer) as url:
        with pytest.raises(InventoryError, match="needs a file_list"):
            open_source("s3://bins", url, {})
        source = open_source("s3://bins", url, {}, ["00001", "lost"])
        assert source.entries(["00001", "lost"]) == [Entry("00001", "", 0), Entry("lost", "", 0)]
        assert source.image("00001") == objects["/bins/bin-images/00001.jpg"]
        assert read_object("s3://bins/metadata/00001.json", 1000, url, {}) == objects["/bins/metadata/00001.json"]


@pytest.mark.parametrize("prefix", ["run #3/photos?v=2", "100% a b+c&d", "ü/ñ"])
def test_a_prefix_is_kept_whatever_it_holds(prefix, other_store, store_environment):
    objects = good_bins(2)
    put_all(other_store, {f"{prefix}/{key}": data for key, data in objects.items()})
    source = open_source(f"s3://{other_store.bucket}/{prefix}", environment=store_environment)
    assert [entry.id for entry in source.entries()] == ["00000", "00001"]
    assert source.image("00001") == objects["bin-images/00001.jpg"]


KEY = {"SOURCE_AWS_ACCESS_KEY_ID": "someone", "SOURCE_AWS_SECRET_ACCESS_KEY": "secret"}
REFUSALS = {
    "malformed": error(400, "AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>"),
    "moved": error(301, "PermanentRedirect", **{"x-amz-bucket-region": "eu-west-1"}),
    "expecting": error(400, "AuthorizationHeaderMalformed", "<Message>wrong; expecting 'eu-west-1'</Message>"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_the_region_that_a_store_names_is_taken(refusal):
    def answer(path, query, signed):
        return page(KEYS) if "/eu-west-1/s3/" in signed else REFUSALS[refusal]

    with store_of(answer) as url:
        assert find_bucket("s3://bins", url, KEY).access.region == "eu-west-1"


def test_a_store_that_names_region_after_region_is_left():
    regions = iter(range(1000))

    def answer(path, query, signed):
        return error(400, "AuthorizationHeaderMalformed", f"<Region>eu-{next(regions) % 3}</Region>")

    with store_of(answer) as url, pytest.raises(InventoryError, match="answered AuthorizationHeaderMalformed"):
        find_bucket("s3://bins", url, KEY)


def test_who_reads_a_bucket_of_requester_pays_says_and_signs_that_he_pays():
    objects = {f"/bins/{key}": data for key, data in good_bins(2).items()}

    def answer(path, query, signed):
        if "x-amz-request-payer" not in signed:
            return error(403, "AccessDenied")
        return objects[path] if path in objects else page(sorted(key.removeprefix("/bins/") for key in objects))

    with store_of(answer) as url:
        source = open_source("s3://bins", url, KEY | {"SOURCE_AWS_REQUEST_PAYER": "requester"})
        assert [entry.id for entry in source.entries()] == ["00000", "00001"]
        assert source.image("00001") == objects["/bins/bin-images/00001.jpg"]
        with pytest.raises(InventoryError, match="AccessDenied"):
            open_source("s3://bins", url, KEY)
        with pytest.raises(InventoryError, match="SOURCE_AWS_REQUEST_PAYER is 'me'; write requester"):
            open_source("s3://bins", url, KEY | {"SOURCE_AWS_REQUEST_PAYER": "me"})


def test_the_session_token_of_a_source_goes_with_its_key():
    with store_of(lambda path, query, signed: page(KEYS)) as url:
        access = find_bucket("s3://bins", url, KEY | {"SOURCE_AWS_SESSION_TOKEN": "token"}).access
    assert access.identity == Keys("someone", KEY["SOURCE_AWS_SECRET_ACCESS_KEY"], "token")


@pytest.mark.parametrize(
    ("endpoint", "variables", "region"),
    [
        ("https://s3.amazonaws.com", {}, "us-east-1"),
        ("https://s3.eu-west-1.amazonaws.com", {}, "eu-west-1"),
        ("https://s3-eu-west-1.amazonaws.com", {}, "eu-west-1"),
        ("https://s3.dualstack.ap-south-1.amazonaws.com", {}, "ap-south-1"),
        ("https://s3.us-gov-west-1.amazonaws.com", {}, "us-gov-west-1"),
        ("https://s3.cn-north-1.amazonaws.com.cn", {}, "cn-north-1"),
        ("https://s3.nl-ams.scw.cloud", {}, "nl-ams"),
        ("https://s3.us-west-004.backblazeb2.com", {}, "us-west-004"),
        ("https://s3.gra.io.cloud.ovh.net", {}, "gra"),
        ("https://fra1.digitaloceanspaces.com", {}, "fra1"),
        ("https://account.r2.cloudflarestorage.com", {}, "auto"),
        ("http://s3.my-namespace.svc.cluster.local:9000", {}, "us-east-1"),
        ("http://127.0.0.1:9000", {"AWS_REGION": "eu-north-1"}, "eu-north-1"),
        ("http://127.0.0.1:9000", {"AWS_DEFAULT_REGION": "eu-south-1"}, "eu-south-1"),
        ("https://s3.eu-west-1.amazonaws.com", {"AWS_REGION": "eu-north-1"}, "eu-west-1"),
        ("https://s3.eu-west-1.amazonaws.com", {"SOURCE_AWS_REGION": "eu-north-1"}, "eu-north-1"),
    ],
)
def test_the_region_of_an_endpoint(endpoint, variables, region):
    assert region_of(endpoint, variables) == region


def test_a_region_that_is_none_is_one_line():
    with pytest.raises(InventoryError, match="SOURCE_AWS_REGION is 'eu west', which is no region"):
        region_of("https://s3.amazonaws.com", {"SOURCE_AWS_REGION": "eu west"})


def answers_of(objects: dict[str, bytes], path: str, query: dict[str, str]) -> Answer | bytes:
    """A store that has these objects in its bucket ``bins``."""
    key = path.removeprefix("/bins").removeprefix("/")
    if key:
        return objects[key] if key in objects else error(404, "NoSuchKey")
    return page([name for name in sorted(objects) if name.startswith(query.get("prefix", ""))])


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (error(403, "InvalidObjectState"), "InvalidObjectState: no"),
        (error(400, "KMS.DisabledException"), "KMS.DisabledException: no"),
    ],
)
def test_an_object_that_will_not_be_given_is_refused_at_once(answer, why):
    asked = []

    def answers(path: str, query: dict[str, str], signed: str) -> Answer | bytes:
        if path.endswith("00001.jpg"):
            asked.append(path)
            return answer
        return answers_of(good_bins(3), path, query)

    with store_of(answers) as endpoint:
        source = open_source("s3://bins", endpoint, {})
        with pytest.raises(UnreadableError) as caught:
            source.image("00001")
    assert caught.value.args == ("refused", f"bin-images/00001.jpg: {why}")
    assert len(asked) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_a_store_that_asks_to_slow_down_is_asked_again_whatever_pause_it_names(status):
    asked = []

    def answers(path: str, query: dict[str, str], signed: str) -> Answer | bytes:
        asked.append(path)
        if len(asked) in (1, 3):
            return error(status, "SlowDown", **{"Retry-After": "3600"})
        return answers_of(good_bins(3), path, query)

    with store_of(answers) as endpoint:
        assert len(open_source("s3://bins", endpoint, {}).entries()) == 3


def test_the_opening_of_one_object_waits_for_a_store_that_asks_to_slow_down():
    asked = []

    def answers(path: str, query: dict[str, str], signed: str) -> Answer | bytes:
        asked.append(path)
        return error(503, "SlowDown") if len(asked) in (1, 3) else b"x"

    with store_of(answers) as endpoint:
        found = find_object("s3://bins/photos.tar", endpoint, {})
        assert found is not None
        bucket, name = found
        assert bucket.stat(name).size == 1
    assert asked == ["/bins/photos.tar"] * 4


def test_a_store_that_answers_nothing_else_is_called_so(monkeypatch):
    monkeypatch.setattr("components.sources.s3.find.RETRIES", 0)
    with (
        store_of(lambda path, query, signed: error(503, "SlowDown")) as endpoint,
        pytest.raises(InventoryError, match=r"is overloaded or broken .*503 error responses"),
    ):
        open_source("s3://bins", endpoint, {})


def test_a_redirection_is_followed_without_our_credentials():
    objects = good_bins(3)
    signatures = []

    def elsewhere(path: str, query: dict[str, str], signed: str) -> Answer | bytes:
        signatures.append(signed)
        return answers_of(objects, path, query)

    with store_of(elsewhere) as other:

        def here(path: str, query: dict[str, str], signed: str) -> Answer | bytes:
            if path.endswith(".jpg"):
                return 307, "", {"Location": f"{other}{path}"}
            return answers_of(objects, path, query)

        keys = {"SOURCE_AWS_ACCESS_KEY_ID": "A", "SOURCE_AWS_SECRET_ACCESS_KEY": "s"}
        with store_of(here) as endpoint:
            source = open_source("s3://bins", endpoint, keys)
            assert [source.image(entry.id) for entry in source.entries()] == [
                objects[f"bin-images/{number:05d}.jpg"] for number in range(3)
            ]
    assert signatures == [""] * 3
