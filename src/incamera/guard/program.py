"""The guard, our static program on a device: how it gets there, and how it is started first."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.errors import DeviceError
from incamera.guard.failures import explain
from incamera.runtime.launcher.protocol import GUARD, GUARDS, ExitCode
from incamera.transport.protocols import Script
from incamera.transport.session import run_program

if TYPE_CHECKING:
    from incamera.transport.protocols import Transport
    from incamera.transport.session import Session

FOLDER = "incamera"
_UPLOAD_SECONDS = 120.0


# Ends with `taken` where another user owns a part of the path $2 below the folder $1. Only a folder with a sticky bit
# is checked, such as /tmp, where everybody may write. On a card or share the owner says nothing.
_REQUIRE_OWN = """
place=$1 path=$2
require_own() {
  [ -k "$place" ] || return 0
  rest=${path#"$place"/} file=$place
  while [ "$rest" ]; do
    file=$file/${rest%%/*}
    case $rest in */*) rest=${rest#*/} ;; *) rest= ;; esac
    [ -e "$file" ] || [ -L "$file" ] || break
    [ -O "$file" ] && [ ! -L "$file" ] || { echo "another user has taken $file" >&2; exit TAKEN; }
  done
}
require_own
""".replace("TAKEN", f"{ExitCode.taken:d}")
# An empty file would be run, too, and do nothing.
_IS_PROGRAM = '[ -s "$path" ] && [ -x "$path" ]'
# Guards of other versions remove it when its time is old.
FIND = Script("find-guard", _REQUIRE_OWN + f'{_IS_PROGRAM} || exit 1; touch -c "$path"; exit 0')
# Reads the program, of $3 bytes: the size shows whether all of it came. $$ keeps two hosts apart that do this at once.
# Without `sync`, a power cut may keep the name and lose the bytes.
BRING = Script(
    "bring-guard",
    'umask 022; mkdir -p "${2%/*}" || exit 1'
    + _REQUIRE_OWN
    + """
t=$path.$$; cat > "$t" && [ "$(wc -c < "$t")" -eq "$3" ] && chmod 755 "$t" && { sync "$t" 2>/dev/null || :; } \
&& mv -f "$t" "$path" || { rm -f "$t"; exit 1; }
""",
)
# Runs the guard $2 with the arguments that follow. It is for the first use in a session, if FIND was not used.
CALL = Script(
    "call-guard", _REQUIRE_OWN + f'{{ {_IS_PROGRAM}; }} || exit {ExitCode.no_guard:d}; shift 2; exec "$path" "$@"'
)


@dataclass(frozen=True, slots=True)
class Guard:
    """The guard program for a device's architecture, and the place on the device that it is kept in."""

    binary: Path
    place: str

    @property
    def remote_path(self) -> str:
        digest = hashlib.sha256(self.binary.read_bytes()).hexdigest()[:12]
        return f"{self.place}/{FOLDER}/{GUARDS}/{GUARD}-{digest}"


def ensure_guard(session: Session, guard: Guard) -> str:
    """Bring the guard to the device unless it is there. Returns its path. Raises DeviceError, ConnectionLost."""
    return session.call(bring_guard(session.transport, guard))


async def bring_guard(transport: Transport, guard: Guard) -> str:
    """Bring the guard to the device unless it is there. Returns its path. Raises DeviceError, ConnectionLost."""
    path, data = guard.remote_path, guard.binary.read_bytes()
    found = await run_program(transport, FIND.program(guard.place, path), timeout=_UPLOAD_SECONDS)
    if found.exit_code == 0:
        return path
    if found.exit_code == ExitCode.taken:
        raise explain(transport, ExitCode.taken, found.error_text, guard.place)
    program = BRING.program(guard.place, path, str(len(data)))
    result = await run_program(transport, program, input=data, timeout=_UPLOAD_SECONDS)
    if result.exit_code == ExitCode.taken:
        raise explain(transport, ExitCode.taken, result.error_text, guard.place)
    if result.exit_code:
        if "No space" in result.error_text:
            raise explain(transport, ExitCode.no_space, "", guard.place)
        raise DeviceError(f"cannot write to {guard.place} on {transport.device}: {result.error_text}")
    return path
