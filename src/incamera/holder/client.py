"""What commands ask the holder: a connection to a device, what it holds, and to end that."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.errors import DeviceUnreachable, StoreError, ToolFailed
from incamera.holder.dial import NoHolder, dial
from incamera.holder.messages import Stream, decode_error, encode_device, lost
from incamera.holder.place import LOG, Place
from incamera.proc import start_service
from incamera.transport.ssh import find_place
from incamera.transport.ssh_config import read_config

if TYPE_CHECKING:
    from incamera.holder.transport import HeldTransport
    from incamera.transport.device import Device
    from incamera_agent.wire.frames import Message

COLD_VARIABLE = "INCAMERA_COLD"


def is_cold(environment: Mapping[str, str]) -> bool:
    """Return whether the user wants no kept connection."""
    return environment.get(COLD_VARIABLE, "0") not in ("", "0")


async def open_held(store: Path, device: Device, *, known_hosts: Path, environment: Mapping[str, str]) -> HeldTransport:
    """Return a held connection to *device*; a holder is started where there is none.

    Raises NoHolder, also when the holder cannot connect: what is wrong is found by connecting without it.
    """
    from incamera.holder.transport import HeldTransport  # lazy: an app that is started by the agent needs none

    try:
        place = Place(store)
    except (OSError, StoreError) as error:
        raise NoHolder from error

    request = {
        "type": "open",
        "key": connection_key(device, known_hosts=known_hosts, environment=environment),
        "device": encode_device(device),
        "known_hosts": str(known_hosts),
        "environment": dict(environment),
    }
    stream, answer = await _ask_first(place, device, request)
    return HeldTransport(device, place, stream, answer)


async def _ask_first(place: Place, device: Device, request: Message) -> tuple[Stream, Message]:
    """Send *request* to the holder, one that is started where there is none. Raises NoHolder."""
    for _ in range(3):
        try:
            stream = await dial(place)
        except OSError:
            await asyncio.to_thread(start_holder, place)
            continue
        with suppress(OSError):
            await stream.send(request)
        answer = await stream.read()
        if answer is not None and answer.type != "error":
            return stream, answer.message
        stream.close()
        if answer is not None:
            error = decode_error(answer.message)
            if isinstance(error, DeviceUnreachable):  # trying again would take as long again
                raise error
            raise NoHolder from error
    raise NoHolder from lost(device)


def start_holder(place: Place) -> None:
    """Start a holder, and wait until it listens. Raises NoHolder."""
    store = place.path.parent
    argv = [sys.executable, "-P", "-m", "incamera.holder.server", str(store)]
    try:
        os.close(place.open_file(LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC))
        child = start_service(argv, purpose="keep connections open", log=place.path / LOG)
    except (OSError, ToolFailed) as error:
        raise NoHolder from error
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.close()
    child.stdout.read()
    child.stdout.close()
    child.wait()


def connection_key(device: Device, *, known_hosts: Path, environment: Mapping[str, str]) -> str:
    """Return a digest of what decides how *device* is connected to: address, SSH's configuration, keys, known hosts.

    Raises ConfigError.
    """
    place, address = find_place(environment), device.address
    config = read_config(place, address.host, user=address.user, port=address.port)
    files = [
        *place.files,
        *config.known_hosts,
        known_hosts,
        *address.keys,
        *(config.keys or config.default_keys),
        *config.certificates,
    ]
    what = [
        encode_device(device),
        repr(config),
        [environment.get(name) for name in ("HOME", "SSH_AUTH_SOCK", "USER", "LOGNAME")],
        [_state(path) for path in files],
    ]
    return hashlib.sha256(json.dumps(what, default=str).encode()).hexdigest()


def _state(path: Path) -> list[int]:
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_ino, status.st_size, status.st_mtime_ns]


# Without an event loop


def ask(store: Path, message: Message) -> Message | None:
    """Return the holder's answer to *message*, None where no holder runs. Raises StoreError."""
    if not (store / "holder").is_dir():
        return None
    place = Place(store)
    try:
        connection = place.connect()
        return None if connection is None else _ask(connection, message)
    finally:
        place.close()


def _ask(connection: socket.socket, message: Message) -> Message | None:
    async def talk() -> Message | None:
        connection.setblocking(False)
        stream = Stream(*await asyncio.open_connection(sock=connection))
        try:
            await stream.send(message)
            answer = await stream.read()
            return answer.message if answer else None
        except OSError:
            return None
        finally:
            stream.close()

    return asyncio.run(talk())


def list_connections(store: Path) -> tuple[int | None, list[dict[str, Any]]]:
    """Return the holder's process number, None where none runs, and the connections that it holds."""
    answer = ask(store, {"type": "list"}) or {}
    return answer.get("pid"), list(answer.get("connections") or [])


def close_connections(store: Path, device: str | None = None) -> list[dict[str, Any]]:
    """End the connections to *device*, or all. Returns those that were ended."""
    answer = ask(store, {"type": "close", "device": device}) or {}
    return list(answer.get("connections") or [])
