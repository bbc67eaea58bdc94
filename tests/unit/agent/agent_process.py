"""The agent as a process that the tests speak to as the host does, with apps written on the spot."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.waiting import PATIENCE_SECONDS, wait_until

from incamera_agent.wire.frames import Decoder, encode
from incamera_agent.wire.protocol import PROTOCOL

SOURCE = Path(__file__).parents[3] / "packages" / "incamera-agent" / "src"
# Another one can be named, to run these tests with the Pythons that cameras get.
PYTHON = os.environ.get("INCAMERA_TEST_AGENT_PYTHON", sys.executable)
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# What the launcher does for the agent in a bundle: it has the agent adopt orphans.
_ADOPTING = "import ctypes, os, sys; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])"
# An app that prints `on` and runs until it is ended.
FOREVER = "import time\nprint('on', flush=True)\nwhile True: time.sleep(600)\n"

Message = dict[str, Any]


class Client:
    """A connection that carries frames. What arrives is kept until the test waits for it."""

    def __init__(self, read: Callable[[], bytes], write: Callable[[bytes], object]) -> None:
        self._read = read
        self._write = write
        self._lock = threading.Lock()
        self.messages: list[tuple[Message, bytes]] = []
        self.output = {"stdout": b"", "stderr": b"", "output": b""}
        self.ended = False
        self.reading = threading.Event()
        self.reading.set()
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def _receive(self) -> None:
        decoder = Decoder()
        while self.reading.wait() and (data := self._read()):
            for frame in decoder.feed(data):
                with self._lock:
                    if frame.type in self.output:
                        self.output[frame.type] += frame.payload
                    else:
                        self.messages.append((frame.message, frame.payload))
        self.ended = True

    def send(self, type: str, payload: bytes = b"", **fields: Any) -> None:
        self._write(encode({"type": type, **fields}, payload))

    def hello(self) -> Message:
        return self.ask("hello", "hello", protocol=PROTOCOL, tool="test")

    def ask(self, type: str, answer: str, payload: bytes = b"", **fields: Any) -> Message:
        """Send a request and return the next message of the type *answer*."""
        self.send(type, payload, **fields)
        return self.wait_for(answer)

    def wait_for(self, type: str) -> Message:
        """Return the next message of that type. An error is a failure, unless it is what the test waits for."""

        def take() -> Message | None:
            ended = self.ended  # before the messages: none comes after it
            with self._lock:
                for number, (message, _) in enumerate(self.messages):
                    if message["type"] == type:
                        del self.messages[number]
                        return message
                    assert message["type"] != "error" or type == "error", message
            assert not ended, f"the connection ended without `{type}`: {self.messages} {self.output}"
            return None

        found = wait_until(take, lambda: f"`{type}` arrives: {self.messages} {self.output}", pause=0.002)
        assert found is not None
        return found

    def wait_for_output(self, text: bytes, stream: str = "stdout") -> bytes:
        """Wait until *stream* contains *text*; return all that it contains."""

        def printed() -> bool:
            ended = self.ended
            if text in self.output[stream]:
                return True
            assert not ended, f"the connection ended: {self.messages} {self.output}"
            return False

        wait_until(printed, lambda: f"{text!r} is printed: {self.output} {self.messages}", pause=0.002)
        return self.output[stream]

    def wait_for_end(self) -> None:
        wait_until(lambda: self.ended, lambda: f"the connection ends: {self.messages}", pause=0.002)

    def received(self, type: str) -> list[Message]:
        """Return the messages of that type that nobody has waited for."""
        with self._lock:
            return [message for message, _ in self.messages if message["type"] == type]


class AgentProcess(Client):
    """The agent for the app *name* in *folder*, whose bundle has its files in *app*."""

    def __init__(
        self,
        folder: Path,
        app: Path,
        *,
        python: str = PYTHON,
        environment: Mapping[str, str] | None = None,
        words: Sequence[str] = (),
        name: str = "app",
        start_in: Path | None = None,
    ) -> None:
        self.folder = folder
        self.app = app
        self.python = python
        self.connections: list[socket.socket] = []
        self.environment = plain_environment(environment)
        options = ["--app", name, "--user", "anna@desk", "--command", "a test", "--folder", str(folder), *words]
        command = [sys.executable, "-c", _ADOPTING, python, "-m", "incamera_agent", *options]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self.environment, cwd=start_in or folder.parent
        )
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None

        def write(data: bytes) -> None:
            stdin.write(data)
            stdin.flush()

        super().__init__(lambda: os.read(stdout.fileno(), 1 << 16), write)

    def begin(self, imports: Sequence[str] = ()) -> None:
        """Greet the agent, have its fork server import *imports*, and open the live folder."""
        self.hello()
        self.ask("preload", "preloaded", imports=list(imports))
        self.open()

    def open(self) -> Message:
        return self.ask("open", "opened", b"", **{"folder": None, "from": str(self.app)})

    @property
    def live(self) -> Path:
        return self.folder / "app" / "live"

    def run(self, source: str, *arguments: str, **fields: Any) -> Message:
        """Make *source* the app, run it to its end, and return the message about the end."""
        self.change({"app.py": source})
        self.start(*(arguments or ("app.py",)), **fields)
        return self.wait_for("exited")

    def run_until_on(self, source: str = FOREVER, **fields: Any) -> Message:
        """Make *source* the app, start it, and wait until it has printed `on`; return the answer to the start."""
        self.change({"app.py": source})
        started = self.start(**fields)
        self.wait_for_output(b"on")
        return started

    def start(self, *arguments: str, run: str = "r", **fields: Any) -> Message:
        fields = {"environment": {}, "terminal": None, **fields}
        return self.ask("start", "started", run=run, arguments=list(arguments or ("app.py",)), **fields)

    def stop(self, *, run: str = "r", grace: float = 1) -> Message:
        self.send("stop", run=run, grace=grace)
        return self.wait_for("exited")

    def change(self, files: Mapping[str, str | bytes | None]) -> Message:
        self.send_change(files)
        return self.wait_for("committed")

    def send_change(self, files: Mapping[str, str | bytes | None]) -> None:
        for path, text in files.items():
            if text is None:
                self.send("delete", path=path)
            else:
                data = text.encode() if isinstance(text, str) else text
                self.send("put", data, path=path, mode=0o644, sha256=hashlib.sha256(data).hexdigest())
        self.send("commit")

    def connect(self) -> Client:
        """Return the connection of another client, over the agent's socket."""
        connection = socket.socket(socket.AF_UNIX)
        self.connections.append(connection)
        connection.connect(str(self.folder / "app" / "socket"))

        def read() -> bytes:
            try:
                return connection.recv(1 << 16)
            except OSError:  # closed at the end of the test
                return b""

        client = Client(read, connection.sendall)
        client.hello()
        return client

    def resident_bytes(self) -> int:
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * PAGE_BYTES

    def close(self) -> int:
        """Close the agent's input, as a host does that goes away; return the agent's exit code."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        with contextlib.suppress(BrokenPipeError):
            stdin.close()
        self.reading.set()
        for connection in self.connections:
            connection.close()
        try:
            return self.process.wait(PATIENCE_SECONDS)
        finally:
            self.process.kill()
            self._thread.join(PATIENCE_SECONDS)
            stdout.close()


def plain_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    kept = ("PATH", "HOME", "LANG", "LC_ALL")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    return {**environment, "PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": "1", **(more or {})}


def find_pythons() -> list[str]:
    """Return the Pythons to test with: this one, and where they are installed, the oldest and newest of cameras."""
    found = [sys.executable]
    for name in ("python3.9", "python3.13"):
        if path := shutil.which(name):
            # The interpreter itself, not a script that starts it.
            asked = [path, "-c", "import sys; print(sys.executable)"]
            done = subprocess.run(asked, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                found.append(done.stdout.strip())
    return found


# Processes


def descendants(pid: int) -> set[int]:
    """Return the processes that *pid* has started, theirs included."""
    parents = {}
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit() and (fields := _read_stat(int(name))) and fields[0] != "Z":
            parents[int(name)] = int(fields[1])
    found: set[int] = set()
    more = {pid}
    while more:
        more = {child for child, parent in parents.items() if parent in more}
        found |= more
    return found


def is_alive(pid: int) -> bool:
    fields = _read_stat(pid)
    return bool(fields) and fields[0] != "Z"


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def wait_until_ended(pids: set[int]) -> None:
    wait_until(
        lambda: not any(map(is_alive, pids)), lambda: f"{[pid for pid in pids if is_alive(pid)]} have ended", pause=0.01
    )


def wait_until_settled(read: Callable[[], object]) -> None:
    """Wait until *read* has returned the same value for half a second."""
    values: list[object] = []

    def settled() -> bool:
        values.append(read())
        return len(values) > 25 and len(set(values[-25:])) == 1

    wait_until(settled, lambda: f"it changes no more: {values[-1]}", pause=0.02)


def _read_stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on, none when the process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
