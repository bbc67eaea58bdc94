"""The command line in tests: called in this process, or started as a process of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from incamera.__main__ import main

from ..schemas import check_output
from ..waiting import PATIENCE_SECONDS, wait_until
from .paths import STORE


@dataclass(frozen=True)
class Finished:
    code: int
    out: str
    err: str


Run = Callable[..., Finished]


def assert_error(done: Finished, code: int, *patterns: str) -> None:
    """Check that a command ended with *code* and printed one error, with a hint, in which *patterns* are found."""
    assert done.code == code, done.err
    assert done.out == ""
    assert len(re.findall("^error: ", done.err, re.MULTILINE)) == 1, done.err
    assert len(re.findall("^hint: ", done.err, re.MULTILINE)) == 1, done.err
    assert "Traceback" not in done.err
    for pattern in patterns:
        assert re.search(pattern, done.err), done.err


def command_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a command that uses the tests' store, with *more* variables."""
    return {**os.environ, "INCAMERA_STORE": str(STORE), "NO_COLOR": "1", **(more or {})}


@pytest.fixture(scope="session")
def incamera() -> Run:
    """Runs a command in this process and returns its exit code and output.

    Where a process, its start or its signals are what is tested, use `incamera_process` or `running`.
    """
    return run_here


def run_here(
    *arguments: str | Path, cwd: Path | None = None, input: str | None = None, env: Mapping[str, str] | None = None
) -> Finished:
    """Call `main` with its own standard streams, working directory and environment, and put ours back after it."""
    before = dict(os.environ)
    try:
        os.environ.update(command_environment(env))
        with contextlib.chdir(cwd or Path.cwd()), _own_streams(input) as (out, err):
            try:
                code = main([str(word) for word in arguments])
            except SystemExit as end:  # argparse ends this way
                code = end.code if isinstance(end.code, int) else 1
            sys.stdout.flush()
            sys.stderr.flush()
            return _checked(arguments, Finished(code, _read(out), _read(err)))
    finally:
        os.environ.clear()
        os.environ.update(before)


def _checked(arguments: Sequence[str | Path], done: Finished) -> Finished:
    """Return *done*. Fails the test if the command printed JSON in another form than its schema describes."""
    if "--json" in arguments and done.out:
        check_output([str(word) for word in arguments], done.out)
    return done


@contextlib.contextmanager
def _own_streams(input: str | None) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """Exchange descriptors 0, 1 and 2 and Python's streams: an app in a camera writes to the descriptors."""
    python_streams = sys.stdin, sys.stdout, sys.stderr
    sys.stdout.flush()
    sys.stderr.flush()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, _input(input) as stdin:
        kept = [os.dup(number) for number in range(3)]
        try:
            for number, source in enumerate((stdin, out.fileno(), err.fileno())):
                os.dup2(source, number)
            with (
                open(0, encoding="utf-8", closefd=False) as sys.stdin,
                open(1, "w", encoding="utf-8", closefd=False) as sys.stdout,
                open(2, "w", encoding="utf-8", closefd=False, errors="backslashreplace") as sys.stderr,
            ):
                yield out, err
        finally:
            sys.stdin, sys.stdout, sys.stderr = python_streams
            for number, source in enumerate(kept):
                os.dup2(source, number)
                os.close(source)


@contextlib.contextmanager
def _input(text: str | None) -> Iterator[int]:
    """A descriptor from which *text* can be read; with None, one that is at its end."""
    if text is None:
        with Path(os.devnull).open("rb") as nothing:
            yield nothing.fileno()
        return
    read, write = os.pipe()

    def feed() -> None:
        with contextlib.suppress(BrokenPipeError), os.fdopen(write, "wb") as stream:
            stream.write(text.encode())

    thread = threading.Thread(target=feed, daemon=True)
    thread.start()
    try:
        yield read
    finally:
        os.close(read)
        thread.join()


def _read(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode("utf-8", "replace").replace("\r\n", "\n")


@pytest.fixture(scope="session")
def incamera_process() -> Run:
    """Runs a command as a user does, in a process of its own, to its end."""

    def run(
        *arguments: str | Path,
        cwd: Path | None = None,
        input: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 300,
    ) -> Finished:
        done = subprocess.run(
            [sys.executable, "-m", "incamera", *map(str, arguments)],
            cwd=cwd,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            env=command_environment(env),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return _checked(arguments, Finished(done.returncode, done.stdout, done.stderr))

    return run


# A command may first build, and deploy to an emulated camera.
COMMAND_SECONDS = 4 * PATIENCE_SECONDS


class Running:
    """A command in a process of its own, whose output is read as it comes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.out = b""
        self.err = b""
        self._threads = [
            threading.Thread(target=self._read, args=(stream, name), daemon=True)
            for stream, name in ((process.stdout, "out"), (process.stderr, "err"))
            if stream is not None
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, stream: IO[bytes], name: str) -> None:
        while data := os.read(stream.fileno(), 65536):
            setattr(self, name, getattr(self, name) + data)

    @property
    def text(self) -> str:
        """Standard error so far."""
        return self.err.decode("utf-8", "replace")

    def await_output(self, text: str) -> None:
        wait_until(
            lambda: text.encode() in self.out or self.process.poll() is not None,
            lambda: f"{text!r} is printed: {self.text}",
            COMMAND_SECONDS,
        )
        assert text.encode() in self.out, f"the command ended with {self.process.returncode}: {self.text}"

    def finish(self, *, seconds: float = COMMAND_SECONDS) -> int:
        """Wait for the end and return the exit code. Fails the test, with a traceback of the command, if it hangs."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # faulthandler prints where it hangs
            self.process.wait()
            for thread in self._threads:
                thread.join(seconds)
            raise AssertionError(f"the command did not end: {self.text}") from None
        for thread in self._threads:
            thread.join(seconds)
        return code

    def press_ctrl_c(self) -> None:
        """Send SIGINT to the whole process group, as a terminal does."""
        os.killpg(self.process.pid, signal.SIGINT)


@contextlib.contextmanager
def running(
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.PIPE,
) -> Iterator[Running]:
    """Start a command in a process of its own and go on; kill it at the end of the block if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "incamera", *map(str, arguments)],
        cwd=cwd,
        env={**(command_environment() if env is None else env), "PYTHONFAULTHANDLER": "1"},
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # A shell starts its background jobs with SIGINT ignored; tests that run in one would pass that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
    )
    with process:
        command = Running(process)
        try:
            yield command
        finally:
            if process.poll() is None:
                process.kill()
                command.finish()
        _checked(arguments, Finished(process.returncode, command.out.decode("utf-8", "replace"), command.text))


def processes_that_mention(text: str) -> list[str]:
    """Return the command lines of the processes that have *text* in theirs."""
    lines = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            if text in line and int(folder.name) != os.getpid():
                lines.append(line)
    return lines
