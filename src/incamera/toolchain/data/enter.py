"""Runs one command in a private root folder. It is a program of its own, since a process cannot leave a root again.

    python enter.py FILE.json COMMAND …        (the file: see isolation.py)

It makes Linux namespaces, which needs no rights: the command sees only the folders in the file, only its own
processes, and no network but a loopback of its own. No process outlives this one. Without COMMAND it only tries whether
that is allowed.

An emulated build can do without them. With namespaces, the kernel starts the emulator (binfmt_misc, which since Linux
6.7 each user namespace has for itself). On an older kernel proot starts it, which traces each system call, and takes up
to twice as long. Where the system allows no namespaces (containers, Ubuntu's AppArmor), proot makes the root, too; it
does not confine anything.

It uses the standard library only, and nothing of incamera. The exit code is the command's, or 125 when it could not be
started.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import platform
import signal
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

CANNOT_START = 125
# Where the command's own loopback has the proxy that refuses downloads: see network.py.
PROXY_PORT = 3128

# linux/sched.h, sys/mount.h, linux/prctl.h, linux/sockios.h, net/if.h, linux/keyctl.h
_NAMESPACES = 0x10000000 | 0x00020000 | 0x20000000 | 0x40000000 | 0x08000000 | 0x04000000  # user mount pid net ipc uts
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE, _MNT_DETACH = 1, 32, 4096, 16384, 1 << 18, 2
# The flags of a mount that a remount must repeat (nosuid nodev noexec noatime nodiratime relatime), by their numbers in
# statvfs.
_KEPT_FLAGS = {2: 2, 4: 4, 8: 8, 1024: 1024, 2048: 2048, 4096: 1 << 21}
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_CAPBSET_DROP = 1, 22, 24
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 36, 38
_SECCOMP_MODE_FILTER = 2
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1
_KEYCTL_JOIN_SESSION_KEYRING = 1
_CAPABILITIES = 64

# System calls without a function in every C library.
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_KEYCTL = {"x86_64": 250, "aarch64": 219}
# System calls that are newer than Debian's proot, which would not translate their paths: statx, then clone3 close_range
# openat2 faccessat2 fchmodat2. They are refused, so QEMU and the C library use older ones.
_STATX = {"x86_64": 332, "aarch64": 291}
_TOO_NEW = (435, 436, 437, 439, 452)
# linux/audit.h, linux/seccomp.h. By machine: its architecture, its `socket`, and, for programs of its 32-bit variant,
# the calls that make sockets: i386's socketcall and socket, Arm's socket.
_IO_URING_SETUP, _X32 = 425, 0x40000000
_SOCKET_CALLS = {
    "x86_64": (0xC000003E, 41, (102, 359, _IO_URING_SETUP)),
    "aarch64": (0xC00000B7, 198, (281, _IO_URING_SETUP)),
}
_CONFINED = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000

# What the user with the number 0 could change or read there, whatever namespace it is in.
_PROC_READ_ONLY = ("bus", "fs", "irq", "sys", "sysrq-trigger")
_PROC_HIDDEN = ("kcore", "keys", "kmsg", "sched_debug", "timer_list")

_libc = ctypes.CDLL(None, use_errno=True)
Spec = dict[str, Any]


class Unavailable(Exception):
    """This system does not allow namespaces."""


def main(file: str, argv: list[str]) -> int:
    """Run the command *argv* as *file* says, and return its exit code."""
    spec = json.loads(Path(file).read_text("utf-8")) | {"argv": argv}
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Ctrl-C, the process that started this one sends SIGTERM
    _end_with_parent(signal.SIGTERM)
    try:
        if not spec["namespaces"]:
            raise Unavailable("they are turned off")
        return _run_in_namespaces(spec)
    except Unavailable as why:
        if spec["strict"] or not spec["proot"]:
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
        # Connected before, since the path is not there after.
        refusals = _connect(spec["refusals"]) if spec["refusals"] else None
        uid, gid = os.getuid(), os.getgid()
        _check(_libc.unshare(_NAMESPACES), "unshare")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
        _start_loopback(refusals)
    init = _fork(lambda: _run_init(spec, error_pipe))
    os.close(error_pipe)
    # When the first process of a PID namespace is killed, the kernel kills all others, too, and waits for them.
    return _wait(init, lambda: os.kill(init, signal.SIGKILL))


def _connect(path: str) -> socket.socket:
    # Through the folder's descriptor, since the path of a socket may have 107 bytes only.
    folder, name = os.path.split(path)
    descriptor = os.open(folder, os.O_PATH)
    client = socket.socket(socket.AF_UNIX)
    client.connect(f"/proc/self/fd/{descriptor}/{name}")
    os.close(descriptor)
    return client


def _start_loopback(refusals: socket.socket | None) -> None:
    """Give the network namespace a loopback. A socket that listens there goes to *refusals*, who answers on it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))
    if refusals is not None:
        with refusals, socket.create_server(("127.0.0.1", PROXY_PORT)) as listener:
            socket.send_fds(refusals, [b"."], [listener.fileno()])


