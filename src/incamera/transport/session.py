"""A connection for code that isn't asynchronous: one event loop in a thread of its own.

The loop runs as long as the session lives, so heartbeats and keep-alives go on whatever the caller does meanwhile.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from incamera.errors import ConnectionLost, DeviceError
from incamera.transport.protocols import Program, ProgramResult, Transport
from incamera.waiting import await_result

if TYPE_CHECKING:
    from incamera.transport.device import Device

T = TypeVar("T")

_TIMEOUT_SECONDS = 60.0
_CHUNK = 1 << 16


class Session:
    """One connection to a device, for as long as the `with` block lasts."""

    def __init__(self, open_transport: Callable[[], Coroutine[Any, Any, Transport]]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="incamera-session", daemon=True)
        self._thread.start()
        try:
            self.transport = self.call(open_transport())
        except BaseException:
            self._stop_loop()
            raise

    @property
    def device(self) -> Device:
        return self.transport.device

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run *coroutine* on the connection's loop and return its result; Ctrl-C cancels it and lets it clean up."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return await_result(future)
        except BaseException:
            if not future.done():
                future.cancel()
                concurrent.futures.wait([future], timeout=5)
                self._settle()
            raise

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

    def close(self) -> None:
        try:
            self.call(self.transport.close())
        finally:
            self._stop_loop()

    def _settle(self) -> None:
        """Wait for cancelled tasks: the future knows that it was cancelled before they have cleaned up."""

        async def others() -> None:
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task() and task.cancelling()]
            if tasks:
                await asyncio.wait(tasks, timeout=5)

        asyncio.run_coroutine_threadsafe(others(), self._loop).result(timeout=6)

    def _stop_loop(self) -> None:
        async def finish() -> None:
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._loop.shutdown_default_executor()

        # A thread of the loop may wait for something that never comes; it ends with us.
        with suppress(concurrent.futures.TimeoutError):
            asyncio.run_coroutine_threadsafe(finish(), self._loop).result(timeout=5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        if not self._thread.is_alive():
            self._loop.close()


async def run_program(transport: Transport, program: Program, *, input: bytes = b"", timeout: float) -> ProgramResult:
    """Run *program* to its end with *input* as its standard input. Raises ConnectionLost after *timeout* seconds."""
    try:
        async with asyncio.timeout(timeout):
            channel = await transport.start(program)
            try:
                _, stdout, stderr = await asyncio.gather(
                    _feed(channel.write, channel.write_eof, input), _collect(channel.read), _collect(channel.read_error)
                )
                return ProgramResult(await channel.wait(), stdout, stderr)
            finally:
                await channel.close()
    except TimeoutError:
        raise ConnectionLost(
            f"{transport.device} did not answer within {timeout:.0f} s", hint="is it still there, and on the network?"
        ) from None


async def _feed(
    write: Callable[[bytes], Coroutine[Any, Any, None]], end: Callable[[], Coroutine[Any, Any, None]], data: bytes
) -> None:
    view = memoryview(data)
    for start in range(0, len(data), _CHUNK):
        await write(bytes(view[start : start + _CHUNK]))
    await end()


async def _collect(read: Callable[[int], Coroutine[Any, Any, bytes]]) -> bytes:
    parts = []
    while part := await read(_CHUNK):
        parts.append(part)
    return b"".join(parts)
