"""A file server of our own: from unpacked Debian packages, all it writes in one private folder, ended with us."""

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

from incamera.errors import BuildError, DeviceError, StoreError, UsageError
from incamera.proc import minimal_environment, running

if TYPE_CHECKING:
    from incamera.share.values import Share
    from incamera.targets.host import Host

_STARTS_WITHIN_SECONDS = 15
_LOCK = "lock"


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerPlan:
    """What to write into the server's folder (path → text), and what to start.

    The server must end by itself, with its children, when its standard input ends.
    """

    argv: tuple[str, ...]
    files: Mapping[str, str]
    folders: tuple[str, ...] = ()


def plan_program(tools: Path, host: Host, program: str, folders: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the words that start *program* out of the tree *tools* through that tree's own loader."""
    loaders = [tools / "usr" / folder / host.loader for folder in ("lib64", "lib")]
    loader = next((path for path in loaders if path.exists()), None)
    if loader is None or not (tools / program).exists():
        raise BuildError(
            f"there is no {program if loader else host.loader} in {tools}",
            hint="`incamera store verify` removes what is broken",
        )
    libraries = f"{tools}/usr/lib/{host.gnu}"
    places = ":".join([libraries, *(f"{libraries}/{folder}" for folder in folders), f"{tools}/usr/lib"])
    return str(loader), "--library-path", places, str(tools / program)


@contextmanager
def serving(
    share: Share, plan: Callable[[Path], ServerPlan], *, before: Callable[[], None] = lambda: None
) -> Iterator[Callable[[], None]]:
    """Serve *share* for as long as the block lasts; *plan* is given the server's private folder.

    *before* is called when nothing is known to be in the way. What the block is given raises DeviceError when the
    server has ended by itself. Raises UsageError when the address or port cannot be had, DeviceError when the share
    is served already or the server does not start.
    """
    with _private_folder(share) as folder:
        require_free_port(share.address, share.port)
        before()
        made = plan(folder)
        _write(made, folder, share)
        log = folder / "log"

        def require_alive() -> None:
            if (code := process.poll()) is not None:
                raise DeviceError(
                    f"the server of {share.name} has ended with exit code {code}:\n{_tail(log)}",
                    hint="start it again with the same words",
                )

        with _started(share, made, log) as process:
            deadline = time.monotonic() + _STARTS_WITHIN_SECONDS
            while not is_reachable(*share.here):
                require_alive()
                if time.monotonic() > deadline:
                    raise DeviceError(f"the server of {share.name} does not answer:\n{_tail(log)}")
                time.sleep(0.02)
            require_alive()
            yield require_alive


def _write(plan: ServerPlan, folder: Path, share: Share) -> None:
    try:
        (folder / "folder").symlink_to(share.folder)  # Samba reads more into a path than its characters
        for inside in plan.folders:
            (folder / inside).mkdir(mode=0o700)
        for file, text in plan.files.items():
            (folder / file).touch(0o600)
            (folder / file).write_text(text, "utf-8")
    except OSError as error:
        raise StoreError(
            f"cannot write to {folder}: {error.strerror}", hint="name another place for temporary files by TMPDIR"
        ) from error


def is_reachable(address: str, port: int, *, seconds: float = 3) -> bool:
    """Return whether a server answers there."""
    try:
        socket.create_connection((address, port), timeout=seconds).close()
    except OSError:
        return False
    return True


def require_free_port(address: str, port: int) -> None:
    """Raises UsageError, saying why, when no server could listen there."""
    try:
        kind, _, _, _, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(kind, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        reasons = {
            errno.EADDRINUSE: ("another program has it", "choose another --port, or end that program"),
            errno.EADDRNOTAVAIL: ("this computer has no such address", "`ip address` lists those it has"),
            errno.EACCES: ("ports below 1024 are for root", "choose another --port, 4450 for instance"),
        }
        why, hint = reasons.get(error.errno or 0, (error.strerror or str(error), None))
        raise UsageError(f"cannot serve on {address}, port {port}: {why}", hint=hint) from error


def require_writable(folder: Path) -> Path:
    """Return *folder*, made if need be. Raises StoreError when nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StoreError(
            f"cannot write to {folder}: {error.strerror}", hint="a share's folder must be one that you can write"
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
    """A folder for what the server of *share* writes: nobody else's, with a short path, since sockets lie in it.

    It is gone with the block; what a killed `serve` has left behind goes when anything is served the next time.
    """
    base = Path(tempfile.gettempdir()) / f"incamera-{os.getuid()}"
    with suppress(FileExistsError):
        base.mkdir(mode=0o700)
    status = base.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077 or base.is_symlink():
        raise StoreError(f"{base} is not ours alone", hint="remove it, or name another place for it by TMPDIR")
    _prune(base)
    digest = hashlib.sha256(f"{share.name}\0{share.folder}\0{share.url}".encode()).hexdigest()
    folder = base / f"share-{digest[:12]}"
    # Whoever prunes takes a folder whose lock isn't held for left over: it gets its name when the lock is.
    fresh = Path(tempfile.mkdtemp(prefix="new-", dir=base))
    lock = os.open(fresh / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            fresh.rename(folder)
        except OSError:  # there is one, and it isn't empty
            shutil.rmtree(fresh, ignore_errors=True)
            raise DeviceError(
                f"{share.name} is served already, as {share.url}", hint="one server of it is enough"
            ) from None
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def _prune(base: Path) -> None:
    """Remove the folders that nobody holds the lock of."""
    for folder in base.glob("share-*"):
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            if time.time() - folder.stat().st_mtime > _STARTS_WITHIN_SECONDS:  # else it is being made
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
