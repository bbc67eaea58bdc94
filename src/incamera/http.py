"""HTTP: downloads with retries, proxies and clear errors. Every connection to a web server is opened here."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar
from urllib.parse import quote, urlencode, urljoin, urlsplit, urlunsplit

from incamera.archives import BadArchive, unpack_bytes
from incamera.errors import FetchError, IntegrityError
from incamera.http_auth import Login, answer_challenges
from incamera.http_faults import Fault, TransferError
from incamera.proxies import basic_auth, find_proxy, proxy_hint, without_login
from incamera.units import format_count

if TYPE_CHECKING:
    import urllib3

    from incamera.http_requests import Requests

_ATTEMPTS = 4
_CHUNK = 256 * 1024
# Many times what a camera's web API answers, and how long that takes.
_CALL_BYTES = 1 << 20
_CALL_SECONDS = 60
_SETTINGS = (
    "a proxy is read from http_proxy and https_proxy, another Debian mirror from INCAMERA_DEBIAN_MIRROR, "
    "another package index from PIP_INDEX_URL"
)
_CHANGED_FILE = "the server, or a proxy on the way, changes files: try another mirror or index"
_LOGIN = "does it need a name and a password? put them into its address: https://name:password@server/…"
_REFUSED = f"check the settings: {_SETTINGS}"
_NO_ADDRESS = f"this is no address of a web server. {_REFUSED}"
_UNENCRYPTED = (
    "that is not encrypted, so anybody on the way could change what comes: ask those who run the server. If you trust "
    f"that network, name the http address yourself: {_SETTINGS}"
)
# No file has more bytes than these digits can say.
_LENGTH = re.compile(r"[0-9]{1,18}")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")
# The longest page of PyPI has some 40 MB.
_PAGE_BYTES = 128 * 1024 * 1024
_REDIRECTIONS = 5
# So many bytes more than before, and a transfer that broke off is not counted among those that failed.
_WORTH_RESUMING = 4 * 1024 * 1024
# How many downloads run at a time.
CONNECTIONS = 8

T = TypeVar("T")
Progress = Callable[[int], None]
"""Called with the number of bytes that have just arrived; negative when a download starts again."""


class Sink(Protocol):
    """Takes the bytes of a download, as `store.BlobWriter` does. *size* is how many it has."""

    @property
    def size(self) -> int: ...
    def write(self, data: bytes) -> None: ...
    def restart(self) -> None: ...


class NotFound(FetchError):
    """The server has no such file (status 404)."""


class Unreachable(FetchError):
    """The server cannot be reached, or stays too busy, after several attempts."""


class Unauthorized(FetchError):
    """The server demands a login (status 401). *challenges* are its WWW-Authenticate headers."""

    def __init__(self, message: str, *, hint: str, challenges: Sequence[str]) -> None:
        super().__init__(message, hint=hint)
        self.challenges = tuple(challenges)


class RangeNotSupported(FetchError):
    """The server does not send a range of the file."""


@dataclass(frozen=True, slots=True)
class Response:
    """A server's response. *url* is the last one of the redirections. *status* 304: the cached body is still valid."""

    status: int
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Range:
    """A part of a file of *total* bytes: *data*, which begins at the byte *first*."""

    first: int
    total: int
    data: bytes


