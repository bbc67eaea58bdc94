"""GET requests with urllib3, whose many errors become one: the only module that knows it."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import urllib3
from urllib3 import exceptions

from incamera.http_faults import Fault, TransferError
from incamera.proxies import proxy_headers

_CONNECT_SECONDS = 10.0


class Requests:
    """GET requests over pools of connections, one for each proxy. Safe to use from several threads."""

    def __init__(self, *, connections: int, timeout: float) -> None:
        """There are at most so many *connections* to a server. *timeout* is how many seconds it may send nothing."""
        self._connections = connections
        self._timeout = timeout
        self._pools: dict[tuple[bool, str], urllib3.PoolManager] = {}
        self._lock = threading.Lock()

    def get(self, url: str, headers: Mapping[str, str], *, proxy: str) -> urllib3.BaseHTTPResponse:
        """Return the response to a GET of *url*, whatever its status, before its body has been read.

        It goes through *proxy* unless that is empty. Raises TransferError.
        """
        pool = self._pool(proxy, encrypted=urlsplit(url).scheme == "https")
        try:
            return pool.request("GET", url, headers=headers, redirect=False, preload_content=False)
        except exceptions.HTTPError as error:
            raise _transfer_error(error) from error

    def read(self, response: urllib3.BaseHTTPResponse, limit: int) -> bytes:
        """Return at most *limit* bytes of the body of *response*, as they are sent. Raises TransferError."""
        try:
            return response.read(limit, decode_content=False)
        except exceptions.HTTPError as error:
            raise _transfer_error(error) from error

    def stream(self, response: urllib3.BaseHTTPResponse, chunk_bytes: int) -> Iterator[bytes]:
        """Yield the body of *response* as it is sent. Raises TransferError."""
        try:
            yield from response.stream(chunk_bytes, decode_content=False)
        except exceptions.HTTPError as error:
            raise _transfer_error(error) from error
        except ValueError as error:  # a chunk of a negative length
            raise TransferError(f"the server's answer is malformed: {error}") from None

    def _pool(self, proxy: str, *, encrypted: bool) -> urllib3.PoolManager:
        with self._lock:
            if (encrypted, proxy) not in self._pools:
                self._pools[encrypted, proxy] = self._open_pool(proxy, encrypted)
            return self._pools[encrypted, proxy]

    def _open_pool(self, proxy: str, encrypted: bool) -> urllib3.PoolManager:
        # Who asks counts the attempts.
        retries = urllib3.Retry(total=None, connect=0, read=0, status=0, other=0, redirect=0)
        timeout = urllib3.Timeout(connect=min(_CONNECT_SECONDS, self._timeout), read=self._timeout)
        # Loading the system's certificates takes 30 ms. Most mirrors are plain http, since their files are signed.
        context = _system_certificates() if encrypted else None
        if not proxy:
            return urllib3.PoolManager(maxsize=self._connections, retries=retries, timeout=timeout, ssl_context=context)
        return urllib3.ProxyManager(
            proxy,
            maxsize=self._connections,
            retries=retries,
            timeout=timeout,
            ssl_context=context,
            proxy_headers=proxy_headers(proxy),
        )


def _system_certificates() -> ssl.SSLContext:
    """Return a context with the system's certificates, or those that SSL_CERT_FILE names, as a company's own."""
    return ssl.create_default_context()


def _transfer_error(error: exceptions.HTTPError) -> TransferError:
    cause = error.reason if isinstance(error, exceptions.MaxRetryError) else error
    fault = Fault.network
    if isinstance(cause, exceptions.SSLError):
        fault = Fault.certificate
    elif isinstance(cause, exceptions.LocationValueError):
        fault = Fault.address
    elif isinstance(cause, exceptions.ResponseError):
        fault = Fault.answer
    return TransferError(_describe(error), fault)


def _describe(error: BaseException) -> str:
    """Return the message of the innermost cause: urllib3 wraps it in texts with memory addresses."""
    while True:
        inner = getattr(error, "reason", None)
        inner = inner if isinstance(inner, BaseException) else error.__cause__
        if inner is None:
            break
        error = inner
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, exceptions.ProtocolError) and len(error.args) == 2:
        return f"the server's answer is malformed: {error.args[1]!r}"
    text = str(error)
    return text.rpartition(">: ")[2] or type(error).__name__
