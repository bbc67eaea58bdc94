"""Start other programs: every process that incamera starts is started here."""

from __future__ import annotations

import ctypes
import errno
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from incamera.errors import ToolFailed

# The variables of our own environment that every program gets.
_PASSED_ON = ("HOME", "LANG", "PATH", "TMPDIR", "TZ", "USER")
_TAIL_LINES = 25
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
# How a program ends of which a part is missing or damaged: 127 comes from the loader.
_DAMAGED = (127, -signal.SIGSEGV, -signal.SIGBUS, -signal.SIGILL)
_DAMAGED_HINT = "a program of the store may be damaged: `incamera store verify` removes it, and it is fetched again"

Argument = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Result:
    """What a program printed."""

    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output as text."""
        return self.stdout.decode("utf-8", "replace")


def minimal_environment(**more: str) -> dict[str, str]:
    """Return the environment variables that any program needs, and *more*."""
    return {key: os.environ[key] for key in _PASSED_ON if key in os.environ} | more


def run(
    argv: Sequence[Argument],
    *,
    purpose: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
    hint: str | None = None,
) -> Result:
    """Run the program *argv* to its end and return what it printed. Its standard input is empty.

    *purpose* completes the error message "cannot …" ("compile numbers"). *env* is the complete environment; the default
    is `minimal_environment()`. *timeout* is in seconds. Raises ToolFailed, with *hint* and the last lines printed, when
    it fails, cannot be started or takes too long.
    """
    words = tuple(os.fspath(word) for word in argv)
    try:
        with _popen(words, env=env, cwd=cwd, stdin=subprocess.DEVNULL) as child:
            try:
                stdout, stderr = child.communicate(timeout=timeout)
            except BaseException:
                _end(child)
                raise
    except OSError as error:
        raise _not_started(purpose, words[0], error, hint) from error
    except subprocess.TimeoutExpired as error:
        raise ToolFailed(f"cannot {purpose}: {words[0]} took longer than {timeout:.0f} s", hint=hint) from error
    if child.returncode:
        raise failure(purpose, words[0], child.returncode, hint=hint, output=stderr.strip() or stdout.strip())
    return Result(stdout, stderr)


def failure(purpose: str, program: str, code: int, *, hint: str | None, output: bytes) -> ToolFailed:
    """Return the error that *program* has ended with the exit *code*; a negative one is a signal's number."""
    how = f"exit code {code}" if code > 0 else signal.Signals(-code).name
    if hint is None and code in _DAMAGED:
        hint = _DAMAGED_HINT
    return ToolFailed(f"cannot {purpose}: {Path(program).name}: {how}", hint=hint, tail=_tail(output))


def format_command(argv: Sequence[Argument]) -> bytes:
    """Return the line of a log that says how a program was started."""
    return b"$ " + shlex.join([os.fspath(word) for word in argv]).encode("utf-8", "surrogateescape") + b"\n"


@contextmanager
def running(
    argv: Sequence[Argument],
    *,
    purpose: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
    stderr: int = subprocess.DEVNULL,
) -> Iterator[subprocess.Popen[bytes]]:
    """Yield the running process *argv*; end it when the block is left: SIGTERM, after 3 s SIGKILL.

    *stdin*, *stdout* and *stderr* are as `subprocess.Popen` takes them. Raises ToolFailed when it cannot be started.
    """
    words = tuple(os.fspath(word) for word in argv)
    try:
        child = _popen(words, env=env, cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr)
    except OSError as error:
        raise _not_started(purpose, words[0], error) from error
    with child:
        try:
            yield child
        finally:
            _end(child)
            if child.stdin is not None:
                # Unread input would make Popen raise BrokenPipeError, and hide the error that ended the block.
                with suppress(BrokenPipeError):
                    child.stdin.close()


def start_service(
    argv: Sequence[Argument], *, purpose: str, log: Path, pass_fds: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Start *argv* in a session of its own, with pipes to its standard input and output.

    It may outlive us: when this process ends, it reads the end of its input. Standard error is appended to *log*.
    Raises ToolFailed when it cannot be started.
    """
    words = tuple(os.fspath(word) for word in argv)
    with log.open("ab") as errors:
        try:
            return subprocess.Popen(
                words,
                env=minimal_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
                pass_fds=pass_fds,
            )
        except OSError as error:
            raise _not_started(purpose, words[0], error) from error


def become(argv: Sequence[Argument], *, purpose: str, env: Mapping[str, str], folder: Path) -> NoReturn:
    """Run *argv* in *folder* instead of this process. Raises ToolFailed when it cannot be started."""
    words = tuple(os.fspath(word) for word in argv)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.chdir(folder)
        os.execve(words[0], words, env)
    except OSError as error:
        raise _not_started(purpose, words[0], error) from error


def detach_from_parent() -> None:
    """Fork, and end the parent: our caller need not wait for us. Only for a process without threads."""
    if os.fork():
        raise SystemExit(0)


def start_tied(
    argv: Sequence[Argument],
    *,
    purpose: str,
    log: Path,
    env: Mapping[str, str],
    stdin: int = subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start *argv* so that the kernel kills it when this process ends, even by SIGKILL.

    *stdin*: a descriptor. Its output is appended to *log*. Only for a process without threads. Raises ToolFailed when
    it cannot be started.
    """
    words = tuple(os.fspath(word) for word in argv)
    libc = ctypes.CDLL(None, use_errno=True)
    our_pid = os.getpid()

    def die_with_parent() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != our_pid:  # we ended before the line above
            os.kill(os.getpid(), signal.SIGKILL)

    with log.open("ab") as output:
        try:
            return subprocess.Popen(
                words,
                env=dict(env),
                stdin=stdin,
                stdout=output,
                stderr=output,
                pass_fds=pass_fds,
                preexec_fn=die_with_parent,
            )
        except OSError as error:
            raise _not_started(purpose, words[0], error) from error


def _not_started(purpose: str, program: str, error: OSError, hint: str | None = None) -> ToolFailed:
    if isinstance(error, PermissionError) and _is_noexec(program):
        return ToolFailed(
            f"cannot {purpose}: the disk of {program} is mounted noexec, so that no program on it can be started",
            hint="set INCAMERA_STORE to a folder on another disk, or have the disk mounted without noexec",
        )
    if hint is None and error.errno in (errno.ENOENT, errno.ENOEXEC, errno.EACCES) and program.startswith("/"):
        hint = _DAMAGED_HINT
    return ToolFailed(f"cannot {purpose}: {program}: {error.strerror}", hint=hint)


def _is_noexec(program: str) -> bool:
    try:
        return bool(os.statvfs(program).f_flag & os.ST_NOEXEC)
    except OSError:
        return False


def _popen(
    words: tuple[str, ...],
    *,
    env: Mapping[str, str] | None,
    cwd: Path | None,
    stdin: int,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
) -> subprocess.Popen[bytes]:
    environment = minimal_environment() if env is None else dict(env)
    return subprocess.Popen(words, env=environment, cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Send SIGTERM to *child*, and SIGKILL when it goes on for 3 s."""
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(timeout=3)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _tail(output: bytes) -> str:
    return "\n".join(output.decode("utf-8", "replace").splitlines()[-_TAIL_LINES:])
