"""A connection for code that isn't asynchronous: an event loop in a thread of its own.

The loop runs as long as the session is open, so heartbeats and keep-alives are sent whatever the caller does.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from incamera.errors import ConnectionLost, DeviceError
from incamera.transport.protocols import Addresses, Program, ProgramResult, Ready, Transport, start_fed
from incamera.waiting import await_result

if TYPE_CHECKING:
    from incamera.transport.device import Device
    from incamera.transport.protocols import Channel

T = TypeVar("T")

_TIMEOUT_SECONDS = 60.0
_CHUNK = 1 << 16
# More than any program prints that is run to its end: nothing a device does can fill our memory.
_OUTPUT_LIMIT = 8 << 20
# What is kept of a program's standard error.
_ERROR_LIMIT = 1 << 16


class OutputTooLong(DeviceError):
    """A program on the device printed more than anyone asked for."""


class LoopThread:
    """An event loop in a thread of its own, for as long as the `with` block lasts."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="incamera-session", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._stop_loop()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run *coroutine* on the connection's loop and return its result. Ctrl-C cancels it, once it has cleaned up."""
        started: list[asyncio.Task[Any] | None] = []

        async def run() -> T:
            started.append(asyncio.current_task())
            return await coroutine

        future = None
        try:
            future = asyncio.run_coroutine_threadsafe(run(), self._loop)
            return await_result(future)
        except BaseException:
            # Ctrl-C may come when the loop has the coroutine already, and we have no future yet.
            if future is None or not future.done():
                self._cancel(started)
            raise

    def _cancel(self, started: Sequence[asyncio.Task[Any] | None]) -> None:
        """Cancel the tasks, and wait until they, and those that they cancel, have cleaned up."""

        async def cancel() -> None:
            for task in started:
                if task is not None:
                    task.cancel()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task() and task.cancelling()]
            if tasks:
                await asyncio.wait(tasks, timeout=5)

        asyncio.run_coroutine_threadsafe(cancel(), self._loop).result(timeout=6)

    def _stop_loop(self) -> None:
        async def finish() -> None:
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._loop.shutdown_default_executor()

        # A thread of the loop may wait for something that never comes. It ends with the process.
        with suppress(concurrent.futures.TimeoutError):
            asyncio.run_coroutine_threadsafe(finish(), self._loop).result(timeout=5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        if not self._thread.is_alive():
            self._loop.close()


class Session(LoopThread):
    """One connection to a device, for as long as the `with` block lasts."""

    def __init__(self, open_transport: Callable[[], Coroutine[Any, Any, Transport]]) -> None:
        super().__init__()
        try:
            self.transport = self.call(open_transport())
        except BaseException:
            self._stop_loop()
            raise

    @property
    def device(self) -> Device:
        return self.transport.device

    def run(self, program: Program, *, input: bytes = b"", timeout: float = _TIMEOUT_SECONDS) -> ProgramResult:
        """Run *program* to its end. Raises ConnectionLost, also when it takes longer than *timeout* seconds."""
        return self.call(run_program(self.transport, program, input=input, timeout=timeout))

    def require(
        self, program: Program, *, purpose: str, input: bytes = b"", timeout: float = _TIMEOUT_SECONDS
    ) -> bytes:
        """Run *program* and return its standard output. Raises DeviceError when its exit code is not 0."""
        result = self.run(program, input=input, timeout=timeout)
        if result.exit_code:
            raise DeviceError(
                f"cannot {purpose} on {self.device}: {result.error_text or f'exit code {result.exit_code}'}"
            )
        return result.stdout

    def put(self, path: str, data: bytes, *, executable: bool = False, timeout: float = _TIMEOUT_SECONDS) -> None:
        """Write a file of the device, as `Transport.put` does. Raises ConnectionLost after *timeout* seconds."""
        self.call(in_time(self.transport, self.transport.put(path, data, executable=executable), timeout))

    def get(self, path: str, *, limit: int, timeout: float = _TIMEOUT_SECONDS) -> bytes:
        """Return a file of the device, as `Transport.get` does. Raises ConnectionLost after *timeout* seconds."""
        return self.call(in_time(self.transport, self.transport.get(path, limit=limit), timeout))

    def get_all(self, paths: Sequence[str], *, limit: int, timeout: float = _TIMEOUT_SECONDS) -> dict[str, bytes]:
        """Return files of the device, as `Transport.get_all` does. Raises ConnectionLost after *timeout* seconds."""
        return self.call(in_time(self.transport, self.transport.get_all(paths, limit=limit), timeout))

    def addresses(self) -> Addresses:
        """Return the addresses of both ends of the connection as the device sees them."""
        return self.call(in_time(self.transport, self.transport.addresses(), _TIMEOUT_SECONDS))

    def check_channels(self) -> None:
        """Raises DeviceError unless the device runs as many programs at a time as a run needs."""
        self.call(in_time(self.transport, self.transport.check_channels(), _TIMEOUT_SECONDS))

    @contextmanager
    def forwarded(self, remote_port: int, *, local_port: int, until_ready: Ready) -> Iterator[int]:
        """Have *local_port* lead to *remote_port* of the device for as long as the block lasts; yields our port.

        Raises what `Transport.forward` raises.
        """
        forward = self.call(self.transport.forward(remote_port, local_port=local_port, until_ready=until_ready))
        try:
            yield forward.port
        finally:
            self.call(forward.close())

    def close(self) -> None:
        """Close the connection. What runs on the device over it is ended by the guard."""
        try:
            self.call(self.transport.close())
        finally:
            self._stop_loop()


async def run_program(transport: Transport, program: Program, *, input: bytes = b"", timeout: float) -> ProgramResult:
    """Run *program* to its end with *input* as its standard input.

    Raises ConnectionLost after *timeout* seconds, OutputTooLong.
    """
    return await in_time(transport, run_bounded(transport, program, input=input), timeout)


async def in_time(transport: Transport, work: Awaitable[T], seconds: float) -> T:
    """Return the result of *work*. Raises ConnectionLost when the device takes longer than so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise ConnectionLost(
            f"{transport.device} did not answer within {seconds:.0f} s", hint="is it still there, and on the network?"
        ) from None


async def run_bounded(
    transport: Transport, program: Program, *, input: bytes = b"", limit: int = _OUTPUT_LIMIT
) -> ProgramResult:
    """Run *program* to its end. Raises OutputTooLong once its standard output has more than *limit* bytes.

    Of the standard error only the end is kept.
    """
    channel, is_fed = await start_fed(transport, program, input, whole=True)
    feeding = asyncio.create_task(_feed(channel, b"" if is_fed else input))
    stdout = asyncio.create_task(_collect(transport, program, channel, limit))
    stderr = asyncio.create_task(_collect_errors(channel))
    try:
        await asyncio.gather(feeding, stdout, stderr)
        return ProgramResult(await channel.wait(), stdout.result(), stderr.result())
    finally:
        for task in (feeding, stdout, stderr):
            task.cancel()
        await channel.close()
        await asyncio.gather(feeding, stdout, stderr, return_exceptions=True)


async def _feed(channel: Channel, data: bytes) -> None:
    for start in range(0, len(data), _CHUNK):
        await channel.write(data[start : start + _CHUNK])
    await channel.write_eof()


async def _collect(transport: Transport, program: Program, channel: Channel, limit: int) -> bytes:
    output = bytearray()
    while part := await channel.read(_CHUNK):
        output += part
        if len(output) > limit:
            raise OutputTooLong(f"{program.arguments[0]} on {transport.device} prints more than {limit} bytes")
    return bytes(output)


async def _collect_errors(channel: Channel) -> bytes:
    errors = bytearray()
    while part := await channel.read_error(_CHUNK):
        errors += part
        del errors[:-_ERROR_LIMIT]
    return bytes(errors)
