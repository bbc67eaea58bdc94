"""Decide when a silent connection is lost: what the kernel knows of the other end counts, too.

SSH's keepalive asks a silent server for a sign of life. The answer may be stuck behind data that an outage has
swallowed: the server's kernel sends them again only after as long a pause as the outage took, and may then meet the
next outage. But it confirms what it receives all the same. So a connection whose data are confirmed is not lost.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from dataclasses import dataclass
from typing import Any

# SSH's keepalive asks after each of these pauses, and the connection is lost after one more than so many without an
# answer: after 18 seconds. An outage of 10 seconds is survived, for TCP may need as long again until it repeats what
# was lost.
KEEPALIVE_SECONDS = 4.5
KEEPALIVE_COUNT = 3
# A loss is told within 20 seconds, and is looked for every KEEPALIVE_SECONDS.
_CONFIRMED_SECONDS = 20.0 - KEEPALIVE_SECONDS
# A server that says nothing for so long is given up, even if its kernel goes on.
_LONGEST_SECONDS = 60.0

# Of the kernel's `struct tcp_info`: `tcpi_last_data_recv` and `tcpi_last_ack_recv`, in milliseconds, behind 8 numbers
# of a byte and 11 of four.
_RECEIVED, _RECEIVED_OFFSET = struct.Struct("II"), 52
_TCP_INFO_BYTES = _RECEIVED_OFFSET + _RECEIVED.size


@dataclass(frozen=True, slots=True)
class LastReceived:
    """How many seconds ago the kernel got data from the other end of a connection, and a confirmation of ours."""

    data: float
    confirmation: float


def last_received(sock: Any) -> LastReceived | None:
    """Return when something came through *sock*; None where this computer's kernel does not tell, and for no socket."""
    try:
        told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    except (AttributeError, OSError):
        return None
    if len(told) != _TCP_INFO_BYTES:
        return None
    data, confirmation = _RECEIVED.unpack_from(told, _RECEIVED_OFFSET)
    return LastReceived(data / 1000, confirmation / 1000)


def is_loopback(peer: Any) -> bool:
    """Return whether the socket address *peer* is of this computer."""
    try:
        return ipaddress.ip_address(peer[0]).is_loopback
    except (TypeError, IndexError, ValueError):
        return False


def use_confirmations(connection: Any, *, through_jump: bool) -> None:
    """Have asyncssh's keepalive of *connection* go on while the other end's kernel confirms what is sent.

    For a connection *through_jump*, a jump host, that is the jump host's kernel.
    """
    give_up = connection._keepalive_timer_callback

    def tick() -> None:
        if connection._keepalive_count >= KEEPALIVE_COUNT and _is_confirmed(connection, through_jump):
            connection._keepalive_count = KEEPALIVE_COUNT - 1
        give_up()

    connection._keepalive_timer_callback = tick


def _is_confirmed(connection: Any, through_jump: bool) -> bool:
    # An address of this computer may be the end of a tunnel, whose other end only the server's own answers tell of.
    if is_loopback(connection.get_extra_info("peername")):
        return False
    last = last_received(connection.get_extra_info("socket"))
    if last is None or last.confirmation >= _CONFIRMED_SECONDS or last.data >= _LONGEST_SECONDS:
        return False
    # A jump host that answers by itself has nothing stuck: it is the rest of the way that is interrupted.
    return not through_jump or last.data >= KEEPALIVE_SECONDS * KEEPALIVE_COUNT
