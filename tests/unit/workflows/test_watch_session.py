"""The edit loop with a real agent and the real guard on this computer, without a camera."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import signal
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from incamera.device.local import open_local
from incamera.device.streams import Streams
from incamera.device.values import Device
from incamera.errors import AgentError, InCameraError
from incamera.project.settings import load_project
from incamera.project.watching import watching
from incamera.runtime.launcher import require_launcher
from incamera.workflows.edit_changes import Inbox
from incamera.workflows.edit_session import Edited, EditSession, Outcome
from incamera.workflows.live_app import PlainApp
from incamera.workflows.output import RunOutput

pytestmark = pytest.mark.starts_processes

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

    def confirm(self, question: str) -> bool:
        return False


class _Plain:
    """A tap that lets everything through."""

    is_holding = False

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

    def start(self, *, stdin: bytes = b"", terminal: bool = False) -> None:
        root = self._folder / "root"
        if not root.exists():
            (root / "bin").mkdir(parents=True)
            shutil.copytree(self.project, root / "app")
            python = root / "bin/python3"
            python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@" --folder "{self.agent_folder}"\n')
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
        edited = Edited(
            app="plain",
            root=str(root),
            project=self.project,
            live=PlainApp(load_project(self.project)),
            arguments=lambda: ["app.py"],
            find_staleness=options.pop("find_staleness", lambda: None),
            open_output=lambda folder: self._open_output(),
            who="anna@desk",
            what="test",
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
                open_local(Device(name="here", host="127.0.0.1")) as session,
                watching(self.project, inbox.put, self.told.warn),
            ):
                self._session = EditSession(
                    session.transport, str(guard), edited, inbox, Streams(typed, out, out), tell=self.told
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
        self._session.notice(signal.SIGINT)

    def finish(self) -> Outcome | Exception | None:
        self._threads[1].join(PATIENCE_SECONDS)
        assert not self._threads[1].is_alive(), "the session did not end"
        return self.outcome

    def close(self) -> None:
        if self._ends:
            if self.outcome is None and self._ready.wait(5):
                self._session.notice(signal.SIGTERM)
                self.finish()
            typed, typing, shown, out = self._ends
            os.close(out)
            os.close(typed)
            self._threads[0].join(5)
            os.close(typing)
            os.close(shown)


@pytest.fixture
def edit_loop() -> Iterator[Callable[..., Loop]]:
    # A short path: a socket's is at most 107 bytes long.
    with tempfile.TemporaryDirectory(prefix="iw-", dir="/tmp") as folder:
        loops: list[Loop] = []

        def make(**options: Any) -> Loop:
            loops.append(Loop(Path(folder), **options))
            return loops[-1]

        yield make
        for loop in loops:
            loop.close()


def processes_of(loop: Loop) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            if str(loop.agent_folder) in line:
                found.append(line)
    return found


def test_an_edit_is_what_runs_next_and_at_the_end_nothing_is_left(edit_loop: Callable[..., Loop]) -> None:
    loop = edit_loop()
    loop.save("app.py", f"import helper\nprint(helper.word)\n{FOREVER}")
    loop.save("helper.py", 'word = "first"\n')
    loop.save("old.txt", "x")
    loop.start()
    loop.await_("first")
    loop.save("helper.py", 'word = "second"\n')
    loop.await_("second")
    loop.save("new/data.txt", "third")
    (loop.project / "old.txt").unlink()
    loop.save("app.py", f'import os\nprint(open("new/data.txt").read(), os.path.exists("old.txt"))\n{FOREVER}')
    loop.await_("third False")
    assert loop.agent_folder.exists()
    loop.press_ctrl_c()
    assert loop.finish() is Outcome.ended
    assert not list(loop.agent_folder.glob("*/*"))
    assert processes_of(loop) == []


def test_a_syntax_error_is_shown_as_python_shows_it_and_the_old_app_goes_on(edit_loop: Callable[..., Loop]) -> None:
    loop = edit_loop()
    app = 'import time\nprint("up")\nwhile True:\n    time.sleep(0.1)\n    print("tick")\n'
    loop.save("app.py", app)
    loop.start()
    loop.await_("tick")
    loop.save("app.py", app.replace('print("up")', 'print("up"'))
    loop.await_(f'File "{loop.project}/app.py", line 2')
    loop.await_("SyntaxError")
    loop.await_("goes on")
    ticks = loop.out.count(b"tick")
    loop.eventually(lambda: loop.out.count(b"tick") > ticks + 3, "more ticks of the old app")
    loop.save("app.py", app.replace('"up"', '"mended"'))
    loop.await_("mended")
    assert loop.out.count(b"up") == 1


def test_a_file_that_is_half_written_starts_nothing(edit_loop: Callable[..., Loop]) -> None:
    loop = edit_loop()
    loop.save("app.py", f'print("first")\n{FOREVER}')
    loop.start()
    loop.await_("first")
    new = f'print("se" +\n"cond")\n{FOREVER}'
    with (loop.project / "app.py").open("w") as file:  # emptied first, as many editors do
        file.flush()
        time.sleep(0.1)
        file.write(new[:10])
        file.flush()
        time.sleep(0.15)
        file.write(new[10:])
    loop.await_("second")
    # By a rename, with a swap file beside it.
    loop.save(".app.py.swp", "junk")
    loop.save("app.py~", f'print("third")\n{FOREVER}')
    (loop.project / "app.py~").rename(loop.project / "app.py")
    loop.await_("third")
    assert not [text for text in loop.told.texts if "error" in text]
    assert loop.out.split() == [b"first", b"second", b"third"]


def test_five_hundred_changes_in_a_second_are_one_or_two_reloads(edit_loop: Callable[..., Loop]) -> None:
    loop = edit_loop()
    loop.save("app.py", f'print("first")\n{FOREVER}')
    loop.start()
    loop.await_("first")
    for number in range(500):
        loop.save(f"data/{number % 50}.txt", str(number))
        loop.save("app.py", f'print("edit {number}")\n{FOREVER}')
        time.sleep(0.001)
    loop.await_("edit 499")
    assert loop.out.count(b"edit") <= 3


def test_what_is_kept_survives_a_reload(edit_loop: Callable[..., Loop]) -> None:
    app = (
        "import os, time\nfrom incamera_agent import keep, reloading\n"
        'stream = keep("stream", lambda: [os.urandom(4).hex()])\nprint("{}", os.getpid(), stream, flush=True)\n'
        "while not reloading():\n    time.sleep(0.02)\n"
    )
    loop = edit_loop()
    loop.save("app.py", app.format("first"))
    loop.start()
    loop.await_("first")
    loop.save("app.py", app.format("second"))
    loop.await_("second")
    loop.await_("stream kept")
    first, second = loop.out.decode().splitlines()
    assert first.split()[1:] == second.split()[1:]


def test_an_app_that_ends_is_told_of_and_runs_again_after_a_change(edit_loop: Callable[..., Loop]) -> None:
    loop = edit_loop()
    loop.save("app.py", "import sys\nsys.exit(7)\n")
    loop.start()
    loop.await_("the app has ended with 7")
    loop.save("app.py", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    loop.await_("was ended by SIGKILL")
    loop.save("app.py", 'raise ValueError("wrong")\n')
    loop.await_("ValueError: wrong")
    loop.await_("the app has ended with 1")
    assert loop.codes == [7, 137, 1]


def test_state_of_one_run_does_not_reach_the_next(edit_loop: Callable[..., Loop]) -> None:
    loop = edit_loop()
    loop.save("app.py", 'import json, os, builtins\njson.poison = os.environ["POISON"] = "yes"\nprint("first")\n'
                        f'builtins.poison = 1\nos.chdir("/")\n{FOREVER}')  # fmt: skip
    loop.start()
    loop.await_("first")
    loop.save("app.py", 'import json, os, builtins\nprint("second", hasattr(json, "poison"), "POISON" in os.environ, '
                        'hasattr(builtins, "poison"), os.path.exists("app.py"))\n')  # fmt: skip
    loop.await_("second False False False True")


def test_an_app_that_forks_and_ignores_sigterm_is_replaced_and_leaves_nothing(edit_loop: Callable[..., Loop]) -> None:
    loop = edit_loop()
    marker = loop.project.parent / "child"
    loop.save("app.py", "import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                        f"if os.fork() == 0:\n    os.setsid()\n    open({str(marker)!r}, 'w').write(str(os.getpid()))\n"
                        f"    time.sleep(1000)\nprint('stubborn', flush=True)\n{FOREVER}")  # fmt: skip
    loop.start()
    loop.await_("stubborn")
    loop.eventually(lambda: marker.exists() and marker.read_text(), "the child to say its number")
    child = Path("/proc", marker.read_text())
    loop.save("app.py", f'print("replaced")\n{FOREVER}')
    loop.await_("replaced")
    loop.eventually(
        lambda: not child.exists() or "\nState:\tZ" in (child / "status").read_text(), "the child to be gone"
    )


def test_an_app_that_fills_its_output_does_not_keep_an_edit_out(edit_loop: Callable[..., Loop]) -> None:
    loop = edit_loop()
    loop.save("app.py", 'import sys\nwhile True:\n    sys.stdout.write("x" * 100000)\n')
    loop.start()
    loop.eventually(lambda: len(loop.out) > 1_000_000, "output")
    loop.save("app.py", f'print("quiet now")\n{FOREVER}')
    loop.await_("quiet now")


def test_what_is_typed_reaches_the_app_and_its_end_the_next_one(edit_loop: Callable[..., Loop]) -> None:
    loop = edit_loop()
    loop.save("app.py", 'while True:\n    print("heard", input())\n')
    loop.start(stdin=b"hello\n")
    loop.await_("heard hello")
    loop.type(b"again\n")
    loop.await_("heard again")


def test_with_a_terminal_the_app_has_one_of_the_same_size(edit_loop: Callable[..., Loop]) -> None:
    loop = edit_loop()
    app = 'import os, sys\nprint("{}", sys.stdin.isatty(), *os.get_terminal_size())\nprint("heard", input(), "!")\n'
    loop.save("app.py", app.format("first"))
    loop.start(terminal=True)
    loop.await_("first True 99 33")
    loop.type(b"hello\n")
    loop.await_("heard hello !")
    loop.save("app.py", app.format("second"))
    loop.await_("second True 99 33")
    loop.type(b"again\n")
    loop.await_("heard again !")


def test_much_input_that_nobody_reads_does_not_keep_an_edit_out(edit_loop: Callable[..., Loop]) -> None:
    loop = edit_loop()
    loop.save("app.py", f'print("first")\n{FOREVER}')
    loop.start()
    loop.await_("first")
    typing = threading.Thread(target=lambda: loop.type(b"x" * 400_000), daemon=True)
    typing.start()
    time.sleep(0.3)
    loop.save("app.py", 'import sys\nprint("read", len(sys.stdin.read(100000)))\n')
    loop.await_("read 100000")
    loop.save("app.py", 'import sys\nsys.stdin.read(100000)\nsys.stdin.read(100000)\nprint("done")\n')
    loop.press_ctrl_c()
    loop.finish()
    typing.join(5)


def test_changed_dependencies_end_the_session_for_another_one(edit_loop: Callable[..., Loop]) -> None:
    reasons: list[str] = []
    loop = edit_loop(find_staleness=lambda: reasons[0] if reasons else None)
    loop.save("app.py", f'print("first")\n{FOREVER}')
    loop.start()
    loop.await_("first")
    loop.save("app.py", f'print("second")\n{FOREVER}')
    loop.await_("second")
    reasons.append("dependencies changed")
    loop.save("pyproject.toml", '[project]\nname = "plain"\nversion = "1"\ndependencies = ["attrs"]\n')
    loop.await_("dependencies changed: building and deploying again")
    assert loop.finish() is Outcome.stale


def test_settings_that_cannot_be_read_are_told_of_and_the_app_goes_on(edit_loop: Callable[..., Loop]) -> None:
    def complain() -> str | None:
        if loop.out:
            raise InCameraError("pyproject.toml: unclosed array")
        return None

    loop = edit_loop(find_staleness=complain)
    loop.save("app.py", f'print("first")\n{FOREVER}')
    loop.start()
    loop.await_("first")
    loop.save("pyproject.toml", "[project\n")
    loop.await_("error: pyproject.toml: unclosed array")
    loop.save("app.py", f'print("second")\n{FOREVER}')
    loop.await_("second")


def test_a_second_host_is_told_who_is_there_and_how_to_take_over(edit_loop: Callable[..., Loop]) -> None:
    first = edit_loop()
    first.save("app.py", f'print("first")\n{FOREVER}')
    first.start()
    first.await_("first")
    folder = first.project.parent
    first.project.rename(folder / "project-of-first")
    second = Loop(folder)
    second.save("app.py", f'print("second")\n{FOREVER}')
    second.start()
    error = second.finish()
    assert isinstance(error, AgentError)
    assert error.kind == "busy"
    assert "anna@desk" in str(error)
    assert "--take-over" in (error.hint or "")
    second.close()

    shutil.rmtree(second.project)
    third = Loop(folder, take_over=True)
    third.save("app.py", f'print("third")\n{FOREVER}')
    third.start()
    third.await_("third")
    error = first.finish()
    assert isinstance(error, AgentError)
    assert error.kind == "taken-over"
    third.press_ctrl_c()
    assert third.finish() is Outcome.ended
    third.close()


@pytest.mark.parametrize("how", ["protocol", "noise", "nothing"])
def test_an_agent_that_is_not_ours_is_a_clear_error(edit_loop: Callable[..., Loop], how: str) -> None:
    loop = edit_loop()
    loop.save("app.py", FOREVER)
    python = loop.project.parent / "root/bin/python3"
    python.parent.mkdir(parents=True)
    shutil.copytree(loop.project, python.parent.parent / "app")
    answer = 'import json, struct, sys; n = sys.stdin.buffer.read(4); t = json.dumps({"type": "error", "id": 1, ' \
             '"kind": "protocol", "message": "the agent speaks protocol 9"}).encode(); ' \
             'sys.stdout.buffer.write(struct.pack(">II", len(t), 0) + t)'  # fmt: skip
    scripts = {
        "protocol": f"exec {sys.executable} -c '{answer}'",
        "noise": "cat /etc/passwd",
        "nothing": "echo no such module >&2; exit 1",
    }
    python.write_text(f"#!/bin/sh\n{scripts[how]}\n")
    python.chmod(0o755)
    loop.start()
    error = loop.finish()
    assert isinstance(error, AgentError)
    assert {"protocol": "protocol 9", "noise": "not from an agent", "nothing": "no such module"}[how] in str(error)
