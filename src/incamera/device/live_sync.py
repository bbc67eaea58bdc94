"""Send the differences between the app on the host and the live folder in the camera, as one batch."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera_agent.wire.protocol import PIECE_BYTES, Answer, Request

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.device.agent import Agent
    from incamera.project.watching import AppFile


@dataclass(frozen=True, slots=True)
class Changes:
    """The paths of files to write and to delete, relative to the app's folder."""

    put: tuple[str, ...]
    delete: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.put or self.delete)

    @property
    def paths(self) -> list[str]:
        return sorted((*self.put, *self.delete))


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """The agent applied nothing of a batch, because *path* does not compile."""

    path: str
    message: str
    line: int | None
    column: int | None
    text: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """A batch that was applied. *sent_at* is when its last byte was sent (`time.monotonic`), *size* its bytes."""

    sent_at: float
    size: int = 0


class ChangedMeanwhile(Exception):
    """A file on the host changed while it was read."""


def plan_changes(wanted: Mapping[str, AppFile], there: Mapping[str, str]) -> Changes:
    """Return how to make a folder whose files have the states *there* like *wanted* (see `state`)."""
    return Changes(
        put=tuple(sorted(path for path, file in wanted.items() if there.get(path) != state(file))),
        delete=tuple(sorted(there.keys() - wanted.keys())),
    )


def state(file: AppFile) -> str:
    """Return what is compared of *file*: its digest and whether it is executable."""
    return file.sha256 + ("x" if file.executable else "")


async def send_changes(
    agent: Agent,
    wanted: Mapping[str, AppFile],
    changes: Changes,
    *,
    arrived: Collection[str] = (),
    held: Callable[[], Sequence[str]] = tuple,
    then: Callable[[], object] = lambda: None,
) -> Sent | Refused:
    """Send *changes* as one batch. Raises ChangedMeanwhile (then nothing was applied), AgentError, ConnectionLost.

    The files *arrived* are there already and belong to the batch; those that *held* returns are on their way and don't.
    *then* is called when all is sent, and nothing is answered yet.
    """
    size = 0
    new = [path for path in changes.put if path not in arrived]
    try:
        for path in changes.delete:
            await agent.send(Request.DELETE, path=path)
        for path in new:
            size += max([sent async for sent in put_file(agent, path, wanted[path])])
    except (ChangedMeanwhile, OSError) as error:
        for path in (*new, *changes.delete):
            await agent.send(Request.DISCARD, path=path)
        raise ChangedMeanwhile from error
    asked = asyncio.create_task(agent.request(Request.COMMIT, held=list(held())))
    await asyncio.sleep(0)
    sent_at = time.monotonic()
    then()
    answer = (await asked).message
    if answer["type"] == Answer.REFUSED:
        return Refused(
            path=answer["path"],
            message=answer.get("message") or "invalid syntax",
            line=answer.get("line"),
            column=answer.get("column"),
            text=answer.get("text"),
        )
    return Sent(sent_at=sent_at, size=size)


async def put_file(agent: Agent, path: str, file: AppFile, *, piece_bytes: int = PIECE_BYTES) -> AsyncIterator[int]:
    """Send *file* in pieces; yield after each how many bytes were sent. Raises ChangedMeanwhile, OSError."""
    offset = 0
    for piece, more in _pieces(file.source, file.sha256, piece_bytes):
        mode = 0o755 if file.executable else 0o644
        await agent.send(Request.PUT, piece, path=path, mode=mode, sha256=file.sha256, offset=offset, more=more)
        offset += len(piece)
        if more:
            await asyncio.sleep(0)
        yield offset


def _pieces(path: Path, sha256: str, size: int) -> Iterator[tuple[bytes, bool]]:
    """Yield the bytes of *path* in pieces, each with whether more follow. Raises ChangedMeanwhile."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        piece = stream.read(size)
        while True:
            digest.update(piece)
            following = stream.read(size)
            if not following and digest.hexdigest() != sha256:
                raise ChangedMeanwhile
            yield piece, bool(following)
            if not following:
                return
            piece = following
