"""Connect to the holder's socket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from incamera.errors import StoreError
from incamera.holder.messages import Stream

if TYPE_CHECKING:
    from incamera.holder.place import Place

_LIMIT = 1 << 20


class NoHolder(Exception):
    """No holder can be had, or it cannot connect: connect without one."""


async def dial(place: Place) -> Stream:
    """Return a connection to the holder. Raises OSError, NoHolder."""
    try:
        connection = place.connect()
    except StoreError as error:
        raise NoHolder from error
    if connection is None:
        raise ConnectionRefusedError
    connection.setblocking(False)
    return Stream(*await asyncio.open_connection(sock=connection, limit=_LIMIT))
