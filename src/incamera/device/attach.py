"""A console inside the app that runs: what is typed here is evaluated there, beside the app's own work."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from incamera.device.agent import Agent, Frame
from incamera.device.streams import write_all
from incamera.errors import AgentError, DeviceError

if TYPE_CHECKING:
    from incamera.device.protocols import Channel
    from incamera.device.session import Session
    from incamera.device.tracebacks import Tap

_FOLDER = "/tmp/incamera-agent"


@dataclass(frozen=True, kw_only=True, slots=True)
class Thread:
    """One thread of the app; *frames* are (file, line, function), the innermost last."""

    name: str
    is_main: bool
    frames: tuple[tuple[str, int, str], ...]


def list_agents(session: Session) -> list[str]:
    """Return the apps on the device that an agent holds."""
    listed = session.run(f"ls -d {_FOLDER}/*/socket 2>/dev/null").text.split()
    return sorted(path.split("/")[-2] for path in listed)


def live_folder(app: str) -> str:
    """Return where the files of an app lie that an agent holds."""
    return f"{_FOLDER}/{app}/live"


class Attached:
    """A conversation with the app *app* of an agent. Close it; the app goes on.

    What evaluating prints goes through *tap* to the file descriptor *output*.
    """

    def __init__(self, session: Session, guard: str, app: str, *, output: int, tap: Tap) -> None:
        self._session = session
        self._guard = guard
        self._path = f"{_FOLDER}/{app}/socket"
        self._output = output
        self._tap = tap
        self._number: int | None = None
        self._ended = asyncio.Event()
        self._channel: Channel
        self._agent: Agent
        self.news: list[str] = []
        """What happened to the app meanwhile, in words, until somebody takes it away."""
        session.call(self._open())

    def evaluate(self, source: str) -> bool:
        """Evaluate *source* in the app; True: it is only the beginning of something. Ctrl-C interrupts it there.

        Raises AgentError of the kind "no-run" while nothing runs.
        """
        task = self._session.call(self._start(source))
        while True:
            try:
                frame = self._session.call(_await(task))
                return bool(frame.message.get("more"))
            except KeyboardInterrupt:
                if self._number is not None:
                    self._session.call(self._agent.send("interrupt", session=self._number))

    def complete(self, text: str) -> list[str]:
        try:
            frame = self._session.call(self._ask("complete", text=text))
        except DeviceError:
            return []
        return [str(match) for match in frame.message.get("matches", [])]

    def stacks(self) -> list[Thread]:
        frame = self._session.call(self._agent.request("stacks"))
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
            await self._agent.close()
            await self._channel.close()

        self._session.call(end())

    # On the connection's loop.

    async def _open(self) -> None:
        self._channel = await self._session.transport.open("exec " + shlex.join([self._guard, "connect", self._path]))
        self._agent = Agent(self._channel, self._hear)
        try:
            await self._agent.hello()
            await self._attach()
        except BaseException:
            await self._agent.close()
            await self._channel.close()
            raise

    async def _attach(self) -> int:
        frame = await self._agent.request("attach")
        self._number = int(frame.message["session"])
        self._ended.clear()
        return self._number

    async def _start(self, source: str) -> asyncio.Task[Frame]:
        return asyncio.create_task(self._ask("eval", source=source))

    async def _ask(self, type: str, **fields: Any) -> Frame:
        """Ask in our session; one that ended with its run is begun anew in the run that is there now."""
        for attempt in (1, 2):
            number = self._number if self._number is not None else await self._attach()
            # How long it takes is the user's affair: Ctrl-C ends it.
            asked = asyncio.create_task(self._agent.request(type, seconds=24 * 3600.0, session=number, **fields))
            ended = asyncio.create_task(self._ended.wait())
            try:
                await asyncio.wait({asked, ended}, return_when=asyncio.FIRST_COMPLETED)
                if not asked.done():
                    raise AgentError("the app has ended meanwhile", kind="no-run")
                return asked.result()
            except AgentError as error:
                if error.kind != "no-run" or attempt == 2 or not asked.done():
                    raise
                self._number = None
            finally:
                for task in (asked, ended):
                    task.cancel()
                await asyncio.gather(asked, ended, return_exceptions=True)
        raise AssertionError

    async def _hear(self, frame: Frame) -> None:
        if frame.type == "output":
            await asyncio.to_thread(write_all, self._output, self._tap.feed(frame.payload))
            if self._tap.is_holding:
                await asyncio.to_thread(write_all, self._output, self._tap.finish())
        elif frame.type in ("exited", "restarted"):
            self._number = None
            self._ended.set()
            self.news.append("the app has ended" if frame.type == "exited" else "the app was started again")
        elif frame.type == "reloaded":
            kept: Sequence[str] = frame.message.get("kept", ())
            self.news.append("the app was loaded again" + (f", with {', '.join(kept)} kept" if kept else ""))


async def _await(task: asyncio.Task[Frame]) -> Frame:
    # Ctrl-C cancels the waiting; what was asked goes on until it is answered.
    return await asyncio.shield(task)
