"""A console inside the app that runs: what is typed here is evaluated there, beside the app's own work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from incamera.device.agent import Agent
from incamera.device.streams import write_all
from incamera.errors import AgentError, DeviceError
from incamera.guard.supervise import RUN_FOLDER
from incamera.runtime.launcher.protocol import Verb
from incamera.transport.protocols import Program, Script
from incamera_agent.wire.protocol import AGENTS_FOLDER, SOCKET, Answer, ErrorKind, Event, Request

if TYPE_CHECKING:
    from incamera.device.tracebacks import Tap
    from incamera.transport.protocols import Channel
    from incamera.transport.session import Session
    from incamera_agent.wire.frames import Frame

_LIST_SOCKETS = Script("list-sockets", f"ls -td {AGENTS_FOLDER}/*/{SOCKET} {RUN_FOLDER}*/*.socket 2>/dev/null")


@dataclass(frozen=True, kw_only=True, slots=True)
class Thread:
    """One thread of the app; *frames* are (file, line, function), the innermost last."""

    name: str
    is_main: bool
    frames: tuple[tuple[str, int, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Door:
    """A socket on the device behind which an app is: the agent's, or of a run that is a Python of its own."""

    app: str
    path: str


def list_doors(session: Session) -> list[Door]:
    """Return what can be attached to on the device, the newest first."""
    listed = session.run(_LIST_SOCKETS.program()).text.split()
    return [Door(app=_find_app(path), path=path) for path in listed]


def list_agents(session: Session) -> list[str]:
    """Return the apps on the device that an agent holds."""
    return sorted(door.app for door in list_doors(session) if door.path == agent_socket(door.app))


def _find_app(path: str) -> str:
    folder, name = path.split("/")[-2:]
    return folder if name == SOCKET else name.removesuffix(".socket")


def agent_socket(app: str) -> str:
    """Return where an app's agent is reached."""
    return f"{AGENTS_FOLDER}/{app}/{SOCKET}"


class Attached:
    """A conversation with the app behind *door*. Close it; the app goes on.

    What evaluating prints goes through *tap*, if there is one, to the file descriptor *output*. In the connection's
    thread, *on_news* is called with what happens to the app meanwhile, *on_end* when there will be no other run of it.
    """

    def __init__(
        self,
        session: Session,
        guard: str,
        door: Door,
        *,
        output: int,
        on_news: Callable[[str], None],
        on_end: Callable[[], None],
    ) -> None:
        self._session = session
        self._guard = guard
        self._path = door.path
        self._output = output
        self._on_news = on_news
        self._on_end = on_end
        self._number: int | None = None
        self._let_go: set[int] = set()
        self._lost = False
        self._ended = asyncio.Event()
        self._attaching = asyncio.Lock()
        self._following: asyncio.Task[None] | None = None
        self._channel: Channel
        self._agent: Agent
        self.tap: Tap | None = None
        self.over = False
        """Whoever held the app has gone with it: there will be no other run to attach to."""
        self.folder = ""
        """Where the app's own files lie on the device."""
        session.call(self._open())

    def evaluate(self, source: str) -> bool:
        """Evaluate *source* in the app; True: it is only the beginning of something.

        Ctrl-C interrupts it there; a second one lets go of what does not end by that, as C code doesn't. Raises
        AgentError of the kind "no-run" while nothing runs.
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
                    self._on_news("it goes on in the app; the console has let go of it")
                    return False
                interrupted = True

    def complete(self, text: str) -> list[str]:
        try:
            frame = self._session.call(self._ask(Request.COMPLETE, text=text))
        except DeviceError:
            return []
        return [str(match) for match in frame.message.get("matches", [])]

    def stacks(self) -> list[Thread]:
        frame = self._session.call(self._agent.request(Request.STACKS))
        return [
            Thread(
                name=str(thread["name"]),
                is_main=bool(thread.get("main")),
                frames=tuple((str(f["file"]), int(f["line"]), str(f["function"])) for f in thread["frames"]),
            )
            for thread in frame.message["threads"]
        ]

    def close(self) -> None:
        async def end() -> None:
            self._agent.closed.remove_done_callback(self._lose)
            if self._following is not None:
                self._following.cancel()
            await self._agent.close()
            await self._channel.close()

        self._session.call(end())

    # On the connection's loop.

    async def _open(self) -> None:
        self._channel = await self._session.transport.start(Program((self._guard, Verb.connect, self._path)))
        self._agent = Agent(self._channel, self._hear)
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
        self._number = int(frame.message["session"])
        self.folder = str(frame.message.get("folder") or "")
        self._ended.clear()
        if self._lost:
            self._lost = False
            self._on_news("the app was started again, and what you type is for the new run")
        return self._number

    async def _require_number(self) -> int:
        async with self._attaching:
            return self._number if self._number is not None else await self._attach()

    async def _follow(self) -> None:
        """Be in the new run before somebody asks, so as to hear how it ends."""
        with suppress(DeviceError):
            await self._require_number()

    def _lose(self, reason: asyncio.Future[Exception]) -> None:
        self.over = True
        self._ended.set()
        if not self._lost:  # else it has been told
            self._on_news("the app has ended")
        self._on_end()

    async def _start(self, source: str) -> asyncio.Task[Frame]:
        return asyncio.create_task(self._ask(Request.EVAL, source=source))

    async def _leave(self, task: asyncio.Task[Frame]) -> None:
        """Await *task* no more. Its session ends when the app lets it; what is asked next begins another."""
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        number, self._number = self._number, None
        if number is not None:
            self._let_go.add(number)
            await self._agent.send(Request.DETACH, session=number)

    async def _ask(self, type: str, **fields: Any) -> Frame:
        """Ask in our session; one that ended with its run is begun anew in the run that is there now."""
        for attempt in (1, 2):
            number = await self._require_number()
            # How long it takes is the user's affair: Ctrl-C ends it.
            asked = asyncio.create_task(self._agent.request(type, seconds=24 * 3600.0, session=number, **fields))
            ended = asyncio.create_task(self._ended.wait())
            try:
                await asyncio.wait({asked, ended}, return_when=asyncio.FIRST_COMPLETED)
                if not asked.done():
                    raise AgentError("the app has ended meanwhile", kind=ErrorKind.NO_RUN)
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

    async def _hear(self, frame: Frame) -> None:
        if frame.type == Event.OUTPUT:
            if frame.message.get("session") not in self._let_go:
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
            kept: Sequence[str] = frame.message.get("kept", ())
            self._on_news("the app was loaded again" + (f", with {', '.join(kept)} kept" if kept else ""))

    async def _show(self, data: bytes) -> None:
        if self.tap is not None:
            data = self.tap.feed(data)
        await asyncio.to_thread(write_all, self._output, data)
        if self.tap is not None and self.tap.is_holding:
            await asyncio.to_thread(write_all, self._output, self.tap.finish())


async def _await(task: asyncio.Task[Frame]) -> Frame:
    # Ctrl-C cancels the waiting; what was asked goes on until it is answered.
    return await asyncio.shield(task)
