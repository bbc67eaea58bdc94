"""SSH channels that are opened before a program needs them, and programs that are sent their input with their command.

Each of both saves a turn: the server's answer is there when it is needed.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import asyncssh

if TYPE_CHECKING:
    from incamera.transport.protocols import Terminal

# asyncssh's own limits for a channel.
_WINDOW = 2 * 1024 * 1024
_PACKET = 32 * 1024
# A run needs two at a time.
SPARES = 2


class EarlyChannel(asyncssh.SSHClientChannel[bytes]):
    """A session channel that can be opened before its command is known."""

    def __init__(self, connection: asyncssh.SSHClientConnection) -> None:
        super().__init__(connection, asyncio.get_running_loop(), "strict", None, "strict", _WINDOW, _PACKET)
        self._opening: asyncio.Future[Any] | None = None
        self._input = b""
        self._is_whole = False

    def begin(self) -> None:
        """Ask the server for the channel, and do not wait for the answer."""
        if self._opening is None:
            self._opening = asyncio.ensure_future(super()._open(b"session"))
            # Perhaps nobody will need it.
            self._opening.add_done_callback(lambda opening: opening.cancelled() or opening.exception())

    @property
    def is_refused(self) -> bool:
        """Whether the server has said that it opens no more."""
        opening = self._opening
        return opening is not None and opening.done() and (opening.cancelled() or opening.exception() is not None)

    async def run(
        self, command: str, data: bytes, *, whole: bool, terminal: Terminal | None
    ) -> asyncssh.SSHClientProcess[bytes]:
        """What `EarlyChannels.run` does."""
        self._input, self._is_whole = data, whole
        try:
            return await self._start(command, terminal)
        except BaseException:
            # Nobody else can: a program that has started would wait for its input for as long as the connection lasts.
            self.abort()
            raise

    async def _start(self, command: str, terminal: Terminal | None) -> asyncssh.SSHClientProcess[bytes]:
        process = await self.create(
            asyncssh.SSHClientProcess,
            command,
            subsystem=None,
            env={},
            request_pty=terminal is not None,
            term_type=terminal.kind if terminal else None,
            term_size=(terminal.columns, terminal.rows) if terminal else None,
            term_modes={},
            x11_forwarding=False,
            x11_display=None,
            x11_auth_path=None,
            x11_single_connection=False,
            agent_forwarding=False,
        )
        assert isinstance(process, asyncssh.SSHClientProcess)
        await process.redirect(asyncssh.PIPE, asyncssh.PIPE, asyncssh.PIPE)
        return process

    async def _open(self, chantype: bytes, *args: bytes) -> Any:
        self.begin()
        assert self._opening is not None
        return await asyncio.shield(self._opening)

    async def _make_request(self, request: bytes, *args: bytes) -> bool | None:
        asked = asyncio.create_task(super()._make_request(request, *args))
        if request == b"exec":
            await asyncio.sleep(0)  # it is sent now, and its answer not awaited yet
            self._send_input()
        return await asked

    def _send_input(self) -> None:
        with suppress(OSError):  # the server has closed the channel already
            if self._input:
                self.write(self._input)
            if self._is_whole:
                self.write_eof()


class EarlyChannels:
    """The channels of one connection that are open and not used yet."""

    def __init__(self, connection: asyncssh.SSHClientConnection) -> None:
        self._connection = connection
        self._spares: list[EarlyChannel] = []
        self._is_limited = False
        """Whether the server has refused one: then each is opened when it is needed."""

    async def run(
        self, command: str, data: bytes = b"", *, whole: bool = False, terminal: Terminal | None = None
    ) -> asyncssh.SSHClientProcess[bytes]:
        """Start *command*. *data* is its first input, with *whole* all of it. Raises asyncssh's errors."""
        try:
            return await self._run(command, data, whole=whole, terminal=terminal)
        except asyncssh.ChannelOpenError as error:
            if self._connection.is_closed():  # after the channel was opened
                raise asyncssh.ConnectionLost("closed") from error
            raise

    async def _run(
        self, command: str, data: bytes, *, whole: bool, terminal: Terminal | None
    ) -> asyncssh.SSHClientProcess[bytes]:
        spare = self._take()
        if spare is not None:
            try:
                return await spare.run(command, data, whole=whole, terminal=terminal)
            except asyncssh.ChannelOpenError:
                # Other programs ran when it was asked for: they may have ended since.
                if not spare.is_refused:
                    raise
        return await EarlyChannel(self._connection).run(command, data, whole=whole, terminal=terminal)

    def prepare(self) -> None:
        """Have as many channels opened as a run needs."""
        with suppress(asyncssh.Error):  # it is closed already, which the next program tells
            while not self._is_limited and len(self._spares) < SPARES:
                spare = EarlyChannel(self._connection)
                spare.begin()
                self._spares.append(spare)

    def _take(self) -> EarlyChannel | None:
        """Return a channel that is open or will be. Another one is opened in its place."""
        self._is_limited = self._is_limited or any(spare.is_refused for spare in self._spares)
        self._spares = [spare for spare in self._spares if not spare.is_refused]
        spare = self._spares.pop(0) if self._spares else None
        self.prepare()
        return spare
