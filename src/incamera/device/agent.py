"""The host's end of a connection to an agent in the camera (docs/reference/agent-protocol.md)."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from incamera import __version__
from incamera.device.agent_messages import broken_protocol, check_answer, check_message
from incamera.errors import AgentError, DeviceError
from incamera_agent.wire.frames import Decoder, Frame, FrameError, encode
from incamera_agent.wire.protocol import PROTOCOL, Answer, ErrorKind, Request

if TYPE_CHECKING:
    from incamera.transport.protocols import Channel

_CHUNK_BYTES = 1 << 16
# How much of the agent's standard error is kept, to be shown when the agent ends.
_ERROR_TEXT_BYTES = 4096
_LONGEST_MESSAGE = 4000
# To import a heavy package takes a minute where the processor is emulated and the storage is slow.
ANSWER_SECONDS = 180.0


async def ignore_frame(frame: Frame) -> None:
    """Do nothing: for callers that only send requests."""


class Agent:
    """A connection to an agent over *channel*. Every method raises AgentError or ConnectionLost once it is over.

    *on_frame* is called with what no request waits for. Until it returns, nothing more is read, so that an app whose
    output is not taken has to wait.
    """

    def __init__(self, channel: Channel, on_frame: Callable[[Frame], Awaitable[None]] = ignore_frame) -> None:
        self._channel = channel
        self._on_frame = on_frame
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Frame]] = {}
        self._error_text = b""
        self._writing = asyncio.Lock()
        self.closed = asyncio.get_running_loop().create_future()
        """Done, with the reason as its result, when the connection is over."""
        self._reader = asyncio.create_task(self._read())
        self._error_reader = asyncio.create_task(self._read_errors())

    # Requests

    async def send(self, type: str, payload: bytes = b"", **fields: Any) -> None:
        """Send a frame that has no answer."""
        self._require_open()
        await self._write(_encode({"type": type, **fields}, payload))

    async def request(self, type: str, *, seconds: float = ANSWER_SECONDS, **fields: Any) -> Frame:
        """Send a request and return its answer. Raises AgentError when that is an error, or when there is none."""
        self._require_open()
        number = next(self._ids)
        data = _encode({"type": type, "id": number, **fields})
        future: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            await self._write(data)
            async with asyncio.timeout(seconds):
                frame = await future
        except TimeoutError:
            raise AgentError(f"the agent did not answer `{type}` within {seconds:.0f} s", kind="timeout") from None
        finally:
            del self._waiting[number]
        check_answer(type, frame)
        if frame.type == Answer.ERROR:
            raise make_error(frame)
        return frame

    async def _write(self, data: bytes) -> None:
        async with self._writing:  # a frame must not begin within another
            await self._channel.write(data)

    async def close(self) -> None:
        """Stop reading. The channel stays open: its owner closes it."""
        for task in (self._reader, self._error_reader):
            task.cancel()
        await asyncio.gather(self._reader, self._error_reader, return_exceptions=True)
        self._end(AgentError("the connection to the agent was closed", kind="ended"))

    # What the owner of an agent asks first

    async def hello(self) -> Frame:
        """Greet the agent. Raises AgentError of the kind `protocol` or `busy`."""
        frame = await self.request(Request.HELLO, protocol=PROTOCOL, tool=__version__)
        if frame.message.get("protocol") != PROTOCOL:
            raise _other_version(frame.message)
        return frame

    async def preload(self, imports: Sequence[str]) -> Frame:
        """Have the fork server import the modules *imports*. The answer has `imports`, `failed` and `rss`."""
        return await self.request(Request.PRELOAD, imports=list(imports))

    async def open(self, source: str, *, hash: bool = True) -> tuple[str, dict[str, str]]:
        """Make the live folder a copy of *source*. Return its path, and the SHA-256 of its files unless not *hash*."""
        fields: dict[str, Any] = {"folder": None, "from": source, "hash": hash}
        frame = await self.request(Request.OPEN, **fields)
        return frame.message["folder"], dict(frame.message["files"])

    # Reading

    def _require_open(self) -> None:
        if self.closed.done():
            raise self.closed.result()

    async def _read(self) -> None:
        decoder = Decoder()
        try:
            while data := await self._channel.read(_CHUNK_BYTES):
                for frame in decoder.feed(data):
                    await self._take(frame)
            # Its standard error may say why it has ended, and arrive after the end of its output.
            await asyncio.wait({self._error_reader}, timeout=2)
            text = self._error_text.decode("utf-8", "replace").strip()
            self._end(AgentError(f"the agent has ended{f': {text}' if text else ''}", kind="ended"))
        except FrameError as error:
            self._end(broken_protocol(error))
        except Exception as error:  # of the connection; or of *on_frame*, when our output cannot be written any more
            self._end(error)

    async def _read_errors(self) -> None:
        with contextlib.suppress(DeviceError):
            while data := await self._channel.read_error(_CHUNK_BYTES):
                self._error_text = (self._error_text + data)[-_ERROR_TEXT_BYTES:]

    async def _take(self, frame: Frame) -> None:
        check_message(frame.message)
        number = frame.message.get("id")
        future = self._waiting.get(number) if type(number) is int else None
        if future is None:
            await self._on_frame(frame)
        elif not future.done():
            future.set_result(frame)
            # The task that asked runs before the frames behind its answer are handled.
            await asyncio.sleep(0)

    def _end(self, reason: Exception) -> None:
        if not self.closed.done():
            self.closed.set_result(reason)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(reason)


def make_error(frame: Frame) -> AgentError:
    """Return the error that *frame*, of the type `error`, reports."""
    message = frame.message
    if message.get("kind") == ErrorKind.PROTOCOL and isinstance(message.get("protocol"), int):
        return _other_version(message)
    return AgentError(
        (message.get("message") or "the agent failed")[:_LONGEST_MESSAGE],
        hint=message.get("hint"),
        kind=message.get("kind") or "",
        owner=message.get("owner"),
    )


def _encode(message: dict[str, Any], payload: bytes = b"") -> bytes:
    try:
        return encode(message, payload)
    except FrameError as error:
        raise AgentError(f"cannot send the request to the agent: {error}", kind=ErrorKind.REQUEST) from None


def _other_version(message: Mapping[str, Any]) -> AgentError:
    theirs = message.get("protocol")
    newer = isinstance(theirs, int) and theirs > PROTOCOL
    return AgentError(
        f"the agent in the camera is {message.get('agent')} and speaks protocol {theirs}; "
        f"this is incamera {__version__}, which speaks protocol {PROTOCOL}",
        hint="use the newer incamera on this computer, too, or start the app again with this older one"
        if newer
        else "start the app again with this incamera, which is newer",
        kind=ErrorKind.PROTOCOL,
    )
