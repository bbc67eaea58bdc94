"""The standard streams of a run that an agent has started: shown, kept, and fed with what is typed."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

from incamera.device.streams import copy_input, write_all
from incamera.errors import DeviceError
from incamera_agent.wire.protocol import INPUT_WINDOW_BYTES, Event, Request

if TYPE_CHECKING:
    from incamera.device.agent import Agent
    from incamera.device.streams import Streams
    from incamera.device.tracebacks import OutputFilter
    from incamera.runlog.output import RunOutput
    from incamera.transport.protocols import Terminal

_PIECE = 1 << 14
# An output filter holds back what may be the beginning of a path. After so many seconds it is shown as it is.
_HOLD_SECONDS = 0.05


class RunStreams:
    """The streams of one run after the other. `run` is the current one's number. For the connection's event loop."""

    def __init__(self, agent: Agent, streams: Streams, terminal: Terminal | None) -> None:
        self._agent = agent
        self._streams = streams
        self._terminal = terminal
        self._opened = ExitStack()
        self._output: RunOutput | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._has_room = asyncio.Event()
        self._in_flight = 0
        self._input_ended = False
        self._accepts_input = False
        self.run: str | None = None
        self.crash = ""
        """Where in C code the last run has crashed, "" if it has not, or that is not known."""

    def begin(self, run: str, output: Any) -> None:
        """Switch to the streams of *run*. *output* is a context manager that yields its `RunOutput`."""
        self._opened.close()
        self.run = run
        self._output = self._opened.enter_context(output)
        self._accepts_input = False

    async def started(self) -> None:
        """Let the run have input from now on."""
        self._in_flight = 0
        self._accepts_input = True
        self._has_room.set()
        if self._input_ended:
            await self._agent.send(Request.STDIN, run=self.run)

    async def ended(self, code: int | None) -> None:
        await self._flush()
        self.run = None
        self._accepts_input = False
        self._in_flight = 0
        if self._output is not None:
            self._output.exit_code = code
            self.crash = self._output.find_crash()
        self._opened.close()
        self._output = None
        self._has_room.set()

    def close(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
        self._opened.close()

    # Output

    async def show(self, stream: str, data: bytes) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        if self._output is not None:
            output_filter: OutputFilter = self._output.stdout if stream == Event.STDOUT else self._output.stderr
            data = output_filter.feed(data)
            if output_filter.has_pending:
                self._flushing = asyncio.create_task(self._flush_soon())
        await self._write(stream, data)

    async def _flush_soon(self) -> None:
        await asyncio.sleep(_HOLD_SECONDS)
        self._flushing = None  # from here on it must not be cancelled
        await self._flush()

    async def _flush(self) -> None:
        if self._output is not None:
            await self._write(Event.STDOUT, self._output.stdout.finish())
            await self._write(Event.STDERR, self._output.stderr.finish())

    async def _write(self, stream: str, data: bytes) -> None:
        if data:
            descriptor = self._streams.stdout if stream == Event.STDOUT else self._streams.stderr
            # In a thread: while the reader of our output is slow, the agent waits, and the event loop does not.
            await asyncio.to_thread(write_all, descriptor, data)

    # Input

    async def feed(self) -> None:
        """Send the runs what is typed or piped to us, no more at a time than they read."""
        await copy_input(self._streams.stdin, self._type)
        self._input_ended = True
        if self._accepts_input:
            with suppress(DeviceError):
                await self._agent.send(Request.STDIN, run=self.run)

    def on_consumed(self, size: int) -> None:
        self._in_flight = max(0, self._in_flight - size)
        self._has_room.set()

    async def _type(self, data: bytes) -> None:
        for start in range(0, len(data), _PIECE):
            piece = data[start : start + _PIECE]
            # What is typed while nothing runs is for nobody; what is piped waits for a run.
            while (not self._accepts_input and not self._terminal) or self._in_flight + len(piece) > INPUT_WINDOW_BYTES:
                self._has_room.clear()
                await self._has_room.wait()
            if self._accepts_input:
                self._in_flight += len(piece)
                await self._agent.send(Request.STDIN, piece, run=self.run)