def _run_init(spec: Spec, error_pipe: int) -> int:
    """Be the first process of the PID namespace: mount the folders, start the command, and reap orphans."""
    with _ErrorsTo(error_pipe):
        _end_with_parent(signal.SIGKILL)
        os.setsid()  # a build that had the terminal could type into it
        _libc.syscall(_KEYCTL[platform.machine()], _KEYCTL_JOIN_SESSION_KEYRING, None)
        _mount_all(spec)
        _pivot(spec["root"])
        if not spec["argv"]:
            return 0
    command = _fork(lambda: _exec_command(spec, error_pipe))
    os.close(error_pipe)
    while True:
        ended, status = os.waitpid(-1, 0)  # the command, or an orphan
        if ended == command:
            return _exit_code(status)


def _exec_command(spec: Spec, error_pipe: int) -> NoReturn:
    with _ErrorsTo(error_pipe):
        os.chdir(spec["cwd"])
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _give_up_rights()
        argv, environment = spec["argv"], spec["environment"]
        try:
            os.execve(argv[0], argv, environment)
        except OSError as error:
            # A program of the target, which this kernel cannot be told how to start.
            if error.errno != errno.ENOEXEC or not spec["proot"]:
                raise
        _print("(proot is used, since this kernel has no emulators for each namespace)")
        _refuse_new_calls()
        command = [*spec["proot"], "-r", "/", "-w", spec["cwd"], *argv]
        os.execve(command[0], command, environment | {"PROOT_TMP_DIR": "/tmp"})
    raise AssertionError


def _give_up_rights() -> None:
    """Let the command, and what it starts, have no capabilities, not even in its own namespaces."""
    for capability in range(_CAPABILITIES):
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # fails for numbers that this kernel does not know
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
    with suppress(OSError):  # a kernel without seccomp
        _refuse_other_sockets()


def _refuse_other_sockets() -> None:
    """Let the command have sockets of those kinds only that a network namespace confines.

    Those to the host of a virtual machine (AF_VSOCK) it does not.
    """
    audit_arch, socket_call, other_calls = _SOCKET_CALLS[platform.machine()]
    # Offsets in struct seccomp_data: the call's number 0, the architecture 4, the first argument 16. A jump counts the
    # instructions that it leaves out.
    other = [(0x20, 0, 0, 0), *((0x15, len(other_calls) - n, 0, call) for n, call in enumerate(other_calls))]
    other += [(0x06, 0, 0, _ALLOW), (0x06, 0, 0, _REFUSE | errno.ENOSYS)]
    kinds = [(0x20, 0, 0, 16), *((0x15, len(_CONFINED) - n, 0, kind) for n, kind in enumerate(_CONFINED))]
    kinds += [(0x06, 0, 0, _REFUSE | errno.EAFNOSUPPORT), (0x06, 0, 0, _ALLOW)]
    native = [
        (0x20, 0, 0, 0),
        (0x35, 0, 1, _X32),  # the calls of x86-64's other ABI have other numbers
        (0x06, 0, 0, _REFUSE | errno.ENOSYS),
        (0x15, 0, 1, _IO_URING_SETUP),  # it can make sockets, too
        (0x06, 0, 0, _REFUSE | errno.ENOSYS),
        (0x15, 1, 0, socket_call),
        (0x06, 0, 0, _ALLOW),
        *kinds,
    ]
    _install_filter([(0x20, 0, 0, 4), (0x15, 0, len(native), audit_arch), *native, *other])


