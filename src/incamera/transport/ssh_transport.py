"""One SSH connection, many channels."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import asyncssh

from incamera.errors import ConnectionLost, DeviceError
from incamera.transport import shell_files
from incamera.transport.early_channels import EarlyChannels
from incamera.transport.keepalive import is_loopback, last_received
from incamera.transport.login_shell import MarkedReader, Marker, not_started, output_led_away
from incamera.transport.protocols import Addresses, port_taken
from incamera.transport.session import in_time
from incamera_agent.wire.protocol import signal_exit_code

if TYPE_CHECKING:
    from incamera.transport.device import Device
    from incamera.transport.protocols import Channel, Forward, Program, Ready, Terminal

T = TypeVar("T")

# As many programs run at a time over one connection: a run, its guard, and what a save changes.
CHANNELS = 3
# How long a login shell may take to start a program, an outage of the network included.
_START_SECONDS = 40.0
# After so long without a word, a login shell whose last line has no end is taken to wait for an answer. An outage of
# the network is shorter.
_QUESTION_SECONDS = 20.0
_LOOK_SECONDS = 0.5
# How long the first program of a connection is waited for once it has ended: something else may hold its outputs.
_END_SECONDS = 2.0
# How long the server may take to open a channel.
_CHANNEL_SECONDS = 60.0
# What the kernel keeps of what is written faster than it is sent.
_UNSENT_BYTES = 128 * 1024
# A line that is sent to the first program of a connection, to see who reads it.
_TRIAL = b"incamera\n"


class NothingThere(DeviceError):
    """Nothing on the device listens at a port."""


class SshTransport:
    """`protocols.Transport` over one SSH connection."""

    guard_path = None

    def __init__(self, device: Device, connection: asyncssh.SSHClientConnection) -> None:
        self._device = device
        self._connection = connection
        self._marker = Marker()
        self._has_started = False
        _limit_buffer(connection)
        self._channels = EarlyChannels(connection)
        self._channels.prepare()
        self._leaves_input: bool | None = None
        """Whether the login shell's start-up files leave the input to the program. None: that was not tried yet."""
        self._ends_well: bool | None = None
        """Whether nothing is printed behind a program, and its exit code is passed on. None: that is not known yet."""

    @property
    def device(self) -> Device:
        return self._device

    async def start(self, program: Program, *, terminal: Terminal | None = None) -> Channel:
        return await self._start(program, b"", whole=False, terminal=terminal)

    async def start_fed(self, program: Program, data: bytes, *, whole: bool) -> tuple[Channel, bool]:
        # The end of the input does no harm where something else reads it, too.
        tries = whole and not data and self._leaves_input is None
        if not (self._leaves_input or (whole and not data)):
            return await self.start(program), False
        if tries:
            data = _TRIAL
        return await self._start(program, data, whole=whole, tries_input=tries), True

    async def _start(
        self,
        program: Program,
        data: bytes,
        *,
        whole: bool,
        terminal: Terminal | None = None,
        tries_input: bool = False,
    ) -> Channel:
        # A server that lets one in and runs nothing is told from a connection that is lost.
        lost = _lost if self._has_started else _closed_at_once
        with _translating_errors(self._device, lost):
            if self._connection.is_closed():
                raise asyncssh.ConnectionLost("closed")
            marks_end = terminal is None and not self._ends_well
            command = self._marker.command(
                program, terminal=terminal is not None, tries_input=tries_input, marks_end=marks_end
            )
            starting = self._channels.run(command, data, whole=whole, terminal=terminal)
            process = await in_time(self, starting, _CHANNEL_SECONDS)
            self._has_started = True
        # With a terminal, start-up files may do what they do not do without.
        waits = terminal is not None or not self._leaves_input
        start = _Start(
            has_terminal=terminal is not None,
            waits=waits,
            note_input=self._note_input if tries_input else None,
            marks_end=marks_end,
            note_end=self._note_end if marks_end and self._ends_well is None else None,
        )
        return SshChannel(self._device, self._connection, process, self._marker, start)

    def _note_end(self, well: bool) -> None:
        self._ends_well = well

    def _note_input(self, line: bytes) -> None:
        self._leaves_input = line == _TRIAL

    @property
    def is_local(self) -> bool:
        return is_loopback(self._connection.get_extra_info("peername"))

    async def put(self, path: str, data: bytes, *, executable: bool = False) -> None:
        await shell_files.put_file(self, path, data, executable=executable)

    async def get(self, path: str, *, limit: int) -> bytes:
        return await shell_files.get_file(self, path, limit=limit)

    async def get_all(self, paths: Sequence[str], *, limit: int) -> dict[str, bytes]:
        return await shell_files.get_files(self, paths, limit=limit)

    async def check_channels(self) -> None:
        # All are opened before the first ends.
        await asyncio.gather(*(self.addresses() for _ in range(CHANNELS)))

    async def addresses(self) -> Addresses:
        return await shell_files.get_addresses(self)

    async def forward(self, remote_port: int, *, local_port: int, until_ready: Ready) -> Forward:
        async def accept(host: str, client_port: int) -> bool:
            with suppress(DeviceError):
                return await until_ready()
            return False

        # Tried beforehand: later, a refused connection would just end.
        await self.try_port(remote_port)
        with _translating_errors(self._device):
            try:
                listener = await self._connection.forward_local_port(
                    "127.0.0.1", local_port, "127.0.0.1", remote_port, accept_handler=accept
                )
            except OSError as error:
                raise port_taken(local_port, error) from error
        return SshForward(listener)

    async def dial(self, port: int) -> tuple[asyncssh.SSHReader[bytes], asyncssh.SSHWriter[bytes]]:
        """Return the streams of a connection to *port* of the device. Raises DeviceError, ConnectionLost."""
        with _translating_errors(self._device):
            try:
                opening = self._connection.open_connection("127.0.0.1", port)
                return await in_time(self, opening, _CHANNEL_SECONDS)
            except asyncssh.ChannelOpenError as error:
                if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
                    raise DeviceError(
                        f"the SSH server of {self._device} does not allow TCP forwarding: {error.reason}",
                        hint="allow it in the server's settings",
                    ) from error
                raise NothingThere(f"nothing on {self._device} listens at port {port}: {error.reason}") from error

    async def try_port(self, port: int) -> None:
        """Raises DeviceError where the device does not allow connections to its ports; none needs to answer."""
        with suppress(NothingThere):
            _, writer = await self.dial(port)
            writer.close()

    @property
    def is_closed(self) -> bool:
        return bool(self._connection.is_closed())

    async def wait_closed(self) -> None:
        """Wait until the connection is lost or closed."""
        await self._connection.wait_closed()

    @property
    def silent_seconds(self) -> float:
        """For how long the device has sent nothing, as the kernel tells; 0 where it does not."""
        last = last_received(self._connection.get_extra_info("socket"))
        return last.data if last is not None else 0.0

    async def close(self) -> None:
        self._connection.close()
        with suppress(TimeoutError, OSError):
            await asyncio.wait_for(self._connection.wait_closed(), 3)


