"""What a device that offers nothing but a shell is asked through it: files, and the addresses of the connection.

Files are read with `cat` and `tar`, and written under a temporary name.
"""

from __future__ import annotations

import io
import ipaddress
import os
import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from incamera.archives import BLOCK, BadArchive, Kind, Limits, PackedStream, TarReader
from incamera.errors import DeviceError
from incamera.transport.login_shell import escape
from incamera.transport.protocols import Addresses, Program, Script, check_path, missing, too_large, write_error
from incamera.transport.session import OutputTooLong, run_bounded
from incamera.units import format_count

if TYPE_CHECKING:
    from incamera.transport.protocols import ProgramResult, Transport

_MISSING = 66
# Dropbear, the SSH server of many cameras, refuses a command of more than 9000 bytes.
_ARGUMENT_BYTES = 8000
# The server tells its programs the client's address and port, then its own.
_ADDRESSES = Script("addresses", 'echo "$SSH_CONNECTION"')
_GET = Script("get", f'[ -e "$1" ] || exit {_MISSING}; exec cat "$1"')
# $2 is the size, which tells whether all of it came, $3 the mode. $$ keeps apart two hosts that do this at once.
# With `set -C`, the file must be new: another user could have put a link there that leads to any file of ours.
# Without `sync`, a power cut may keep the name and lose the bytes.
_PUT = Script(
    "put",
    """
[ ! -d "$1" ] || { echo "$1 is a folder" >&2; exit 1; }
t=$1.$$; rm -f "$t"; set -C; cat > "$t" && chmod "$3" "$t" || { rm -f "$t"; exit 1; }
[ "$(wc -c < "$t")" -eq "$2" ] || { rm -f "$t"; echo "not all of it arrived" >&2; exit 1; }
sync "$t" 2>/dev/null || :
mv -f "$t" "$1" || { rm -f "$t"; exit 1; }
""",
)


async def get_addresses(transport: Transport) -> Addresses:
    """What `Transport.addresses` does."""
    result = await run_bounded(transport, _ADDRESSES.program())
    host, _, device, _ = [*result.text.split(), "", "", "", ""][:4]
    return Addresses(_check_address(host), _check_address(device))


def _check_address(text: str) -> str:
    """Return *text* if it is an IP address, else an empty string."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""


async def put_file(transport: Transport, path: str, data: bytes, *, executable: bool) -> None:
    """What `Transport.put` does."""
    mode = "755" if executable else "644"
    result = await run_bounded(transport, _PUT.program(check_path(path), str(len(data)), mode), input=data)
    if result.exit_code:
        raise write_error(transport.device, path, result.error_text or f"exit code {result.exit_code}")


async def get_file(transport: Transport, path: str, *, limit: int) -> bytes:
    """What `Transport.get` does."""
    try:
        result = await run_bounded(transport, _GET.program(check_path(path)), limit=limit)
    except OutputTooLong:
        raise too_large(transport.device, path, limit) from None
    if result.exit_code == _MISSING:
        raise missing(transport.device, path)
    if result.exit_code:
        raise DeviceError(f"cannot read {path} on {transport.device}: {_last_line(result)}")
    return result.stdout


async def get_files(transport: Transport, paths: Sequence[str], *, limit: int) -> dict[str, bytes]:
    """What `Transport.get_all` does: an archive, as often as the device's shell takes so many arguments."""
    files: dict[str, bytes] = {}
    for group in _group(paths):
        left = limit - sum(map(len, files.values()))
        try:
            files |= await _get_archive(transport, group, limit=left)
        except OutputTooLong:
            left = -1
        if left < 0:
            raise too_large(transport.device, format_count(len(paths), "file"), limit)
    return files


def _group(paths: Sequence[str]) -> Iterator[list[str]]:
    """Yield *paths* in groups whose names together have no more than _ARGUMENT_BYTES."""
    group: list[str] = []
    size = 0
    for path in paths:
        length = len(escape(os.fsencode(shlex.quote(path)))) + 2
        if group and size + length > _ARGUMENT_BYTES:
            yield group
            group, size = [], 0
        group.append(path)
        size += length
    if group:
        yield group


async def _get_archive(transport: Transport, paths: Sequence[str], *, limit: int) -> dict[str, bytes]:
    """Raises OutputTooLong, DeviceError."""
    program = Program(("tar", "-c", "-h", "-f", "-", *(f".{check_path(path)}" for path in paths)), folder="/")
    # An archive has a few blocks more for each file, and some at its end.
    room = limit + (len(paths) + 20) * 4 * BLOCK
    result = await run_bounded(transport, program, limit=room)
    files: dict[str, bytes] = {}
    # The exit code tells nothing more: one file that cannot be read is enough for a failure.
    try:
        reader = TarReader(PackedStream(io.BytesIO(result.stdout), limits=Limits(total_bytes=room)))
        for member in reader:
            if member.kind is Kind.file:
                files[os.path.normpath(f"/{member.path}")] = reader.read_all()
            elif member.kind is Kind.hard_link and (first := os.path.normpath(f"/{member.link}")) in files:
                files[os.path.normpath(f"/{member.path}")] = files[first]  # the same file under another name
    except BadArchive as error:
        raise DeviceError(
            f"cannot read files of {transport.device}: {_last_line(result) or error}",
            hint="`tar` on the device ended early: try again, and check that the device has free memory",
        ) from error
    return {path: files[normal] for path in paths if (normal := os.path.normpath(path)) in files}


def _last_line(result: ProgramResult) -> str:
    return (result.error_text.splitlines() or [f"exit code {result.exit_code}"])[-1]
