"""Connect to the holder's socket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from incamera.errors import StoreError
from incamera.holder.messages import Stream
from incamera.holder.place import peer_process

if TYPE_CHECKING:
    from incamera.holder.place import Place

# How long a holder may take to answer anything: one that is stopped never does.
ANSWER_SECONDS = 10.0
_LIMIT = 1 << 20


class NoHolder(Exception):
    """No holder can be had, or it cannot connect: connect without one."""


class HolderSilent(NoHolder):
    """The holder, process *pid*, does not answer."""

    def __init__(self, pid: int) -> None:
        super().__init__(pid)
        self.pid = pid


async def dial(place: Place) -> Stream:
    """Return a connection to the holder, which has answered. Raises OSError, NoHolder."""
    try:
        connection = place.connect()
    except StoreError as error:
        raise NoHolder from error
    if connection is None:
        raise ConnectionRefusedError
    connection.setblocking(False)
    stream = Stream(*await asyncio.open_connection(sock=connection, limit=_LIMIT))
    try:
        # The kernel accepts a connection for a process that is stopped, too. So the holder says something first.
        async with asyncio.timeout(ANSWER_SECONDS):
            hello = await stream.read()
    except TimeoutError:
        silent = HolderSilent(peer_process(connection))
        stream.close()
        raise silent from None
    except BaseException:
        stream.close()
        raise
    if hello is None:
        stream.close()
        raise ConnectionResetError
    return stream
