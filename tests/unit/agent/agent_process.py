"""The agent in a process of its own, spoken to as the host does, with apps written on the spot."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from incamera_agent.wire.frames import Decoder, encode

SOURCE = Path(__file__).parents[3] / "packages" / "incamera-agent" / "src"
PATIENCE_SECONDS = 30.0
# Another one can be named, to try all of this with the Pythons that cameras get.
PYTHON = os.environ.get("INCAMERA_TEST_AGENT_PYTHON", sys.executable)
# What the launcher does for the agent in a bundle: adopt orphans.
_ADOPTING = "import ctypes, os, sys; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])"

Message = dict[str, Any]


class Talk:
    """A conversation in frames; what comes is kept until somebody waits for it."""

    def __init__(self, read: Callable[[], bytes], write: Callable[[bytes], object]) -> None:
        self._read = read
        self._write = write
        self._arrived = threading.Condition()
        self.messages: list[tuple[Message, bytes]] = []
        self.output = {"stdout": b"", "stderr": b"", "output": b""}
        self.ended = False
        self.reading = threading.Event()
        self.reading.set()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        decoder = Decoder()
        while self.reading.wait() and (data := self._read()):
            with self._arrived:
                for frame in decoder.feed(data):
                    message, payload = frame.message, frame.payload
                    if message["type"] in self.output:
                        self.output[message["type"]] += payload
                    else:
                        self.messages.append((message, payload))
                self._arrived.notify_all()
        with self._arrived:
            self.ended = True
            self._arrived.notify_all()

    def send(self, type: str, payload: bytes = b"", **fields: Any) -> None:
        self._write(encode({"type": type, **fields}, payload))

    def ask(self, type: str, answer: str, payload: bytes = b"", **fields: Any) -> Message:
        self.send(type, payload, **fields)
        return self.wait(answer)

    def wait(self, type: str) -> Message:
        """Return the next message of that type; an error where none was wished for is a failure."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        with self._arrived:
            while True:
                for number, (message, _) in enumerate(self.messages):
                    if message["type"] == type:
                        del self.messages[number]
                        return message
                    assert message["type"] != "error" or type == "error", message
                assert not self.ended, f"it ended without {type}: {self.messages} {self.output}"
                assert time.monotonic() < deadline, f"no {type}: {self.messages} {self.output}"
                self._arrived.wait(0.1)

    def await_output(self, text: bytes, stream: str = "stdout") -> bytes:
        deadline = time.monotonic() + PATIENCE_SECONDS
        with self._arrived:
            while text not in self.output[stream]:
                assert time.monotonic() < deadline, f"{text!r} was not printed: {self.output} {self.messages}"
                assert not self.ended, f"it ended: {self.output} {self.messages}"
                self._arrived.wait(0.1)
            return self.output[stream]

    def await_end(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        with self._arrived:
            while not self.ended:
                assert time.monotonic() < deadline, f"it does not end: {self.messages}"
                self._arrived.wait(0.1)


class AgentProcess(Talk):
    def __init__(
        self,
        folder: Path,
        app: Path,
        *,
        python: str = PYTHON,
        environment: Mapping[str, str] | None = None,
        words: Sequence[str] = (),
        name: str = "app",
    ) -> None:
        self.folder = folder
        self.app = app
        self.python = python
        self.connections: list[socket.socket] = []
        self.environment = plain_environment(environment)
        who = ["--app", name, "--user", "anna@desk", "--command", "a test", "--folder", str(folder), *words]
        command = [sys.executable, "-c", _ADOPTING, python, "-m", "incamera_agent", *who]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self.environment, cwd=folder.parent
        )
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None

        def write(data: bytes) -> None:
            stdin.write(data)
            stdin.flush()

        super().__init__(lambda: os.read(stdout.fileno(), 1 << 16), write)

    def begin(self, imports: Sequence[str] = ()) -> None:
        """Greet, warm up, and open the live folder."""
        self.ask("hello", "hello", protocol=1, tool="test")
        self.ask("preload", "preloaded", imports=list(imports))
        self.open()

    def open(self) -> Message:
        return self.ask("open", "opened", b"", **{"folder": None, "from": str(self.app)})

    @property
    def live(self) -> Path:
        return self.folder / "app" / "live"

    def run(self, source: str, *arguments: str, **fields: Any) -> Message:
        """Make *source* the app, run it to its end, and return how that was."""
        self.change({"app.py": source})
        self.start(*(arguments or ("app.py",)), **fields)
        return self.wait("exited")

    def start(self, *arguments: str, run: str = "r", **fields: Any) -> Message:
        fields = {"environment": {}, "terminal": None, **fields}
        return self.ask("start", "started", run=run, arguments=list(arguments or ("app.py",)), **fields)

    def change(self, files: Mapping[str, str | bytes | None]) -> Message:
        self.send_change(files)
        return self.wait("committed")

    def send_change(self, files: Mapping[str, str | bytes | None]) -> None:
        for path, text in files.items():
            if text is None:
                self.send("delete", path=path)
            else:
                data = text.encode() if isinstance(text, str) else text
                self.send("put", data, path=path, mode=0o644, sha256=hashlib.sha256(data).hexdigest())
        self.send("commit")

    def connect(self) -> Talk:
        """Return a conversation of another client, over the socket."""
        connection = socket.socket(socket.AF_UNIX)
        self.connections.append(connection)
        connection.connect(str(self.folder / "app" / "socket"))

        def read() -> bytes:
            try:
                return connection.recv(1 << 16)
            except OSError:  # closed at the end of the test
                return b""

        talk = Talk(read, connection.sendall)
        talk.ask("hello", "hello", protocol=1, tool="test")
        return talk

    def close(self) -> int:
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
    """Return the Pythons to test with: our own, and where there are, the oldest and the newest that a camera gets."""
    found = [sys.executable]
    for name in ("python3.9", "python3.13"):
        if path := shutil.which(name):
            # Itself, not a script that starts it.
            asked = [path, "-c", "import sys; print(sys.executable)"]
            done = subprocess.run(asked, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                found.append(done.stdout.strip())
    return found