class Http:
    """An HTTP client with a pool of connections. Safe to use from several threads."""

    def __init__(
        self, environment: Mapping[str, str] | None = None, *, timeout: float = 30, pause: float = 0.2
    ) -> None:
        """Proxies are taken from *environment* (default: the process's own).

        *timeout* is how many seconds a server may send nothing. *pause* is how many seconds to wait before the second
        attempt; each wait after that is three times as long.
        """
        self._environment = os.environ if environment is None else environment
        self._timeout = timeout
        self._pause = pause
        self._made: Requests | None = None
        self._logins: dict[tuple[str, str], str] = {}
        self._active: set[urllib3.BaseHTTPResponse] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def get(self, url: str, *, limit: int = 256 * 1024 * 1024, headers: Mapping[str, str] | None = None) -> bytes:
        """Return the body of *url*. Raises FetchError when it cannot be fetched, or is longer than *limit* bytes."""
        sink = _Memory(limit)
        self.download(url, sink, headers=headers)
        return bytes(sink.data)

    def get_response(self, url: str, *, headers: Mapping[str, str] | None = None, limit: int = _PAGE_BYTES) -> Response:
        """Return the response to a GET, compressed in transit where the server can; *headers* may have If-None-Match.

        Raises FetchError when it cannot be fetched, or its body is longer than *limit* bytes.
        """
        sink = _Memory(limit)
        sent = {"Accept-Encoding": "gzip", **(headers or {})}

        def transfer(url: str) -> Response:
            response, last = self._transfer(url, sink, headers=sent, accepted=(200, 304))
            body = _decode(url, bytes(sink.data), response.headers.get("Content-Encoding", ""), limit)
            return Response(response.status, last, response.headers, body)

        return self._retry(url, sink, None, transfer)

    def call(self, url: str, *, query: Mapping[str, str], login: Login) -> Response:
        """Return the response, whatever its status, to one GET of *url* with *query*; log in when the server demands.

        There is no second attempt, since a call may change something. No message shows the query, which may hold a
        password. Raises Unreachable when there is no response within a minute, or a longer one than any call has.
        """
        answer: Future[Response] = Future()

        def run() -> None:
            try:
                answer.set_result(self._call(url, query, login))
            except BaseException as error:
                answer.set_exception(error)

        # In a thread: a server that sends a byte now and then keeps a read waiting for ever.
        threading.Thread(target=run, name="incamera-call", daemon=True).start()
        try:
            return answer.result(_CALL_SECONDS)
        except TimeoutError:
            raise Unreachable(f"{url} did not answer within {_CALL_SECONDS} s") from None

    def _call(self, url: str, query: Mapping[str, str], login: Login) -> Response:
        target = f"{url}?{urlencode(query, quote_via=quote)}" if query else url
        uri = target.removeprefix(f"{urlsplit(url).scheme}://{urlsplit(url).netloc}")
        try:
            headers = self._headers(url, None)
            response = self._requests.get(target, headers, proxy=self._proxy(url))
            if response.status == 401:
                response.close()
                challenges = response.headers.getlist("WWW-Authenticate")
                encrypted = urlsplit(url).scheme == "https"
                authorization = answer_challenges(challenges, login, method="GET", uri=uri, encrypted=encrypted)
                if authorization is not None:
                    headers["Authorization"] = authorization
                    response = self._requests.get(target, headers, proxy=self._proxy(url))
                else:
                    return Response(response.status, url, response.headers, b"")
            with closing(response):
                body = self._requests.read(response, _CALL_BYTES + 1)
            if len(body) > _CALL_BYTES:
                raise Unreachable(f"the answer of {url} is longer than {_CALL_BYTES} bytes")
            return Response(response.status, url, response.headers, body)
        except TransferError as error:
            raise Unreachable(f"cannot reach {url}{self._route(url)}: {error}") from None

    def get_range(self, url: str, first: int, size: int) -> Range:
        """Return *size* bytes of a file from byte *first* on, or its last *size* bytes when *first* is negative.

        Returns fewer where the file ends before. Raises RangeNotSupported, or another FetchError.
        """
        sink = _Memory(size)
        sent = {"Range": f"bytes=-{size}" if first < 0 else f"bytes={first}-{first + size - 1}"}

        def transfer(url: str) -> Range:
            response, _ = self._transfer(url, sink, headers=sent, accepted=(206,))
            match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if match is None or int(match[2]) - int(match[1]) + 1 != sink.size or first not in (int(match[1]), -1):
                raise RangeNotSupported(f"{url}: the server sends another range than was requested")
            return Range(int(match[1]), int(match[3]), bytes(sink.data))

        return self._retry(url, sink, None, transfer)

    def download(
        self,
        url: str,
        sink: Sink,
        *,
        size: int | None = None,
        progress: Progress | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Write the body of *url* to *sink*; a transfer that breaks off is started again, up to three times.

        *size* is how many bytes the body must have. Raises NotFound, IntegrityError for a body of another size, another
        FetchError, and whatever *sink* raises.
        """

        def transfer(url: str) -> None:
            self._transfer(url, sink, size=size, progress=progress, headers=headers)

        self._retry(url, sink, progress, transfer)

    def resume(
        self,
        url: str,
        sink: Sink,
        *,
        size: int,
        progress: Progress | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Like `download`, but add to what *sink* has already, also after a transfer that breaks off.

        A server that sends no ranges sends all of the file again.
        """

        def transfer(url: str) -> None:
            while sink.size < size:
                self._add(url, sink, size, progress, headers)

        self._retry(url, sink, progress, transfer, keep=True)

    def _add(
        self, url: str, sink: Sink, size: int, progress: Progress | None, headers: Mapping[str, str] | None
    ) -> None:
        """Write the rest of the body of *url* to *sink*."""
        first = sink.size
        sent = {**(headers or {}), "Range": f"bytes={first}-"} if first else headers

        def start(response: urllib3.BaseHTTPResponse) -> None:
            match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if response.status == 206 and match is not None and (int(match[1]), int(match[3])) == (first, size):
                return
            if first:  # all of it comes, or something else
                sink.restart()
                if progress is not None:
                    progress(-first)
            if response.status != 200:
                raise TransferError("the server sends another range than was requested")

        self._transfer(url, sink, size=size, progress=progress, headers=sent, accepted=(200, 206, 416), start=start)

    def remember_login(self, url: str) -> str:
        """Return *url* without its name and password; send these with every request to that server from now on."""
        parts = urlsplit(url)
        login, at, netloc = parts.netloc.rpartition("@")
        if not at:
            return url
        with self._lock:
            self._logins[parts.scheme, netloc] = basic_auth(login)
        return urlunsplit(parts._replace(netloc=netloc))

    def _retry(
        self, url: str, sink: Sink, progress: Progress | None, transfer: Callable[[str], T], *, keep: bool = False
    ) -> T:
        """Return the result of *transfer*, which is called again after errors that may be temporary.

        *keep*: the sink keeps what it has, and an attempt that has added a lot to it does not count.
        """
        try:
            url = self.remember_login(url)  # no message may show the login
            is_web = urlsplit(url).scheme in ("http", "https")
        except ValueError as error:  # a host such as `[::`
            raise FetchError(f"cannot fetch {without_login(url)}: {error}") from error
        if not is_web:
            raise FetchError(f"cannot fetch {url}: it is neither an http nor an https URL")
        attempt = 0
        while True:
            before = sink.size
            attempt += 1
            try:
                return transfer(url)
            except TransferError as error:
                if keep:
                    sink.write(b"")  # which raises where all downloads are to stop
                    if sink.size - before >= _WORTH_RESUMING:
                        attempt = 1
                else:
                    if progress is not None and sink.size:
                        progress(-sink.size)
                    sink.restart()
                if attempt == _ATTEMPTS or self._stopped or error.fault.is_hopeless:
                    raise Unreachable(
                        f"cannot fetch {url}{self._route(url)}: {error}", hint=self._hint(url, error.fault)
                    ) from error
                time.sleep(self._pause * 3 ** (attempt - 1))

    def interrupt(self) -> None:
        """Break off all running transfers: each starts again, unless its sink's `restart` raises."""
        with self._lock:
            for response in self._active:
                # A transfer may just have ended, so that there is nothing to break off.
                with suppress(ValueError, RuntimeError, OSError):
                    response.shutdown()

    def stop(self) -> None:
        """Break off all running transfers for good; later ones fail at once."""
        with self._lock:
            self._stopped = True
        self.interrupt()

    def _transfer(
        self,
        url: str,
        sink: Sink,
        *,
        size: int | None = None,
        progress: Progress | None = None,
        headers: Mapping[str, str] | None = None,
        accepted: Collection[int] = (200,),
        start: Callable[[urllib3.BaseHTTPResponse], None] = lambda response: None,
    ) -> tuple[urllib3.BaseHTTPResponse, str]:
        """Write the body of *url* to *sink*. Returns the response, and the last URL of the redirections.

        *start* is called with the response before its body is written; *size* is that of the sink in the end.
        """
        response, last = self._request(url, headers)
        with self._lock:
            self._active.add(response)
        complete = False
        try:
            if self._stopped:
                raise TransferError("it was cancelled")
            if response.status == 404:
                raise NotFound(f"{url} does not exist")
            if response.status in (408, 425, 429) or response.status >= 500:
                raise TransferError(f"the server answers {response.status}")
            if accepted == (206,) and response.status in (200, 416, 501):
                raise RangeNotSupported(f"{url}: the server does not support range requests")
            if response.status == 401:
                raise Unauthorized(
                    f"cannot fetch {url}{self._route(url)}: the server answers 401",
                    hint=self._proxy_hint(url) or _LOGIN,
                    # Another server must not choose who gets a login for this one.
                    challenges=response.headers.getlist("WWW-Authenticate") if _server(last) == _server(url) else (),
                )
            if response.status == 403:
                raise FetchError(
                    f"cannot fetch {url}{self._route(url)}: the server answers 403",
                    hint=self._proxy_hint(url) or _LOGIN,
                )
            if response.status not in accepted:
                raise FetchError(
                    f"cannot fetch {url}{self._route(url)}: the server answers {response.status}",
                    hint=self._proxy_hint(url) or _REFUSED,
                )
            start(response)
            length = response.headers.get("Content-Length", "")
            if size is not None and _LENGTH.fullmatch(length) and sink.size + int(length) != size:
                long = format_count(sink.size + int(length), "byte")
                raise IntegrityError(f"{url} is {long} long, but must have {size}", hint=_CHANGED_FILE)
            # It is not decoded here: some servers say Content-Encoding: gzip of a .gz file, whose own bytes are hashed.
            for chunk in self._requests.stream(response, _CHUNK):
                if size is not None and sink.size + len(chunk) > size:
                    most = format_count(size, "byte")
                    raise IntegrityError(f"{url} is longer than the {most} that it must have", hint=_CHANGED_FILE)
                sink.write(chunk)
                if progress is not None:
                    progress(len(chunk))
            if size is not None and sink.size < size:
                raise TransferError(f"only {sink.size} of {format_count(size, 'byte')} arrived")
            complete = True
            return response, last
        finally:
            with self._lock:
                self._active.discard(response)
            if complete:
                response.release_conn()
            else:  # the rest of the body must not be read as the next response
                response.close()

    def _request(self, url: str, headers: Mapping[str, str] | None) -> tuple[urllib3.BaseHTTPResponse, str]:
        """Return the response to a GET of *url*, after at most five redirections, and the URL that it is from.

        Not urllib3 follows them, because each server has a proxy and a login of its own, or none. An Authorization
        among *headers* is for the first server alone.
        """
        first = url
        for _ in range(_REDIRECTIONS + 1):
            try:
                response = self._requests.get(url, self._headers(url, headers), proxy=self._proxy(url))
            except TransferError as error:
                if url == first:
                    raise
                reason = f"it redirects to {_shown(url)}{self._route(url)}: {error}"
                raise TransferError(reason, error.fault) from error
            location = response.get_redirect_location()
            if not location:
                return response, url
            response.close()
            url = self._follow(url, location)
            if headers is not None and _server(url) != _server(first):
                headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
        last = _shown(url)
        raise FetchError(f"cannot fetch {first}{self._route(first)}: it redirects too often, at last to {last}")

    def _follow(self, url: str, location: str) -> str:
        """Return the address to which the server of *url* redirects. Raises FetchError for one that cannot be asked."""
        try:
            target = without_login(urljoin(url, location))
            scheme, has_host = urlsplit(target).scheme, bool(urlsplit(target).hostname)
        except ValueError:  # a host such as `[::`
            scheme, has_host = "", False
        if scheme == "http" and has_host and urlsplit(url).scheme == "https":
            # The page of an index names the hashes that all else is compared with. apt and Go refuse it, too.
            raise FetchError(
                f"cannot fetch {url}{self._route(url)}: it redirects to {_shown(target)}", hint=_UNENCRYPTED
            )
        if scheme in ("http", "https") and has_host:
            return target
        raise FetchError(f"cannot fetch {url}{self._route(url)}: it redirects to {location}", hint=_NO_ADDRESS)

    def _proxy(self, url: str) -> str:
        parts = urlsplit(url)
        return find_proxy(self._environment, parts.scheme, parts.netloc)

    def _route(self, url: str) -> str:
        return f" through the proxy {without_login(proxy)}" if (proxy := self._proxy(url)) else ""

    def _proxy_hint(self, url: str) -> str | None:
        return proxy_hint(self._environment, urlsplit(url).scheme) if self._proxy(url) else None

    def _hint(self, url: str, fault: Fault) -> str:
        if fault is Fault.address:
            return _NO_ADDRESS
        if fault is Fault.certificate:
            named = self._environment.get("SSL_CERT_FILE", "")
            if named and not Path(named).is_file():  # OpenSSL says nothing about it
                return f"SSL_CERT_FILE is {named}, and there is no such file: correct it"
            return (
                f"your clock says {datetime.now(UTC):%Y-%m-%d %H:%M} UTC: if that is wrong, set it. Behind a company's "
                "proxy, set SSL_CERT_FILE to a file with its certificate authority"
            )
        return self._proxy_hint(url) or f"is the network up? {_SETTINGS}"

    def _headers(self, url: str, more: Mapping[str, str] | None) -> dict[str, str]:
        parts = urlsplit(url)
        login = self._logins.get((parts.scheme, parts.netloc))
        return {"User-Agent": "incamera", **({"Authorization": login} if login else {}), **(more or {})}

    @property
    def _requests(self) -> Requests:
        with self._lock:
            if self._made is None:
                from incamera.http_requests import Requests  # lazy: a lock that finds all in the store asks nobody

                self._made = Requests(connections=CONNECTIONS, timeout=self._timeout)
            return self._made


def _server(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def _shown(url: str) -> str:
    """Return *url*, to which a server redirects, for a message: its query may be a signature that opens the file."""
    return urlunsplit(urlsplit(url)._replace(query="", fragment=""))


class _Memory:
    """A sink that keeps at most *limit* bytes in memory."""

    def __init__(self, limit: int) -> None:
        self.data = bytearray()
        self.limit = limit

    @property
    def size(self) -> int:
        return len(self.data)

    def write(self, data: bytes) -> None:
        self.data += data
        if len(self.data) > self.limit:
            raise FetchError(f"the response is longer than {self.limit} bytes")

    def restart(self) -> None:
        self.data.clear()


def _decode(url: str, body: bytes, encoding: str, limit: int) -> bytes:
    """Return *body* without its Content-Encoding. Raises FetchError when it would be longer than *limit* bytes."""
    if not body or encoding.lower() not in ("gzip", "x-gzip"):
        return body
    try:
        return unpack_bytes(body, limit=limit)
    except BadArchive as error:
        raise FetchError(f"cannot fetch {url}: the response is damaged or too long: {error}") from error
