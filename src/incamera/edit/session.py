"""The edit loop over one connection: an agent in the camera, a live folder, and the app that runs in it."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from incamera.device.agent import Agent, make_error
from incamera.device.agent_program import make_agent_program
from incamera.device.live_sync import ChangedMeanwhile, Refused, Sent, plan_changes, send_changes, state
from incamera.edit.changes import Inbox, settle
from incamera.edit.large_files import LargeFiles, Naming, saved_before
from incamera.edit.messages import (
    MemoryMessages,
    describe_end,
    describe_paths,
    describe_refusal,
    describe_update,
    exit_code,
)
from incamera.edit.streams import RunStreams
from incamera.errors import AgentError, BuildError, ConnectionLost, DeviceError, InCameraError
from incamera.guard.supervise import GRACE_SECONDS, SupervisedRun
from incamera.project.app_files import GITIGNORE
from incamera.project.watching import saved_at
from incamera.units import escape_controls, format_bytes
from incamera.waiting import in_daemon_thread
from incamera_agent.wire.protocol import Answer, ErrorKind, Event, Request

if TYPE_CHECKING:
    from incamera.context import Reporter
    from incamera.device.streams import Streams
    from incamera.edit.edited_app import EditedApp
    from incamera.project.watching import AppFile
    from incamera.transport.protocols import Program, Terminal, Transport
    from incamera_agent.wire.frames import Frame

_TOO_MUCH = "edited files are kept in the camera's RAM: free some of it, or make the change smaller, and save again"


class Outcome(StrEnum):
    """Why an edit session ended."""

    ended = "ended"
    """The user ended it."""
    stale = "stale"
    """The app needs another runtime, or other settings of the session: build and deploy again."""


class EditSession:
    """One edit session over one connection.

    Create it in any thread. `main` runs on the connection's event loop; the main thread calls `handle_signal`.
    """

    def __init__(
        self, transport: Transport, guard: str, edited: EditedApp, inbox: Inbox, streams: Streams, *, reporter: Reporter
    ) -> None:
        self._transport = transport
        self._guard = guard
        self._edited = edited
        self._inbox = inbox
        self._streams = streams
        self._terminal: Terminal | None = streams.find_terminal()
        self._reporter = reporter
        self._loop: asyncio.AbstractEventLoop | None = None
        self._early_signals: list[int] = []
        self._signals: list[int] = []
        self._on_device: dict[str, str] = {}
        self._runs = 0
        self._memory = MemoryMessages(reporter)
        self._large: LargeFiles
        self._leaving = False
        self._starting = False
        self._reloading: asyncio.Task[Frame] | None = None
        self._failed = False
        self.owns_agent = False
        """Whether the agent on the device answers to this session alone."""

    @property
    def last_signal(self) -> int:
        return self._signals[-1] if self._signals else 0

    # Called from the main thread

    def handle_signal(self, number: int) -> None:
        if self._loop is None:
            self._early_signals.append(number)
        else:
            self._loop.call_soon_threadsafe(self._on_signal, number)

    # On the connection's event loop

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGWINCH:
            if self._terminal and self._app.run is not None:
                columns, rows = self._streams.terminal_size()
                self._background(self._agent.send(Request.RESIZE, run=self._app.run, columns=columns, rows=rows))
            return
        self._signals.append(number)
        if len(self._signals) > 1:
            self._supervised.order(b"end")
        self._stop.set()

    async def main(self) -> Outcome:
        """Run the app and keep it up to date until the session ends. Raises ConnectionLost, AgentError."""
        loop = asyncio.get_running_loop()
        self._stop, self._changed, self._ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failure: asyncio.Future[Exception] = loop.create_future()
        self._inbox.attach(lambda: loop.call_soon_threadsafe(self._changed.set))
        self._supervised = SupervisedRun(self._transport, self._guard, self._program())
        channel = await self._supervised.start()
        self._agent = Agent(channel, self._on_frame)
        self._app = RunStreams(self._agent, self._streams, self._terminal)
        self._loop = loop
        for number in self._early_signals:
            self._on_signal(number)
        work = asyncio.create_task(self._work())
        stopped = asyncio.create_task(self._stop.wait())
        ends: set[asyncio.Future[Any]] = {work, stopped, self._failure, self._agent.closed, self._supervised.watch}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if self._stop.is_set():
                self._leaving = True
                work.cancel()
                await self._interrupt()
                return Outcome.ended
            if self._failure.done():
                raise self._failure.result()
            if work.done():
                return work.result()
            if not self._agent.closed.done():  # the guard ended first; the agent may still say why
                await asyncio.wait({self._agent.closed}, timeout=GRACE_SECONDS)
            self._supervised.raise_failure()
            if self._agent.closed.done():
                raise self._agent.closed.result()
            raise AgentError("the agent's guard has ended", kind="ended")
        finally:
            self._leaving = True
            if self._reloading is not None:
                self._tasks.add(self._reloading)
            for task in (work, stopped, *self._tasks):
                task.cancel()
            if hasattr(self, "_large"):
                await self._large.close()
            await asyncio.gather(work, stopped, *self._tasks, return_exceptions=True)
            if not self._agent.closed.done():
                with suppress(DeviceError):
                    await self._agent.send(Request.GOODBYE)
                    await asyncio.wait({self._agent.closed}, timeout=GRACE_SECONDS + 2)
            await self._agent.close()
            await self._supervised.end()
            self._inbox.attach(lambda: None)
            self._app.close()

    def _program(self) -> Program:
        edited = self._edited
        return make_agent_program(
            edited.root,
            app=edited.app,
            user=edited.user,
            command=edited.command,
            take_over=edited.take_over,
            environment=edited.environment,
        )

    async def _interrupt(self) -> None:
        """Send the app the signal that Ctrl-C sends; the goodbye that follows ends it for certain.

        Not while the app is being started or reloaded: the agent would start it again when it has ended.
        """
        if self._app.run is not None and self.last_signal == signal.SIGINT and not self._starting:
            with suppress(DeviceError):
                await self._agent.send(Request.SIGNAL, run=self._app.run, name="INT")
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._ended.wait(), GRACE_SECONDS)

    # The loop of edits

    async def _work(self) -> Outcome:
        edited, agent = self._edited, self._agent
        await agent.hello()
        self.owns_agent = True
        if edited.imports:
            await self._preload(edited.imports)
        self._inbox.take()
        self._folder, there = await agent.open(f"{edited.root}/app")
        wanted = await in_daemon_thread(edited.live.read)
        # The agent reports the files' bytes only; their executable bits are as they were deployed.
        same = {path: state(file) for path, file in wanted.items() if there.get(path) == file.sha256}
        self._on_device = {**there, **same}
        naming = Naming(self._edited.project, self._edited.leave_out)
        self._large = LargeFiles(agent, self._reporter, self._changed.set, naming)
        self._background(self._app.feed())
        if await self._update({"pyproject.toml"}, time.time(), wanted):
            return Outcome.stale
        self._background(in_daemon_thread(self._prepare))
        while True:
            await self._changed.wait()
            seen = time.time()
            paths = await settle(self._inbox, self._changed, edited.project)
            paths |= self._large.arrived.keys()
            if paths and await self._update(paths, seen):
                return Outcome.stale

    def _prepare(self) -> None:
        with suppress(InCameraError):  # the next change reports it
            self._edited.live.prepare()

    async def _preload(self, imports: tuple[str, ...]) -> None:
        began = time.monotonic()
        answer = (await self._agent.preload(imports)).message
        done, failed = answer.get("imports") or {}, answer.get("failed") or {}
        for name, reason in failed.items():
            last = (reason.strip().splitlines() or ["it ended the process"])[-1]
            self._reporter.warn(f"the fork server did not import {escape_controls(name)}: {last}")
        if done:
            size = format_bytes(answer.get("rss") or 0)
            names = escape_controls(", ".join(done))
            self._reporter.info(f"fork server: {names} imported in {time.monotonic() - began:.1f} s, {size}")

    async def _update(self, paths: set[str], seen: float, wanted: Mapping[str, AppFile] | None = None) -> bool:
        """Bring a change of *paths* to the device. Returns whether the app must be built and deployed again."""
        edited = self._edited
        saved = saved_at([edited.project / path for path in paths], seen)
        try:
            if any(map(edited.is_setting, paths)) and (reason := await in_daemon_thread(edited.find_staleness)):
                self._reporter.info(f"{reason}: building and deploying again")
                if self._runs:  # the old app runs on until what replaces it is in the camera
                    await in_daemon_thread(edited.make_replacement)
                return True
            if wanted is None:
                wanted = await in_daemon_thread(edited.live.read)
        except ConnectionLost:
            raise
        except InCameraError as error:
            self._reporter.error(error)
            self._reporter.info(self._describe_state())
            return False
        if (entry := edited.find_missing_entry(wanted)) is not None:
            self._reporter.warn(f"{entry}, which starts the app, is gone; {self._describe_state()}")
            return False
        changes = plan_changes(wanted, self._on_device)
        planned = changes.put
        changes = await self._large.take_out(wanted, changes, wait=not self._runs)
        if not changes and planned:
            return False
        if not changes and self._runs and not self._failed:
            if files := sorted(path for path in paths if not path.endswith(GITIGNORE)):
                self._reporter.info(f"{describe_paths(files)}: nothing to send, the camera has all of it")
            return False
        arrived = {path: self._large.arrived.pop(path) for path in changes.put if path in self._large.arrived}
        try:
            result: Sent | Refused = Sent(sent_at=time.monotonic())
            if changes:
                result = await send_changes(
                    self._agent,
                    wanted,
                    changes,
                    arrived=arrived,
                    held=lambda: self._large.held,
                    then=self._post_reload,
                )
        except ChangedMeanwhile:
            self._inbox.put(paths)
            return False
        except AgentError as error:
            await self._take_back_reload()
            if error.kind not in (ErrorKind.PUT, ErrorKind.COMMIT):
                raise
            if error.kind == ErrorKind.COMMIT:  # some of it may be there
                self._on_device.update(dict.fromkeys(changes.put, ""))
            self._reporter.error(
                AgentError(f"the camera cannot take the change: {error}", kind=error.kind, hint=_TOO_MUCH)
            )
            self._reporter.info(self._describe_state())
            return False
        if isinstance(result, Refused):
            await self._take_back_reload()
            self._reporter.error(BuildError(describe_refusal(result, wanted)))
            self._reporter.info(self._describe_state())
            return False
        out = set(planned) - set(changes.put)
        self._on_device = {
            **{path: state(file) for path, file in wanted.items() if path not in out},
            **{path: self._on_device[path] for path in out & self._on_device.keys()},
        }
        saved = saved_before(saved, arrived.values())
        sending = result.sent_at - time.monotonic() + time.time() - saved
        if what := await self._start_or_reload():
            starting = time.monotonic() - result.sent_at
            names = edited.live.edited or changes.paths
            self._reporter.info(describe_update(names, what, sending, starting) if self._runs > 1 else what)
        return False

    def _post_reload(self) -> None:
        """Ask for the new code, if an app runs, without waiting until the agent has it in place: it does that first."""
        if self._app.run is not None:
            self._starting = True
            self._reloading = asyncio.create_task(
                self._agent.request(
                    Request.RELOAD, run=self._app.run, arguments=self._edited.arguments(), after_commit=True
                )
            )

    async def _take_back_reload(self) -> None:
        """Forget a reload that the agent refuses, since it could not put the new code in place."""
        reloading, self._reloading = self._reloading, None
        if reloading is not None:
            await asyncio.gather(reloading, return_exceptions=True)
            self._starting = False

    def _describe_state(self) -> str:
        return "the app keeps running unchanged" if self._app.run is not None else "waiting for changes"

    async def _start_or_reload(self) -> str | None:
        """Start the app, or have it load the new code. Returns what was done, None after reporting a failure."""
        app, arguments = self._app, self._edited.arguments()
        reloading, self._reloading = self._reloading, None
        self._runs += 1
        reloads = app.run is not None or reloading is not None
        self._failed = self._starting = True
        try:
            if reloading is not None:
                answer = await reloading
            elif reloads:
                answer = await self._agent.request(Request.RELOAD, run=app.run, arguments=arguments)
            else:
                app.begin(str(self._runs), self._edited.open_output(self._folder))
                answer = await self._agent.request(Request.START, run=app.run, **self._start_fields(arguments))
        except AgentError as error:
            if error.kind in ("ended", ErrorKind.PROTOCOL, "timeout"):
                raise
            await app.ended(None)
            self._reporter.error(error)
            return None
        finally:
            self._starting = False
        self._failed = False
        if answer.type == Answer.RELOADED:
            kept = answer.message.get("kept") or []
            return "reloaded" + (f" (kept: {escape_controls(', '.join(kept))})" if kept else "")
        self._ended.clear()
        if answer.type == Answer.RESTARTED:
            app.begin(answer.message["run"], self._edited.open_output(self._folder))
        await app.started()
        if not answer.message.get("warm", True):
            reason = answer.message.get("cold_reason") or "there is no fork server"
            self._reporter.info(f"started a new Python instead of a fork: {escape_controls(reason)}")
        return "running; waiting for changes" if self._runs == 1 else "restarted" if reloads else "started"

    def _start_fields(self, arguments: list[str]) -> dict[str, Any]:
        fields: dict[str, Any] = {"arguments": arguments, "memory_limit": self._edited.memory_limit}
        if self._terminal is None:
            return {**fields, "line_buffered": True}
        columns, rows = self._streams.terminal_size()
        return {**fields, "terminal": {"kind": self._terminal.kind, "columns": columns, "rows": rows}}

    # Frames from the agent

    async def _on_frame(self, frame: Frame) -> None:
        message = frame.message
        if frame.type in (Event.STDOUT, Event.STDERR):
            await self._app.show(frame.type, frame.payload)
        elif frame.type == Event.EXITED and message.get("run") == self._app.run:
            await self._app.ended(exit_code(message))
            self._ended.set()
            if not self._leaving:
                self._reporter.info(describe_end(message, self._app.crash))
        elif frame.type == Event.CONSUMED:
            self._app.on_consumed(message["size"])
        elif frame.type == Answer.MEMORY:
            self._memory.on_message(message)
        elif frame.type == Answer.ERROR:
            error = make_error(frame)
            if error.kind in (ErrorKind.TAKEN_OVER, ErrorKind.STOPPED) and not self._failure.done():
                self._failure.set_result(error)
            elif error.kind != ErrorKind.PUT:  # the commit reports it
                self._reporter.error(error)
        elif frame.type == Event.LOG:
            self._reporter.info(f"agent: {message.get('text') or ''}")

    def _background(self, work: Any) -> None:
        async def guarded() -> None:
            with suppress(DeviceError, OSError):  # `main` notices when the connection ends
                await work

        task = asyncio.create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
