"""The host's part of `incamera-guard receive`: send what a place on the device lacks of a shipment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from incamera.errors import DeviceError
from incamera.guard.answers import AnswerReader, keep_last_errors
from incamera.guard.failures import NoRoom, explain
from incamera.guard.line import Line
from incamera.guard.places import FOLDER
from incamera.guard.program import Guard, bring_guard
from incamera.guard.sending import group, send_packed
from incamera.guard.sync import Shipment, dump_listing, read_image
from incamera.runtime.launcher.protocol import (
    IMAGES,
    SPACE_MARGIN,
    Activated,
    Complete,
    ExitCode,
    Verb,
    Waiting,
    Wanted,
)
from incamera.transport.protocols import Program, start_fed
from incamera.transport.session import in_time

if TYPE_CHECKING:
    from incamera.transport.protocols import Channel
    from incamera.transport.session import Session

T = TypeVar("T")


class Stage(StrEnum):
    """What the device does after the last byte was sent."""

    checking = "checking"
    activating = "activating"


@dataclass(frozen=True, kw_only=True, slots=True)
class Observer:
    """What is called during an upload, in the connection's thread.

    *on_progress* gets the bytes sent so far and the bytes to send in all, *on_stage* what the device does next.
    *on_wait* is called each second while another deploy is under way, for the first time after a second.
    """

    on_progress: Callable[[int, int], None] = lambda done, total: None
    on_stage: Callable[[Stage], None] = lambda stage: None
    on_wait: Callable[[Waiting], None] = lambda waiting: None


# How often a runtime is sent that others have removed meanwhile.
_ATTEMPTS = 2
# There are two after the bundle has arrived.
_MOST_ANSWERS = 16
# A deploy waits for a moment where another one is just ending, or clears up: that is not worth a word.
_SHORT_WAIT_SECONDS = 0.9
# How long the guard may say nothing. To read or unpack a bundle on a slow card takes minutes.
_SILENCE_SECONDS = 600.0
# How long the end of the guard's standard error is awaited when the guard has ended.
_ERROR_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """How a shipment gets into *place* on the device, and on whose behalf.

    *own_folder* is the name of our folder in the place. *owner* is shown to others who wait for this deploy. With
    *take_over* another deploy that is under way is ended. With *verify* every file that is
    there is read; otherwise its size and time must do.

    With *through*, a session on the computer that has the place as its *folder*, nothing is sent over the device's own
    connection. *guard* then is the path of the guard on that computer.
    """

    place: str
    own_folder: str = FOLDER
    owner: str = ""
    take_over: bool = False
    verify: bool = False
    through: Session | None = None
    folder: Path | None = None
    guard: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Received:
    """How one transfer ended. `root`: where the bundle runs from, if it was activated."""

    image_missing: bool = False
    root: str = ""


class Upload:
    """One deploy to one place.

    Afterwards `sent` and `size` are the number and the bytes of the files that were sent, `previous` is the bundle
    that was the newest one before, and `repaired` says whether something there was damaged and has been replaced.
    """

    def __init__(self, session: Session, guard: Guard, route: Route, observer: Observer) -> None:
        self._session = session
        self._transport = session.transport
        self._guard = guard
        self._route = route
        self._observer = observer
        self._local = route.through is not None
        self._unpacks: frozenset[str] = frozenset()
        """What the device had to unpack, which may be why files are damaged there."""
        self._is_unpacked = False
        """Files go unpacked, since packed ones did not arrive."""
        self._is_brought = False
        self.sent = self.size = 0
        self.previous = ""
        self.repaired = False

    def send(self, shipment: Shipment, *, activate: bool) -> str:
        """Return where the bundle runs from, if it shall be activated and runs elsewhere than where it was sent."""
        return self._session.call(self._send(shipment, activate))

    async def _send(self, shipment: Shipment, activate: bool) -> str:
        received = await self._receive(shipment, activate)
        image = shipment.image
        # A runtime that is a tree is sent as a shipment of its own, once for all apps. Until the bundle that names it
        # is sent, another deploy may remove it.
        for _ in range(_ATTEMPTS):
            if not received.image_missing or image is None:
                break
            runtime = Shipment(app=IMAGES, root=image.path, entries=image.entries)
            await self._receive(runtime, activate=False, name=image.file)
            received = await self._receive(shipment, activate)
        if received.image_missing:
            raise DeviceError(
                f"the runtime that was sent to {self._transport.device} has been removed there",
                hint="another deploy, or somebody who deletes files there, may have removed it. Deploy again",
            )
        return received.root

    def _program(self, shipment: Shipment, name: str, activate: bool) -> Program:
        route, image = self._route, shipment.image
        words = [f"{route.folder or route.place}/{route.own_folder}", shipment.app, name]
        words += ["keep"] if self._local else []
        words += [word for word, wanted in (("verify", route.verify), ("take-over", route.take_over)) if wanted]
        words += ["owner", route.owner.replace("\n", " ")] if route.owner else []
        if image is not None:
            # The runtime may have been damaged, which came beforehand.
            words += ["activate", *(["remake"] if self.repaired else [])] if activate else []
            what = ["tree", image.file, len(image.entries)] if image.entries else ["image", image.file, image.size]
            words += map(str, what)
        if self._local:
            return Program((route.guard, Verb.receive, *words))
        return self._guard.first_call(Verb.receive, *words)

    async def _receive(self, shipment: Shipment, activate: bool, *, name: str | None = None) -> _Received:
        program = self._program(shipment, name or shipment.name, activate)
        entries = dump_listing(shipment.entries)
        listing = b"%d\n" % len(entries) + entries
        self._unpacks = frozenset()
        while True:
            channel, is_fed = await start_fed(self._transport, program, listing, whole=False)
            error = bytearray()
            # Read all the time: a `tar` that prints many errors would wait for a reader.
            reading = asyncio.create_task(keep_last_errors(channel, error))
            try:
                received = await self._talk(channel, shipment, b"" if is_fed else listing)
                code = await self._in_time(channel.wait())
                if code:
                    await asyncio.wait([reading], timeout=_ERROR_SECONDS)
            finally:
                reading.cancel()
                await channel.close()
            if code == ExitCode.no_guard and not self._is_brought and not self._local:
                self._is_brought = True
                await bring_guard(self._transport, self._guard)
                continue
            if code == ExitCode.damaged and self._unpacks:
                # A program that unpacks a sample may still fail, for want of memory for example. What came is kept.
                self._is_unpacked, self._unpacks = True, frozenset()
                continue
            break
        if code == ExitCode.image_missing:
            return _Received(image_missing=True)
        if code:
            message = error.decode("utf-8", "replace").strip()
            raise explain(self._transport, code, message, self._route.place)
        if received is None:
            raise DeviceError(
                f"the guard on {self._transport.device} ended before the bundle was complete there",
                hint="deploy again. What ran before is untouched",
            )
        return received

    async def _talk(self, channel: Channel, shipment: Shipment, listing: bytes) -> _Received | None:
        """Send *shipment*, whose *listing* may have been sent already.

        Returns None where the guard has not said that it is complete.
        """
        answers, received = AnswerReader(channel, self._transport.device), None
        if listing:
            await self._in_time(channel.write(listing))
        since: float | None = None
        while isinstance(answer := await self._in_time(answers.next()), Waiting):
            since = time.monotonic() if since is None else since
            if time.monotonic() - since >= _SHORT_WAIT_SECONDS:
                self._observer.on_wait(answer)
        wanted = isinstance(answer, Wanted)
        if isinstance(answer, Wanted):
            await self._send_wanted(channel, shipment, answer)
        await channel.write_eof()
        if wanted:
            self._observer.on_stage(Stage.checking)
            answer = await self._in_time(answers.next())
        for _ in range(_MOST_ANSWERS):
            if answer is None:
                return received
            if isinstance(answer, Complete):
                self.previous, self.repaired = answer.previous, self.repaired or answer.repaired
                received = _Received()
                self._observer.on_stage(Stage.activating)
            elif isinstance(answer, Activated):
                received = _Received(root=answer.root)
            answer = await self._in_time(answers.next())
        raise DeviceError(f"the guard on {self._transport.device} goes on answering after the bundle has arrived")

    async def _send_wanted(self, channel: Channel, shipment: Shipment, wanted: Wanted) -> None:
        """Send what the device lacks. Raises NoRoom before anything is sent."""
        missing = self._missing_numbers(shipment, wanted)
        needed = sum(shipment.entries[number].size for number in missing)
        image, offset = shipment.image, wanted.image_from
        sends_image = image is not None and offset is not None and offset < image.size
        if image is not None and offset is not None and sends_image:
            needed += image.size - offset
        if wanted.free is not None and needed + SPACE_MARGIN > wanted.free:
            raise NoRoom(
                f"{self._route.place} on {self._transport.device} has {wanted.free / 1e6:.1f} MB free, "
                f"the bundle needs {needed / 1e6:.1f} MB more",
                hint="remove something there, or choose another place with --to. What ran before is untouched",
            )
        done = 0

        def advance(size: int) -> None:
            nonlocal done
            done += size
            self._observer.on_progress(min(self.size + done, self.size + needed), self.size + needed)

        async def write(data: bytes) -> None:
            await self._in_time(channel.write(data))

        if image is not None and offset is not None and sends_image:
            # It is as small as it gets. It is read in a thread, so that the connection's other channels go on.
            pieces = read_image(image, offset)
            while chunk := await asyncio.to_thread(next, pieces, b""):
                await write(chunk)
                advance(len(chunk))
        if missing:
            # To a camera on this computer, bytes cost nothing, and unpacking them does.
            programs = frozenset() if self._is_unpacked else frozenset(wanted.packings)
            line = Line(programs, is_local=self._local or self._transport.is_local)
            groups = group(missing, [item.size for item in shipment.entries])
            await send_packed(groups, shipment, line, write, advance)
            self._unpacks = line.used
        self.sent += len(missing) + sends_image
        self.size += needed

    async def _in_time(self, work: Awaitable[T]) -> T:
        return await in_time(self._transport, work, _SILENCE_SECONDS)

    def _missing_numbers(self, shipment: Shipment, wanted: Wanted) -> list[int]:
        """Return the numbers of the entries that the device lacks. Raises DeviceError for one that does not exist."""
        numbers: list[int] = []
        for run in wanted.missing:
            begins = numbers[-1] + 1 if numbers else 0
            if len(run) != 2 or not begins <= run[0] <= run[1] < len(shipment.entries):
                raise DeviceError(
                    f"the guard on {self._transport.device} asks for the files {list(run)} of {len(shipment.entries)}",
                    hint="deploy again",
                )
            numbers.extend(range(run[0], run[1] + 1))
        return numbers
