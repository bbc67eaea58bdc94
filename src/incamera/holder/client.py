"""What commands ask the holder: a connection to a device, what it holds, and to end that."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.errors import DeviceUnreachable, StoreError, ToolFailed
from incamera.holder.dial import ANSWER_SECONDS, HolderSilent, NoHolder, dial
from incamera.holder.messages import Stream, decode_error, encode_device, lost
from incamera.holder.place import LOG, Place, peer_process
from incamera.proc import start_service
from incamera.transport.ssh import find_place
from incamera.transport.ssh_config import read_config
from incamera.waiting import in_daemon_thread

if TYPE_CHECKING:
    from incamera.holder.transport import HeldTransport
    from incamera.transport.device import Device
    from incamera_agent.wire.frames import Message

COLD_VARIABLE = "INCAMERA_COLD"
SERVER_MODULE = "incamera.holder.server"
# To end an agent and a connection, the holder waits for the camera, which may be gone: SSH notices that within 20 s.
CLOSE_SECONDS = 60.0
_KILL_SECONDS = 5.0


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

    # It may ask name servers and run programs.
    key = await in_daemon_thread(lambda: connection_key(device, known_hosts=known_hosts, environment=environment))
    request = {
        "type": "open",
        "key": key,
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
        try:
            with suppress(OSError):
                await stream.send(request)
            answer = await stream.read()
        except BaseException:
            stream.drop()
            raise
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
    argv = [sys.executable, "-P", "-m", SERVER_MODULE, str(store)]
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


def ask(store: Path, message: Message, *, seconds: float = ANSWER_SECONDS) -> Message | None:
    """Return the holder's answer to *message*, None where no holder runs. Raises StoreError, HolderSilent."""
    if not (store / "holder").is_dir():
        return None
    place = Place(store)
    try:
        return asyncio.run(_ask(place, message, seconds))
    finally:
        place.close()


async def _ask(place: Place, message: Message, seconds: float) -> Message | None:
    try:
        stream = await dial(place)
    except OSError:
        return None
    except NoHolder as error:
        if isinstance(error.__cause__, StoreError):
            raise error.__cause__ from None
        raise
    try:
        await stream.send(message)
        async with asyncio.timeout(seconds):
            answer = await stream.read()
        return answer.message if answer else None
    except TimeoutError:
        raise HolderSilent(peer_process(stream.writer.get_extra_info("socket"))) from None
    except OSError:
        return None
    finally:
        stream.close()


def list_connections(store: Path) -> tuple[int | None, list[dict[str, Any]]]:
    """Return the holder's process number, None where none runs, and the connections that it holds.

    Raises StoreError where it does not answer.
    """
    try:
        answer = ask(store, {"type": "list"}) or {}
    except HolderSilent as error:
        raise StoreError(
            f"process {error.pid}, which keeps connections open, does not answer",
            hint="end it: `incamera connections close`",
        ) from error
    return answer.get("pid"), list(answer.get("connections") or [])


def close_connections(
    store: Path, device: str | None = None, *, on_killed: Callable[[int], None] = lambda pid: None
) -> list[dict[str, Any]]:
    """End the connections to *device*, or all. Returns those that were ended.

    A holder that does not answer is killed, and with it all connections; *on_killed* is called with its process number.
    Raises StoreError where it cannot be killed.
    """
    try:
        answer = ask(store, {"type": "close", "device": device}, seconds=CLOSE_SECONDS) or {}
    except HolderSilent as error:
        _kill(error.pid)
        on_killed(error.pid)
        return []
    return list(answer.get("connections") or [])


def _kill(pid: int) -> None:
    """End the holder with the number *pid*. Raises StoreError."""
    deadline = time.monotonic() + _KILL_SECONDS
    with suppress(ProcessLookupError, PermissionError):
        if _is_holder(pid):
            os.kill(pid, signal.SIGKILL)
    while _is_holder(pid):
        if time.monotonic() > deadline:
            raise StoreError(
                f"process {pid}, which keeps connections open, does not answer, and cannot be ended",
                hint=f"`ps -p {pid}` shows what it waits for",
            )
        time.sleep(0.02)


def _is_holder(pid: int) -> bool:
    """Return whether a process *pid* runs which is a holder; another may have its number by now."""
    try:
        return SERVER_MODULE.encode() in Path("/proc", str(pid), "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
