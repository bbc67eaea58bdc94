"""Run a command in a bundle on the device as if it ran here: streams, terminal, signals and exit code.

Two channels: the app's own, and that of the guard's `hold`, which hears a heartbeat. When the heartbeat stops, because
we have died or the network has, the guard ends every process of the run, so that none is left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import secrets
import select
import shlex
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Any

from incamera.device.protocols import Channel, Terminal, Transport
from incamera.errors import DeviceError

if TYPE_CHECKING:
    from incamera.device.session import Session

HEARTBEAT_SECONDS = 3.0
# Without a sign of life for that long, the device ends the run. Several heartbeats, since a Wi-Fi may stutter.
GUARD_TIMEOUT_SECONDS = 15.0
# What an app gets between SIGTERM and SIGKILL.
GRACE_SECONDS = 3.0
_CHUNK = 1 << 16
# When the app has ended but a child holds its output open, the output is awaited for this long.
_LINGER_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class AppCommand:
    """What to run on the device: the words of a command, its folder, and what is added to its environment."""

    words: tuple[str, ...]
    folder: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Streams:
    """The host's ends, as file descriptors."""

    stdin: int = 0
    stdout: int = 1
    stderr: int = 2

    def find_terminal(self) -> Terminal | None:
        """Return the terminal when somebody types at one end and reads at the other."""
        if not (os.isatty(self.stdin) and os.isatty(self.stdout)):
            return None
        size = os.get_terminal_size(self.stdout)
        return Terminal(os.environ.get("TERM") or "vt100", size.columns or 80, size.lines or 24)


def run_app(session: Session, guard: str, command: AppCommand, *, streams: Streams | None = None) -> int:
    """Run *command* to its end and return its exit code (128 + N after signal N).

    *guard* is the guard's path on the device (`deploy.ensure_guard`). With a terminal at both ends the app gets one
    too. Ctrl-C interrupts the app, a second one kills it. Raises ConnectionLost.
    """
    streams = streams or Streams()
    terminal = streams.find_terminal()
    if terminal is None:
        # Without a terminal Python keeps its output back until there is a lot of it; it shall come as it is printed.
        environment = {"PYTHONUNBUFFERED": "1", **command.environment}
        command = dataclasses.replace(command, environment=environment)
    run = _Run(session.transport, guard, command, streams, terminal)
    with _raw(streams.stdin) if terminal else contextlib.nullcontext(), _signals(run):
        return session.call(run.main())


