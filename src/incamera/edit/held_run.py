"""One run of an app by an agent that waits in the camera before and after it, for `incamera run` and `python`."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from incamera.device.agent import Agent, make_error
from incamera.device.live_sync import ChangedMeanwhile, Refused, send_changes
from incamera.edit.messages import describe_kill, exit_code
from incamera.edit.streams import RunStreams
from incamera.errors import AgentError, DeviceError
from incamera_agent.wire.protocol import Answer, ErrorKind, Event, Request, signal_exit_code

if TYPE_CHECKING:
    from collections.abc import Mapping

    from incamera.context import Reporter
    from incamera.device.live_sync import Changes
    from incamera.device.streams import Streams
    from incamera.holder.lease import LeasedAgent
    from incamera.project.watching import AppFile
    from incamera.transport.protocols import Terminal
    from incamera_agent.wire.frames import Frame


class CannotFork(Exception):
    """The agent cannot run what is asked as a fresh Python would: run it without the agent. Nothing has run yet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ForkedApp:
    """What a fork of the agent is to run: `python3 ARGUMENTS` in *folder*, or in the agent's working folder.

    *open_output* opens the log of the run.
    """

    arguments: Sequence[str]
    folder: str | None
    open_output: Callable[[], Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """*changes* for the live folder, which is made of the folder *source* first if that is named."""

    source: str | None
    wanted: Mapping[str, AppFile]
    changes: Changes


class HeldRun:
    """Make it in any thread; the main thread calls `handle_signal`, all else runs on the connection's loop."""

    def __init__(self, leased: LeasedAgent, streams: Streams, reporter: Reporter) -> None:
        self._leased = leased
        self._streams = streams
        self._reporter = reporter
        self._terminal: Terminal | None = streams.find_terminal()
        self._name = secrets.token_hex(4)
        self._interrupts = 0
        self._early: list[int] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._has_started = False
        self._takes_signals = False
        self._is_stopped = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._starting: asyncio.Task[Frame] | None = None
        self._agent: Agent
        self.killed: str | None = None
        """What killed the app, unless it was we or nothing; known when it has ended."""

    @property
    def may_start_again(self) -> bool:
        """Whether the app has surely not run, and nobody has stopped it."""
        return not (self._has_started or self._is_stopped)

    # Called from the main thread, in a signal handler

    def handle_signal(self, number: int) -> None:
        if self._loop is None:
            self._early.append(number)
        else:
            self._loop.call_soon_threadsafe(self._act_on, number)

    # On the connection's event loop

    async def begin(self, *, greet: bool) -> str:
        """Begin to talk to the agent; *greet* one that has just been started: returns the path of its live folder.

        Raises AgentError, ConnectionLost.
        """
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._agent = Agent(self._leased, self._on_frame)
        self._app = RunStreams(self._agent, self._streams, self._terminal)
        return (await self._agent.hello()).message.get("live") or "" if greet else ""

    async def preload(self, imports: Sequence[str]) -> int:
        """Have the fork server import modules. Returns its memory in bytes. Raises AgentError, ConnectionLost."""
        return int((await self._agent.preload(imports)).message.get("rss") or 0)

    async def start(self, app: ForkedApp, edit: Edit | None = None) -> None:
        """Have the agent apply *edit* and start *app*; what the app prints is shown by `finish`.

        All is sent without waiting for an answer, which saves turns: the agent does not start the app when it could not
        apply the edit. Raises CannotFork when a file is not valid Python (the interpreter says what is wrong with it),
        ConnectionLost, AgentError.
        """
        opening: asyncio.Task[tuple[str, Any]] | None = None
        if edit is not None and edit.source is not None:
            opening = asyncio.create_task(self._agent.open(edit.source, hash=False))
            await asyncio.sleep(0)
        self._is_applied = asyncio.Event()
        self._app.begin(self._name, app.open_output())
        try:
            if edit is None:
                self._post_start(app)
                return
            sent = await send_changes(
                self._agent, edit.wanted, edit.changes, then=lambda: self._post_start(app, after_commit=True)
            )
            if isinstance(sent, Refused):
                raise CannotFork
        except (AgentError, ChangedMeanwhile, CannotFork) as error:
            await self._not_started()
            if isinstance(error, AgentError) and error.kind not in (ErrorKind.PUT, ErrorKind.COMMIT, ErrorKind.OPEN):
                raise
            raise CannotFork from error  # the camera has no room for it in RAM, perhaps
        finally:
            if opening is not None:
                await asyncio.gather(opening, return_exceptions=True)

    def _post_start(self, app: ForkedApp, **more: Any) -> None:
        fields: dict[str, Any] = {"run": self._name, "arguments": list(app.arguments), "folder": app.folder}
        # Without a terminal Python would buffer its output.
        fields["environment"] = {"PYTHONUNBUFFERED": None if self._terminal else "1"}
        if self._terminal is not None:
            columns, rows = self._streams.terminal_size()
            fields["terminal"] = {"kind": self._terminal.kind, "columns": columns, "rows": rows}
        self._has_started = True
        self._starting = asyncio.create_task(self._agent.request(Request.START, **fields, **more))
        if not self._streams.has_input():
            # Its end is sent behind the start. Input itself waits until the app has started: it can be read only once.
            self._background(self._agent.send(Request.STDIN, run=self._name))

    async def finish(self) -> int:
        """Show what the app prints until its end. Returns its exit code.

        Raises CannotFork, ConnectionLost, AgentError.
        """
        assert self._starting is not None
        self._loop = asyncio.get_running_loop()
        self._is_applied.set()
        try:
            await self._starting
        except AgentError as error:
            if error.kind not in (ErrorKind.START, ErrorKind.REQUEST):
                raise
            await self._not_started()
            raise CannotFork from error
        self._takes_signals = True
        for number in self._early:
            self._act_on(number)
        await self._app.started()
        if self._streams.has_input():
            self._background(self._app.feed())
        closed: asyncio.Future[Any] = self._agent.closed
        await asyncio.wait({self._ended, closed}, return_when=asyncio.FIRST_COMPLETED)
        if self._ended.done():
            return self._ended.result()
        reason = closed.result()
        if isinstance(reason, BrokenPipeError):
            # The program that reads our output has ended, as `head` does: end as a local program would.
            return signal_exit_code(signal.SIGPIPE)
        if self._is_stopped:
            return signal_exit_code(signal.SIGTERM)
        raise reason

    async def _not_started(self) -> None:
        """Forget a start that the agent refuses."""
        if self._starting is not None:
            await asyncio.gather(self._starting, return_exceptions=True)
        await self._app.ended(None)
        self._has_started = False

    async def give_back(self, state: Mapping[str, Any]) -> None:
        """Let the agent wait for the next run; *state* is for the command that uses it then."""
        await self._stop()
        if self._agent.closed.done() or self._is_stopped:
            await self._leased.close()
        else:
            await self._agent.close()
            await self._leased.give_back(state)

    async def close(self) -> None:
        """End the agent, and what runs in it."""
        await self._stop()
        await self._agent.close()
        await self._leased.close()

    async def _stop(self) -> None:
        tasks = [*self._tasks, *([self._starting] if self._starting else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._app.close()

    def _act_on(self, number: int) -> None:
        if not self._takes_signals:
            self._early.append(number)
        if not self._takes_signals or self._ended.done():
            return
        if number == signal.SIGWINCH:
            if self._terminal is not None:
                columns, rows = self._streams.terminal_size()
                self._send(Request.RESIZE, columns=columns, rows=rows)
        elif number == signal.SIGINT:
            self._interrupts += 1
            self._send(Request.SIGNAL, name="INT" if self._interrupts == 1 else "KILL")
        else:
            self._send(Request.STOP)

    def _send(self, type: str, **fields: Any) -> None:
        self._background(self._agent.send(type, run=self._name, **fields))

    async def _on_frame(self, frame: Frame) -> None:
        message = frame.message
        if frame.type in (Event.STDOUT, Event.STDERR):
            await self._is_applied.wait()  # until then, our own line about the edit is on the screen
            await self._app.show(frame.type, frame.payload)
        elif frame.type == Event.EXITED and message.get("run") == self._name:
            code = exit_code(message)
            await self._app.ended(code)
            self.killed = describe_kill(message, self._app.crash)
            self._ended.set_result(code)
        elif frame.type == Event.CONSUMED:
            self._app.on_consumed(message["size"])
        elif frame.type == Event.LOG:
            self._reporter.info(f"agent: {message.get('text') or ''}")
        elif frame.type == Answer.ERROR and make_error(frame).kind == ErrorKind.STOPPED:
            self._is_stopped = True

    def _background(self, work: Any) -> None:
        async def guarded() -> None:
            with suppress(DeviceError, OSError):  # `run` notices when the connection ends
                await work

        task = asyncio.create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
