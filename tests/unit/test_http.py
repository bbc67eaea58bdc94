"""HTTP downloads, against a real server on loopback."""

from __future__ import annotations

import gzip
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from tests.unit.conftest import Answer, Web

from incamera.errors import ConfigError, FetchError, IntegrityError
from incamera.http import Http, NotFound, Range, RangeNotSupported, Unauthorized, Unreachable
from incamera.proxies import find_proxy


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


def unused_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_get_returns_the_body(web: Web, http: Http) -> None:
    web.pages["/file"] = b"hello"
    assert http.get(f"{web.url}/file") == b"hello"


def test_a_missing_file_is_requested_only_once(web: Web, http: Http) -> None:
    with pytest.raises(NotFound, match="/nothing does not exist"):
        http.get(f"{web.url}/nothing")
    assert web.requests == ["/nothing"]


def test_a_request_to_a_busy_server_is_repeated(web: Web, http: Http) -> None:
    web.pages["/file"] = [web.status(503), web.status(429), b"at last"]
    assert http.get(f"{web.url}/file") == b"at last"


def test_a_server_that_stays_busy_is_an_error_after_four_attempts(web: Web, http: Http) -> None:
    web.pages["/file"] = web.status(503)
    with pytest.raises(FetchError, match="the server answers 503") as caught:
        http.get(f"{web.url}/file")
    assert caught.value.hint
    assert len(web.requests) == 4


def test_a_refused_request_is_not_repeated(web: Web, http: Http) -> None:
    web.pages["/file"] = web.status(403)
    with pytest.raises(FetchError, match="403"):
        http.get(f"{web.url}/file")
    assert len(web.requests) == 1


def test_a_broken_download_starts_again_and_progress_adds_up(web: Web, http: Http) -> None:
    web.pages["/file"] = [web.hanging_up(b"x" * 1000, announced=3000), b"y" * 3000]
    sink, progress = Collected(), list[int]()
    http.download(f"{web.url}/file", sink, size=3000, progress=progress.append)
    assert sink.data == b"y" * 3000
    assert sink.restarts == 1
    assert sum(progress) == 3000


def test_a_body_that_is_always_cut_off_is_an_error_after_four_attempts(web: Web, http: Http) -> None:
    web.pages["/file"] = web.hanging_up(b"x" * 1000, announced=3000)
    with pytest.raises(FetchError, match="cannot fetch"):
        http.download(f"{web.url}/file", Collected(), size=3000)
    assert len(web.requests) == 4


