"""The host's part of `incamera-guard receive`: what a place lacks of a shipment goes there."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.errors import ConnectionLost, DeviceError
from incamera.guard.failures import NoRoom, explain
from incamera.guard.program import FOLDER, RECEIVE, Guard, bring_guard
from incamera.guard.sync import Shipment, dump_listing, pack, read_image
from incamera.runtime.launcher.protocol import IMAGES, SPACE_MARGIN, ExitCode, Verb
from incamera.transport.protocols import Program

if TYPE_CHECKING:
    from incamera.transport.protocols import Channel, Transport
    from incamera.transport.session import Session

Progress = Callable[[int, int], None]
"""Called with the bytes sent so far and the bytes to send in all."""

Waiting = Callable[[str, str, int], None]
"""Called, each second, with who deploys now, which app if it is another (both may be empty), for how many seconds."""

# A camera's processor takes longer to decrypt a byte than to unpack one; more than the least compression costs the host
# more than it saves.
_LEVEL = 1
# How often a runtime is brought that was removed by others meanwhile.
_ATTEMPTS = 2
# What is kept of complaints, and how long their end is waited for when the guard has ended.
_LAST_BYTES = 4096
_LAST_WORDS_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """How a shipment gets into *place* of the device.

    *through* is a session on the computer that has the place as the folder *folder*, and *guard* the guard's path
    there: then nothing is sent over the device's own connection. *who* is told to others that wait for us. With
    *verify* every file that is there is read, else a look at its size and time must do.
    """

    place: str
    who: str = ""
    take_over: bool = False
    verify: bool = False
    through: Session | None = None
    folder: Path | None = None
    guard: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Answer:
    stands: bool = False
    image_missing: bool = False
    root: str = ""


class Receiver:
    """One deploy to one place. `mended`: something there was damaged, and isn't any more."""

    def __init__(
        self, session: Session, guard: Guard, way: Way, progress: Progress | None, waiting: Waiting | None
    ) -> None:
        self._session = session
        self._transport = session.transport
        self._guard = guard
        self._way = way
        self._progress = progress
        self._waiting = waiting
        self._local = way.through is not None
        self.sent = self.size = 0
        self.previous = ""
        self.mended = False

    def send(self, shipment: Shipment, *, stand: bool) -> str:
        """Returns where the bundle runs from, if *stand* and it is not the place itself."""
        return self._session.call(self._send(shipment, stand))

    async def _send(self, shipment: Shipment, stand: bool) -> str:
        answer = await self._receive(shipment, stand)
        image = shipment.image
        # A runtime that is a tree comes as a shipment of its own, once for all apps. Until the app's comes, which names
        # it, the clearing up after another deploy can take it away.
        for _ in range(_ATTEMPTS):
            if not answer.image_missing or image is None:
                break
            runtime = Shipment(app=IMAGES, root=image.path, entries=image.entries)
            await self._receive(runtime, stand=False, name=image.file)
            answer = await self._receive(shipment, stand)
        if answer.image_missing:
            raise DeviceError(
                f"the runtime that was brought to {self._transport.device} is not there any more",
                hint="does somebody else deploy to it, or clear up there? then deploy again",
            )
        return answer.root

    def _program(self, shipment: Shipment, name: str, stands: bool) -> Program:
        way, apps = self._way, f"{self._way.folder or self._way.place}/{FOLDER}"
        path = way.guard if self._local else self._guard.remote_path
        words = [apps, shipment.app, name]
        words += ["plain", "keep"] if self._local else _encoding(self._transport)
        words += [word for word, wanted in (("verify", way.verify), ("take-over", way.take_over)) if wanted]
        if way.who:
            words += ["owner", way.who.replace("\n", " ")]
        image = shipment.image
        if image is not None:
            what = ["tree", image.file, len(image.entries)] if image.entries else ["image", image.file, image.size]
            words += map(str, what)
        if self._local:
            return Program((path, Verb.receive, *words))
        folder = f"{apps}/{shipment.app}/{name}" if image is not None and stands else ""
        # The runtime may have been damaged, which came beforehand.
        return RECEIVE.program(self._guard.place, path, folder, "--anew" if self.mended else "", *words)

    async def _receive(self, shipment: Shipment, stand: bool, *, name: str | None = None) -> _Answer:
        program = self._program(shipment, name or shipment.name, stand)
        for attempt in (1, 2):
            channel = await self._transport.start(program)
            error = bytearray()
            # Read all the time: a `tar` that has much to complain of would wait for somebody to hear it.
            hearing = asyncio.create_task(_keep_last(channel, error))
            try:
                answer = await self._talk(channel, shipment)
                code = await channel.wait()
                if code == ExitCode.mended:
                    self.mended, code = True, 0
                if code:
                    await asyncio.wait([hearing], timeout=_LAST_WORDS_SECONDS)
            finally:
                hearing.cancel()
                await channel.close()
            if code == ExitCode.no_guard and attempt == 1 and not self._local:
                await bring_guard(self._transport, self._guard)
                continue
            break
        if code and not (code == ExitCode.image_missing and answer.image_missing):
            message = error.decode("utf-8", "replace").strip()
            raise explain(self._transport, code, message, self._way.place)
        if not code and not answer.stands:
            raise DeviceError(
                f"the guard on {self._transport.device} ended without telling that the bundle is whole there",
                hint="deploy again; what ran before is untouched",
            )
        return answer

    async def _talk(self, channel: Channel, shipment: Shipment) -> _Answer:
        listing = dump_listing(shipment.entries)
        await channel.write(b"%d\n" % len(listing) + listing)
        while (line := await channel.read_line()).startswith(b"wait"):
            told, _, seconds = line.decode("utf-8", "replace").strip()[5:].rpartition(" ")
            who, _, app = told.partition("\t")
            if self._waiting is not None and seconds.isdigit():
                self._waiting(who, app, int(seconds))
        if line.startswith(b"send "):
            if (count := self._parse_number(line[5:])) is not None:
                await self._offer(channel, shipment, count)
            line = b""
        await channel.write_eof()
        answer = _Answer()
        while line or (line := await channel.read_line()):
            text, line = line.decode("utf-8", "replace").strip(), b""
            if text == "image missing":
                answer = replace(answer, image_missing=True)
            elif text.startswith("previous "):
                self.previous = text[9:]
            elif text in ("done", "whole"):
                answer = replace(answer, stands=True)
            elif text.startswith("/"):
                answer = replace(answer, root=text)
        return answer

    async def _offer(self, channel: Channel, shipment: Shipment, count: int) -> None:
        """Send what the device says that it lacks. Raises NoRoom before anything is sent."""
        free = (await channel.read_line()).removeprefix(b"free ").strip()
        compressed = await channel.read_line() == b"as tar.gz\n"
        image, offset = shipment.image, 0
        if image is not None and not image.entries:
            told = (await channel.read_line()).removeprefix(b"image ").strip()
            offset = int(told) if told.isdigit() else image.size
        missing: list[int] = []
        while len(missing) < count:
            number = self._parse_number(await channel.read_line())
            if number is None:  # the guard has ended: its exit code tells why
                return
            if number >= len(shipment.entries):
                raise self._not_understood(b"%d" % number)
            missing.append(number)
        needed = sum(shipment.entries[number].size for number in missing)
        pieces: list[Iterator[bytes]] = [pack(shipment, missing)] if missing else []
        if image is not None and not image.entries and offset < image.size:
            needed += image.size - offset
            pieces.insert(0, read_image(image, offset))
            compressed = compressed and bool(missing)
        if free.isdigit() and needed + SPACE_MARGIN > int(free) * 1024:
            place, device = self._way.place, self._transport.device
            raise NoRoom(
                f"{place} on {device} has {int(free) * 1024 / 1e6:.1f} MB free, "
                f"the bundle needs {needed / 1e6:.1f} MB more",
                hint="remove something there, or choose another place; what ran before is untouched",
            )
        done = 0
        for number, piece in enumerate(pieces, start=1):
            # Only the archive is compressed: an image is as small as it gets.
            compressor = zlib.compressobj(_LEVEL, wbits=31) if compressed and number == len(pieces) else None
            # Files are read in a thread, so that the connection's other channels go on.
            while chunk := await asyncio.to_thread(_next, piece):
                await channel.write(await asyncio.to_thread(compressor.compress, chunk) if compressor else chunk)
                done += len(chunk)
                if self._progress is not None:
                    self._progress(min(self.size + done, self.size + needed), self.size + needed)
            if compressor is not None:
                await channel.write(compressor.flush())
        self.sent += len(missing) + (image is not None and not image.entries and offset < image.size)
        self.size += needed

    def _parse_number(self, line: bytes) -> int | None:
        """Return the number in *line*; None for what is no whole line, since nothing follows it."""
        if not line.endswith(b"\n"):
            return None
        if not line.strip().isdigit():
            raise self._not_understood(line)
        return int(line)

    def _not_understood(self, line: bytes) -> DeviceError:
        told = line.decode("utf-8", "replace").strip()
        return DeviceError(
            f'the guard on {self._transport.device} tells "{told[:80]}", where the number of a file should be',
            hint="does its shell print something of its own? deploy again",
        )


async def _keep_last(channel: Channel, kept: bytearray) -> None:
    """Keep the end of what the command says on its standard error."""
    with suppress(ConnectionLost):  # whoever talks to it notices
        while data := await channel.read_error(_LAST_BYTES):
            kept += data
            del kept[:-_LAST_BYTES]


def _encoding(transport: Transport) -> list[str]:
    """Over a network the archive is compressed, but not to a camera on this computer.

    There bytes cost nothing, and unpacking them does: in QEMU, 48 MB took 6.7 s plain, 8.3 s or more compressed.
    """
    return ["plain"] if transport.is_local else []


def _next(chunks: Iterator[bytes]) -> bytes:
    return next(chunks, b"")
