"""Runs one command in an emulated root. A program of its own, since what it does to itself cannot be undone.

    python enter_root.py FILE.json        see EmulatedRoot.entry

Preferred are Linux namespaces: the kernel starts the emulator (binfmt_misc, which since Linux 6.7 each user namespace
has for itself), there is no network, and nothing outlives us. Where the system forbids them (containers, Ubuntu's
AppArmor) or is too old, proot does it by tracing each system call, which takes about twice as long.

Standard library only, nothing of incamera. Exit code: the command's; 125 when it could not be started.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import signal
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

CANNOT_START = 125

# linux/sched.h, sys/mount.h, linux/prctl.h
_NAMESPACES = 0x10000000 | 0x00020000 | 0x20000000 | 0x40000000 | 0x08000000 | 0x04000000  # user mount pid net ipc uts
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
# Flags of a mount that a remount must repeat: statvfs has its own numbers for some.
_KEPT_FLAGS = {
    2: 2,
    4: 4,
    8: 8,
    1024: 1024,
    2048: 2048,
    4096: 1 << 21,
}  # nosuid nodev noexec noatime nodiratime relatime
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 22, 36, 38
_SECCOMP_MODE_FILTER = 2

# System calls younger than Debian's proot: it would let their paths through untranslated. Refused, they are replaced by
# older ones, by qemu and by the C library. statx, then clone3 close_range openat2 faccessat2 fchmodat2.
_STATX = {"x86_64": 332, "aarch64": 291}
_TOO_NEW = (435, 436, 437, 439, 452)
_ENOSYS = 38

_libc = ctypes.CDLL(None, use_errno=True)
Spec = dict[str, Any]


class Unavailable(Exception):
    """This system doesn't let us."""


def main(file: str) -> int:
    spec = json.loads(Path(file).read_text("utf-8"))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to whoever started us, and from there comes SIGTERM
    _end_with_parent(signal.SIGTERM)
    try:
        if not spec["namespaces"]:
            raise Unavailable("they aren't wanted")
        return _in_namespaces(spec)
    except Unavailable as why:
        if not spec["proot"]:
            _say(f"incamera: error: no private root can be made on this system: {why}")
            return CANNOT_START
        _say(f"(proot is used, since namespaces are not to be had: {why})")
    return _with_proot(spec)


def _in_namespaces(spec: Spec) -> int:
    errors, tell = os.pipe()
    child = _fork(lambda: _hold_namespaces(spec, tell))
    os.close(tell)
    with os.fdopen(errors, encoding="utf-8") as stream:
        why = stream.read()  # ends when the command has been started: then the pipe is closed
    code = _wait(child, lambda: os.kill(child, signal.SIGTERM))
    if why:
        raise Unavailable(why)
    return code


def _hold_namespaces(spec: Spec, tell: int) -> int:
    with _Telling(tell):
        _end_with_parent(signal.SIGTERM)
        uid, gid = os.getuid(), os.getgid()
        _check(_libc.unshare(_NAMESPACES), "unshare")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    first = _fork(lambda: _be_first(spec, tell))
    os.close(tell)
    # The kernel kills all others of a process namespace with its first one, and waits for them.
    return _wait(first, lambda: os.kill(first, signal.SIGKILL))


def _be_first(spec: Spec, tell: int) -> int:
    with _Telling(tell):
        _end_with_parent(signal.SIGKILL)
        _mount_all(spec)
    command = _fork(lambda: _become_command(spec, tell))
    os.close(tell)
    while True:
        ended, status = os.waitpid(-1, 0)  # orphans come to us too
        if ended == command:
            return _exit_code(status)


def _become_command(spec: Spec, tell: int) -> NoReturn:
    with _Telling(tell):
        os.chroot(spec["root"])
        os.chdir(spec["cwd"])
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.execve(spec["argv"][0], spec["argv"], spec["environment"])
    raise AssertionError


