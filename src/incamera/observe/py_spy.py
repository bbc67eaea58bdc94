"""What an app that runs is doing: py-spy, on the device, looks into it from outside.

py-spy finds the interpreter by its name among the mapped files. Ours is started through a loader, so the kernel calls
the process by the loader's name, and py-spy would look there. In a view of the file system of its own it is shown a
list of mapped files in which the interpreter has the name of a Python library, which it looks for as well.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.errors import DeviceError
from incamera.guard.guard import BRING, FIND
from incamera.observe.stacks import parse_folded
from incamera.transport.protocols import Script

if TYPE_CHECKING:
    from collections import Counter

    from incamera.observe.processes import Process
    from incamera.observe.stacks import Stack
    from incamera.transport.session import Session

_UPLOAD_SECONDS = 180.0
_START_SECONDS = 60.0
# Run by the app's own interpreter: a camera's shell need not have `unshare`. Arguments: process, folder, py-spy's.
_RECORD = r"""
import ctypes, os, re, sys
pid, scratch, *words = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
def do(result, what):
    if result:
        sys.exit(f"{what}: {os.strerror(ctypes.get_errno())}")
with open(f"/proc/{pid}/maps") as stream:
    maps = stream.read()
program = re.search(r"(/.*/libexec/(python3\.\d+))$", maps, re.M)
if program is None:
    sys.exit("it does not run a bundle's interpreter")
library = f"{scratch}/lib{program[2]}.so.1.0"
os.symlink(program[1], library)
with open(f"{scratch}/maps", "w") as stream:
    stream.write(maps.replace(program[1], library))
do(libc.unshare(0x00020000), "cannot have a file system view of its own")  # CLONE_NEWNS
do(libc.mount(b"none", b"/", None, 0x4000 | 0x40000, None), "cannot make it private")  # MS_REC | MS_PRIVATE
do(libc.mount(f"{scratch}/maps".encode(), f"/proc/{pid}/maps".encode(), None, 0x1000, None), "mount")  # MS_BIND
os.execv(words[0], words)
"""

# The folder is the shell's to remove, however this ends.
_WATCH = Script(
    "flame",
    """
python=$1 record=$2 pid=$3; shift 3
s=$(mktemp -d /tmp/incamera-flame-XXXXXX) && trap 'rm -rf "$s"' EXIT HUP TERM &&
"$python" -c "$record" "$pid" "$s" "$@" --output "$s/stacks" >&2 && cat "$s/stacks"
""",
)


def ensure_tool(session: Session, binary: Path, name: str, place: str) -> str:
    """Bring a program to the device unless it is there. Returns its path."""
    data = binary.read_bytes()
    path = f"{place}/incamera-tools/{name}-{hashlib.sha256(data).hexdigest()[:12]}"
    if session.run(FIND.program(place, path)).exit_code == 0:
        return path
    program = BRING.program(place, path, str(len(data)))
    session.require(program, purpose=f"put {name} there", input=data, timeout=_UPLOAD_SECONDS)
    return path


def watch_stacks(session: Session, spy: str, process: Process, *, seconds: int, rate: int) -> Counter[Stack]:
    """Watch *process* for so long. Raises DeviceError."""
    assert process.interpreter is not None
    words = ["record", "--format", "raw", "--full-filenames", "--pid", str(process.pid)]
    words += ["--duration", str(seconds), "--rate", str(rate)]
    program = _WATCH.program(process.interpreter, _RECORD, str(process.pid), spy, *words)
    result = session.run(program, timeout=seconds + _START_SECONDS)
    lines = [line for line in result.error_text.splitlines() if line.strip()]
    if result.exit_code:
        raise DeviceError(
            f"py-spy cannot watch {process.command} on {session.device}: {lines[-1] if lines else 'it has ended'}",
            hint="it needs root there, and a process that goes on for as long as it watches",
        )
    try:
        return parse_folded(result.text)
    except ValueError as error:
        raise DeviceError(f"py-spy on {session.device} tells what is no list of stacks: {error}") from error
