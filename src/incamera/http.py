"""The one door to the web: downloads with retries, proxies and clear errors."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar
from urllib.parse import quote, urlencode, urljoin, urlsplit, urlunsplit

from incamera.errors import FetchError, IntegrityError
from incamera.http_auth import Login, answer_challenges
from incamera.proxies import basic_auth, find_proxy, proxy_headers

if TYPE_CHECKING:
    import ssl

    import urllib3

_ATTEMPTS = 4
_CHUNK = 256 * 1024
_SOURCES = (
    "a proxy is read from http_proxy and https_proxy, another Debian mirror from INCAMERA_DEBIAN_MIRROR, "
    "another package index from PIP_INDEX_URL"
)
_OTHER_MIRROR = "the mirror, or something between it and you, changes files: try another one"
_LOGIN = "does it want a name and a password? they stand in its address: https://name:password@server/…"
_OTHER_WAY = f"{_SOURCES}: one of them may not be meant for you"
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
CONNECTIONS = 8

T = TypeVar("T")
Progress = Callable[[int], None]
"""Called with the number of bytes that have just arrived (negative when a download begins again)."""


class Sink(Protocol):
    """Where a download goes: `store.BlobWriter`, say."""

    @property
    def size(self) -> int: ...
    def write(self, data: bytes) -> None: ...
    def restart(self) -> None: ...


class NotFound(FetchError):
    """The server has no such file (404)."""


class Unreachable(FetchError):
    """The server cannot be reached, or is too busy, however often it's asked."""


class NoParts(FetchError):
    """The server gives a file only as a whole."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` is 200, or 304 where what the asker has is still right; `url` is where redirections led."""

    status: int
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Part:
    """*data* begin at the byte *first* of a file that is *total* bytes long."""

    first: int
    total: int
    data: bytes


