"""The login shell that an SSH server starts for each command: what it is told, and where its own output ends.

Any shell may be the user's login shell, and its start-up files may print. So the command is one that sh, csh and fish
read alike: it replaces the login shell with /bin/sh, which prints a marker, then becomes the program. What came before
the marker is noise.

What runs the login shell may print behind the program, too, and end with an exit code of its own: a wrapper of a
ForceCommand does that. So the first programs of a connection are not the shell itself: it stays, and prints a second
marker with their exit code. Where that proves needless, it is left out.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shlex
from typing import TYPE_CHECKING

from incamera.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from incamera.transport.device import Device
    from incamera.transport.protocols import Program

# Much more than any greeting has; a shell that prints without end is not read any further.
_NOISE_BYTES = 8 << 20
# What is kept of it.
_KEPT_BYTES = 1 << 16
# The exit code behind the marker of the end: `:17:`.
_CODE = re.compile(rb":([0-9]{1,3}):")
_CODE_BYTES = 5
_CHUNK = 1 << 16
_LINE_BYTES = 1000
_SHOWN_CHARACTERS = 300
# The bytes that a single-quoted word may not have: csh knows "!" and the newline even there, fish the backslash.
# Others are printable everywhere.
_SPECIAL = re.compile(rb"[^ -~]|['!\\]")


class NotStarted(DeviceError):
    """The login shell did not start our program."""


class Marker:
    """The marks that the programs of one connection print, before they begin and when they have ended."""

    def __init__(self) -> None:
        # A shell that shows the commands it runs, as after `set -x`, shows the halves, but not the whole. Those of both
        # outputs differ: a start-up file may lead one into the other.
        self._token = secrets.token_hex(8)
        self.begin = self._whole("incamera-")
        self.begin_errors = self._whole("incamera+")
        # At the end of an output, what may be the beginning of this is held back. Few prompts end with this character.
        self.end = self._whole("@incamera-")
        self.end_errors = self._whole("@incamera+")

    def _whole(self, start: str) -> bytes:
        return f"{start}{self._token}".encode()

    def command(self, program: Program, *, terminal: bool, tries_input: bool = False, marks_end: bool = False) -> str:
        """Return the command that has any login shell start *program*, behind the marker on each of its outputs.

        With *tries_input*, the first line of the input is shown behind the marker: start-up files of the login shell
        that read would have taken it. With *marks_end*, the program's exit code is shown behind a marker at its end.
        """
        if terminal:
            parts = [f"printf %s%s incamera- {self._token};"]  # a terminal is both outputs at once
        else:
            # Where one is led into the other, what comes behind the last one is the program's.
            parts = [f"printf %s%s incamera+ {self._token} >&2; printf %s%s incamera- {self._token};"]
        if tries_input:
            parts.append('read -r line; echo "$line";')
        if marks_end:
            # The shell would say on its standard error that a signal has killed the program.
            parts += [
                f"exec 3>&2 2>/dev/null; (exec 2>&3 3>&-; {_to_shell(program)}); code=$?;",
                f"printf %s%s:%s: @incamera- {self._token} $code;",
                f"printf %s%s:%s: @incamera+ {self._token} $code >&3; exit $code",
            ]
        else:
            parts.append(_to_shell(program))
        return f"exec /bin/sh -c {_quote(' '.join(parts))}"


def _to_shell(program: Program) -> str:
    """Return *program* as text for a POSIX shell."""
    parts = [f"export {name}={shlex.quote(value)}; " for name, value in program.environment.items()]
    if program.folder is not None:
        parts.append(f"cd {shlex.quote(program.folder)} && ")
    return "".join(parts) + "exec " + shlex.join(program.arguments)


def _quote(script: str) -> str:
    """Return the words that have `sh -c` run *script*, quoted for any shell."""
    data = os.fsencode(script)
    if not _SPECIAL.search(data):
        return f"'{script}'"
    return f"""'eval "$(printf "$0")"' '{escape(data)}'"""


def escape(data: bytes) -> str:
    """Return *data* as a format of printf that any shell can have in single quotes."""
    escaped = _SPECIAL.sub(lambda match: b"\\%03o" % match[0][0], data.replace(b"%", b"%%"))
    return escaped.decode("ascii")


class MarkedReader:
    """The output of a program, from its marker *begin* on. *read* returns more of it, b"" at its end.

    With *end*, the output ends at that marker: what follows is noise again.
    """

    def __init__(self, read: Callable[[int], Awaitable[bytes]], begin: bytes, end: bytes | None = None) -> None:
        self._read = read
        self._begin = begin
        self._end = end
        self._rest = b""
        self._is_over = False
        self._noise_bytes = 0
        self._noise = bytearray()
        self.noise_since = 0.0
        """When noise came last, by the event loop's clock. 0: none has come, or the marker has."""
        self.has_open_line = False
        """Whether the noise ends within a line."""
        self.code: int | None = None
        """The exit code that came with the marker of the end."""

    @property
    def noise(self) -> bytes:
        """The beginning of what came before the marker; as long as there is none, that of all that was read."""
        return bytes(self._noise)

    @property
    def is_endless(self) -> bool:
        """Whether there is more noise than is read."""
        return self._noise_bytes > _NOISE_BYTES

    def _keep_noise(self, data: bytes) -> None:
        self._noise_bytes += len(data)
        self._noise += data[: max(0, _KEPT_BYTES - len(self._noise))]

    async def skip_noise(self) -> bool:
        """Read up to the marker. Returns whether there is one; of endless noise the rest is left unread."""
        window = b""
        while not self.is_endless and (data := await self._read(_CHUNK)):
            window += data
            self._keep_noise(data)
            self.noise_since = asyncio.get_running_loop().time()
            self.has_open_line = not data.endswith(b"\n")
            if (at := window.find(self._begin)) >= 0:
                self._rest = window[at + len(self._begin) :]
                del self._noise[max(0, self._noise_bytes - len(window) + at) :]
                self.noise_since, self.has_open_line = 0.0, False
                return True
            window = window[-len(self._begin) :]
        return False

    async def begins_with(self, text: bytes) -> bool:
        """Return whether *text* comes next, which is not taken. Waits until that is known."""
        while len(self._rest) < len(text) and text.startswith(self._rest):
            if not (data := await self._read(_CHUNK)):
                break
            self._rest += data
        return self._rest.startswith(text)

    async def read_short_line(self) -> bytes:
        """Return the line that comes next, with its end; less where the output ends before it, or the line is long."""
        while b"\n" not in self._rest[:_LINE_BYTES] and len(self._rest) < _LINE_BYTES:
            if not (data := await self._read(_CHUNK)):
                break
            self._rest += data
        start, newline, self._rest = self._rest.partition(b"\n")
        return start[:_LINE_BYTES] + newline

    async def read(self, limit: int) -> bytes:
        if self._end is None:
            return self._take(len(self._rest), limit) if self._rest else await self._read(limit)
        while not self._is_over:
            at = self._rest.find(self._end)
            if ready := at if at >= 0 else len(self._rest) - self._held_back():
                return self._take(ready, limit)
            if at == 0 and (code := _CODE.match(self._rest, len(self._end))):
                self.code, self._rest, self._is_over = int(code[1]), self._rest[code.end() :], True
            elif at == 0 and len(self._rest) >= len(self._end) + _CODE_BYTES:
                self._end = None  # it only looks like it
                return await self.read(limit)
            elif data := await self._read(_CHUNK):
                self._rest += data
            else:
                self._end = None
                return await self.read(limit)
        return b""

    async def is_quiet(self) -> bool:
        """Return whether nothing comes behind the marker of the end. Waits for the end of the output."""
        return self._is_over and not self._rest and not await self._read(_CHUNK)

    def _take(self, ready: int, limit: int) -> bytes:
        """Return what is there of the next *ready* bytes, *limit* at most."""
        size = min(ready, limit)
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def _held_back(self) -> int:
        """Return how many bytes at the end may be the beginning of the marker."""
        assert self._end is not None
        longest = min(len(self._end) - 1, len(self._rest))
        return next((size for size in range(longest, 0, -1) if self._rest.endswith(self._end[:size])), 0)


def not_started(device: Device, noise: bytes, ended: str) -> NotStarted:
    """Return the error for a login shell that printed *noise* and then *ended* in some way."""
    text = " ".join(noise.decode("utf-8", "replace").split())
    shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
    return NotStarted(
        f"the login shell on {device} did not start what it was told to: it "
        + (f'printed "{shown}" and {ended}' if shown else ended),
        hint="incamera needs a key that may run any command (no `command=` in authorized_keys, no ForceCommand), "
        "a login shell that is one (not /bin/false or nologin), and start-up files that neither end it nor wait "
        "for input",
    )


def output_led_away(device: Device) -> NotStarted:
    """Return the error for a login shell that leads the program's standard output into its standard error."""
    return NotStarted(
        f"the login shell on {device} leads what programs print into standard error (`exec 1>&2`)",
        hint="have its start-up files (.bashrc, .profile) do that with a terminal only: [ -t 1 ] && exec 1>&2",
    )
