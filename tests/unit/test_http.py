from __future__ import annotations

import gzip
import socket
import threading
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

import pytest

from incamera.errors import ConfigError, FetchError, IntegrityError
from incamera.http import Http, NotFound

if TYPE_CHECKING:
    from tests.unit.conftest import Web


class Collected:
    def __init__(self) -> None:
        self.data = b""
        self.restarts = 0

    @property
    def size(self) -> int:
        return len(self.data)

    def write(self, data: bytes) -> None:
        self.data += data

    def restart(self) -> None:
        self.data = b""
        self.restarts += 1


@pytest.fixture
def http() -> Http:
    return Http({}, timeout=5, pause=0.001)


def unused_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_get_returns_the_body(web: Web, http: Http) -> None:
    web.pages["/file"] = b"hello"
    assert http.get(f"{web.url}/file") == b"hello"


def test_a_missing_file_is_not_asked_for_twice(web: Web, http: Http) -> None:
    with pytest.raises(NotFound, match="/nothing does not exist"):
        http.get(f"{web.url}/nothing")
    assert web.requests == ["/nothing"]


def test_a_busy_server_is_asked_again(web: Web, http: Http) -> None:
    web.pages["/file"] = [web.status(503), web.status(429), b"at last"]
    assert http.get(f"{web.url}/file") == b"at last"


def test_a_server_that_stays_busy_is_an_error_that_says_so(web: Web, http: Http) -> None:
    web.pages["/file"] = web.status(503)
    with pytest.raises(FetchError, match="the server answers 503") as caught:
        http.get(f"{web.url}/file")
    assert caught.value.hint
    assert len(web.requests) == 4


def test_a_refusal_is_final(web: Web, http: Http) -> None:
    web.pages["/file"] = web.status(403)
    with pytest.raises(FetchError, match="403"):
        http.get(f"{web.url}/file")
    assert len(web.requests) == 1


def test_an_interrupted_download_begins_again_and_progress_adds_up(web: Web, http: Http) -> None:
    web.pages["/file"] = [web.hanging_up(b"x" * 1000, announced=3000), b"y" * 3000]
    sink, progress = Collected(), list[int]()
    http.download(f"{web.url}/file", sink, size=3000, progress=progress.append)
    assert sink.data == b"y" * 3000
    assert sink.restarts == 1
    assert sum(progress) == 3000


def test_a_body_that_is_always_cut_off_is_an_error(web: Web, http: Http) -> None:
    web.pages["/file"] = web.hanging_up(b"x" * 1000, announced=3000)
    with pytest.raises(FetchError, match="cannot fetch"):
        http.download(f"{web.url}/file", Collected(), size=3000)
    assert len(web.requests) == 4


