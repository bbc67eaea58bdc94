"""The TCP connection to a host: its name is resolved, then its addresses are tried one after the other."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Any

from incamera.waiting import in_daemon_thread

# Linux, include/uapi/linux/tcp.h: socket.TCP_RTO_MAX_MS does not exist in Python yet.
_TCP_RTO_MAX_MS = 44
# The least that Linux takes.
_RESEND_MS = 1000
# With that, the kernel would give up after some 14 s. SSH's keepalive decides when a connection is lost.
_GIVE_UP_MS = 60_000


class NameServerSilent(Exception):
    """No name server has told the address of the host in time."""


async def open_socket(
    host: str, port: int, *, family: socket.AddressFamily, local_address: str | None, seconds: float
) -> socket.socket:
    """Return a socket that is connected to *port* of *host*.

    *seconds* is the limit for all of it. Each of several addresses gets its share of what is left for the connection.
    Raises NameServerSilent, TimeoutError, OSError.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    try:
        async with asyncio.timeout_at(end):
            found = await _resolve(host, port, family)
    except TimeoutError:
        raise NameServerSilent from None
    failure: OSError | None = None
    for number, (kind, type_, protocol, _, address) in enumerate(found):
        share = (end - loop.time()) / (len(found) - number)
        try:
            return await _connect(kind, type_, protocol, address, local_address, share)
        except OSError as error:  # TimeoutError, too
            # A host that refuses tells more than an address that leads nowhere.
            if not isinstance(failure, ConnectionRefusedError):
                failure = error
    raise failure or OSError(f"{host} has no address")


async def _connect(
    family: int, type_: int, protocol: int, address: Any, local_address: str | None, seconds: float
) -> socket.socket:
    loop = asyncio.get_running_loop()
    sock = socket.socket(family, type_, protocol)
    try:
        sock.setblocking(False)
        if local_address is not None:
            sock.bind((await _resolve(local_address, 0, family))[0][4])
        async with asyncio.timeout(seconds):
            await loop.sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    limit_resend_pause(sock)
    return sock


async def _resolve(host: str, port: int, family: int) -> list[Any]:
    """Return what `socket.getaddrinfo` does. Raises OSError."""

    def ask(flags: int = 0) -> list[Any]:
        return socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=flags)

    try:
        return ask(socket.AI_NUMERICHOST)  # an address needs no name server
    except OSError:
        return await in_daemon_thread(ask)


def limit_resend_pause(sock: socket.socket) -> None:
    """Have the kernel send again at least each second what was lost: by itself it doubles the pause each time.

    After an outage of 9 s it would wait for up to 9 s more, and might meet the next one. Linux can do that since 6.15.
    """
    with suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_RTO_MAX_MS, _RESEND_MS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _GIVE_UP_MS)
