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
    from incamera.device.tracebacks import Tap
    from incamera.runlog.output import RunOutput
    from incamera.transport.protocols import Terminal

_PIECE = 1 << 14
# What a tap holds back is shown when nothing more comes for that long: somebody may be typing it.
_HOLD_SECONDS = 0.05


class RunStreams:
    """One run after the other; `run` is the number of the one that goes on. For the connection's loop."""

    def __init__(self, agent: Agent, streams: Streams, terminal: Terminal | None) -> None:
        self._agent = agent
        self._streams = streams
        self._terminal = terminal
        self._opened = ExitStack()
        self._output: RunOutput | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        self._on_its_way = 0
        self._input_ended = False
        self._listens = False
        self.run: str | None = None

    def begin(self, run: str, output: Any) -> None:
        """From now on the streams are those of *run*; *output* is a context manager that gives its `RunOutput`."""
        self._opened.close()
        self.run = run
        self._output = self._opened.enter_context(output)
        self._listens = False

    async def started(self) -> None:
        """The run can be given input from now on."""
        self._on_its_way = 0
        self._listens = True
        self._room.set()
        if self._input_ended:
            await self._agent.send(Request.STDIN, run=self.run)

    async def ended(self, code: int | None) -> None:
        await self._flush()
        self.run = None
        self._listens = False
        self._on_its_way = 0
        if self._output is not None:
            self._output.exit_code = code
        self._opened.close()
        self._output = None
        self._room.set()

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
            tap: Tap = self._output.stdout if stream == Event.STDOUT else self._output.stderr
            data = tap.feed(data)
            if tap.is_holding:
                self._flushing = asyncio.create_task(self._flush_soon())
        await self._write(stream, data)

    async def _flush_soon(self) -> None:
        await asyncio.sleep(_HOLD_SECONDS)
        self._flushing = None  # what is being written is not to be cancelled
        await self._flush()

    async def _flush(self) -> None:
        if self._output is not None:
            await self._write(Event.STDOUT, self._output.stdout.finish())
            await self._write(Event.STDERR, self._output.stderr.finish())

    async def _write(self, stream: str, data: bytes) -> None:
        if data:
            descriptor = self._streams.stdout if stream == Event.STDOUT else self._streams.stderr
            # In a thread: the reader of our output may take its time, and the agent's channel waits until it has.
            await asyncio.to_thread(write_all, descriptor, data)

    # Input

    async def feed(self) -> None:
        """Give the runs what is typed or piped to us, no more at a time than they take."""
        await copy_input(self._streams.stdin, self._type)
        self._input_ended = True
        if self._listens:
            with suppress(DeviceError):
                await self._agent.send(Request.STDIN, run=self.run)

    def on_consumed(self, size: int) -> None:
        self._on_its_way -= size
        self._room.set()

    async def _type(self, data: bytes) -> None:
        for start in range(0, len(data), _PIECE):
            piece = data[start : start + _PIECE]
            # What is typed while nothing runs is for nobody; what is piped waits for a run.
            while (not self._listens and not self._terminal) or self._on_its_way + len(piece) > INPUT_WINDOW_BYTES:
                self._room.clear()
                await self._room.wait()
            if self._listens:
                self._on_its_way += len(piece)
                await self._agent.send(Request.STDIN, piece, run=self.run)
