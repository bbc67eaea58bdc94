"""What the tests of faults share: small projects, commands that run meanwhile, and waiting for what must happen."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera

PATIENCE_SECONDS = 60.0


def write_project(
    folder: Path,
    *,
    app: str = 'print("hello")\n',
    dependencies: str = "[]",
    settings: str = "",
    name: str = "plain",
) -> Path:
    """Make a project in *folder*; *dependencies* and *settings* are TOML, for [project] and [tool.incamera]."""
    folder.mkdir(parents=True, exist_ok=True)
    project = f'[project]\nname = "{name}"\nversion = "1"\ndependencies = {dependencies}\n'
    (folder / "pyproject.toml").write_text(f"{project}\n[tool.incamera]\n{settings}\n")
    (folder / "app.py").write_text(app)
    return folder


def eventually(condition: Callable[[], object], what: str, *, seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen that {what}"
        time.sleep(0.02)


class Running:
    """A command of incamera that runs meanwhile; what it prints is read as it comes."""

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
        return self.err.decode("utf-8", "replace")

    def await_output(self, text: str) -> None:
        eventually(lambda: text.encode() in self.out or self.process.poll() is not None, f"{text!r} is printed")
        assert text.encode() in self.out, f"it ended with {self.process.returncode}: {self.text}"

    def finish(self, *, seconds: float = PATIENCE_SECONDS) -> int:
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # faulthandler shows where it hangs
            self.process.wait()
            for thread in self._threads:
                thread.join(seconds)
            raise AssertionError(f"it did not end: {self.text}") from None
        for thread in self._threads:
            thread.join(seconds)
        return code

    def press_ctrl_c(self) -> None:
        """A terminal sends the signal to all that runs in its foreground."""
        os.killpg(self.process.pid, signal.SIGINT)


@contextlib.contextmanager
def running(
    *arguments: str | Path,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.PIPE,
) -> Iterator[Running]:
    process = subprocess.Popen(
        [sys.executable, "-m", "incamera", *map(str, arguments)],
        cwd=cwd,
        env={**env, "PYTHONFAULTHANDLER": "1"},
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # Where the tests run in the background, a shell has made them deaf to it.
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


def inside(camera: VirtualCamera, command: str, *, terminal: str | None = None) -> str:
    """Return what *command* prints in *camera*, logged in by key, the host key checked, whatever becomes of it."""
    import asyncssh

    async def session() -> str:
        known = asyncssh.import_known_hosts(f"[{camera.ssh_host}]:{camera.ssh_port} {camera.host_public_key}\n")
        async with asyncssh.connect(
            camera.ssh_host,
            camera.ssh_port,
            username=camera.ssh_user,
            client_keys=[str(camera.key)],
            known_hosts=known,
            config=None,
            agent_path=None,
        ) as connection:
            done = await connection.run(command, term_type=terminal, term_size=(100, 30) if terminal else ())
            return str(done.stdout) + str(done.stderr)

    return asyncio.run(session())


class Line:
    """A TCP connection to *port* on loopback that can be cut: `port` is where to connect to instead."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._cut_at: int | None = None
        self._frozen = threading.Event()
        self.sent = 0
        self._start(self._accept)

    def cut_after(self, count: int | None) -> None:
        """Break once so many more bytes have gone to the other side; None: never."""
        self._cut_at = None if count is None else self.sent + count

    def cut(self) -> None:
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def freeze(self) -> None:
        """Carry nothing any more, as when a cable is pulled."""
        self._frozen.set()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self.cut()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
        for end in (*self._ends, self._server):
            end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = self._server.accept()
                there = socket.create_connection(("127.0.0.1", self._to))
                self._ends += [here, there]
                self._start(self._carry, here, there, True)
                self._start(self._carry, there, here, False)

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _carry(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self._frozen.is_set():
                    return
                if counted:
                    self.sent += len(data)
                    if self._cut_at is not None and self.sent > self._cut_at:
                        self.cut()
                        return
                sink.sendall(data)
        if not self._frozen.is_set():
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_WR)


def processes_that_mention(text: str) -> list[str]:
    """Return the command lines of the processes that have *text* in theirs."""
    lines = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            if text in line and int(folder.name) != os.getpid():
                lines.append(line)
    return lines
