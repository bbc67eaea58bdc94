"""Run a program on the device as if it ran here: streams, terminal, signals and exit code."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from incamera.device.signals import handling_signals
from incamera.device.streams import Streams, copy_input, raw_terminal, write_all
from incamera.guard.supervise import GRACE_SECONDS, SupervisedRun
from incamera_agent.wire.protocol import signal_exit_code

if TYPE_CHECKING:
    from incamera.device.tracebacks import OutputFilter
    from incamera.runtime.launcher.protocol import Ended
    from incamera.transport.protocols import Channel, Program, Terminal
    from incamera.transport.session import Session

_CHUNK = 1 << 16
# How long the output is read on when the app has ended but a child of it holds the output open.
_LINGER_SECONDS = 1.0
# What a filter holds back is shown when no more output comes for so long: it may be a prompt.
_HOLD_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run ended: its exit code, 128 + N after signal N.

    *peak* is the most memory in bytes that the guard saw its first process use, 0 where it saw none. *out_of_memory*
    says that the kernel killed a process for lack of memory meanwhile. *crash* is where in C code it crashed, if that
    is known: "in src/fast.c, line 12".
    """

    code: int
    peak: int = 0
    out_of_memory: bool = False
    crash: str = ""


def run_to_end(
    session: Session,
    guard: str,
    program: Program,
    *,
    attach_as: str | None = None,
    streams: Streams | None = None,
    filters: tuple[OutputFilter, OutputFilter] | None = None,
) -> RunEnd:
    """Run *program* to its end and return how it ended.

    *guard* is the guard's path on the device (`guard.ensure_guard`), *attach_as* the name of its attach socket. With a
    terminal at both ends the app gets one too. Ctrl-C interrupts the app, a second one kills it. *filters* change
    its standard output and standard error on the way to the user. Raises ConnectionLost.
    """
    streams = streams or Streams()
    terminal = streams.find_terminal()
    if terminal is None:
        # Without a terminal Python would buffer its output.
        environment = {"PYTHONUNBUFFERED": "1", **program.environment}
        program = dataclasses.replace(program, environment=environment)
    run = _Run(
        SupervisedRun(session.transport, guard, program, attach_as=attach_as),
        streams,
        terminal,
        filters or (None, None),
    )
    with raw_terminal(streams.stdin) if terminal else contextlib.nullcontext(), handling_signals(run.handle_signal):
        code = session.call(run.main())
    ended = run.ended
    return RunEnd(code) if ended is None else RunEnd(code, ended.peak, ended.out_of_memory)


def run_app(
    session: Session, guard: str, program: Program, *, attach_as: str | None = None, streams: Streams | None = None
) -> int:
    """Return the exit code of *program*, as `run_to_end` runs it."""
    return run_to_end(session, guard, program, attach_as=attach_as, streams=streams).code


class _Run:
    """One run: its channels copied to and from the user's streams, and signals passed on."""

    def __init__(
        self,
        supervised: SupervisedRun,
        streams: Streams,
        terminal: Terminal | None,
        filters: tuple[OutputFilter | None, OutputFilter | None],
    ) -> None:
        self._supervised = supervised
        self._streams = streams
        self._terminal = terminal
        self._filters = filters
        self._interrupts = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._app: Channel | None = None
        self._early: list[int] = []

    @property
    def ended(self) -> Ended | None:
        return self._supervised.ended

    # Called from the main thread, in a signal handler.

    def handle_signal(self, number: int) -> None:
        if self._loop is None:
            self._early.append(number)
        else:
            self._loop.call_soon_threadsafe(self._act_on, number)

    def _act_on(self, number: int) -> None:
        if number == signal.SIGWINCH:
            if self._app is not None:
                self._app.resize(*self._streams.terminal_size())
        elif number == signal.SIGINT:
            self._interrupts += 1
            self._supervised.order(b"signal INT" if self._interrupts == 1 else b"signal KILL")
        else:
            self._supervised.order(b"end")

    # On the connection's loop.

    async def main(self) -> int:
        supervised = self._supervised
        self._loop = asyncio.get_running_loop()
        for number in self._early:
            self._act_on(number)
        app = self._app = await supervised.start(terminal=self._terminal, has_input=self._streams.has_input())
        keyboard = asyncio.create_task(self._feed(app))
        try:
            output = asyncio.gather(
                self._copy(app.read, self._streams.stdout, self._filters[0]),
                self._copy(app.read_error, self._streams.stderr, self._filters[1]),
            )
            try:
                await self._await_output(output, supervised)
            except BrokenPipeError:
                # The program that reads our output has ended, as `head` does: end as a local program would.
                return signal_exit_code(signal.SIGPIPE)
            finally:
                output.cancel()
                await asyncio.gather(output, return_exceptions=True)
            return await app.wait()
        finally:
            keyboard.cancel()
            await supervised.end()
            await asyncio.gather(keyboard, return_exceptions=True)

    async def _await_output(self, output: asyncio.Future[tuple[None, None]], supervised: SupervisedRun) -> None:
        exited = asyncio.create_task(supervised.exited.wait())
        first: set[asyncio.Future[Any]] = {output, supervised.watch, supervised.beat, exited}
        try:
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            if not output.done() and not supervised.exited.is_set():
                # The guard has ended before the app: it could not start, or the connection is lost.
                await asyncio.wait({output}, timeout=GRACE_SECONDS + 2)
                supervised.raise_failure()
            if not output.done():
                await asyncio.wait({output}, timeout=_LINGER_SECONDS)
            if not output.done():
                supervised.order(b"end")
            await output
        finally:
            exited.cancel()

    async def _copy(
        self, read: Callable[[int], Awaitable[bytes]], descriptor: int, output_filter: OutputFilter | None
    ) -> None:
        # Writing is done in a thread, since it may have to wait, and heartbeats must go on. Until it is done nothing
        # more is read: the app waits, and our memory does not grow.
        if output_filter is None:
            while data := await read(_CHUNK):
                await asyncio.to_thread(write_all, descriptor, data)
            return
        try:
            while True:
                coming = asyncio.ensure_future(read(_CHUNK))
                try:
                    if output_filter.has_pending and not (await asyncio.wait({coming}, timeout=_HOLD_SECONDS))[0]:
                        await asyncio.to_thread(write_all, descriptor, output_filter.finish())
                    data = await coming
                finally:
                    coming.cancel()
                if not data:
                    return
                await asyncio.to_thread(write_all, descriptor, output_filter.feed(data))
        finally:
            if rest := output_filter.finish():
                await asyncio.to_thread(write_all, descriptor, rest)

    async def _feed(self, app: Channel) -> None:
        """Pass what is typed or piped to us to the app."""
        await copy_input(self._streams.stdin, app.write)
        await app.write_eof()
