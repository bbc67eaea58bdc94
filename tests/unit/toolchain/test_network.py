"""Downloads of a build are refused at once, and recorded."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request

import pytest

from incamera.toolchain.network import refusing_downloads


def open_through_proxy(address: str, environment: dict[str, str]) -> None:
    proxies = {"http": environment["http_proxy"], "https": environment["https_proxy"]}
    urllib.request.build_opener(urllib.request.ProxyHandler(proxies)).open(address, timeout=10)


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("https://downloads.example.org/own-1.0.tar.gz", "downloads.example.org"),
        ("https://downloads.example.org:8443/own", "downloads.example.org:8443"),
        ("http://downloads.example.org/own-1.0.tar.gz?token=secret", "http://downloads.example.org/own-1.0.tar.gz"),
    ],
)
def test_download_is_refused_and_recorded(address: str, named: str) -> None:
    with refusing_downloads() as refusals:
        for _ in range(2):
            with pytest.raises(urllib.error.URLError, match="403"):
                open_through_proxy(address, refusals.environment)
    assert refusals.wanted == [named]


def test_proxy_ends_with_the_block() -> None:
    with refusing_downloads() as refusals:
        port = int(refusals.environment["https_proxy"].rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_invalid_requests_do_no_harm() -> None:
    with refusing_downloads() as refusals:
        port = int(refusals.environment["https_proxy"].rpartition(":")[2])
        for nonsense in (b"", b"\n\n", b"\xff\xfe\r\n\r\n", b"CONNECT\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
                client.sendall(nonsense)
                client.shutdown(socket.SHUT_WR)
                client.recv(1000)
    assert set(refusals.wanted) <= {"the network", "ÿþ"}


def test_environment_sends_all_clients_to_the_proxy() -> None:
    with refusing_downloads() as refusals:
        environment = refusals.environment
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy"):
        assert environment[name].startswith("http://127.0.0.1:")
    assert environment["PIP_CONFIG_FILE"] == "/dev/null"  # the user's may name another proxy