class Http:
    """A pool of connections. Safe to use from several threads."""

    def __init__(
        self, environment: Mapping[str, str] | None = None, *, timeout: float = 30, pause: float = 0.2
    ) -> None:
        """*timeout* is how long a server may be silent, *pause* the first wait before another attempt, in seconds."""
        self._environment = os.environ if environment is None else environment
        self._timeout = timeout
        self._pause = pause
        self._pools: dict[tuple[str, str], urllib3.PoolManager] = {}
        self._logins: dict[tuple[str, str], str] = {}
        self._active: set[urllib3.BaseHTTPResponse] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def get(self, url: str, *, limit: int = 256 * 1024 * 1024, headers: Mapping[str, str] | None = None) -> bytes:
        """Return the body behind *url*, of *limit* bytes at the most. Raises FetchError."""
        sink = _Memory(limit)
        self.download(url, sink, headers=headers)
        return bytes(sink.data)

    def ask(self, url: str, *, headers: Mapping[str, str] | None = None, limit: int = 256 * 1024 * 1024) -> Answer:
        """Return the answer to a GET, packed on the way where the server can; *headers* may ask If-None-Match."""
        sink = _Memory(limit)
        asked = {"Accept-Encoding": "gzip", **(headers or {})}

        def transfer(url: str) -> Answer:
            response = self._transfer(url, sink, headers=asked, accepted=(200, 304), decoded=True)
            return Answer(response.status, _final_url(url, response), response.headers, bytes(sink.data))

        return self._persist(url, sink, None, transfer)

    def call(self, url: str, *, query: Mapping[str, str], login: Login) -> Answer:
        """Return a web server's answer, of whatever status, to a GET of *url* with *query*; logs in as it demands.

        Asked once only, since a call may change something. No message shows the query: a password may be in it.
        Raises Unreachable.
        """
        import urllib3

        target = f"{url}?{urlencode(query, quote_via=quote)}" if query else url
        uri = target.removeprefix(f"{urlsplit(url).scheme}://{urlsplit(url).netloc}")
        pool = self._pool(url)
        try:
            headers = self._headers(url, None)
            response = pool.request("GET", target, headers=headers, redirect=False)
            if response.status == 401:
                challenges = response.headers.getlist("WWW-Authenticate")
                encrypted = urlsplit(url).scheme == "https"
                answer = answer_challenges(challenges, login, method="GET", uri=uri, encrypted=encrypted)
                if answer is not None:
                    headers["Authorization"] = answer
                    response = pool.request("GET", target, headers=headers, redirect=False)
            return Answer(response.status, url, response.headers, response.data)
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(f"cannot ask {url}: {_reason(error)}") from None

    def get_part(self, url: str, first: int, size: int) -> Part:
        """Return *size* bytes of a file from its byte *first* on, or its last *size* bytes when *first* is negative.

        A file that is shorter gives fewer. Raises NoParts where the server has no such part, or knows no parts.
        """
        sink = _Memory(size)
        asked = {"Range": f"bytes=-{size}" if first < 0 else f"bytes={first}-{first + size - 1}"}

        def transfer(url: str) -> Part:
            response = self._transfer(url, sink, headers=asked, accepted=(206,))
            match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if match is None or int(match[2]) - int(match[1]) + 1 != sink.size or first not in (int(match[1]), -1):
                raise NoParts(f"{url}: the server sends another part than was asked for")
            return Part(int(match[1]), int(match[3]), bytes(sink.data))

        return self._persist(url, sink, None, transfer)

    def download(
        self,
        url: str,
        sink: Sink,
        *,
        size: int | None = None,
        progress: Progress | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Write the body behind *url* to *sink*; a broken transfer is begun again, a few times.

        *size* is what the body must have, in bytes. Raises NotFound, IntegrityError (another size), or FetchError.
        What *sink* raises is let through.
        """

        def transfer(url: str) -> None:
            self._transfer(url, sink, size=size, progress=progress, headers=headers)

        self._persist(url, sink, progress, transfer)

    def remember_login(self, url: str) -> str:
        """Use the name and password in *url* for whatever else comes from that server; return *url* without them."""
        parts = urlsplit(url)
        login, at, netloc = parts.netloc.rpartition("@")
        if not at:
            return url
        with self._lock:
            self._logins[parts.scheme, netloc] = basic_auth(login)
        return urlunsplit(parts._replace(netloc=netloc))

    def _persist(self, url: str, sink: Sink, progress: Progress | None, transfer: Callable[[str], T]) -> T:
        """Return what *transfer* does, trying again after what a network does now and then."""
        import urllib3

        url = self.remember_login(url)  # no message may show it
        if urlsplit(url).scheme not in ("http", "https"):
            raise FetchError(f"cannot fetch {url}: it is no address of the web")
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return transfer(url)
            except (urllib3.exceptions.HTTPError, _ServerBusy) as error:
                if progress is not None and sink.size:
                    progress(-sink.size)
                sink.restart()
                if attempt == _ATTEMPTS or self._stopped or _is_hopeless(error):
                    raise Unreachable(f"cannot fetch {url}: {_reason(error)}", hint=_hint(error)) from error
                time.sleep(self._pause * 3 ** (attempt - 1))
        raise AssertionError("the last attempt returns or raises")

    def interrupt(self) -> None:
        """Break off the transfers under way, as a bad network would: each begins again unless its sink objects."""
        with self._lock:
            for response in self._active:
                # One that has just come to its end has nothing left to break off.
                with suppress(ValueError, RuntimeError, OSError):
                    response.shutdown()

    def stop(self) -> None:
        """Break off the transfers under way and let none begin: what waits for them is to end now."""
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
        decoded: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        response = self._pool(url).request(
            "GET", url, preload_content=False, headers=self._headers(url, headers), redirect=True
        )
        with self._lock:
            self._active.add(response)
        whole = False
        try:
            if self._stopped:
                raise _ServerBusy("it was broken off")
            if response.status == 404:
                raise NotFound(f"{url} does not exist")
            if response.status in (408, 425, 429) or response.status >= 500:
                raise _ServerBusy(f"the server answers {response.status}")
            if accepted == (206,) and response.status in (200, 416, 501):
                raise NoParts(f"{url}: the server sends no part of it")
            if response.status in (401, 403):
                raise FetchError(f"cannot fetch {url}: the server answers {response.status}", hint=_LOGIN)
            if response.status not in accepted:
                raise FetchError(f"cannot fetch {url}: the server answers {response.status}", hint=_OTHER_WAY)
            length = response.headers.get("Content-Length", "")
            if size is not None and length.isdigit() and int(length) != size:
                raise IntegrityError(f"{url} is {length} bytes long, but {size} were signed for", hint=_OTHER_MIRROR)
            # A file isn't decoded: some servers call a .gz file gzip-encoded, and its own bytes are signed for.
            for chunk in response.stream(_CHUNK, decode_content=decoded):
                if size is not None and sink.size + len(chunk) > size:
                    raise IntegrityError(f"{url} is longer than the {size} bytes signed for", hint=_OTHER_MIRROR)
                sink.write(chunk)
                if progress is not None:
                    progress(len(chunk))
            if size is not None and sink.size < size:
                raise _ServerBusy(f"only {sink.size} of {size} bytes came")
            whole = True
            return response
        finally:
            with self._lock:
                self._active.discard(response)
            if whole:
                response.release_conn()
            else:  # what is left of the body must not be read as the next answer
                response.close()

    def _headers(self, url: str, more: Mapping[str, str] | None) -> dict[str, str]:
        parts = urlsplit(url)
        login = self._logins.get((parts.scheme, parts.netloc))
        # urllib3 takes the login off where a redirection leads to another server.
        return {"User-Agent": "incamera", **({"Authorization": login} if login else {}), **(more or {})}

    def _pool(self, url: str) -> urllib3.PoolManager:
        import urllib3

        parts = urlsplit(url)
        proxy = find_proxy(self._environment, parts.scheme, parts.netloc)
        with self._lock:
            if (parts.scheme, proxy) not in self._pools:
                # Attempts are counted in `download`; here only redirections are followed.
                retries = urllib3.Retry(total=None, connect=0, read=0, status=0, other=0, redirect=5)
                timeout = urllib3.Timeout(connect=min(10, self._timeout), read=self._timeout)
                # Loading the system's certificates takes 30 ms; most mirrors are plain http, their files being signed.
                context = _system_certificates() if parts.scheme == "https" else None
                self._pools[parts.scheme, proxy] = (
                    urllib3.ProxyManager(
                        proxy,
                        maxsize=CONNECTIONS,
                        retries=retries,
                        timeout=timeout,
                        ssl_context=context,
                        proxy_headers=proxy_headers(proxy),
                    )
                    if proxy
                    else urllib3.PoolManager(maxsize=CONNECTIONS, retries=retries, timeout=timeout, ssl_context=context)
                )
            return self._pools[parts.scheme, proxy]


class _ServerBusy(Exception):
    """Worth another try."""


class _Memory:
    def __init__(self, limit: int) -> None:
        self.data = bytearray()
        self.limit = limit

    @property
    def size(self) -> int:
        return len(self.data)

    def write(self, data: bytes) -> None:
        self.data += data
        if len(self.data) > self.limit:
            raise FetchError(f"the answer is longer than {self.limit} bytes")

    def restart(self) -> None:
        self.data.clear()


def _system_certificates() -> ssl.SSLContext:
    """Return a context with the system's certificates, so that a company's own authority and SSL_CERT_FILE work."""
    import ssl

    return ssl.create_default_context()


def _final_url(url: str, response: urllib3.BaseHTTPResponse) -> str:
    # The response itself knows no more than the path that its own server was asked for.
    for step in response.retries.history if response.retries else ():
        url = urljoin(url, step.redirect_location or "")
    return url


def _is_hopeless(error: Exception) -> bool:
    """Would another attempt fail in the same way?"""
    import urllib3.exceptions as kinds

    cause = error.reason if isinstance(error, kinds.MaxRetryError) else error
    return isinstance(cause, kinds.SSLError | kinds.LocationValueError | kinds.ResponseError)


def _hint(error: Exception) -> str:
    import urllib3.exceptions as kinds

    if isinstance(error, kinds.MaxRetryError) and isinstance(error.reason, kinds.SSLError):
        return (
            "is the clock right? behind a company's proxy, set SSL_CERT_FILE to a file with its certificate authority"
        )
    return f"is the network up? {_SOURCES}"


def _reason(error: BaseException) -> str:
    """Return the innermost cause in words: urllib3 wraps them, with addresses of objects in between."""
    while True:
        inner = getattr(error, "reason", None)
        inner = inner if isinstance(inner, BaseException) else error.__cause__
        if inner is None:
            break
        error = inner
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error)
    return text.rpartition(">: ")[2] or type(error).__name__