def test_a_body_without_content_length_must_have_the_expected_size(web: Web, http: Http) -> None:
    def until_closed(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(b"only so much")

    web.pages["/file"] = until_closed
    with pytest.raises(FetchError, match="only 12 of 50 bytes arrived"):
        http.download(f"{web.url}/file", Collected(), size=50)


@pytest.mark.parametrize("size", [4, 6])
def test_a_file_of_another_size_is_refused_without_a_second_attempt(web: Web, http: Http, size: int) -> None:
    web.pages["/file"] = b"hello"
    with pytest.raises(IntegrityError, match="bytes"):
        http.download(f"{web.url}/file", Collected(), size=size)
    assert len(web.requests) == 1


def test_get_refuses_a_body_longer_than_the_limit(web: Web, http: Http) -> None:
    web.pages["/file"] = b"x" * 100
    with pytest.raises(FetchError, match="longer than 99 bytes"):
        http.get(f"{web.url}/file", limit=99)


def test_a_gz_file_with_content_encoding_gzip_is_not_decoded(web: Web, http: Http) -> None:
    packed = gzip.compress(b"index")
    web.pages["/Packages.gz"] = web.status(200, packed, Content_Encoding="x-gzip")
    assert http.get(f"{web.url}/Packages.gz") == packed


def test_redirections_are_followed(web: Web, http: Http) -> None:
    web.pages["/old"] = web.status(301, Location="/new")
    web.pages["/new"] = b"moved"
    assert http.get(f"{web.url}/old") == b"moved"


def test_server_that_redirects_to_one_that_is_down_is_not_blamed(web: Web, http: Http) -> None:
    down = f"http://127.0.0.1:{unused_port()}/new"
    web.pages["/old"] = web.status(302, Location=down)
    with pytest.raises(FetchError, match=rf"{web.url}/old: it redirects to {down}: Connection refused"):
        http.get(f"{web.url}/old")


def test_server_to_which_a_proxied_one_redirects_has_a_proxy_of_its_own(web: Web) -> None:
    """It is reached without the proxy when no_proxy names it."""
    web.pages["http://far.invalid/old"] = web.status(302, Location=f"{web.url}/new")
    web.pages["/new"] = b"moved"
    proxied = Http({"http_proxy": web.url, "no_proxy": "127.0.0.1"}, pause=0)
    assert proxied.get("http://far.invalid/old") == b"moved"
    assert web.requests == ["http://far.invalid/old", "/new"]


def test_endless_redirections_are_an_error(web: Web, http: Http) -> None:
    web.pages["/old"] = web.status(302, Location="/old")
    with pytest.raises(FetchError):
        http.get(f"{web.url}/old")


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "http://[::/x", "http://127.0.0.1:99999/"],
)
def test_redirection_to_an_address_that_cannot_be_fetched_is_an_error(web: Web, http: Http, location: str) -> None:
    web.pages["/old"] = web.status(302, Location=location)
    with pytest.raises(FetchError, match=r"cannot fetch .*/old") as caught:
        http.get(f"{web.url}/old")
    assert f"it redirects to {location}" in str(caught.value)
    assert "no address of a web server" in (caught.value.hint or "")
    assert web.requests == ["/old"]


def test_redirection_from_https_to_http_is_refused(web: Web, safe_web: Web, http: Http) -> None:
    """Whoever is on the way could change the page, which names the hashes of all files."""
    safe_web.pages["/moved"] = web.status(301, Location="/page")
    safe_web.pages["/page"] = b"page"
    safe_web.pages["/down"] = web.status(302, Location=f"{web.url}/page")
    web.pages["/page"] = b"changed"
    web.pages["/up"] = web.status(302, Location=f"{safe_web.url}/down")
    assert http.get(f"{safe_web.url}/moved") == b"page"
    for url in (f"{safe_web.url}/down", f"{web.url}/up"):
        with pytest.raises(FetchError, match=rf"{safe_web.url}/down: it redirects to {web.url}/page") as caught:
            http.get(url)
        assert "not encrypted" in (caught.value.hint or "")
    assert "/page" not in web.requests


