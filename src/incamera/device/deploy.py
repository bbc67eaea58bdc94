"""Bring a bundle to a device: only what it lacks, into a new folder, checked there, then switched over at once.

The device's side of this is `incamera-guard receive`, a static program that is brought there first. It holds a lock,
takes what is unchanged from the bundles that lie there, has `tar` unpack the rest, checks every file's digest and
renames the folder. Whatever happens before that leaves only a `.partial` folder, from which the next deploy goes on.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import shlex
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.device.session import Session, run_command
from incamera.device.sync import Shipment, dump_listing, pack
from incamera.errors import ConnectionLost, DeviceError, DeviceUnsuitable, UsageError

if TYPE_CHECKING:
    from incamera.device.protocols import Channel, Transport

Progress = Callable[[int, int], None]
"""Called with the bytes sent so far and the bytes to send in all."""

_FOLDER = "incamera"
_NO_GUARD = 99
_DAMAGED, _NO_SPACE, _BUSY, _INTERRUPTED = 3, 4, 5, 6
# A camera's processor takes longer to decrypt a byte than to unpack one; more than the least compression costs the host
# more than it saves.
_LEVEL = 1
_UPLOAD_SECONDS = 120.0
# For folders and the listing, and so that a disk is never filled to its last block.
_MARGIN = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class DeployResult:
    """`destination` is the folder on the device in which the bundle now stands."""

    destination: str
    files_sent: int
    bytes_sent: int
    files_unchanged: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Guard:
    """The guard program for a device's architecture, and the place on the device that it is kept in."""

    binary: Path
    place: str

    @property
    def remote_path(self) -> str:
        digest = hashlib.sha256(self.binary.read_bytes()).hexdigest()[:12]
        return f"{self.place}/{_FOLDER}/.guard/incamera-guard-{digest}"


def app_folder(place: str, app: str) -> str:
    """Return where the bundles of *app* stand in *place* (`/tmp`, say)."""
    return f"{place}/{_FOLDER}/{app}"


def ensure_guard(session: Session, guard: Guard) -> str:
    """Bring the guard to the device unless it is there. Returns its path."""
    return session.call(_ensure_guard(session.transport, guard))


def deploy(session: Session, shipment: Shipment, guard: Guard, *, progress: Progress | None = None) -> DeployResult:
    """Make *shipment* stand, whole, in the guard's place, and `current` point to it.

    Raises DeviceUnsuitable (no space), DeviceError, ConnectionLost; what ran before is harmed by none of them.
    """
    if "/" in shipment.app or shipment.app.startswith(".") or not shipment.app:
        raise UsageError(f'"{shipment.app}" is no name for an app')
    return session.call(_deploy(session.transport, shipment, guard, progress))


async def _deploy(transport: Transport, shipment: Shipment, guard: Guard, progress: Progress | None) -> DeployResult:
    started = time.monotonic()
    path = guard.remote_path
    words = shlex.join(
        [path, "receive", f"{guard.place}/{_FOLDER}", shipment.app, shipment.name, *_encoding(transport)]
    )
    command = f"[ -x {shlex.quote(path)} ] || exit {_NO_GUARD}; exec {words}"
    error = b""
    for attempt in (1, 2):
        channel = await transport.open(command)
        try:
            sent, size, code = await _send(channel, shipment, progress)
            if code:
                error = await channel.read_error(4096)
        except _NoSpace as full:
            raise DeviceUnsuitable(
                f"{guard.place} on {transport.device} has {full.free / 1e6:.1f} MB free, "
                f"the bundle needs {full.needed / 1e6:.1f} MB more",
                hint="remove something there, or choose another place; what ran before is untouched",
            ) from None
        finally:
            await channel.close()
        if code == _NO_GUARD and attempt == 1:
            await _ensure_guard(transport, guard)
            continue
        break
    if code:
        raise _explain(transport, code, error.decode("utf-8", "replace").strip(), guard.place)
    return DeployResult(
        destination=f"{app_folder(guard.place, shipment.app)}/{shipment.name}",
        files_sent=sent,
        bytes_sent=size,
        files_unchanged=shipment.files - sent,
        seconds=time.monotonic() - started,
    )


