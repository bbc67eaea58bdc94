"""The host's end of `incamera python --attach`: source is evaluated in the running app, beside its own work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from incamera.device.agent import Agent
from incamera.device.streams import write_all
from incamera.errors import AgentError, DeviceError
from incamera.guard.verbs import connect_socket, list_sockets
from incamera_agent.wire.protocol import SOCKET, Answer, ErrorKind, Event, Request

if TYPE_CHECKING:
    from incamera.device.tracebacks import OutputFilter
    from incamera.transport.protocols import Channel
    from incamera.transport.session import Session
    from incamera_agent.wire.frames import Frame


_MAXIMUM_MATCHES = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Thread:
    """One thread of the app; *frames* are (file, line, function), the innermost last."""

    name: str
    is_main: bool
    frames: tuple[tuple[str, int, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class AttachSocket:
    """A socket on the device through which an app answers: its agent's, or the app's own where it runs without one."""

    app: str
    path: str

    @property
    def of_agent(self) -> bool:
        return self.path.endswith(f"/{SOCKET}")


def list_attach_sockets(session: Session, guard: str) -> list[AttachSocket]:
    """Return the attach sockets on the device, the newest first; *guard* is the guard's path there."""
    return [AttachSocket(app=_find_app(path), path=path) for path in list_sockets(session, guard)]


def _find_app(path: str) -> str:
    folder, name = ["", *path.split("/")][-2:]
    return folder if name == SOCKET else name.removesuffix(".socket")


