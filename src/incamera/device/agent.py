"""The host's end of a conversation with the agent in the camera (docs/reference/agent-protocol.md).

A frame is a JSON object and, behind it, bytes: `<length><length><JSON><bytes>`, the lengths as four bytes each.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from incamera import __version__
from incamera.errors import AgentError, DeviceError

if TYPE_CHECKING:
    from incamera.transport.protocols import Channel

PROTOCOL = 1
PIECE = 1 << 20
# What is on its way to a run, unread by it, at most.
INPUT_WINDOW = 1 << 16
_LENGTHS = struct.Struct(">II")
_LIMIT = 8 << 20
_CHUNK = 1 << 16
_TAIL = 4096
# Imports of a heavy package take a minute where the processor is emulated and the storage slow.
ANSWER_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Frame:
    message: Mapping[str, Any]
    payload: bytes = b""

    @property
    def type(self) -> str:
        return str(self.message["type"])


def dump_frame(message: Mapping[str, Any], payload: bytes = b"") -> bytes:
    text = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
    return _LENGTHS.pack(len(text), len(payload)) + text + payload


class FrameParser:
    """Finds the frames in what comes in pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that are complete. Raises ValueError for what is no frame."""
        self._buffer += data
        while len(self._buffer) >= _LENGTHS.size:
            text, payload = _LENGTHS.unpack_from(self._buffer)
            if text > _LIMIT or payload > _LIMIT:
                raise ValueError(f"it begins with {bytes(self._buffer[:200])!r}")
            end = _LENGTHS.size + text + payload
            if len(self._buffer) < end:
                return
            message = json.loads(self._buffer[_LENGTHS.size : _LENGTHS.size + text])
            if not isinstance(message, dict) or not isinstance(message.get("type"), str):
                raise ValueError("a frame without a type")
            frame = Frame(message, bytes(self._buffer[_LENGTHS.size + text : end]))
            del self._buffer[:end]
            yield frame


async def ignore_frame(frame: Frame) -> None:
    """For those who only ask."""


class Agent:
    """A conversation over *channel*. Every method raises AgentError or ConnectionLost once it is over.

    *on_frame* gets what no request waits for; until it returns, nothing more is read, so that an app whose output
    nobody takes has to wait.
    """

    def __init__(self, channel: Channel, on_frame: Callable[[Frame], Awaitable[None]] = ignore_frame) -> None:
        self._channel = channel
        self._on_frame = on_frame
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Frame]] = {}
        self._tail = b""
        self.closed = asyncio.get_running_loop().create_future()
        """Done, with the reason as its result, when the conversation is over."""
        self._reader = asyncio.create_task(self._read())
        self._errors = asyncio.create_task(self._read_errors())

    # Conversation

    async def send(self, type: str, payload: bytes = b"", **fields: Any) -> None:
        """Send a frame that has no answer."""
        self._require_open()
        await self._channel.write(dump_frame({"type": type, **fields}, payload))

    async def request(self, type: str, *, seconds: float = ANSWER_SECONDS, **fields: Any) -> Frame:
        """Send a request and return its answer. Raises AgentError when that is an error."""
        self._require_open()
        number = next(self._ids)
        future: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            await self._channel.write(dump_frame({"type": type, "id": number, **fields}))
            async with asyncio.timeout(seconds):
                frame = await future
        except TimeoutError:
            raise AgentError(f"the agent did not answer `{type}` within {seconds:.0f} s", kind="timeout") from None
        finally:
            del self._waiting[number]
        if frame.type == "error":
            raise agent_error(frame)
        return frame

    async def close(self) -> None:
        """Stop listening; the channel is its owner's to close."""
        for task in (self._reader, self._errors):
            task.cancel()
        await asyncio.gather(self._reader, self._errors, return_exceptions=True)
        self._end(AgentError("the conversation was ended", kind="ended"))

    # Requests of those who own the agent

    async def hello(self) -> Frame:
        """Raises AgentError of the kind "protocol" or "busy"."""
        frame = await self.request("hello", protocol=PROTOCOL, tool=__version__)
        if frame.message.get("protocol") != PROTOCOL:
            raise _other_version(frame.message)
        return frame

    async def warm(self, imports: Sequence[str]) -> Frame:
        return await self.request("warm", imports=list(imports))

    async def open(self, source: str) -> tuple[str, dict[str, str]]:
        """Open the live folder as a copy of *source*. Returns it, and the digests of its files."""
        fields: dict[str, Any] = {"folder": None, "from": source}
        frame = await self.request("open", **fields)
        return frame.message["folder"], dict(frame.message["files"])

    # Reading

    def _require_open(self) -> None:
        if self.closed.done():
            raise self.closed.result()

    async def _read(self) -> None:
        parser = FrameParser()
        try:
            while data := await self._channel.read(_CHUNK):
                for frame in parser.feed(data):
                    await self._take(frame)
            # What it had to say is on its way.
            await asyncio.wait({self._errors}, timeout=2)
            said = self._tail.decode("utf-8", "replace").strip()
            self._end(AgentError(f"the agent has ended{f': {said}' if said else ''}", kind="ended"))
        except (ValueError, KeyError, TypeError) as error:
            self._end(AgentError(f"what the camera sends is not from an agent: {error}", kind="protocol"))
        except Exception as error:  # the connection's; or ours: whoever read our output has gone
            self._end(error)

    async def _read_errors(self) -> None:
        with contextlib.suppress(DeviceError):
            while data := await self._channel.read_error(_CHUNK):
                self._tail = (self._tail + data)[-_TAIL:]

    async def _take(self, frame: Frame) -> None:
        future = self._waiting.get(frame.message.get("id", 0))
        if future is None:
            await self._on_frame(frame)
        elif not future.done():
            future.set_result(frame)
            # Whoever asked shall hear it before what comes behind it is shown.
            await asyncio.sleep(0)

    def _end(self, reason: Exception) -> None:
        if not self.closed.done():
            self.closed.set_result(reason)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(reason)


def agent_error(frame: Frame) -> AgentError:
    """Return the error that *frame*, of the type "error", tells of."""
    message = frame.message
    if message.get("kind") == "protocol" and isinstance(message.get("protocol"), int):
        return _other_version(message)
    return AgentError(
        str(message.get("message") or "the agent failed"),
        hint=message.get("hint"),
        kind=str(message.get("kind", "")),
        owner=message.get("owner"),
    )


def _other_version(told: Mapping[str, Any]) -> AgentError:
    theirs = told.get("protocol")
    newer = isinstance(theirs, int) and theirs > PROTOCOL
    return AgentError(
        f"the agent in the camera is {told.get('agent')} and speaks protocol {theirs}; "
        f"this is incamera {__version__}, which speaks protocol {PROTOCOL}",
        hint="use the incamera here that the app was started with, which is newer, or start the app with this one"
        if newer
        else "start the app again, with this incamera, which is newer",
        kind="protocol",
    )
