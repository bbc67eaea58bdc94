"""The edit loop: what is saved is what runs next, and what else may change meanwhile."""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest

from incamera.device.live_sync import put_file
from incamera.edit import large_files
from incamera.edit.session import Outcome
from incamera.errors import AgentError, InCameraError, ResolveError

from .edit_loop import FOREVER, Loop, processes_of

pytestmark = pytest.mark.starts_processes


def test_an_edit_runs_next_and_the_session_leaves_no_process(edit_loop: Callable[..., Loop]) -> None:
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


def test_a_syntax_error_is_shown_and_the_old_app_goes_on(edit_loop: Callable[..., Loop]) -> None:
    loop = edit_loop()
    app = 'import time\nprint("up")\nwhile True:\n    time.sleep(0.1)\n    print("tick")\n'
    loop.save("app.py", app)
    loop.start()
    loop.await_("tick")
    loop.save("app.py", app.replace('print("up")', 'print("up"'))
    loop.await_(f'File "{loop.project}/app.py", line 2')
    loop.await_("SyntaxError")
    loop.await_("the app keeps running unchanged")
    ticks = loop.out.count(b"tick")
    loop.eventually(lambda: loop.out.count(b"tick") > ticks + 3, "more ticks of the old app")
    loop.save("app.py", app.replace('"up"', '"fixed"'))
    loop.await_("fixed")
    assert loop.out.count(b"up") == 1


def test_a_crash_in_c_code_shows_the_python_stack_and_the_signal(edit_loop: Callable[..., Loop]) -> None:
    loop = edit_loop()
    loop.save("app.py", "import ctypes\n\ndef read_frame():\n    ctypes.string_at(0)\n\nread_frame()\n")
    loop.start()
    loop.await_("the app was killed by SIGSEGV")
    loop.await_("in read_frame")
    loop.save("app.py", FOREVER)
    loop.await_("started in")


def test_a_half_written_file_starts_nothing(edit_loop: Callable[..., Loop]) -> None:
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


def test_five_hundred_changes_at_once_cause_few_reloads(edit_loop: Callable[..., Loop]) -> None:
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


def patched(loop: Loop, source: str) -> str:
    """Return what makes a shell start an agent that runs *source* first."""
    site = loop.project.parent / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(source)
    return f"export PYTHONPATH={site}; "


def test_a_failed_start_is_repeated_at_the_next_save(edit_loop: Callable[..., Loop]) -> None:
    loop = edit_loop()
    loop.save("app.py", f'print("up")\n{FOREVER}')
    loop.start(
        agent=patched(
            loop,
            "from incamera_agent.server.supervisor import Supervisor\nstart, failed = Supervisor.start, []\n"
            "def fail(*words):\n"
            "    if failed:\n        return start(*words)\n    failed.append(1)\n    raise OSError(11, 'no process')\n"
            "Supervisor.start = fail\n",
        )
    )
    loop.await_("error: no process")
    loop.save("app.py", f'print("up")\n{FOREVER}')
    loop.await_("up")
    assert not [text for text in loop.told.texts if "nothing to send" in text]


def test_a_change_too_large_for_the_camera_is_reported_and_the_app_goes_on(edit_loop: Callable[..., Loop]) -> None:
    loop = edit_loop()
    loop.save("app.py", f'print("first")\n{FOREVER}')
    # As large as a file may be for the agent stands for the room that there is.
    loop.start(agent="ulimit -f 200; ")
    loop.await_("first")
    loop.save("model.bin", b"x" * 3_000_000)
    loop.await_("the camera cannot take the change: model.bin: ")
    loop.await_("the app keeps running unchanged")
    (loop.project / "model.bin").unlink()
    loop.save("app.py", f'import os\nprint("second", os.path.exists("model.bin"))\n{FOREVER}')
    loop.await_("second False")