def _install_filter(words: Sequence[tuple[int, int, int, int]]) -> None:
    """Have the kernel run the BPF program *words* before each system call of this process and its children."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *word) for word in words))
    program = struct.pack("HP", len(words), ctypes.addressof(code))
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
    _check(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program, 0, 0), "seccomp")


def _mount_all(spec: Spec) -> None:
    """Mount the folders of *spec*, and make all but the writable ones read-only."""
    root = os.path.realpath(spec["root"])
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    _mount(root, root, None, _MS_BIND)
    writable = {root + inside for _, inside, may_write in spec["binds"] if may_write}
    # A folder comes before those in it.
    for source, inside, _ in sorted(spec["binds"], key=lambda row: row[1].count("/")):
        path = root + inside
        _make_mount_point(Path(path), is_folder=Path(source).is_dir())
        _mount(source, path, None, _MS_BIND | _MS_REC)
    _mount_proc(spec, root)
    for path in _mounts_below(root):
        if path not in writable:
            flags = os.statvfs(path).f_flag
            kept = sum(mount for flag, mount in _KEPT_FLAGS.items() if flags & flag)
            _mount(None, path, None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | kept)


def _make_mount_point(path: Path, *, is_folder: bool) -> None:
    if not path.exists():  # it may be in a folder that is read-only on this computer
        (path if is_folder else path.parent).mkdir(parents=True, exist_ok=True)
        if not is_folder:
            path.touch()


def _mount_proc(spec: Spec, root: str) -> None:
    proc = f"{root}/proc"
    try:
        _mount("proc", proc, "proc", 0)
    except OSError:  # in containers that hide parts of /proc, the kernel does not allow a new one
        if spec["strict"]:
            raise
        _mount("/proc", proc, None, _MS_BIND | _MS_REC)
    if spec["binfmt"]:
        # Before Linux 6.7 this fails. It is no error yet, since the system may have registered an emulator itself.
        with suppress(OSError):
            _mount("binfmt_misc", f"{proc}/sys/fs/binfmt_misc", "binfmt_misc", 0)
            Path(f"{proc}/sys/fs/binfmt_misc/register").write_text(spec["binfmt"], "utf-8")
    for name in _PROC_READ_ONLY:
        if Path(path := f"{proc}/{name}").exists():
            _mount(path, path, None, _MS_BIND | _MS_REC)
    for name in _PROC_HIDDEN:
        if Path(path := f"{proc}/{name}").exists():
            _mount("/dev/null", path, None, _MS_BIND)


def _mounts_below(root: str) -> list[str]:
    """Return the mount points below *root*, and itself, those in others first. /proc itself must stay as it is."""
    # Bytes, since reading text would take a \r for the end of a line. The kernel writes \040 for a space.
    lines = Path("/proc/self/mountinfo").read_bytes().decode("utf-8", "surrogateescape").split("\n")[:-1]
    paths = {line.split(" ")[4].encode("utf-8", "surrogateescape").decode("unicode_escape") for line in lines}
    paths = {path.encode("latin-1").decode("utf-8", "surrogateescape") for path in paths}
    found = [path for path in paths if path == root or path.startswith(f"{root}/")]
    return sorted((path for path in found if path != f"{root}/proc"), key=len, reverse=True)


def _pivot(root: str) -> None:
    """Make *root* the root folder. Unlike chroot's, it cannot be left: the old one is no longer mounted."""
    os.chdir(root)
    _check(_libc.syscall(_PIVOT_ROOT[platform.machine()], b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", _MNT_DETACH), "umount")
    os.chdir("/")


def _run_with_proot(spec: Spec) -> int:
    """Run the command with proot, and return its exit code."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")

    def start() -> NoReturn:
        _end_with_parent(signal.SIGKILL)
        _refuse_new_calls()
        argv = [*spec["proot"], "-r", spec["root"], "-w", spec["cwd"]]
        argv += [word for source, inside, _ in spec["binds"] for word in ("-b", f"{source}:{inside}")]
        # Its temporary folder is one of the root folder's.
        environment = spec["environment"] | {"PROOT_TMP_DIR": spec["root"] + "/tmp"}
        os.execve(argv[0], [*argv, "-b", "/proc", *spec["argv"]], environment)

    return _wait(_fork(start), _kill_descendants)  # proot ignores SIGTERM, and does not kill the processes it traces


def _refuse_new_calls() -> None:
    """Install a seccomp filter that makes the system calls newer than proot return ENOSYS."""
    calls = (_STATX[platform.machine()], *_TOO_NEW)
    # Load the call's number, compare it with each, and jump to the last instruction; allow; ENOSYS.
    words = [(0x20, 0, 0, 0), *((0x15, len(calls) - n, 0, call) for n, call in enumerate(calls))]
    _install_filter([*words, (0x06, 0, 0, _ALLOW), (0x06, 0, 0, _REFUSE | errno.ENOSYS)])


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
    sys.exit(main(sys.argv[1], sys.argv[2:]))
