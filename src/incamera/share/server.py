"""Runs a file server from unpacked Debian packages. It writes to one private folder, and ends with this process."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.disk import users_umask
from incamera.errors import BuildError, DeviceError, StoreError, UsageError
from incamera.proc import minimal_environment, running

if TYPE_CHECKING:
    from incamera.share.values import Share
    from incamera.targets.host import Host

_START_TIMEOUT_SECONDS = 15
_LOCK = "lock"


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerPlan:
    """The files (path → text) and sub-folders to write into the server's private folder, and its command line.

    The server must end by itself, with its children, when its standard input is closed.
    """

    argv: tuple[str, ...]
    files: Mapping[str, str]
    folders: tuple[str, ...] = ()


def plan_program(tools: Path, host: Host, program: str, folders: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the command line that starts *program* of the tree *tools* through that tree's own loader.

    *folders* are sub-folders of the tree's library folder that are searched, too. Raises BuildError when the program
    or the loader is missing.
    """
    loaders = [tools / "usr" / folder / host.loader for folder in ("lib64", "lib")]
    loader = next((path for path in loaders if path.exists()), None)
    if loader is None or not (tools / program).exists():
        raise BuildError(
            f"there is no {program if loader else host.loader} in {tools}",
            hint="`incamera store verify` removes damaged trees",
        )
    libraries = f"{tools}/usr/lib/{host.gnu}"
    library_path = ":".join([libraries, *(f"{libraries}/{folder}" for folder in folders), f"{tools}/usr/lib"])
    return str(loader), "--library-path", library_path, str(tools / program)


@contextmanager
def serving(
    share: Share, plan: Callable[[Path], ServerPlan], *, before_start: Callable[[], None] = lambda: None
) -> Iterator[Callable[[], None]]:
    """Serve *share* until the block ends. Yields a function that raises DeviceError when the server has ended.

    *plan* returns the server's plan, given its private folder. *before_start* is called when folder and port are
    available. Raises UsageError when the address or port cannot be used, DeviceError when the share is served already
    or the server does not start, StoreError when the private folder cannot be written.
    """
    with _private_folder(share) as folder:
        require_free_port(share.address, share.port)
        before_start()
        server_plan = plan(folder)
        _write(server_plan, folder, share)
        log = folder / "log"

        def require_alive() -> None:
            if (code := process.poll()) is not None:
                raise DeviceError(
                    f"the server of {share.name} has ended with exit code {code}:\n{_tail(log)}",
                    hint="start it again: `incamera share serve`",
                )

        with _started(share, server_plan, log) as process:
            deadline = time.monotonic() + _START_TIMEOUT_SECONDS
            while not is_reachable(*share.local_address):
                require_alive()
                if time.monotonic() > deadline:
                    raise DeviceError(
                        f"the server of {share.name} does not answer within {_START_TIMEOUT_SECONDS} s:\n{_tail(log)}"
                    )
                time.sleep(0.02)
            require_alive()
            yield require_alive


def _write(plan: ServerPlan, folder: Path, share: Share) -> None:
    try:
        # A link, because Samba would expand %-variables in the folder's own path.
        (folder / "folder").symlink_to(share.folder)
        for inside in plan.folders:
            (folder / inside).mkdir(mode=0o700)
        for file, text in plan.files.items():
            (folder / file).touch(0o600)
            (folder / file).write_text(text, "utf-8")
    except OSError as error:
        raise StoreError(
            f"cannot write to {folder}: {error.strerror}", hint="set TMPDIR to another folder for temporary files"
        ) from error


def is_reachable(address: str, port: int, *, seconds: float = 3) -> bool:
    """Return whether a server accepts a connection at *address*, *port* within *seconds*."""
    try:
        socket.create_connection((address, port), timeout=seconds).close()
    except OSError:
        return False
    return True


def require_free_port(address: str, port: int) -> None:
    """Raise UsageError, with the reason, when no server can listen at *address*, *port*."""
    try:
        family, _, _, _, socket_address = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(socket_address)
    except OSError as error:
        reasons = {
            errno.EADDRINUSE: ("another program uses it", "choose another --port, or stop that program"),
            errno.EADDRNOTAVAIL: ("this computer has no such address", "`ip address` lists its addresses"),
            errno.EACCES: ("only root can use ports below 1024", "choose another --port, for example 4450"),
        }
        unknown = (error.strerror or str(error), "--address is an address of this computer: `ip address` lists them")
        why, hint = reasons.get(error.errno or 0, unknown)
        raise UsageError(f"cannot serve on {address}, port {port}: {why}", hint=hint) from error


def require_writable(folder: Path) -> Path:
    """Return the resolved path of *folder*; make the folder if it does not exist.

    Raises StoreError when nothing can be written to it.
    """
    try:
        with users_umask():
            folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StoreError(
            f"cannot write to {folder}: {error.strerror}", hint="choose a folder for the share that you can write to"
        ) from error
    return folder.resolve()


@contextmanager
def _started(share: Share, plan: ServerPlan, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (
        log.open("ab") as output,
        running(
            plan.argv,
            purpose=f"serve {share.name}",
            env=minimal_environment(),
            stdin=subprocess.PIPE,
            stdout=output.fileno(),
            stderr=output.fileno(),
        ) as process,
    ):
        yield process


@contextmanager
def _private_folder(share: Share) -> Iterator[Path]:
    """Yield a folder for the files of *share*'s server, which only the user can read, and remove it at the end.

    Its path is short, since it contains sockets. The next server removes the folder of one that was killed.
    """
    base = Path(tempfile.gettempdir()) / f"incamera-{os.getuid()}"
    with suppress(FileExistsError):
        base.mkdir(mode=0o700)
    status = base.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077 or base.is_symlink():
        raise StoreError(
            f"{base} can be read by other users, or belongs to another user",
            hint="remove it, or set TMPDIR to another folder for temporary files",
        )
    _prune(base)
    digest = hashlib.sha256(f"{share.name}\0{share.folder}\0{share.url}".encode()).hexdigest()
    folder = base / f"share-{digest[:12]}"
    # The folder gets its final name only after its lock is held, because _prune removes folders with a free lock.
    fresh = Path(tempfile.mkdtemp(prefix="new-", dir=base))
    lock = os.open(fresh / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            fresh.rename(folder)
        except OSError:  # a folder of that name exists, and isn't empty
            shutil.rmtree(fresh, ignore_errors=True)
            raise DeviceError(
                f"{share.name} is being served already, as {share.url}",
                hint="use that server: several cameras can attach the share",
            ) from None
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def _prune(base: Path) -> None:
    """Remove the folders whose lock is free: their server has ended."""
    for folder in (*base.glob("share-*"), *base.glob("new-*")):
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            if time.time() - folder.stat().st_mtime > _START_TIMEOUT_SECONDS:  # else it is being made
                shutil.rmtree(folder, ignore_errors=True)
            continue
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _tail(log: Path) -> str:
    with suppress(OSError):
        return "\n".join(log.read_text("utf-8", "replace").splitlines()[-12:])
    return ""