class Attached:
    """A connection to the app that answers at *socket*. The app goes on after `close`.

    What evaluated source prints goes through `output_filter`, if there is one, to the file descriptor *output*.
    *on_news* is called with one sentence when the app ends, starts or reloads, *on_end* when it will not start again;
    both are called in the connection's thread.
    """

    def __init__(
        self,
        session: Session,
        guard: str,
        socket: AttachSocket,
        *,
        output: int,
        on_news: Callable[[str], None],
        on_end: Callable[[], None],
    ) -> None:
        self._session = session
        self._guard = guard
        self._path = socket.path
        self._output = output
        self._on_news = on_news
        self._on_end = on_end
        self._number: int | None = None
        self._detached: set[int] = set()
        self._lost = False
        self._ended = asyncio.Event()
        self._attaching = asyncio.Lock()
        self._following: asyncio.Task[None] | None = None
        self._channel: Channel
        self._agent: Agent
        self.output_filter: OutputFilter | None = None
        self.over = False
        """The app has ended and will not start again."""
        self.folders: list[str] = []
        """The folders on the device that paths of the app's files may begin with."""
        session.call(self._open())

    def evaluate(self, source: str) -> bool:
        """Evaluate *source* in the app. Returns True when it is incomplete, as the first line of a `for` is.

        Ctrl-C interrupts it there. A second Ctrl-C stops waiting for it: C code is not interrupted. Raises AgentError
        of the kind "no-run" while the app does not run.
        """
        task = self._session.call(self._start(source))
        interrupted = False
        while True:
            try:
                if interrupted and self._number is not None:
                    self._session.call(self._agent.send(Request.INTERRUPT, session=self._number))
                frame = self._session.call(_await(task))
                return bool(frame.message.get("more"))
            except KeyboardInterrupt:
                if interrupted:
                    self._session.call(self._leave(task))
                    self._on_news("the evaluation continues in the app; the console no longer waits for it")
                    return False
                interrupted = True

    def complete(self, text: str) -> list[str]:
        """Return the names that *text* can be completed to in the app, or none where it cannot be asked."""
        try:
            frame = self._session.call(self._ask(Request.COMPLETE, text=text))
        except DeviceError:
            return []
        # They are shown on the terminal by the line editor.
        return [match for match in frame.message.get("matches") or () if match.isprintable()][:_MAXIMUM_MATCHES]

    def stacks(self) -> list[Thread]:
        """Return what each thread of the app is doing. Raises AgentError."""
        frame = self._session.call(self._agent.request(Request.STACKS))
        return [
            Thread(
                name=thread["name"],
                is_main=bool(thread.get("main")),
                frames=tuple((f["file"], f.get("line") or 0, f["function"]) for f in thread["frames"]),
            )
            for thread in frame.message["threads"]
        ]

    def close(self) -> None:
        """Detach. Raises ConnectionLost."""

        async def end() -> None:
            self._agent.closed.remove_done_callback(self._lose)
            if self._following is not None:
                self._following.cancel()
            await self._agent.close()
            await self._channel.close()

        self._session.call(end())

    # On the connection's loop.

    async def _open(self) -> None:
        self._channel = await connect_socket(self._session.transport, self._guard, self._path)
        self._agent = Agent(self._channel, self._on_frame)
        try:
            await self._agent.hello()
            await self._attach()
            self._agent.closed.add_done_callback(self._lose)
        except BaseException:
            await self._agent.close()
            await self._channel.close()
            raise

    async def _attach(self) -> int:
        frame = await self._agent.request(Request.ATTACH)
        self._number = frame.message["session"]
        self.folders = [frame.message.get(name) or "" for name in ("folder", "files")]
        self._ended.clear()
        if self._lost:
            self._lost = False
            self._on_news("the app was started again, and what you type is for the new run")
        return self._number

    async def _require_number(self) -> int:
        async with self._attaching:
            return self._number if self._number is not None else await self._attach()

    async def _follow(self) -> None:
        """Attach to the new run at once, so that its end is reported, too."""
        with suppress(DeviceError):
            await self._require_number()

    def _lose(self, reason: asyncio.Future[Exception]) -> None:
        self.over = True
        self._ended.set()
        if not self._lost:  # else it has been reported
            self._on_news("the app has ended")
        self._on_end()

    async def _start(self, source: str) -> asyncio.Task[Frame]:
        return asyncio.create_task(self._ask(Request.EVAL, source=source))

    async def _leave(self, task: asyncio.Task[Frame]) -> None:
        """Stop waiting for *task*. Its session ends when the app answers; the next request begins another one."""
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        number, self._number = self._number, None
        if number is not None:
            self._detached.add(number)
            await self._agent.send(Request.DETACH, session=number)

    async def _ask(self, type: str, **fields: Any) -> Frame:
        """Send a request in our session; where that ended with its run, in a new session of the current run."""
        for attempt in (1, 2):
            number = await self._require_number()
            # There is no time limit: the user can press Ctrl-C.
            asked = asyncio.create_task(self._agent.request(type, seconds=24 * 3600.0, session=number, **fields))
            ended = asyncio.create_task(self._ended.wait())
            try:
                await asyncio.wait({asked, ended}, return_when=asyncio.FIRST_COMPLETED)
                if not asked.done():
                    raise AgentError("the app has ended", kind=ErrorKind.NO_RUN)
                return asked.result()
            except AgentError as error:
                if error.kind != ErrorKind.NO_RUN or attempt == 2 or not asked.done():
                    raise
                self._number = None
            finally:
                for task in (asked, ended):
                    task.cancel()
                await asyncio.gather(asked, ended, return_exceptions=True)
        raise AssertionError

    async def _on_frame(self, frame: Frame) -> None:
        if frame.type == Event.OUTPUT:
            if frame.message.get("session") not in self._detached:
                await self._show(frame.payload)
        elif frame.type == Event.EXITED:
            self._number, self._lost = None, True
            self._ended.set()
            self._on_news("the app has ended")
        elif frame.type == Answer.RESTARTED:
            self._number = None
            self._ended.set()
            self._on_news("the app was started again, and what you type is for the new run")
            self._following = asyncio.create_task(self._follow())
        elif frame.type == Answer.RELOADED:
            kept: Sequence[str] = frame.message.get("kept") or ()
            self._on_news("the app was reloaded" + (f" (kept: {', '.join(kept)})" if kept else ""))

    async def _show(self, data: bytes) -> None:
        if self.output_filter is not None:
            data = self.output_filter.feed(data)
        await asyncio.to_thread(write_all, self._output, data)
        if self.output_filter is not None and self.output_filter.has_pending:
            await asyncio.to_thread(write_all, self._output, self.output_filter.finish())


async def _await(task: asyncio.Task[Frame]) -> Frame:
    # Ctrl-C cancels the waiting; the request goes on until it is answered.
    return await asyncio.shield(task)