def _encoding(transport: Transport) -> list[str]:
    """Over a network the archive is compressed, but not to a camera on this computer.

    There bytes cost nothing, and unpacking them does: in QEMU, 48 MB took 6.7 s plain, 8.3 s or more compressed.
    """
    try:
        return ["plain"] if ipaddress.ip_address(transport.device.host).is_loopback else []
    except ValueError:
        return []


async def _send(channel: Channel, shipment: Shipment, progress: Progress | None) -> tuple[int, int, int]:
    """Do the host's part of `receive`. Returns the files sent, the bytes sent and the guard's exit code."""
    listing = dump_listing(shipment.entries)
    await channel.write(b"%d\n" % len(listing) + listing)
    while (line := await channel.read_line()) == b"wait\n":
        pass
    sent = size = 0
    if line.startswith(b"send "):
        free = (await channel.read_line()).removeprefix(b"free ").strip()
        compressed = await channel.read_line() == b"as tar.gz\n"
        missing = [int(await channel.read_line()) for _ in range(int(line[5:]))]
        sent, size = len(missing), sum(shipment.entries[number].size for number in missing)
        if free.isdigit() and size + _MARGIN > int(free) * 1024:
            raise _NoSpace(size, int(free) * 1024)
        done = 0
        chunks = pack(shipment, missing) if missing else iter(())
        compressor = zlib.compressobj(_LEVEL, wbits=31) if compressed else None
        # Files are read in a thread, so that the connection's other channels go on.
        while chunk := await asyncio.to_thread(_next, chunks):
            await channel.write(await asyncio.to_thread(compressor.compress, chunk) if compressor else chunk)
            done += len(chunk)
            if progress is not None:
                progress(min(done, size), size)
        if compressor is not None:
            await channel.write(compressor.flush())
    await channel.write_eof()
    while await channel.read_line():
        pass
    return sent, size, await channel.wait()


class _NoSpace(Exception):
    def __init__(self, needed: int, free: int) -> None:
        super().__init__(needed, free)
        self.needed = needed
        self.free = free


def _next(chunks: Iterator[bytes]) -> bytes:
    return next(chunks, b"")


async def _ensure_guard(transport: Transport, guard: Guard) -> str:
    path, data = guard.remote_path, guard.binary.read_bytes()
    quoted, folder = shlex.quote(path), shlex.quote(str(Path(path).parent))
    found = await run_command(transport, f"[ -x {quoted} ]", timeout=_UPLOAD_SECONDS)
    if found.exit_code == 0:
        return path
    # $$ keeps two hosts that do this at once apart. The size tells whether all of it came.
    script = (
        f'mkdir -p {folder} && t={quoted}.$$ && cat > "$t" && [ "$(wc -c < "$t")" -eq {len(data)} ] '
        f'&& chmod 755 "$t" && mv -f "$t" {quoted} || {{ rm -f "$t"; exit 1; }}'
    )
    result = await run_command(transport, script, input=data, timeout=_UPLOAD_SECONDS)
    if result.exit_code:
        if "No space" in result.error_text:
            raise _explain(transport, _NO_SPACE, "", guard.place)
        raise DeviceError(f"cannot write to {guard.place} on {transport.device}: {result.error_text}")
    return path


def _explain(transport: Transport, code: int, message: str, place: str) -> DeviceError:
    device = transport.device
    message = message.removeprefix("incamera-guard: ")
    if code == _NO_SPACE or "No space" in message:
        return DeviceUnsuitable(
            f"{device} has no space left in {place}",
            hint="remove something there, or choose another place; what ran before is untouched",
        )
    if code == _DAMAGED:
        return DeviceError(
            f"the bundle did not come whole to {device}: {message.splitlines()[-1] if message else ''}",
            hint="deploy again: only what is missing is sent; what ran before is untouched",
        )
    if code == _BUSY:
        return DeviceError(f"another deploy of this app to {device} is under way", hint="wait for it, then try again")
    if code == _INTERRUPTED:
        return ConnectionLost(f"the connection to {device} was lost", hint="deploy again: it goes on where it stopped")
    if code in (126, _NO_GUARD):
        return DeviceUnsuitable(
            f"programs in {place} on {device} cannot be executed{f': {message}' if message else ''}",
            hint="it is mounted noexec, or the device has another architecture: `incamera device info` tells",
        )
    return DeviceError(f"cannot deploy to {device}: {message or f'exit code {code}'}")
