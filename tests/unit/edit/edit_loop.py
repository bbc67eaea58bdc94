"""An edit loop to test with: a real agent and the real guard on this computer, without a camera."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import signal
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.device.streams import Streams
from incamera.edit.changes import Inbox
from incamera.edit.edited_app import EditedApp
from incamera.edit.live_app import PlainApp
from incamera.edit.session import EditSession, Outcome
from incamera.project.loading import load_project
from incamera.project.watching import watching
from incamera.runlog.output import RunOutput
from incamera.runtime.launcher import require_launcher
from incamera.transport.device import Device, SshAddress
from incamera.transport.local import open_local
from incamera.workflows.watch import Watched, describe_leaving_out

if TYPE_CHECKING:
    from incamera.errors import InCameraError

PATIENCE_SECONDS = 30.0
FOREVER = "import time\nwhile True:\n    time.sleep(0.05)\n"


@dataclass
class Told:
    """A reporter that keeps what was said."""

    texts: list[str] = field(default_factory=list)

    def step(self, name: str) -> Any:
        raise AssertionError("nothing is built here")

    def info(self, text: str) -> None:
        self.texts.append(text)

    warn = info

    def error(self, error: InCameraError) -> None:
        self.texts.append(f"error: {error}")
        self.texts += [f"hint: {error.hint}"] if error.hint else []

    def confirm(self, question: str) -> bool:
        return False

    def ask_secret(self, question: str) -> str | None:
        return None


class _Plain:
    """An output filter that lets everything through."""

    has_pending = False

    def feed(self, data: bytes) -> bytes:
        return data

    def finish(self) -> bytes:
        return b""


class Loop:
    """An edit session that goes on in a thread: `save` a file, and `await_` what is shown or told."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.project = folder / "project"
        self.agent_folder = folder / "agent"
        self.told = Told()
        self.out = b""
        self.codes: list[int | None] = []
        self.outcome: Outcome | Exception | None = None
        self._options = options
        self._folder = folder
        self._ends: list[int] = []
        self.project.mkdir()
        self.save("pyproject.toml", '[project]\nname = "plain"\nversion = "1"\n')

    def save(self, path: str, text: str | bytes) -> None:
        (self.project / path).parent.mkdir(parents=True, exist_ok=True)
        (self.project / path).write_bytes(text.encode() if isinstance(text, str) else text)

    def start(self, *, stdin: bytes = b"", terminal: bool = False, agent: str = "") -> None:
        """Begin a session; *agent*: what a shell does before it is the agent."""
        root = self._folder / "root"
        if not root.exists():
            (root / "bin").mkdir(parents=True)
            shutil.copytree(self.project, root / "app")
            python = root / "bin/python3"
            python.write_text(f'#!/bin/sh\n{agent}exec "{sys.executable}" "$@" --folder "{self.agent_folder}"\n')
            python.chmod(0o755)
        guard = self._folder / "incamera-guard-test"
        if not guard.exists():
            shutil.copy(require_launcher(platform.machine()), guard)
            guard.chmod(0o755)
        if terminal:
            self._typing, typed = os.openpty()
            shown, out = os.dup(self._typing), os.dup(typed)
            termios.tcsetwinsize(typed, (33, 99))
        else:
            typed, self._typing = os.pipe()
            shown, out = os.pipe()
        os.write(self._typing, stdin)
        self._ends = [typed, self._typing, shown, out]
        options = {"imports": ("json",), "memory_limit": None, "take_over": False, **self._options}
        edited = EditedApp(
            app="plain",
            root=str(root),
            project=self.project,
            live=PlainApp(load_project(self.project)),
            local=(),
            arguments=lambda: ["app.py"],
            find_staleness=options.pop("find_staleness", lambda: None),
            make_replacement=options.pop("make_replacement", lambda: None),
            leave_out=partial(describe_leaving_out, load_project(self.project)),
            open_output=lambda folder: self._open_output(),
            user="anna@desk",
            command="test",
            **options,
        )
        inbox = Inbox()
        self._ready = threading.Event()

        def read() -> None:
            with contextlib.suppress(OSError):  # a terminal whose other end is closed
                while data := os.read(shown, 65536):
                    self.out += data

        def run() -> None:
            with (
                open_local(Device(name="here", address=SshAddress(host="127.0.0.1"))) as session,
                watching(self.project, inbox.put, self.told.warn, wanted=Watched(load_project(self.project))),
            ):
                self._session = EditSession(
                    session.transport, str(guard), edited, inbox, Streams(typed, out, out), reporter=self.told
                )
                self._ready.set()
                try:
                    self.outcome = session.call(self._session.main())
                except Exception as error:
                    self.outcome = error

        self._threads = [threading.Thread(target=read, daemon=True), threading.Thread(target=run, daemon=True)]
        for thread in self._threads:
            thread.start()

    @contextlib.contextmanager
    def _open_output(self) -> Iterator[RunOutput]:
        output = RunOutput(stdout=_Plain(), stderr=_Plain(), paths=None)  # type: ignore[arg-type]
        with nullcontext():
            yield output
        self.codes.append(output.exit_code)

    def type(self, data: bytes) -> None:
        os.write(self._typing, data)

    def await_(self, text: str) -> None:
        self.eventually(
            lambda: text in self.out.decode("utf-8", "replace") or any(text in t for t in self.told.texts), text
        )

    def eventually(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"no {what}: {self.out!r} {self.told.texts} {self.outcome!r}"
            time.sleep(0.01)

    def press_ctrl_c(self) -> None:
        self._session.handle_signal(signal.SIGINT)

    def finish(self) -> Outcome | Exception | None:
        self._threads[1].join(PATIENCE_SECONDS)
        assert not self._threads[1].is_alive(), "the session did not end"
        return self.outcome

    def close(self) -> None:
        if self._ends:
            if self.outcome is None and self._ready.wait(5):
                self._session.handle_signal(signal.SIGTERM)
                self.finish()
            typed, typing, shown, out = self._ends
            os.close(out)
            os.close(typed)
            self._threads[0].join(5)
            os.close(typing)
            os.close(shown)


def processes_of(loop: Loop) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            if str(loop.agent_folder) in line:
                found.append(line)
    return found