def _mount_all(spec: Spec) -> None:
    root = spec["root"]
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    for source, inside, writable in spec["binds"]:
        path = root + inside
        _mount(source, path, None, _MS_BIND)
        if not writable:
            flags = os.statvfs(path).f_flag
            kept = sum(mount for flag, mount in _KEPT_FLAGS.items() if flags & flag)
            _mount(None, path, None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | kept)
    try:
        _mount("proc", root + "/proc", "proc", 0)
    except OSError:  # some containers hide parts of /proc, so a whole one is refused
        _mount("/proc", root + "/proc", None, _MS_BIND | _MS_REC)
    if spec["binfmt"]:
        # Before Linux 6.7 this fails; the computer may have registered an emulator for all, so it's no error yet.
        with suppress(OSError):
            _mount("binfmt_misc", root + "/proc/sys/fs/binfmt_misc", "binfmt_misc", 0)
            Path(root + "/proc/sys/fs/binfmt_misc/register").write_text(spec["binfmt"], "utf-8")


def _with_proot(spec: Spec) -> int:
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")

    def start() -> NoReturn:
        _end_with_parent(signal.SIGKILL)
        _refuse_new_calls()
        argv = [*spec["proot"], "-r", spec["root"], "-w", spec["cwd"]]
        argv += [word for source, inside, _ in spec["binds"] for word in ("-b", f"{source}:{inside}")]
        os.execve(argv[0], [*argv, "-b", "/proc", *spec["argv"]], spec["environment"] | spec["proot_environment"])

    return _wait(_fork(start), _kill_descendants)  # proot itself ignores SIGTERM, and leaves what it traces behind


def _refuse_new_calls() -> None:
    calls = (_STATX[platform.machine()], *_TOO_NEW)
    # A program for the kernel: load the call's number; compare it with each, and jump to the last word; allow; ENOSYS.
    words = [(0x20, 0, 0, 0), *((0x15, len(calls) - n, 0, call) for n, call in enumerate(calls))]
    words += [(0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x00050000 | _ENOSYS)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *word) for word in words))
    program = struct.pack("HP", len(words), ctypes.addressof(code))
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
    _check(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program, 0, 0), "seccomp")


# What both share


def _say(text: str) -> None:
    os.write(2, f"{text}\n".encode())


def _fork(run: Callable[[], int]) -> int:
    """Start a process that does *run*, and return its id."""
    if pid := os.fork():
        return pid
    code = CANNOT_START
    try:
        code = run()
    except OSError as error:
        _say(f"incamera: error: {error.filename}: {error.strerror}")
    finally:
        os._exit(code)


def _wait(child: int, end: Callable[[], None]) -> int:
    """Wait for *child* and return its exit code; *end* is called when somebody ends us."""
    signal.signal(signal.SIGTERM, lambda *_: end())
    _, status = os.waitpid(child, 0)
    return _exit_code(status)


def _exit_code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _kill_descendants() -> None:
    while found := _descendants(os.getpid()):
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(-1, 0)
    os._exit(128 + signal.SIGTERM)


def _descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # it has ended since
            children = [int(word) for word in task.read_text().split()]
            found += [pid for child in children for pid in (child, *_descendants(child))]
    return found


def _end_with_parent(number: int) -> None:
    parent = os.getppid()
    _libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:  # gone before the kernel knew
        os.kill(os.getpid(), number)


class _Telling:
    """Sends an OSError that the block raises through the pipe *tell*, and ends the process."""

    def __init__(self, tell: int) -> None:
        self._tell = tell

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, OSError):
            os.write(self._tell, f"{error.filename}: {error.strerror}".encode())
            os._exit(CANNOT_START)


def _mount(source: str | None, target: str, kind: str | None, flags: int) -> None:
    words = [word.encode() if word is not None else None for word in (source, target, kind)]
    _check(_libc.mount(*words, ctypes.c_ulong(flags), None), f"mount {target}")


def _check(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
