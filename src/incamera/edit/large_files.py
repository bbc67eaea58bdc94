"""Large files of an edited app: they are sent while small changes go first, and refused where RAM is too small."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from incamera.device.live_sync import ChangedMeanwhile, put_file, state
from incamera.errors import AgentError
from incamera.units import escape_controls, format_bytes
from incamera_agent.wire.protocol import Request

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.context import Reporter
    from incamera.device.agent import Agent
    from incamera.device.live_sync import Changes
    from incamera.project.watching import AppFile

_LARGE_BYTES = 4 << 20
# What stays free in the camera's RAM beside large files: for the app and the camera itself.
_RESERVE_BYTES = 32 << 20
# Between two of them, a small change may go.
_PIECE_BYTES = 1 << 17
_FIRST_PROGRESS_SECONDS, _PROGRESS_SECONDS = 2.0, 10.0
# Code fits the sources that it is sent with: such files go together, whatever their size.
_CODE = (".py", ".so")


@dataclass(frozen=True, slots=True)
class Naming:
    """How the user is told of a file of the app that is in the folder *project*.

    *leave_out* returns what to do to leave it out.
    """

    project: Path
    leave_out: Callable[[str], str]

    def name(self, path: str, file: AppFile) -> str:
        """Return the path in the project where the file is one of it, and *path*, that in the app, where it is made."""
        own = file.source.is_relative_to(self.project)
        return escape_controls(file.source.relative_to(self.project).as_posix() if own else path)


class LargeFiles:
    """Those of one edit session. *on_arrival* is called when a file has arrived and can be committed."""

    def __init__(self, agent: Agent, reporter: Reporter, on_arrival: Callable[[], None], naming: Naming) -> None:
        self._agent = agent
        self._reporter = reporter
        self._on_arrival = on_arrival
        self._naming = naming
        self._refused: set[str] = set()
        self._waiting: dict[str, tuple[AppFile, int]] = {}
        self._task: asyncio.Task[None] | None = None
        self._sending = ""
        self._told = self._stale = False
        self.arrived: dict[str, tuple[AppFile, float]] = {}
        """The files that the camera has received and that no commit has put in place, with when each began."""

    @property
    def held(self) -> list[str]:
        """The files that are on their way: a commit leaves them alone."""
        return [self._sending] if self._task is not None else []

    async def take_out(self, wanted: Mapping[str, AppFile], changes: Changes, *, wait: bool) -> Changes:
        """Return *changes* without the files that are refused, and without those that are sent beside them.

        With *wait*, none is sent beside them. What is on its way and is no longer wanted is dropped.
        Raises AgentError, ConnectionLost.
        """
        await self._drop_changed(wanted)
        large = {path: size for path in changes.put if (size := _size(wanted[path])) >= _LARGE_BYTES}
        self._refused &= set(large)
        out = {path for path in large if path in self._waiting or (path == self._sending and self._task is not None)}
        new = {path: size for path, size in large.items() if path not in out and path not in self.arrived}
        if new:
            out |= await self._refuse(new, wanted)
        if not wait:
            for path in sorted(new.keys() - out, key=lambda path: new[path]):
                if not path.endswith(_CODE):
                    self._waiting[path] = wanted[path], new[path]
                    out.add(path)
            self._go_on()
        return replace(changes, put=tuple(path for path in changes.put if path not in out))

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _refuse(self, sizes: Mapping[str, int], wanted: Mapping[str, AppFile]) -> set[str]:
        """Return which files of *sizes* do not fit into the camera's RAM, and tell that of each once."""
        free = await self._measure_free()
        if not free:  # the kernel does not say; the agent refuses what does not fit
            return set()
        room = free - _RESERVE_BYTES - sum(size for _, size in self._waiting.values())
        refused = set()
        for path, size in sorted(sizes.items(), key=lambda item: item[1]):
            if size <= room:
                room -= size
                continue
            refused.add(path)
            if path not in self._refused:
                name = self._naming.name(path, wanted[path])
                self._reporter.error(_too_large(name, size, free, hint=self._naming.leave_out(name)))
        self._refused |= refused
        return refused

    async def _measure_free(self) -> int:
        return int((await self._agent.request(Request.MEMORY)).message.get("free") or 0)

    async def _drop_changed(self, wanted: Mapping[str, AppFile]) -> None:
        def is_old(path: str, file: AppFile) -> bool:
            return path not in wanted or state(wanted[path]) != state(file)

        self._waiting = {path: item for path, item in self._waiting.items() if not is_old(path, item[0])}
        for path in [path for path, (file, _) in self.arrived.items() if is_old(path, file)]:
            del self.arrived[path]
            await self._agent.send(Request.DISCARD, path=path)
        if self._task is not None and is_old(self._sending, self._file):
            self._stale = True
            await asyncio.gather(self._task, return_exceptions=True)  # not cancelled: that might cut a frame

    async def _drop(self, path: str, name: str) -> None:
        await self._agent.send(Request.DISCARD, path=path)
        if self._told:  # else nobody knows that it was on its way
            self._reporter.info(f"{name} has changed while it was sent: dropped")

    def _go_on(self) -> None:
        if self._task is None and self._waiting:
            self._sending = next(iter(self._waiting))
            self._file, size = self._waiting.pop(self._sending)
            self._told = self._stale = False
            self._task = asyncio.create_task(self._send(self._sending, self._file, size))

    async def _send(self, path: str, file: AppFile, size: int) -> None:
        name, began = self._naming.name(path, file), time.monotonic()
        tell_at = began + _FIRST_PROGRESS_SECONDS
        try:
            async for sent in put_file(self._agent, path, file, piece_bytes=_PIECE_BYTES):
                if self._stale:
                    raise ChangedMeanwhile
                if time.monotonic() >= tell_at:
                    tell_at = time.monotonic() + _PROGRESS_SECONDS
                    self._told = True
                    self._reporter.info(f"{name}: {format_bytes(sent)} of {format_bytes(size)} sent")
        except (ChangedMeanwhile, OSError):
            await self._drop(path, name)
        except Exception:  # of the connection, which the session notices
            return
        else:
            self.arrived[path] = file, began
        self._task = None
        self._go_on()
        self._on_arrival()


def _size(file: AppFile) -> int:
    with suppress(OSError):
        return file.source.stat().st_size
    return 0


def _too_large(name: str, size: int, free: int, *, hint: str) -> AgentError:
    return AgentError(
        f"{name} has {format_bytes(size)}, and the camera has {format_bytes(free)} of RAM free, of which "
        f"{format_bytes(_RESERVE_BYTES)} stay free: it is not sent",
        kind="put",
        hint=hint,
    )


def saved_before(saved: float, arrived: Iterable[tuple[Any, float]]) -> float:
    """Return when the first of a change's files was saved or, if it was large, began to be sent (`time.time`)."""
    behind = time.time() - time.monotonic()
    return min([saved, *(began + behind for _, began in arrived)])
