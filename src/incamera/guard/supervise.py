"""A run on the device that ends with its host: the channel of the app, and that of the guard's verb `supervise`.

`supervise` reads a heartbeat. When that stops, because this process has ended or the network is down, it ends every
process of the run.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from incamera.errors import DeviceError
from incamera.guard.answers import AnswerReader, keep_last_errors
from incamera.guard.failures import explain, full_tmp
from incamera.runtime.launcher.protocol import (
    GRACE_MS,
    RUN_FOLDER,
    SILENCE_MS,
    Ended,
    ExitCode,
    Exited,
    Ready,
    Verb,
)
from incamera.transport.protocols import Program, start_fed
from incamera_agent.wire.protocol import ATTACH_VARIABLE

if TYPE_CHECKING:
    from incamera.transport.protocols import Channel, Terminal, Transport

HEARTBEAT_SECONDS = 3.0
# Without a heartbeat for so long, the guard ends the run. An outage of 10 seconds ends none: after it, TCP may need as
# long again until it repeats what was lost. It is longer than this computer takes to call the connection lost.
GUARD_TIMEOUT_SECONDS = SILENCE_MS / 1000
# How long an app has between SIGTERM and SIGKILL.
GRACE_SECONDS = GRACE_MS / 1000
_ERROR_SECONDS = 2.0


class SupervisedRun:
    """One run. Make it on the connection's event loop, `start` it, and `end` it in any case.

    *guard* is the path of the guard on the device (`ensure_guard`). If *program* is our Python, *attach_as* makes it
    open an attach socket of that name, for consoles in the app.
    """

    def __init__(self, transport: Transport, guard: str, program: Program, *, attach_as: str | None = None) -> None:
        self._transport = transport
        self._orders: asyncio.Queue[bytes] = asyncio.Queue()
        self.exited = asyncio.Event()
        """Set when the run's first process has ended. Its children may still run, and keep its channel open."""
        self.ended: Ended | None = None
        """What the guard said at the end, None as long as it has not."""
        folder = f"{RUN_FOLDER}{secrets.token_hex(8)}"
        environment = dict(program.environment)
        if attach_as is not None:
            # It is removed with the run's folder.
            environment[ATTACH_VARIABLE] = f"{folder}/{attach_as}.socket"
        timeout, grace = int(GUARD_TIMEOUT_SECONDS * 1000), int(GRACE_SECONDS * 1000)
        self._guard_program = Program((guard, Verb.supervise, folder, "--timeout", str(timeout), "--grace", str(grace)))
        self._app_program = replace(
            program, arguments=(guard, Verb.run, folder, "--", *program.arguments), environment=environment
        )

    async def start(self, *, terminal: Terminal | None = None, has_input: bool = True) -> Channel:
        """Start the run and return the channel of its program, which gets no input unless it *has_input*."""
        # Both start at once, which saves a round trip. The one that comes first on the device waits for the other.
        self._supervisor, self.app = await asyncio.gather(
            self._transport.start(self._guard_program),
            self._transport.start(self._app_program, terminal=terminal) if has_input else self._start_without_input(),
        )
        self.watch = asyncio.create_task(self._watch(self._supervisor))
        self.beat = asyncio.create_task(self._beat(self._supervisor))
        return self.app

    async def _start_without_input(self) -> Channel:
        channel, _ = await start_fed(self._transport, self._app_program, b"", whole=True)
        return channel

    def order(self, line: bytes) -> None:
        """Send an order to the guard: `signal INT`, `end`."""
        self._orders.put_nowait(line + b"\n")

    def raise_failure(self) -> None:
        """Raise the error that ended the guard's channel too early, if there is one."""
        for task in (self.watch, self.beat):
            if task.done() and not task.cancelled() and (error := task.exception()):
                raise error

    async def end(self) -> None:
        """Have the guard end the processes that are left of the run, and wait for that."""
        self.beat.cancel()
        with contextlib.suppress(DeviceError, TimeoutError):
            await self._supervisor.write(b"end\n")
            await self._supervisor.write_eof()
            await asyncio.wait({self.watch}, timeout=GRACE_SECONDS + 6)
        await asyncio.gather(self.beat, return_exceptions=True)
        self.watch.cancel()
        await asyncio.gather(self.watch, return_exceptions=True)
        for channel in (self.app, self._supervisor):
            with contextlib.suppress(DeviceError):
                await channel.close()

    async def _watch(self, supervisor: Channel) -> None:
        """Read what the guard answers, to its end. Raises DeviceError if it could not begin."""
        ready, answers = False, AnswerReader(supervisor, self._transport.device)
        errors = bytearray()
        reading = asyncio.create_task(keep_last_errors(supervisor, errors))
        try:
            while answer := await answers.next():
                ready = ready or isinstance(answer, Ready)
                if isinstance(answer, Exited):
                    self.exited.set()
                if isinstance(answer, Ended):
                    self.ended = answer
            if not ready:
                await asyncio.wait([reading], timeout=_ERROR_SECONDS)
        finally:
            reading.cancel()
        if not ready:
            message = errors.decode("utf-8", "replace").strip()
            code = await supervisor.wait()
            if code == ExitCode.taken:
                raise explain(self._transport, code, message, "")
            if code == ExitCode.no_memory:
                raise full_tmp(self._transport.device)
            raise DeviceError(f"cannot supervise a run on {self._transport.device}: {message or f'exit code {code}'}")

    async def _beat(self, supervisor: Channel) -> None:
        while True:
            try:
                order = await asyncio.wait_for(self._orders.get(), HEARTBEAT_SECONDS)
            except TimeoutError:
                order = b".\n"
            await supervisor.write(order)
