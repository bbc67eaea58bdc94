"""The one door to the web: downloads with retries, proxies and clear errors."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

from incamera.errors import ConfigError, FetchError, IntegrityError

if TYPE_CHECKING:
    import ssl

    import urllib3

_ATTEMPTS = 4
_CHUNK = 256 * 1024
_OTHER_MIRROR = "the mirror, or something between it and you, changes files: try another INCAMERA_DEBIAN_MIRROR"
_OTHER_WAY = (
    "a proxy is read from http_proxy and https_proxy, another Debian mirror from INCAMERA_DEBIAN_MIRROR: "
    "one of them may not be meant for you"
)
CONNECTIONS = 8

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
        self._active: set[urllib3.BaseHTTPResponse] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def get(self, url: str, *, limit: int = 256 * 1024 * 1024, headers: Mapping[str, str] | None = None) -> bytes:
        """Return the body behind *url*, of *limit* bytes at the most. Raises FetchError."""
        sink = _Memory(limit)
        self.download(url, sink, headers=headers)
        return bytes(sink.data)

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
        import urllib3

        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._transfer(url, sink, size, progress, headers)
                return
            except (urllib3.exceptions.HTTPError, _ServerBusy) as error:
                if progress is not None and sink.size:
                    progress(-sink.size)
                sink.restart()
                if attempt == _ATTEMPTS or self._stopped or _is_hopeless(error):
                    raise FetchError(f"cannot fetch {url}: {_reason(error)}", hint=_hint(error)) from error
                time.sleep(self._pause * 3 ** (attempt - 1))

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
        self, url: str, sink: Sink, size: int | None, progress: Progress | None, headers: Mapping[str, str] | None
    ) -> None:
        response = self._pool(url).request("GET", url, preload_content=False, headers=headers, redirect=True)
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
            if response.status != 200:
                raise FetchError(f"cannot fetch {url}: the server answers {response.status}", hint=_OTHER_WAY)
            length = response.headers.get("Content-Length", "")
            if size is not None and length.isdigit() and int(length) != size:
                raise IntegrityError(f"{url} is {length} bytes long, but {size} were signed for", hint=_OTHER_MIRROR)
            # Not decoded: some servers call a .gz file gzip-encoded, and it's the file's own bytes that are signed for.
            for chunk in response.stream(_CHUNK, decode_content=False):
                if size is not None and sink.size + len(chunk) > size:
                    raise IntegrityError(f"{url} is longer than the {size} bytes signed for", hint=_OTHER_MIRROR)
                sink.write(chunk)
                if progress is not None:
                    progress(len(chunk))
            if size is not None and sink.size < size:
                raise _ServerBusy(f"only {sink.size} of {size} bytes came")
            whole = True
        finally:
            with self._lock:
                self._active.discard(response)
            if whole:
                response.release_conn()
            else:  # what is left of the body must not be read as the next answer
                response.close()

    def _pool(self, url: str) -> urllib3.PoolManager:
        import urllib3

        parts = urlsplit(url)
        proxy = self._proxy(parts.scheme, parts.netloc)
        with self._lock:
            if (parts.scheme, proxy) not in self._pools:
                # Attempts are counted in `download`; here only redirections are followed.
                retries = urllib3.Retry(total=None, connect=0, read=0, status=0, other=0, redirect=5)
                timeout = urllib3.Timeout(connect=min(10, self._timeout), read=self._timeout)
                agent = {"User-Agent": "incamera"}
                # Loading the system's certificates takes 30 ms; most mirrors are plain http, their files being signed.
                context = _system_certificates() if parts.scheme == "https" else None
                self._pools[parts.scheme, proxy] = (
                    urllib3.ProxyManager(
                        proxy,
                        maxsize=CONNECTIONS,
                        retries=retries,
                        timeout=timeout,
                        headers=agent,
                        ssl_context=context,
                        proxy_headers=_proxy_login(proxy),
                    )
                    if proxy
                    else urllib3.PoolManager(
                        maxsize=CONNECTIONS, retries=retries, timeout=timeout, headers=agent, ssl_context=context
                    )
                )
            return self._pools[parts.scheme, proxy]

    def _proxy(self, scheme: str, netloc: str) -> str:
        """Return the address of the proxy for *netloc*, or an empty text."""
        proxy = self._variable(f"{scheme}_proxy") or self._variable("all_proxy")
        if not proxy or _is_excepted(netloc, self._variable("no_proxy")):
            return ""
        if "://" not in proxy:
            proxy = f"http://{proxy}"
        kind = proxy.partition("://")[0]
        if kind not in ("http", "https"):
            raise ConfigError(f"incamera speaks to no proxy of the kind {kind}", hint="name an http:// one")
        return proxy

    def _variable(self, name: str) -> str:
        return self._environment.get(name) or self._environment.get(name.upper()) or ""


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


def _is_excepted(netloc: str, no_proxy: str) -> bool:
    """Does *no_proxy* (`localhost,.lan,10.0.0.1:80` or `*`) name the host?"""
    host = netloc.rpartition("@")[2].lower()
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    for word in no_proxy.lower().replace(",", " ").split():
        if word == "*" or word in (host, name) or name.endswith("." + word.lstrip("*").lstrip(".")):
            return True
    return False


def _proxy_login(proxy: str) -> dict[str, str]:
    import urllib3

    parts = urlsplit(proxy)
    if not parts.username:
        return {}
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return dict(urllib3.make_headers(proxy_basic_auth=login))


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
    return (
        "is the network up? a proxy is read from http_proxy and https_proxy, "
        "another Debian mirror from INCAMERA_DEBIAN_MIRROR"
    )


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