def test_a_large_file_does_not_hold_up_an_edit_and_arrives(edit_loop: Callable[..., Loop]) -> None:
    loop = edit_loop()
    app = "import os, time\nwhile True:\n    size = os.path.getsize('big.bin') if os.path.exists('big.bin') else 0\n"
    loop.save("app.py", app + "    print('one', size, flush=True)\n    time.sleep(0.05)\n")
    loop.start()
    loop.await_("one 0")
    loop.save("big.part", bytes(40 << 20))
    (loop.project / "big.part").rename(loop.project / "big.bin")
    loop.save("app.py", app + "    print('two', size, flush=True)\n    time.sleep(0.05)\n")
    loop.await_("two ")
    loop.await_(f"two {40 << 20}")
    loop.await_("big.bin: sent in")


def test_a_large_file_that_changes_or_goes_while_it_is_sent_is_dropped(
    edit_loop: Callable[..., Loop], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def put_slowly(*words: Any, **options: Any) -> AsyncIterator[int]:
        async for sent in put_file(*words, **options):
            await asyncio.sleep(0.02)
            yield sent

    monkeypatch.setattr(large_files, "put_file", put_slowly)
    loop = edit_loop()
    loop.save("app.py", "import os, time\nwhile True:\n    print(*sorted(os.listdir()))\n    time.sleep(0.05)\n")
    loop.start()
    loop.await_("app.py")
    for name, change in (("changed.bin", lambda path: path.write_bytes(b"short")), ("gone.bin", Path.unlink)):
        loop.save(name, bytes(32 << 20))
        told = re.compile(rf"{name}: .* of 33\.6 MB sent")  # how far it is
        loop.eventually(lambda told=told: any(map(told.match, loop.told.texts)), told.pattern)  # type: ignore[misc]
        change(loop.project / name)
        loop.await_(f"{name} has changed while it was sent: dropped")
    loop.save("last.txt", "")
    loop.await_("changed.bin last.txt")
    live = next(loop.agent_folder.rglob("changed.bin"))
    assert live.read_bytes() == b"short"
    assert not [path for path in loop.agent_folder.rglob("*") if path.is_file() and path.stat().st_size > 4 << 20]


def test_a_file_larger_than_the_cameras_ram_is_refused_once_and_edits_go_on(
    edit_loop: Callable[..., Loop], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = edit_loop()
    loop.save("app.py", f"print('one')\n{FOREVER}")
    loop.start()
    loop.await_("running")
    monkeypatch.setattr(loop._session._large, "_measure_free", AsyncMock(return_value=40_000_000))
    loop.save("film.bin", bytes(12_000_000))
    loop.await_("film.bin has 12.0 MB, and the camera has 40.0 MB of RAM free, of which 33.6 MB stay free")
    loop.save("app.py", f"print('two')\n{FOREVER}")
    loop.await_("two")
    assert sum("film.bin has" in text for text in loop.told.texts) == 1
    assert 'hint: leave it out: exclude = ["film.bin"] in [tool.incamera]' in loop.told.texts


def test_what_git_ignores_is_not_sent_and_a_changed_gitignore_takes_effect(edit_loop: Callable[..., Loop]) -> None:
    loop = edit_loop()
    app = (
        "import os, time\nwhile True:\n    files = sorted(name for name in os.listdir() if name[0] != '_')\n"
        "    print(files, {0}, flush=True)\n    time.sleep(0.05)\n"
    )
    loop.save(".gitignore", "*.log\n")
    loop.save("a.log", "x")
    loop.save("b.txt", "x")
    loop.save("app.py", app.format(1))
    loop.start()
    loop.await_("['app.py', 'b.txt', 'pyproject.toml'] 1")
    loop.save("a.log", "more")
    loop.save("app.py", app.format(2))
    loop.await_("['app.py', 'b.txt', 'pyproject.toml'] 2")
    loop.save(".gitignore", "*.txt\n")
    loop.await_("['a.log', 'app.py', 'pyproject.toml'] 2")
    assert not [text for text in loop.told.texts if "nothing to send" in text]


def test_a_change_that_was_applied_in_part_is_sent_whole_again(edit_loop: Callable[..., Loop]) -> None:
    loop = edit_loop()
    loop.save("a.txt", "old")
    loop.save("b.txt", "old")
    loop.save("app.py", f'print(open("a.txt").read(), open("b.txt").read())\n{FOREVER}')
    loop.start(
        agent=patched(
            loop,
            "import os\nreplace = os.replace\ndef fail(source, target):\n    if target.endswith('b.txt'):\n"
            "        raise OSError(28, os.strerror(28), target)\n    replace(source, target)\nos.replace = fail\n",
        )
    )
    loop.await_("old old")
    (loop.project / "b.txt").write_text("new")
    loop.save("a.txt", "new")
    loop.await_("the camera cannot take the change: No space left on device")
    # As it was at the beginning, which the camera has no more.
    (loop.project / "b.txt").unlink()
    loop.save("a.txt", "old")
    loop.save("app.py", f'import os\nprint(open("a.txt").read(), os.path.exists("b.txt"))\n{FOREVER}')
    loop.await_("old False")


def test_a_missing_entry_file_is_reported_and_the_old_app_goes_on(edit_loop: Callable[..., Loop]) -> None:
    loop = edit_loop()
    loop.save("app.py", f'print("first")\n{FOREVER}')
    loop.start()
    loop.await_("first")
    (loop.project / "app.py").unlink()
    loop.await_("app.py, which starts the app, is gone; the app keeps running unchanged")
    loop.save("app.py", f'print("back")\n{FOREVER}')
    loop.await_("back")
    assert not [text for text in loop.told.texts if "cold" in text]


def test_changed_dependencies_end_the_session_as_stale(edit_loop: Callable[..., Loop]) -> None:
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


def test_dependencies_that_cannot_be_built_leave_the_old_app_running(edit_loop: Callable[..., Loop]) -> None:
    reasons: list[str] = []

    def fail() -> None:
        raise ResolveError("there is no package called nummpy")

    loop = edit_loop(find_staleness=lambda: reasons[0] if reasons else None, make_replacement=fail)
    loop.save("app.py", "import time\nwhile True:\n    print('tick')\n    time.sleep(0.05)\n")
    loop.start()
    loop.await_("running")
    reasons.append("dependencies changed")
    loop.save("pyproject.toml", '[project]\nname = "plain"\nversion = "1"\ndependencies = ["nummpy"]\n')
    loop.await_("there is no package called nummpy")
    loop.await_("the app keeps running unchanged")
    ticks = loop.out.count(b"tick")
    loop.eventually(lambda: loop.out.count(b"tick") > ticks + 3, "more ticks of the old app")
    assert loop.outcome is None


def test_ctrl_c_during_a_reload_starts_nothing(edit_loop: Callable[..., Loop]) -> None:
    loop = edit_loop()
    stubborn = "import signal\nsignal.signal(signal.SIGTERM, lambda *_: print('asked', flush=True))\n"
    loop.save("app.py", f'{stubborn}print("first", flush=True)\n{FOREVER}')
    loop.start()
    loop.await_("first")
    loop.save("app.py", f'print("second", flush=True)\n{FOREVER}')
    loop.await_("asked")
    loop.press_ctrl_c()
    assert loop.finish() is Outcome.ended
    assert b"second" not in loop.out


def test_unreadable_settings_are_reported_and_the_app_goes_on(edit_loop: Callable[..., Loop]) -> None:
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


def test_a_second_host_learns_the_user_and_how_to_take_over(edit_loop: Callable[..., Loop]) -> None:
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
def test_output_that_is_not_an_agents_is_a_clear_error(edit_loop: Callable[..., Loop], how: str) -> None:
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
    assert {"protocol": "protocol 9", "noise": "not in the agent's protocol", "nothing": "no such module"}[how] in str(
        error
    )