def test_a_body_without_a_length_must_still_be_whole(web: Web, http: Http) -> None:
    def until_closed(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(b"only so much")

    web.pages["/file"] = until_closed
    with pytest.raises(FetchError, match="only 12 of 50 bytes came"):
        http.download(f"{web.url}/file", Collected(), size=50)


@pytest.mark.parametrize("size", [4, 6])
def test_a_file_of_another_size_is_refused_at_once(web: Web, http: Http, size: int) -> None:
    web.pages["/file"] = b"hello"
    with pytest.raises(IntegrityError, match="bytes"):
        http.download(f"{web.url}/file", Collected(), size=size)
    assert len(web.requests) == 1


def test_get_has_a_limit(web: Web, http: Http) -> None:
    web.pages["/file"] = b"x" * 100
    with pytest.raises(FetchError, match="longer than 99 bytes"):
        http.get(f"{web.url}/file", limit=99)


def test_a_gz_file_that_the_server_calls_gzip_encoded_stays_as_it_is(web: Web, http: Http) -> None:
    packed = gzip.compress(b"index")
    web.pages["/Packages.gz"] = web.status(200, packed, Content_Encoding="x-gzip")
    assert http.get(f"{web.url}/Packages.gz") == packed


def test_redirections_are_followed(web: Web, http: Http) -> None:
    web.pages["/old"] = web.status(301, Location="/new")
    web.pages["/new"] = b"moved"
    assert http.get(f"{web.url}/old") == b"moved"


def test_redirections_in_a_circle_end(web: Web, http: Http) -> None:
    web.pages["/old"] = web.status(302, Location="/old")
    with pytest.raises(FetchError):
        http.get(f"{web.url}/old")


def test_an_abandoned_body_is_not_taken_for_the_next_answer(web: Web, http: Http) -> None:
    web.pages["/missing"] = web.status(404, b"z" * 5000)
    web.pages["/file"] = b"right"
    for _ in range(3):
        with pytest.raises(NotFound):
            http.get(f"{web.url}/missing")
        assert http.get(f"{web.url}/file") == b"right"


def test_a_silent_server_is_given_up(web: Web) -> None:
    released = threading.Event()
    web.pages["/file"] = [web.stalling(b"x", 10, released), b"0123456789"]
    try:
        assert Http({}, timeout=0.2, pause=0.001).get(f"{web.url}/file") == b"0123456789"
    finally:
        released.set()


def test_interrupt_breaks_off_a_transfer_that_waits(web: Web, http: Http) -> None:
    released, began = threading.Event(), threading.Event()

    class Objecting(Collected):
        def write(self, data: bytes) -> None:
            super().write(data)
            began.set()

        def restart(self) -> None:
            raise KeyboardInterrupt

    web.pages["/file"] = web.stalling(b"x" * 300_000, 600_000, released)
    outcomes: list[BaseException] = []

    def download() -> None:
        try:
            http.download(f"{web.url}/file", Objecting(), size=600_000)
        except BaseException as error:
            outcomes.append(error)

    thread = threading.Thread(target=download)
    thread.start()
    try:
        assert began.wait(10)
        http.interrupt()
        thread.join(4)  # less than the timeout of the connection
        assert not thread.is_alive()
        assert isinstance(outcomes[0], KeyboardInterrupt)
    finally:
        released.set()
        thread.join()


def test_no_server_is_an_error_in_words(http: Http) -> None:
    with pytest.raises(FetchError, match="Connection refused") as caught:
        http.get(f"http://127.0.0.1:{unused_port()}/file")
    assert "is the network up?" in str(caught.value.hint)


def test_what_the_sink_raises_is_let_through(web: Web, http: Http) -> None:
    class Full(Collected):
        def write(self, data: bytes) -> None:
            raise OSError(28, "No space left on device")

    web.pages["/file"] = b"hello"
    with pytest.raises(OSError, match="No space left"):
        http.download(f"{web.url}/file", Full())
    assert len(web.requests) == 1


def test_the_proxy_of_the_environment_is_used_with_its_login(web: Web) -> None:
    web.pages["http://nowhere.example/file"] = b"by proxy"  # a proxy is asked with the whole address
    proxy = web.url.replace("http://", "http://me:secret%21@")
    http = Http({"http_proxy": proxy}, pause=0.001)
    assert http.get("http://nowhere.example/file") == b"by proxy"
    assert web.headers[0]["proxy-authorization"] == "Basic bWU6c2VjcmV0IQ=="


@pytest.mark.parametrize("excepted", ["127.0.0.1", "*", "lan, 127.0.0.1", "127.0.0.1:{port}", ".0.0.1"])
def test_no_proxy_is_heeded(web: Web, excepted: str) -> None:
    web.pages["/file"] = b"straight"
    excepted = excepted.format(port=web.server.server_port)
    http = Http({"HTTP_PROXY": f"http://127.0.0.1:{unused_port()}", "NO_PROXY": excepted}, pause=0.001)
    assert http.get(f"{web.url}/file") == b"straight"


def test_a_proxy_that_is_not_excepted_is_not_passed_by(web: Web) -> None:
    http = Http({"http_proxy": f"127.0.0.1:{unused_port()}", "no_proxy": "example.org"}, pause=0.001)
    with pytest.raises(FetchError, match="Connection refused"):
        http.get(f"{web.url}/file")
    assert not web.requests


def test_a_proxy_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="socks5"):
        Http({"http_proxy": "socks5://127.0.0.1:1"}).get("http://127.0.0.1/")


def test_several_threads_share_it(web: Web, http: Http) -> None:
    for number in range(20):
        web.pages[f"/{number}"] = bytes([number]) * 100_000
    results: dict[int, bytes] = {}

    def fetch(number: int) -> None:
        results[number] = http.get(f"{web.url}/{number}")

    threads = [threading.Thread(target=fetch, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: bytes([number]) * 100_000 for number in range(20)}
