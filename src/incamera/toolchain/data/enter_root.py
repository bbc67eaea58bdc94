"""Runs one command in an emulated root. It is a program of its own, since a process cannot leave a root again.

    python enter_root.py FILE.json        (the file: see EmulatedRoot.entry)

It prefers Linux namespaces. With them, the kernel starts the emulator (binfmt_misc, which since Linux 6.7 each user
namespace has for itself), there is no network, and no process outlives this one. Where the system does not allow them
(containers, Ubuntu's AppArmor) or is too old, it uses proot, which traces each system call, and takes up to twice as
long.

It uses the standard library only, and nothing of incamera. The exit code is the command's, or 125 when it could not be
started.
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
# The flags of a mount that a remount must repeat (nosuid nodev noexec noatime nodiratime relatime), by their numbers in
# statvfs.
_KEPT_FLAGS = {2: 2, 4: 4, 8: 8, 1024: 1024, 2048: 2048, 4096: 1 << 21}
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 22, 36, 38
_SECCOMP_MODE_FILTER = 2

# System calls that are newer than Debian's proot, which would not translate their paths: statx, then clone3 close_range
# openat2 faccessat2 fchmodat2. They are refused, so QEMU and the C library use older ones.
_STATX = {"x86_64": 332, "aarch64": 291}
_TOO_NEW = (435, 436, 437, 439, 452)
_ENOSYS = 38

_libc = ctypes.CDLL(None, use_errno=True)
Spec = dict[str, Any]


class Unavailable(Exception):
    """This system does not allow namespaces."""


def main(file: str) -> int:
    """Run the command in *file*, and return its exit code."""
    spec = json.loads(Path(file).read_text("utf-8"))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Ctrl-C, the process that started this one sends SIGTERM
    _end_with_parent(signal.SIGTERM)
    try:
        if not spec["namespaces"]:
            raise Unavailable("they are turned off")
        return _run_in_namespaces(spec)
    except Unavailable as why:
        if not spec["proot"]:
            _print(f"incamera: error: this system does not allow a private root folder: {why}")
            return CANNOT_START
        _print(f"(proot is used, since this system does not allow namespaces: {why})")
    return _run_with_proot(spec)


def _run_in_namespaces(spec: Spec) -> int:
    """Run the command in new namespaces, and return its exit code. Raises Unavailable."""
    errors, error_pipe = os.pipe()
    child = _fork(lambda: _create_namespaces(spec, error_pipe))
    os.close(error_pipe)
    with os.fdopen(errors, encoding="utf-8") as stream:
        why = stream.read()  # returns when the command has been started, since that closes the pipe
    code = _wait(child, lambda: os.kill(child, signal.SIGTERM))
    if why:
        raise Unavailable(why)
    return code


def _create_namespaces(spec: Spec, error_pipe: int) -> int:
    with _ErrorsTo(error_pipe):
        _end_with_parent(signal.SIGTERM)
        uid, gid = os.getuid(), os.getgid()
        _check(_libc.unshare(_NAMESPACES), "unshare")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    init = _fork(lambda: _run_init(spec, error_pipe))
    os.close(error_pipe)
    # When the first process of a PID namespace is killed, the kernel kills all others, too, and waits for them.
    return _wait(init, lambda: os.kill(init, signal.SIGKILL))


def _run_init(spec: Spec, error_pipe: int) -> int:
    """Be the first process of the PID namespace: mount the folders, start the command, and reap orphans."""
    with _ErrorsTo(error_pipe):
        _end_with_parent(signal.SIGKILL)
        _mount_all(spec)
    command = _fork(lambda: _exec_command(spec, error_pipe))
    os.close(error_pipe)
    while True:
        ended, status = os.waitpid(-1, 0)  # the command, or an orphan
        if ended == command:
            return _exit_code(status)


def _exec_command(spec: Spec, error_pipe: int) -> NoReturn:
    with _ErrorsTo(error_pipe):
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
    except OSError:  # in containers that hide parts of /proc, the kernel does not allow a new one
        _mount("/proc", root + "/proc", None, _MS_BIND | _MS_REC)
    if spec["binfmt"]:
        # Before Linux 6.7 this fails. It is no error yet, since the system may have registered an emulator itself.
        with suppress(OSError):
            _mount("binfmt_misc", root + "/proc/sys/fs/binfmt_misc", "binfmt_misc", 0)
            Path(root + "/proc/sys/fs/binfmt_misc/register").write_text(spec["binfmt"], "utf-8")


def _run_with_proot(spec: Spec) -> int:
    """Run the command with proot, and return its exit code."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")

    def start() -> NoReturn:
        _end_with_parent(signal.SIGKILL)
        _refuse_new_calls()
        argv = [*spec["proot"], "-r", spec["root"], "-w", spec["cwd"]]
        argv += [word for source, inside, _ in spec["binds"] for word in ("-b", f"{source}:{inside}")]
        os.execve(argv[0], [*argv, "-b", "/proc", *spec["argv"]], spec["environment"] | spec["proot_environment"])

    return _wait(_fork(start), _kill_descendants)  # proot ignores SIGTERM, and does not kill the processes it traces


def _refuse_new_calls() -> None:
    """Install a seccomp filter that makes the system calls newer than proot return ENOSYS."""
    calls = (_STATX[platform.machine()], *_TOO_NEW)
    # A BPF program: load the call's number, compare it with each, and jump to the last instruction; allow; ENOSYS.
    words = [(0x20, 0, 0, 0), *((0x15, len(calls) - n, 0, call) for n, call in enumerate(calls))]
    words += [(0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x00050000 | _ENOSYS)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *word) for word in words))
    program = struct.pack("HP", len(words), ctypes.addressof(code))
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
    _check(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program, 0, 0), "seccomp")


# Used by both


def _print(text: str) -> None:
    os.write(2, f"{text}\n".encode())


def _fork(run: Callable[[], int]) -> int:
    """Start a child process that calls *run* and exits with its result. Returns the child's id."""
    if pid := os.fork():
        return pid
    code = CANNOT_START
    try:
        code = run()
    except OSError as error:
        _print(f"incamera: error: {error.filename}: {error.strerror}")
    finally:
        os._exit(code)


def _wait(child: int, end: Callable[[], None]) -> int:
    """Wait for *child*, and return its exit code. *end* is called on SIGTERM."""
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
        with suppress(OSError):  # it has ended in the meantime
            children = [int(word) for word in task.read_text().split()]
            found += [pid for child in children for pid in (child, *_descendants(child))]
    return found


def _end_with_parent(number: int) -> None:
    parent = os.getppid()
    _libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:  # the parent has ended before prctl was called
        os.kill(os.getpid(), number)


class _ErrorsTo:
    """Writes an OSError that the block raises to the pipe *error_pipe*, and ends the process."""

    def __init__(self, error_pipe: int) -> None:
        self._error_pipe = error_pipe

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, OSError):
            os.write(self._error_pipe, f"{error.filename}: {error.strerror}".encode())
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