def test_certificate_file_that_is_missing_is_named(
    safe_web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone.pem"))
    with pytest.raises(FetchError, match="cannot fetch") as caught:
        Http(os.environ).get(f"{safe_web.url}/page")
    assert caught.value.hint == f"SSL_CERT_FILE is {tmp_path / 'gone.pem'}, and there is no such file: correct it"


@pytest.mark.parametrize("url", ["http://[::/x", "https://me:secret@[x/", "http://", "http://a..b/"])
def test_address_that_cannot_be_one_is_an_error(http: Http, url: str) -> None:
    with pytest.raises(FetchError, match="cannot fetch") as caught:
        http.get_range(url, 0, 5)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"hello\r\n", "the server's answer is malformed: BadStatusLine"),
        (b"HTTP/1.1 200 OK\r\n" + b"X-Y: 1\r\n" * 101 + b"\r\n", "got more than 100 headers"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabc\r\n0\r\n\r\n", "malformed: read length"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n", "InvalidChunkLength"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde", "multiple unmatching values"),
    ],
)
def test_answer_that_is_malformed_is_an_error(web: Web, http: Http, answer: bytes, words: str) -> None:
    def answer_raw(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(answer)
        handler.close_connection = True

    web.pages["/file"] = answer_raw
    with pytest.raises(FetchError, match=words):
        http.get(f"{web.url}/file")


@pytest.mark.parametrize(
    "header",
    [
        "Content-Length: \xb2",
        f"Content-Length: {'9' * 5000}",
        f"Content-Range: bytes 0-9/{'9' * 5000}",
        "Content-Range: bytes 0-\xb2/10",
    ],
    ids=["length", "long-length", "long-range", "range"],
)
def test_length_that_is_no_number_is_not_believed(web: Web, http: Http, header: str) -> None:
    def answer(status: str) -> Callable[[BaseHTTPRequestHandler], None]:
        def answer_raw(handler: BaseHTTPRequestHandler) -> None:
            head = f"HTTP/1.1 {status}\r\n{header}\r\nConnection: close\r\n\r\n"
            handler.wfile.write(head.encode("latin-1") + b"0123456789")
            handler.close_connection = True

        return answer_raw

    # Any error but one of ours ends the test.
    web.pages["/file"], web.pages["/part"] = answer("200 OK"), answer("206 Partial Content")
    with suppress(FetchError, IntegrityError):
        http.download(f"{web.url}/file", Collected(), size=10)
    with suppress(FetchError):
        assert http.get_range(f"{web.url}/part", 0, 10).data == b"0123456789"


def test_an_unread_body_is_not_taken_for_the_next_response(web: Web, http: Http) -> None:
    web.pages["/missing"] = web.status(404, b"z" * 5000)
    web.pages["/file"] = b"right"
    for _ in range(3):
        with pytest.raises(NotFound):
            http.get(f"{web.url}/missing")
        assert http.get(f"{web.url}/file") == b"right"


def test_a_request_to_a_silent_server_is_repeated_after_the_timeout(web: Web) -> None:
    released = threading.Event()
    web.pages["/file"] = [web.stalling(b"x", 10, released), b"0123456789"]
    try:
        assert Http({}, timeout=0.2, pause=0.001).get(f"{web.url}/file") == b"0123456789"
    finally:
        released.set()


def test_interrupt_breaks_off_a_stalled_transfer(web: Web, http: Http) -> None:
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


def test_without_a_server_the_error_says_connection_refused(http: Http) -> None:
    with pytest.raises(FetchError, match="Connection refused") as caught:
        http.get(f"http://127.0.0.1:{unused_port()}/file")
    assert "is the network up?" in str(caught.value.hint)


def test_an_error_of_the_sink_is_raised_as_it_is(web: Web, http: Http) -> None:
    class Full(Collected):
        def write(self, data: bytes) -> None:
            raise OSError(28, "No space left on device")

    web.pages["/file"] = b"hello"
    with pytest.raises(OSError, match="No space left"):
        http.download(f"{web.url}/file", Full())
    assert len(web.requests) == 1


def test_the_proxy_in_the_environment_gets_its_login(web: Web) -> None:
    web.pages["http://nowhere.example/file"] = b"by proxy"  # a proxy is asked with the whole address
    proxy = web.url.replace("http://", "http://me:secret%21@")
    http = Http({"http_proxy": proxy}, pause=0.001)
    assert http.get("http://nowhere.example/file") == b"by proxy"
    assert web.headers[0]["proxy-authorization"] == "Basic bWU6c2VjcmV0IQ=="


@pytest.mark.parametrize("excepted", ["127.0.0.1", "*", "lan, 127.0.0.1", "127.0.0.1:{port}", ".0.0.1"])
def test_servers_in_no_proxy_are_reached_without_the_proxy(web: Web, excepted: str) -> None:
    web.pages["/file"] = b"straight"
    excepted = excepted.format(port=web.server.server_port)
    http = Http({"HTTP_PROXY": f"http://127.0.0.1:{unused_port()}", "NO_PROXY": excepted}, pause=0.001)
    assert http.get(f"{web.url}/file") == b"straight"


def test_servers_not_in_no_proxy_are_reached_only_through_the_proxy(web: Web) -> None:
    http = Http({"http_proxy": f"127.0.0.1:{unused_port()}", "no_proxy": "example.org"}, pause=0.001)
    with pytest.raises(FetchError, match="Connection refused"):
        http.get(f"{web.url}/file")
    assert not web.requests


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_a_proxy_that_does_not_answer_is_named(web: Web, variable: str) -> None:
    port = unused_port()
    http = Http({variable: f"http://me:secret@127.0.0.1:{port}"}, pause=0.001)
    for fetch in (lambda: http.get(f"{web.url}/file"), lambda: http.get_range(f"{web.url}/file", 0, 1)):
        with pytest.raises(FetchError, match=f"/file through the proxy http://127.0.0.1:{port}: ") as caught:
            fetch()
        assert "secret" not in str(caught.value)
        assert f"{variable} names the proxy" in str(caught.value.hint)


@pytest.mark.parametrize("status", [401, 403, 407, 502])
def test_what_a_proxy_refuses_is_an_error_that_names_it(web: Web, status: int) -> None:
    web.pages["http://nowhere.example/file"] = web.status(status)
    http = Http({"http_proxy": web.url}, pause=0.001)
    with pytest.raises(FetchError, match=rf"through the proxy {web.url}: the server answers {status}") as caught:
        http.get("http://nowhere.example/file")
    assert "http_proxy names the proxy" in str(caught.value.hint)


@pytest.mark.parametrize(
    "proxy",
    ["http//proxy:3128", "http://", "http://:3128", "http://proxy:many", "proxy:99999", "my proxy:3128", "http://a/b"],
)
def test_a_misspelt_proxy_is_refused(proxy: str) -> None:
    with pytest.raises(ConfigError, match=r"https_proxy is .*, which is not the address of a proxy") as caught:
        Http({"https_proxy": proxy}).get("https://127.0.0.1/")
    assert "set https_proxy to an address like http://" in str(caught.value.hint)


@pytest.mark.parametrize("proxy", ["proxy", "proxy:3128", "http://proxy:3128/", "https://u:p@proxy", "http://[::1]:8"])
def test_proxies_are_written_in_several_ways(proxy: str) -> None:
    assert find_proxy({"http_proxy": proxy}, "http", "server").endswith(proxy)


def test_a_socks_proxy_is_refused() -> None:
    with pytest.raises(ConfigError, match="socks5"):
        Http({"http_proxy": "socks5://127.0.0.1:1"}).get("http://127.0.0.1/")


def test_several_threads_can_share_one_client(web: Web, http: Http) -> None:
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


def test_a_response_is_decompressed_and_has_the_last_url(web: Web, http: Http) -> None:
    web.pages["/page"] = web.status(302, Location="/elsewhere/page")
    web.pages["/elsewhere/page"] = web.status(200, gzip.compress(b"text" * 100), Content_Encoding="gzip", ETag='"1"')
    answer = http.get_response(f"{web.url}/page")
    assert (answer.status, answer.url, answer.body) == (200, f"{web.url}/elsewhere/page", b"text" * 100)
    assert answer.headers["etag"] == '"1"'
    assert web.headers[0]["accept-encoding"] == "gzip"
    assert web.headers[0]["user-agent"] == "incamera"


def test_a_response_may_be_not_modified(web: Web, http: Http) -> None:
    web.pages["/page"] = web.status(304)
    answer = http.get_response(f"{web.url}/page", headers={"If-None-Match": '"1"'})
    assert (answer.status, answer.body) == (304, b"")
    assert web.headers[0]["if-none-match"] == '"1"'


def test_the_limit_counts_the_decompressed_bytes(web: Web, http: Http) -> None:
    web.pages["/page"] = web.status(200, gzip.compress(b"0" * 10_000_000), Content_Encoding="gzip")
    with pytest.raises(FetchError, match="longer than 1000 bytes"):
        http.get_response(f"{web.url}/page", limit=1000)


def test_compressed_response_is_bounded_and_verified(web: Web, http: Http) -> None:
    whole = gzip.compress(bytes(5_000_000))
    web.pages["/page"] = web.status(200, whole, Content_Encoding="gzip")
    assert len(http.get_response(f"{web.url}/page", limit=5_000_000).body) == 5_000_000
    with pytest.raises(FetchError, match="would be longer than"):
        http.get_response(f"{web.url}/page", limit=4_999_999)
    for damaged in (whole[:-1], whole[:-8] + b"wrong" + whole[-3:], whole + b"more", b"no gzip"):
        web.pages["/page"] = web.status(200, damaged, Content_Encoding="gzip")
        with pytest.raises(FetchError, match="the response is damaged"):
            http.get_response(f"{web.url}/page")


def test_a_body_that_cannot_be_decompressed_is_an_error(web: Web, http: Http) -> None:
    web.pages["/page"] = web.status(200, b"not gzip", Content_Encoding="gzip")
    with pytest.raises(FetchError, match="cannot fetch"):
        http.get_response(f"{web.url}/page")


def test_get_range_returns_part_of_a_file(web: Web, http: Http) -> None:
    web.pages["/file"] = web.ranged(b"0123456789")
    assert http.get_range(f"{web.url}/file", 2, 3) == Range(2, 10, b"234")
    assert http.get_range(f"{web.url}/file", -1, 4) == Range(6, 10, b"6789")
    assert http.get_range(f"{web.url}/file", 8, 100) == Range(8, 10, b"89")


def test_a_server_without_ranges_is_an_error_before_the_body_is_read(web: Web, http: Http) -> None:
    web.pages["/file"] = web.status(200, b"x" * 10_000)
    web.pages["/short"] = web.status(416)
    for path in ("/file", "/short"):
        with pytest.raises(RangeNotSupported):
            http.get_range(f"{web.url}{path}", 0, 10)


@pytest.mark.parametrize("content_range", ["", "bytes 3-5/10", "bytes 2-9/10", "bytes 2-4/*", "lines 2-4/10"])
def test_another_range_than_requested_is_refused(web: Web, http: Http, content_range: str) -> None:
    web.pages["/file"] = web.status(206, b"234", Content_Range=content_range)
    with pytest.raises(RangeNotSupported, match="another range"):
        http.get_range(f"{web.url}/file", 2, 3)


def test_a_login_is_sent_to_its_server_and_never_shown(web: Web, http: Http) -> None:
    web.pages["/file"] = b"hello"
    web.pages["/gone"] = web.status(403)
    address = web.url.replace("://", "://me:p%40ss@")
    assert http.remember_login(f"{address}/file") == f"{web.url}/file"
    assert http.get(f"{web.url}/file") == b"hello"
    assert http.get(f"{address}/file") == b"hello"
    assert {headers["authorization"] for headers in web.headers} == {"Basic bWU6cEBzcw=="}
    with pytest.raises(FetchError) as caught:
        http.get(f"{address}/gone")
    assert "ss@" not in str(caught.value)
    assert "name and a password" in str(caught.value.hint)


def test_a_login_does_not_follow_a_redirection_to_another_server(web: Web, http: Http) -> None:
    web.pages["/file"] = web.status(302, Location=web.url.replace("127.0.0.1", "localhost") + "/other")
    web.pages["/other"] = b"hello"
    http.remember_login(web.url.replace("://", "://me:secret@"))
    assert http.get(f"{web.url}/file") == b"hello"
    assert ["authorization" in headers for headers in web.headers] == [True, False]


def test_authorization_of_a_request_does_not_follow_a_redirection_to_another_server(web: Web, http: Http) -> None:
    elsewhere = web.url.replace("127.0.0.1", "localhost")
    web.pages["/file"] = web.status(302, Location="/here")
    web.pages["/here"] = web.status(302, Location=f"{elsewhere}/there")
    web.pages["/there"] = web.status(302, Location=f"{web.url}/back")
    web.pages["/back"] = b"hello"
    assert http.get(f"{web.url}/file", headers={"Authorization": "Bearer secret", "Accept": "x"}) == b"hello"
    assert ["authorization" in headers for headers in web.headers] == [True, True, False, False]
    assert {headers["accept"] for headers in web.headers} == {"x"}


def test_message_does_not_show_the_query_of_an_address_to_which_a_server_redirects(web: Web, http: Http) -> None:
    there = f"http://127.0.0.1:{unused_port()}/blob?signature=secret"
    web.pages["/file"] = web.status(302, Location=there)
    with pytest.raises(FetchError) as caught:
        http.get(f"{web.url}/file")
    assert "/blob" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_demand_for_a_login_is_an_error_with_its_challenges(web: Web, http: Http) -> None:
    web.pages["/file"] = web.status(401, WWW_Authenticate='Bearer realm="x"')
    web.pages["/other"] = web.status(302, Location=web.url.replace("127.0.0.1", "localhost") + "/file")
    with pytest.raises(Unauthorized) as caught:
        http.get(f"{web.url}/file")
    assert caught.value.challenges == ('Bearer realm="x"',)
    with pytest.raises(Unauthorized) as caught:
        http.get(f"{web.url}/other")
    assert caught.value.challenges == ()


def test_resumed_download_adds_what_is_missing_and_progress_adds_up(web: Web, http: Http) -> None:
    data, sink = bytes(range(100)) * 10, Collected()
    arrived: list[int] = []
    sink.data = data[:100]
    web.pages["/file"] = [Web.ranged(data[:400]), hang_up_after(data, 300), hang_up_after(data, 0), Web.ranged(data)]
    http.resume(f"{web.url}/file", sink, size=1000, progress=arrived.append)
    assert sink.data == data
    assert [headers.get("range") for headers in web.headers] == ["bytes=100-", None, "bytes=300-", "bytes=300-"]
    assert sum(arrived) == 900


def hang_up_after(data: bytes, count: int) -> Answer:
    """Return an answer with *count* bytes of what was requested of *data*, after which the connection ends."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        first = int(handler.headers.get("Range", "bytes=0-")[6:-1])
        handler.send_response(206 if first else 200)
        handler.send_header("Content-Length", str(len(data) - first))
        if first:
            handler.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        handler.end_headers()
        handler.wfile.write(data[first : first + count])
        handler.close_connection = True

    return answer


def test_resumed_download_that_gets_nothing_ends_after_four_attempts(web: Web, http: Http) -> None:
    web.pages["/file"] = hang_up_after(bytes(100), 0)
    with pytest.raises(Unreachable):
        http.resume(f"{web.url}/file", Collected(), size=100)
    assert len(web.requests) == 4


def test_resumed_download_that_goes_on_a_lot_is_not_given_up(web: Web, http: Http) -> None:
    step = 5 << 20
    data, sink = bytes(6 * step), Collected()
    web.pages["/file"] = hang_up_after(data, step)
    http.resume(f"{web.url}/file", sink, size=len(data))
    assert sink.data == data
    assert len(web.requests) == 6


@pytest.mark.parametrize("answer", [Web.status(416), Web.status(206, b"x", Content_Range="bytes 1-1/1000")])
def test_server_that_cannot_resume_sends_all_again(web: Web, http: Http, answer: Answer) -> None:
    sink = Collected()
    sink.data = b"old"
    web.pages["/file"] = [answer, b"all of it"]
    http.resume(f"{web.url}/file", sink, size=9)
    assert sink.data == b"all of it"


def test_file_that_is_longer_than_it_must_be_is_not_resumed_for_ever(web: Web, http: Http) -> None:
    web.pages["/file"] = b"ten bytes!"
    with pytest.raises(IntegrityError):
        http.resume(f"{web.url}/file", Collected(), size=9)
    assert len(web.requests) == 1