class SshForward:
    """`protocols.Forward` of an SSH connection."""

    def __init__(self, listener: asyncssh.SSHListener) -> None:
        self._listener = listener

    @property
    def port(self) -> int:
        return self._listener.get_port()

    async def close(self) -> None:
        self._listener.close()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Start:
    """How a program was started. *waits*: until it has begun, it is written nothing.

    *note_input* gets the line that was sent to see who reads it, *note_end* whether the server told the end rightly.
    """

    has_terminal: bool
    waits: bool
    note_input: Callable[[bytes], None] | None
    marks_end: bool
    note_end: Callable[[bool], None] | None


class SshChannel:
    """`protocols.Channel` over one SSH channel. Its outputs begin, and may end, at *marker*."""

    def __init__(
        self,
        device: Device,
        connection: asyncssh.SSHClientConnection,
        process: asyncssh.SSHClientProcess[bytes],
        marker: Marker,
        start: _Start,
    ) -> None:
        self._device = device
        self._start = start
        self._connection = connection
        self._process = process
        ends = (marker.end, marker.end_errors) if start.marks_end else (None, None)
        self._output = MarkedReader(process.stdout.read, marker.begin, ends[0])
        self._errors = MarkedReader(process.stderr.read, marker.begin_errors, ends[1])
        self._begin_marker = marker.begin
        self._is_led_away = False
        # A terminal has one output only.
        self._skipping_errors = None if start.has_terminal else asyncio.create_task(self._skip_error_noise())
        self._beginning = asyncio.create_task(self._begin())
        # Perhaps nobody will read.
        self._beginning.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def read(self, limit: int) -> bytes:
        return await self._guarded(lambda: self._output.read(limit))

    async def read_error(self, limit: int) -> bytes:
        if self._skipping_errors is not None:
            await asyncio.shield(self._skipping_errors)
        return await self._guarded(lambda: self._errors.read(limit))

    async def write(self, data: bytes) -> None:
        await self._begun_to_read()
        with _translating_errors(self._device):
            try:
                self._process.stdin.write(data)
                await self._process.stdin.drain()
            except BrokenPipeError:
                if self._connection.is_closed():
                    raise
                # The command has ended without reading all: its exit code tells more than this.

    async def write_eof(self) -> None:
        await self._begun_to_read()
        with _translating_errors(self._device), suppress(BrokenPipeError):
            self._process.stdin.write_eof()

    def resize(self, columns: int, rows: int) -> None:
        with suppress(OSError):
            self._process.change_terminal_size(columns, rows)

    async def wait(self) -> int:
        await self._begun()
        code = self._output.code
        if code is not None:
            await self._compare_end(code)
            return code
        with _translating_errors(self._device):
            await self._process.wait_closed()
        return self._exit_code()

    async def _compare_end(self, code: int) -> None:
        """Note whether the server says the same of the end as the program's last marker, and nothing else, and soon."""
        if self._start.note_end is None:
            return
        well = False
        with suppress(TimeoutError, asyncssh.Error, OSError):
            async with asyncio.timeout(_END_SECONDS):
                well = await self._output.is_quiet() and await self._errors.is_quiet()
                await self._process.wait_closed()
                well = well and self._exit_code() == code
        self._start.note_end(well)

    def _exit_code(self) -> int:
        if self._process.exit_signal is not None:
            number = getattr(signal, f"SIG{self._process.exit_signal[0]}", None)
            return signal_exit_code(int(number)) if number else 255
        if self._process.exit_status is None:
            raise _lost(self._device)
        return self._process.exit_status

    async def close(self) -> None:
        # What was written and does not fit the program's window yet is discarded: a program that does not read would
        # never see the end of its input otherwise.
        self._process.channel.abort()

    async def _begun_to_read(self) -> None:
        # A start-up file of the login shell that reads would get what is for the program.
        if self._start.waits:
            await self._begun()

    async def _begun(self) -> None:
        """Wait until the login shell has started the program. Raises NotStarted, ConnectionLost."""
        # Shared by those who read and write: one that is cancelled does not stop the others.
        await asyncio.shield(self._beginning)

    async def _begin(self) -> None:
        ended = f"is still running after {_START_SECONDS:.0f} s"
        with _translating_errors(self._device), suppress(TimeoutError):
            async with asyncio.timeout(_START_SECONDS):
                if (found := await self._skip_noise()) is None:
                    ended = f"has said nothing more for {_QUESTION_SECONDS:.0f} s: does it wait for an answer?"
                elif found:
                    if self._start.note_input is not None:
                        self._start.note_input(await self._output.read_short_line())
                    return
                elif self._output.is_endless:
                    ended = "goes on printing"
                else:
                    await self._process.wait_closed()
                    if self._skipping_errors is not None:
                        await self._skipping_errors
                    ended = f"ended with exit code {self._exit_code()}"
        raise not_started(self._device, self._output.noise + self._errors.noise, ended)

    async def _skip_noise(self) -> bool | None:
        """Skip what comes before the program's output. Returns what `skip_noise` does, None where the shell asks."""
        skipping = asyncio.ensure_future(self._output.skip_noise())
        try:
            while not (await asyncio.wait({skipping}, timeout=_LOOK_SECONDS))[0]:
                if self._is_led_away:
                    raise output_led_away(self._device)
                newest = max(self._output, self._errors, key=lambda reader: reader.noise_since)
                silent = asyncio.get_running_loop().time() - newest.noise_since
                if newest.has_open_line and silent > _QUESTION_SECONDS:
                    return None
            return await skipping
        finally:
            skipping.cancel()

    async def _skip_error_noise(self) -> None:
        with suppress(asyncssh.Error, OSError):  # which the next to read meets, too
            if await self._errors.skip_noise():
                # A start-up file may have led the program's output into this one.
                comparing = asyncio.ensure_future(self._errors.begins_with(self._begin_marker))
                await asyncio.wait({comparing, self._beginning}, return_when=asyncio.FIRST_COMPLETED)
                self._is_led_away = comparing.done() and comparing.result()
                comparing.cancel()

    async def _guarded(self, read: Callable[[], Awaitable[T]]) -> T:
        await self._begun()
        with _translating_errors(self._device):
            return await read()


