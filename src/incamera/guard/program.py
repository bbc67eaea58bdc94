"""The guard, our static program on a device: how it gets there, and how it is started first."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.errors import DeviceError
from incamera.guard.failures import explain
from incamera.guard.places import FOLDER, OWN_FUNCTIONS
from incamera.runtime.launcher.protocol import GUARD, GUARDS, ExitCode, Verb
from incamera.transport.protocols import NoSpaceLeft, Program, Script
from incamera.transport.session import in_time, run_program

if TYPE_CHECKING:
    from incamera.transport.protocols import Transport
    from incamera.transport.session import Session

_UPLOAD_SECONDS = 120.0


# Ends with `taken` where another user may have put, or may put, a part of the path $2 below the folder $1 there.
# `make_own` makes its folders: each by itself and then looked at, since `mkdir -p` would follow a link that is put
# there meanwhile.
_REQUIRE_OWN = (
    OWN_FUNCTIONS
    + """
place=$1 path=$2 uid=
go_down() {
  not_sticky && { echo "everybody can rename folders in $place" >&2; exit TAKEN; }
  rest=${path#"$place"/} file=$place
  while [ "$rest" ]; do
    file=$file/${rest%%/*}
    case $rest in */*) rest=${rest#*/} ;; *) rest= ;; esac
    if ! there "$file"; then
      [ "$1" ] && [ "$rest" ] || break
      mkdir "$file" || [ -d "$file" ] || exit 1
    fi
    is_own "$file" || { echo "another user has taken $file: owner $(owner_of "$file")" >&2; exit TAKEN; }
  done
}
require_own() { go_down ""; }
make_own() { umask 022; [ -d "$place" ] || mkdir -p "$place" || exit 1; go_down make; }
require_own
""".replace("TAKEN", f"{ExitCode.taken:d}")
)
# An empty file would be run, too, and do nothing.
_IS_PROGRAM = '[ -s "$path" ] && [ -x "$path" ]'
# Looks for the guard in $2. If it is there, its new time tells other versions, which clear up, that it is needed.
# Otherwise its folder is made.
_FIND = Script(
    "find-guard",
    _REQUIRE_OWN
    + f"""
{_IS_PROGRAM} && {{ touch -c "$path"; exit 0; }}
make_own
exit {ExitCode.no_guard:d}
""",
)
# Runs the guard in $2, whose further arguments follow: for its first use in a session, unless _FIND was.
_CALL = Script(
    "call-guard", _REQUIRE_OWN + f'{{ {_IS_PROGRAM}; }} || exit {ExitCode.no_guard:d}; shift 2; exec "$path" "$@"'
)


@dataclass(frozen=True, slots=True)
class Guard:
    """The guard program for a device's architecture, and the place on the device that it is kept in.

    *folder* is the name of our folder there. *installed* is the path of the device's own guard, if it has one: then no
    other is brought.
    """

    binary: Path
    place: str
    installed: str | None = None
    folder: str = FOLDER

    @property
    def remote_path(self) -> str:
        """The guard's path on the device, once it has been brought there."""
        if self.installed is not None:
            return self.installed
        digest = hashlib.sha256(self.binary.read_bytes()).hexdigest()[:12]
        return f"{self.place}/{self.folder}/{GUARDS}/{GUARD}-{digest}"

    def first_call(self, verb: Verb, *arguments: str) -> Program:
        """Return the program for the guard's first use in a session without `bring_guard`.

        It ends with ExitCode.no_guard where the guard is not there, and with ExitCode.taken where another user could
        have put it there.
        """
        if self.installed is not None:
            return Program((self.installed, verb, *arguments))
        return _CALL.program(self.place, self.remote_path, verb, *arguments)


def has_guard(session: Session, guard: Guard) -> bool:
    """Return whether the guard is on the device. Raises ConnectionLost."""
    return session.run(guard.first_call(Verb.list)).exit_code != ExitCode.no_guard


def ensure_guard(session: Session, guard: Guard) -> str:
    """Bring the guard to the device unless it is there. Returns its path. Raises DeviceError, ConnectionLost."""
    return session.call(bring_guard(session.transport, guard))


async def bring_guard(transport: Transport, guard: Guard) -> str:
    """Bring the guard to the device unless it is there. Returns its path. Raises NoRoom, DeviceError."""
    path = guard.remote_path
    if guard.installed is not None:
        return path
    found = await run_program(transport, _FIND.program(guard.place, path), timeout=_UPLOAD_SECONDS)
    if found.exit_code == ExitCode.no_guard:
        try:
            put = transport.put(path, guard.binary.read_bytes(), executable=True)
            await in_time(transport, put, _UPLOAD_SECONDS)
        except NoSpaceLeft as error:
            raise explain(transport, ExitCode.no_space, "", guard.place) from error
    elif found.exit_code == ExitCode.taken:
        raise explain(transport, ExitCode.taken, found.error_text, guard.place)
    elif "No space" in found.error_text:
        raise explain(transport, ExitCode.no_space, "", guard.place)
    elif found.exit_code:
        raise DeviceError(f"cannot write to {guard.place} on {transport.device}: {found.error_text}")
    return path
