"""A process on the device that ends with us: its channel, and that of the guard's `hold`, which hears a heartbeat.

When the heartbeat stops, because we have died or the network has, the guard ends every process of the run, so that
none is left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from incamera.errors import DeviceError
from incamera.guard.answers import AnswerReader
from incamera.runtime.launcher.protocol import GRACE_MS, SUPERVISE_TIMEOUT_MS, Exited, Ready, Verb
from incamera.transport.protocols import Program
from incamera_agent.wire.protocol import ATTACH_VARIABLE

if TYPE_CHECKING:
    from incamera.transport.protocols import Channel, Terminal, Transport

# What the folder of a run begins with, on the device.
RUN_FOLDER = "/tmp/incamera-run-"
HEARTBEAT_SECONDS = 3.0
# Without a sign of life for that long, the device ends the run. Several heartbeats, since a Wi-Fi may stutter.
GUARD_TIMEOUT_SECONDS = SUPERVISE_TIMEOUT_MS / 1000
# What an app gets between SIGTERM and SIGKILL.
GRACE_SECONDS = GRACE_MS / 1000


class SupervisedRun:
    """One run under the guard. Make it on the connection's loop, `start` it, and `end` it whatever happens.

    *guard* is the guard's path on the device (`guard.ensure_guard`). Where *program* is our Python, *attach_as* makes
    it open an attach socket of that name, for those who want to look into the app.
    """

    def __init__(self, transport: Transport, guard: str, program: Program, *, attach_as: str | None = None) -> None:
        self._transport = transport
        self._orders: asyncio.Queue[bytes] = asyncio.Queue()
        self.exited = asyncio.Event()
        """Set when the run's first process is gone; children of it may go on, and hold its channel open."""
        folder = f"{RUN_FOLDER}{secrets.token_hex(8)}"
        environment = dict(program.environment)
        if attach_as is not None:
            # It goes with the run's folder.
            environment[ATTACH_VARIABLE] = f"{folder}/{attach_as}.socket"
        timeout, grace = int(GUARD_TIMEOUT_SECONDS * 1000), int(GRACE_SECONDS * 1000)
        self._guard_program = Program((guard, Verb.supervise, folder, "--timeout", str(timeout), "--grace", str(grace)))
        self._app_program = replace(
            program, arguments=(guard, Verb.run, folder, "--", *program.arguments), environment=environment
        )

    async def start(self, *, terminal: Terminal | None = None) -> Channel:
        """Start the run and return its channel."""
        # Both start at once, so that nobody waits for a round trip; the device's end sorts them out.
        self._hold, self.app = await asyncio.gather(
            self._transport.start(self._guard_program),
            self._transport.start(self._app_program, terminal=terminal),
        )
        self.watch = asyncio.create_task(self._watch(self._hold))
        self.beat = asyncio.create_task(self._beat(self._hold))
        return self.app

    def order(self, line: bytes) -> None:
        """Have the guard do something: `signal INT`, `end`."""
        self._orders.put_nowait(line + b"\n")

    def raise_failure(self) -> None:
        """Raise what ended the guard's channel before its time, if anything did."""
        for task in (self.watch, self.beat):
            if task.done() and not task.cancelled() and (error := task.exception()):
                raise error

    async def end(self) -> None:
        """Have the guard end what is left of the run, and wait until it has."""
        self.beat.cancel()
        with contextlib.suppress(DeviceError, TimeoutError):
            await self._hold.write(b"end\n")
            await self._hold.write_eof()
            await asyncio.wait({self.watch}, timeout=GRACE_SECONDS + 6)
        await asyncio.gather(self.beat, return_exceptions=True)
        self.watch.cancel()
        await asyncio.gather(self.watch, return_exceptions=True)
        for channel in (self.app, self._hold):
            with contextlib.suppress(DeviceError):
                await channel.close()

    async def _watch(self, hold: Channel) -> None:
        """Hear what the guard tells."""
        ready, answers = False, AnswerReader(hold, self._transport.device)
        while answer := await answers.next():
            ready = ready or isinstance(answer, Ready)
            if isinstance(answer, Exited):
                self.exited.set()
        if not ready:
            message = (await hold.read_error(4096)).decode("utf-8", "replace").strip()
            code = await hold.wait()
            raise DeviceError(f"cannot guard a run on {self._transport.device}: {message or f'exit code {code}'}")

    async def _beat(self, hold: Channel) -> None:
        while True:
            try:
                order = await asyncio.wait_for(self._orders.get(), HEARTBEAT_SECONDS)
            except TimeoutError:
                order = b".\n"
            await hold.write(order)