class _Run:
    def __init__(
        self, transport: Transport, guard: str, command: AppCommand, streams: Streams, terminal: Terminal | None
    ) -> None:
        self._transport = transport
        self._streams = streams
        self._terminal = terminal
        self._interrupts = 0
        self._orders: asyncio.Queue[bytes] = asyncio.Queue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._app: Channel | None = None
        self._exited = asyncio.Event()
        self._early: list[int] = []
        folder = f"/tmp/incamera-run-{secrets.token_hex(8)}"
        timeout, grace = int(GUARD_TIMEOUT_SECONDS * 1000), int(GRACE_SECONDS * 1000)
        self._hold_command = "exec " + shlex.join(
            [guard, "hold", folder, "--timeout", str(timeout), "--grace", str(grace)]
        )
        self._app_command = shell_command(command, [guard, "run", folder, "--"])

    # Called from the main thread, in a signal handler.

    def notice(self, number: int) -> None:
        if self._loop is None:
            self._early.append(number)
        else:
            self._loop.call_soon_threadsafe(self._react, number)

    def _react(self, number: int) -> None:
        if number == signal.SIGWINCH:
            if self._app is not None:
                size = os.get_terminal_size(self._streams.stdout)
                self._app.resize(size.columns, size.lines)
        elif number == signal.SIGINT:
            self._interrupts += 1
            self._orders.put_nowait(b"signal INT\n" if self._interrupts == 1 else b"signal KILL\n")
        else:
            self._orders.put_nowait(b"end\n")

    # On the connection's loop.

    async def main(self) -> int:
        self._loop = asyncio.get_running_loop()
        for number in self._early:
            self._react(number)
        # Both start at once, so that nobody waits for a round trip; the device's end sorts them out.
        hold, app = await asyncio.gather(
            self._transport.open(self._hold_command),
            self._transport.open(self._app_command, terminal=self._terminal),
        )
        self._app = app
        watch = asyncio.create_task(self._watch(hold))
        beat = asyncio.create_task(self._beat(hold))
        keyboard = asyncio.create_task(self._feed(app))
        try:
            output = asyncio.gather(
                self._copy(app.read, self._streams.stdout), self._copy(app.read_error, self._streams.stderr)
            )
            try:
                await self._await_output(output, watch, beat)
            except BrokenPipeError:
                # Whoever read our output has gone, as `head` does: end as a local program would.
                return 128 + signal.SIGPIPE
            finally:
                output.cancel()
                await asyncio.gather(output, return_exceptions=True)
            return await app.wait()
        finally:
            keyboard.cancel()
            await self._end(hold, app, watch, beat)
            await asyncio.gather(keyboard, return_exceptions=True)

    async def _await_output(
        self, output: asyncio.Future[tuple[None, None]], watch: asyncio.Task[None], beat: asyncio.Task[None]
    ) -> None:
        exited = asyncio.create_task(self._exited.wait())
        first: set[asyncio.Future[Any]] = {output, watch, beat, exited}
        try:
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            if not output.done() and not self._exited.is_set():
                # The guard has ended before the app: it could not start, or the connection is lost.
                await asyncio.wait({output}, timeout=GRACE_SECONDS + 2)
                for task in (watch, beat):
                    if task.done() and not task.cancelled() and (error := task.exception()):
                        raise error
            if not output.done():
                await asyncio.wait({output}, timeout=_LINGER_SECONDS)
            if not output.done():
                self._orders.put_nowait(b"end\n")
            await output
        finally:
            exited.cancel()

    async def _watch(self, hold: Channel) -> None:
        """Hear what the guard tells."""
        ready = False
        while line := await hold.read_line():
            ready = ready or line == b"ready\n"
            if line == b"exited\n":
                self._exited.set()
        if not ready:
            message = (await hold.read_error(4096)).decode("utf-8", "replace").strip()
            code = await hold.wait()
            raise DeviceError(f"cannot guard a run on {self._transport.device}: {message or f'exit code {code}'}")

    async def _beat(self, hold: Channel) -> None:
        while True:
            try:
                order = await asyncio.wait_for(self._orders.get(), HEARTBEAT_SECONDS)
            except TimeoutError:
                order = b".\n"
            await hold.write(order)

    async def _copy(self, read: Callable[[int], Awaitable[bytes]], descriptor: int) -> None:
        while data := await read(_CHUNK):
            # In a thread: the reader of our output may take its time, and heartbeats must go on. Until it has taken
            # this, nothing more is read, so the app waits rather than our memory growing.
            await asyncio.to_thread(_write_all, descriptor, data)

    async def _feed(self, app: Channel) -> None:
        """Give the app what is typed or piped to us."""
        loop = asyncio.get_running_loop()
        wake_read, wake_write = os.pipe()
        chunks: asyncio.Queue[bytes] = asyncio.Queue()
        wanted = threading.Semaphore(4)

        def read() -> None:
            # A thread, since not every file can be polled; the pipe wakes it when the app has ended, so that what is
            # typed after that is left to whoever comes next.
            try:
                while wanted.acquire():
                    ready, _, _ = select.select([self._streams.stdin, wake_read], [], [])
                    if wake_read in ready:
                        return
                    data = os.read(self._streams.stdin, _CHUNK)
                    loop.call_soon_threadsafe(chunks.put_nowait, data)
                    if not data:
                        return
            except (OSError, ValueError, RuntimeError):
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(chunks.put_nowait, b"")
            finally:
                os.close(wake_read)

        thread = threading.Thread(target=read, name="incamera-stdin", daemon=True)
        thread.start()
        try:
            while data := await chunks.get():
                await app.write(data)
                wanted.release()
            await app.write_eof()
        finally:
            os.close(wake_write)
            wanted.release()

    async def _end(self, hold: Channel, app: Channel, watch: asyncio.Task[None], beat: asyncio.Task[None]) -> None:
        """Have the guard end what is left of the run, and wait until it has."""
        beat.cancel()
        with contextlib.suppress(DeviceError, TimeoutError):
            await hold.write(b"end\n")
            await hold.write_eof()
            await asyncio.wait({watch}, timeout=GRACE_SECONDS + 6)
        await asyncio.gather(beat, return_exceptions=True)
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        for channel in (app, hold):
            with contextlib.suppress(DeviceError):
                await channel.close()


def shell_command(command: AppCommand, before: Sequence[str] = ()) -> str:
    """Return *command* for a POSIX shell; *before* are words that come in front of its own."""
    parts = [f"export {name}={shlex.quote(value)}; " for name, value in command.environment.items()]
    if command.folder is not None:
        parts.append(f"cd {shlex.quote(command.folder)} && ")
    return "".join(parts) + "exec " + shlex.join([*before, *command.words])


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            select.select([], [descriptor], [])


@contextmanager
def _raw(descriptor: int) -> Iterator[None]:
    """Let every key go to the device, and put the terminal back whatever happens."""
    import termios
    import tty

    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@contextmanager
def _signals(run: _Run) -> Iterator[None]:
    """Pass the signals that we get to *run*."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {}

    def handle(number: int, frame: FrameType | None) -> None:
        run.notice(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGWINCH):
        before[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
