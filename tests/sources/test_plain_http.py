import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import urllib3

from components.sources.s3.plain_http import PlainHttpPool

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@contextmanager
def server(*connections: list[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    """Answers one request after the other with the given bytes; each list is a connection, closed after its last."""
    requests: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for answers in connections:
                connection, _ = listening.accept()
                with connection:
                    for answer in answers:
                        requests.append(connection.recv(65536))
                        for at in range(0, len(answer), 20):  # no answer comes in one piece
                            connection.sendall(answer[at : at + 20])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", requests


def pool(retries: urllib3.Retry | None = None) -> PlainHttpPool:
    return PlainHttpPool(timeout=urllib3.Timeout(connect=5, read=5), retries=retries or urllib3.Retry(total=0))


def get(client: PlainHttpPool, url: str) -> urllib3.BaseHTTPResponse:
    return client.urlopen("GET", url, body=None, headers={"Host": "there", "X-Mine": "1"}, preload_content=False)


def test_two_objects_come_over_one_connection():
    client = pool()
    with server([WHOLE, WHOLE]) as (url, requests):
        assert [get(client, f"{url}/a/b?c=d").read() for _ in range(2)] == [b"hello", b"hello"]
    assert requests[0] == b"GET /a/b?c=d HTTP/1.1\r\nHost: there\r\nX-Mine: 1\r\n\r\n"


def test_an_error_keeps_its_status_and_body():
    with server([WHOLE.replace(b"200 OK", b"404 Not Found")]) as (url, _):
        answer = get(pool(), url + "/")
    assert (answer.status, answer.read()) == (404, b"hello")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ],
    ids=["chunked", "until the end", "HTTP/1.0"],
)
def test_answers_of_another_form_are_left_to_urllib3(answer):
    with server([answer], [answer]) as (url, requests):
        assert get(pool(), url + "/").read() == b"hello"
    assert len(requests) == 2


def test_a_connection_that_the_server_closed_meanwhile_is_replaced():
    client = pool()
    with server([WHOLE], [WHOLE]) as (url, _):
        assert [get(client, url + "/").read() for _ in range(2)] == [b"hello", b"hello"]


@pytest.mark.parametrize("answer", [WHOLE[:-2], WHOLE[:20], b""], ids=["in the body", "in the head", "at once"])
def test_an_answer_that_breaks_off_is_an_error(answer):
    with server([answer]) as (url, _), pytest.raises(urllib3.exceptions.HTTPError):
        get(pool(), url + "/")


@pytest.mark.parametrize("failure", [WHOLE.replace(b"200 OK", b"503 Slow Down"), b""], ids=["503", "broken off"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_client_with_retries_asks_again(failure, times):
    client = pool(urllib3.Retry(total=None, status=2, read=2, other=2, status_forcelist=(503,)))
    with server(*[[failure]] * times, [WHOLE]) as (url, requests):
        assert get(client, url + "/").read() == b"hello"
    assert len(requests) == times + 1


def test_a_client_without_retries_is_told_what_the_store_answered():
    client = pool(urllib3.Retry(total=None, status=0, status_forcelist=(503,)))
    with server([WHOLE.replace(b"200 OK", b"503 Slow Down")]) as (url, _):
        assert get(client, url + "/").status == 503


def test_nobody_there_is_an_error():
    with pytest.raises(urllib3.exceptions.HTTPError):
        get(pool(), "http://127.0.0.1:9/")
