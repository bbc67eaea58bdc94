"""The one door to other programs: every process that incamera starts is started here."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from incamera.errors import ToolFailed

# What a child may see of the caller's environment, unless it is given more by name.
_PASSED_ON = ("HOME", "LANG", "PATH", "TMPDIR", "TZ", "USER")
_TAIL_LINES = 25
_PR_SET_PDEATHSIG = 1  # linux/prctl.h

Argument = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Result:
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        return self.stdout.decode("utf-8", "replace")


def minimal_environment(**more: str) -> dict[str, str]:
    """Return the few variables that any program needs, and *more*."""
    return {key: os.environ[key] for key in _PASSED_ON if key in os.environ} | more


def run(
    argv: Sequence[Argument],
    *,
    purpose: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    input: bytes | None = None,
    timeout: float | None = None,
    log: Path | None = None,
    hint: str | None = None,
) -> Result:
    """Run *argv* to its end and return what it printed.

    *purpose* ("compile numbers") begins the error message. *env* is the complete environment (default: a minimal one).
    *log* names a file that keeps everything printed, standard error included, whatever happens.
    Raises ToolFailed with the command line and the last lines when it fails, or cannot be started, or takes too long.
    """
    words = tuple(os.fspath(word) for word in argv)
    try:
        with _popen(words, env=env, cwd=cwd, stdin=subprocess.DEVNULL if input is None else subprocess.PIPE) as child:
            try:
                stdout, stderr = child.communicate(input, timeout=timeout)
            except BaseException:
                _end(child)
                if log is not None:
                    # Its own children may hold its output open still.
                    with suppress(subprocess.TimeoutExpired):
                        _write_log(log, words, *child.communicate(timeout=1))
                raise
    except OSError as error:
        raise ToolFailed(f"cannot {purpose}: {words[0]}: {error.strerror}", hint=hint, argv=words) from error
    except subprocess.TimeoutExpired as error:
        raise ToolFailed(
            f"cannot {purpose}: {words[0]} took longer than {timeout:.0f} s", hint=hint, argv=words
        ) from error
    if log is not None:
        _write_log(log, words, stdout, stderr)
    if child.returncode:
        tail = _tail(stderr.strip() or stdout.strip())
        how = f"exit code {child.returncode}" if child.returncode > 0 else signal.Signals(-child.returncode).name
        raise ToolFailed(f"cannot {purpose}: {Path(words[0]).name}: {how}", hint=hint, argv=words, tail=tail)
    return Result(stdout, stderr)


def _write_log(log: Path, words: Sequence[str], stdout: bytes, stderr: bytes) -> None:
    log.write_bytes(b"$ " + shlex.join(words).encode() + b"\n" + stdout + stderr)


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
    """Start *argv*, hand over the process, and see that it has ended when the block is left."""
    words = tuple(os.fspath(word) for word in argv)
    try:
        child = _popen(words, env=env, cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr)
    except OSError as error:
        raise ToolFailed(f"cannot {purpose}: {words[0]}: {error.strerror}", argv=words) from error
    with child:
        try:
            yield child
        finally:
            _end(child)
            if child.stdin is not None:
                # What it hasn't read is of no use now; Popen would raise over it, and hide why the block was left.
                with suppress(BrokenPipeError):
                    child.stdin.close()


def start_service(
    argv: Sequence[Argument], *, purpose: str, log: Path, pass_fds: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Start *argv* in a session of its own, tied to us by pipes at its standard input and output.

    It may outlive us if it likes: when we are gone it reads the end of its input. Errors go to *log*.
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
            raise ToolFailed(f"cannot {purpose}: {words[0]}: {error.strerror}", argv=words) from error


def leave_parent() -> None:
    """Go on as a child of nobody, so that whoever started us need not wait for us. For processes without threads."""
    if os.fork():
        raise SystemExit(0)


def start_tied(
    argv: Sequence[Argument], *, purpose: str, log: Path, env: Mapping[str, str], pass_fds: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Start *argv* so that the kernel kills it when we end, however that happens. For processes without threads."""
    import ctypes

    words = tuple(os.fspath(word) for word in argv)
    libc = ctypes.CDLL(None, use_errno=True)
    us = os.getpid()

    def die_with_parent() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != us:  # we were gone before the kernel knew
            os.kill(os.getpid(), signal.SIGKILL)

    with log.open("ab") as output:
        try:
            return subprocess.Popen(
                words,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=pass_fds,
                preexec_fn=die_with_parent,
            )
        except OSError as error:
            raise ToolFailed(f"cannot {purpose}: {words[0]}: {error.strerror}", argv=words) from error


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
    """End *child* politely, then firmly."""
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
