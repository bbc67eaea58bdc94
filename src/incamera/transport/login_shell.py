"""The login shell that an SSH server starts for each command: what it is told, and where its own output ends.

Any shell may be the user's login shell, and its start-up files may print. So the command is one that sh, csh and fish
read alike: it replaces the login shell with /bin/sh, which prints a marker, then becomes the program. What came before
the marker is noise.
"""

from __future__ import annotations

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
_NOISE_BYTES = 1 << 20
_CHUNK = 1 << 16
_LINE_BYTES = 1000
_SHOWN_CHARACTERS = 300
# The bytes that a single-quoted word may not have: csh knows "!" and the newline even there, fish the backslash.
# Others are printable everywhere.
_SPECIAL = re.compile(rb"[^ -~]|['!\\]")


class NotStarted(DeviceError):
    """The login shell did not start our program."""


class Marker:
    """The mark that the programs of one connection print before they begin."""

    def __init__(self) -> None:
        self._halves = ("incamera-", secrets.token_hex(8))
        # A shell that shows the commands it runs, as after `set -x`, shows the halves, but not the whole.
        self.whole = "".join(self._halves).encode()

    def command(self, program: Program, *, terminal: bool, tries_input: bool = False) -> str:
        """Return the command that has any login shell start *program*, behind the marker on each of its outputs.

        With *tries_input*, the first line of the input is shown behind the marker: start-up files of the login shell
        that read would have taken it.
        """
        mark = f"printf %s%s {' '.join(self._halves)}"
        both = f"{mark};" if terminal else f"{mark}; {mark} >&2;"  # a terminal is both outputs at once
        if tries_input:
            both += ' read -r line; echo "$line";'
        return f"exec /bin/sh -c {_quote(f'{both} {_to_shell(program)}')}"


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
    """The output of a program, from its marker on. *read* returns more of it, b"" at its end."""

    def __init__(self, read: Callable[[int], Awaitable[bytes]], marker: bytes) -> None:
        self._read = read
        self._marker = marker
        self._rest = b""
        self.noise = bytearray()
        """What came before the marker; as long as there is none, all that was read."""

    @property
    def is_endless(self) -> bool:
        """Whether there is more noise than is read."""
        return len(self.noise) > _NOISE_BYTES

    async def skip_noise(self) -> bool:
        """Read up to the marker. Returns whether there is one; of endless noise the rest is left unread."""
        searched = 0
        while not self.is_endless and (data := await self._read(_CHUNK)):
            self.noise += data
            if (at := self.noise.find(self._marker, searched)) >= 0:
                self._rest = bytes(self.noise[at + len(self._marker) :])
                del self.noise[at:]
                return True
            searched = max(0, len(self.noise) - len(self._marker))
        return False

    async def read_short_line(self) -> bytes:
        """Return the line that comes next, with its end; less where the output ends before it, or the line is long."""
        while b"\n" not in self._rest[:_LINE_BYTES] and len(self._rest) < _LINE_BYTES:
            if not (data := await self._read(_CHUNK)):
                break
            self._rest += data
        start, newline, self._rest = self._rest.partition(b"\n")
        return start[:_LINE_BYTES] + newline

    async def read(self, limit: int) -> bytes:
        if self._rest:
            data, self._rest = self._rest[:limit], self._rest[limit:]
            return data
        return await self._read(limit)


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