def _limit_buffer(connection: asyncssh.SSHClientConnection) -> None:
    """Have the kernel keep little that it cannot send yet, so that writing takes as long as the line does."""
    with suppress(AttributeError, OSError):
        sock = connection.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)


def _closed_at_once(device: Device) -> ConnectionLost:
    return ConnectionLost(
        f"{device} let you in, and closed the connection when it was to run the first program",
        hint="if that happens each time, its SSH server allows forced commands only (PermitRootLogin "
        "forced-commands-only): set it to prohibit-password",
    )


def _lost(device: Device) -> ConnectionLost:
    return ConnectionLost(
        f"the connection to {device} was lost",
        hint="has it restarted, or left the network? In the camera, the guard ends what this connection was running",
    )


@contextmanager
def _translating_errors(device: Device, lost: Callable[[Device], ConnectionLost] = _lost) -> Iterator[None]:
    try:
        yield
    except asyncssh.ChannelOpenError as error:
        if "closed" not in error.reason.lower():
            raise DeviceError(
                f"the SSH server of {device} refuses to run so many programs at a time: {error.reason}",
                hint=f"set MaxSessions in its settings to {CHANNELS} or more (OpenSSH's default is 10)",
            ) from error
        raise lost(device) from error
    except (asyncssh.Error, OSError) as error:
        raise lost(device) from error
