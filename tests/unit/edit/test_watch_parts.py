"""What the edit loop knows of files, settings and words."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from incamera.device.live_sync import Refused
from incamera.device.run import RunEnd
from incamera.edit.live_app import find_copies
from incamera.edit.messages import describe_end, describe_kill, describe_killed_run, describe_refusal, describe_update
from incamera.errors import AgentError, ConfigError
from incamera.project.files import project_files
from incamera.project.preload import choose_preload, load_slow_imports
from incamera.project.settings_parsing import parse_project
from incamera.project.watching import AppFile, concerns_app, looks_unfinished, saved_at
from incamera.units import parse_bytes
from incamera.workflows.watch import explain_busy

PROJECT = {"project": {"name": "plain", "version": "1"}}


def file(digest: str) -> AppFile:
    return AppFile(Path("/home/you", digest), digest, executable=False)


def test_a_file_of_the_project_is_found_in_the_wheel_by_bytes_and_name() -> None:
    sources = {
        "src/pkg/__init__.py": file("empty"),
        "src/pkg/sub/__init__.py": file("empty"),
        "src/pkg/core.py": file("core"),
        "src/pkg/fast.c": file("c"),
        "src/pkg/cythonized.py": file("cythonized"),
        "README.md": file("readme"),
        "main.py": file("main"),
    }
    installed = {
        "pkg/__init__.py": file("empty"),
        "pkg/sub/__init__.py": file("empty"),
        "pkg/core.py": file("core"),
        "pkg/fast.c": file("c"),  # setuptools puts it into the wheel too
        "pkg/fast.cpython-311-arm-linux-gnueabihf.so": file("so"),
        "pkg/cythonized.py": file("cythonized"),
        "pkg/cythonized.cpython-311-arm-linux-gnueabihf.so": file("other so"),
        "pkg/renamed.md": file("readme"),
        "main.py": file("main of before"),
    }
    assert find_copies(sources, installed, "main.py") == {
        "src/pkg/__init__.py": "pkg/__init__.py",
        "src/pkg/sub/__init__.py": "pkg/sub/__init__.py",
        "src/pkg/core.py": "pkg/core.py",
        "main.py": "main.py",
    }


@pytest.mark.parametrize(
    ("name", "text", "unfinished"),
    [
        ("app.py", "", True),
        ("app.py", "print(", True),
        ("app.py", "print()\n", False),
        ("__init__.py", "", False),
        ("data.txt", "", False),
        ("fast.c", "", True),
        ("fast.c", "int x", False),
        ("pyproject.toml", "", True),
    ],
)
def test_half_saved_files_are_recognised(tmp_path: Path, name: str, text: str, unfinished: bool) -> None:
    (tmp_path / name).write_text(text)
    assert looks_unfinished(tmp_path / name) is unfinished


def test_a_missing_file_does_not_look_half_saved(tmp_path: Path) -> None:
    assert not looks_unfinished(tmp_path / "app.py")


@pytest.mark.parametrize(
    "path", [".git/index", "app.py~", ".app.py.swp", "a/__pycache__/app.cpython-311.pyc", "build/x.o"]
)
def test_changes_outside_the_app_are_ignored(path: str, tmp_path: Path) -> None:
    assert not concerns_app(path)
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text("x")
    assert project_files(tmp_path) == []


@pytest.mark.parametrize("path", ["app.py", "pkg/data/model.bin", "pylock.armv7hf-cp311.toml", "pyproject.toml"])
def test_changes_of_the_app_are_seen(path: str) -> None:
    assert concerns_app(path)


def test_time_of_saving_is_the_files_unless_its_clock_differs(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("x")
    saved = (tmp_path / "app.py").stat().st_ctime
    assert saved_at([tmp_path / "app.py"], saved + 0.3) == saved
    assert saved_at([tmp_path / "app.py"], saved + 100) == saved + 100
    assert saved_at([tmp_path / "app.py"], saved - 100) == saved - 100
    assert saved_at([tmp_path / "gone.py"], saved) == saved


def test_slow_packages_of_the_lock_are_preloaded_unless_others_are_named() -> None:
    assert choose_preload(None, ["numpy", "attrs", "opencv-python-headless"]) == ["cv2", "numpy"]
    assert choose_preload(("mine.models",), ["numpy"]) == ["mine.models"]
    assert choose_preload((), ["numpy"]) == []
    assert load_slow_imports()


def test_settings_of_the_edit_loop_are_read() -> None:
    ours = {"preload": ["numpy", "mine.models"], "memory-limit": "200M"}
    project = parse_project({**PROJECT, "tool": {"incamera": {**ours, "entry": "plain"}}}, Path("/nowhere"))
    assert project.preload == ("numpy", "mine.models")
    assert project.memory_limit == 200_000_000


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"preload": ["import numpy"]}, "preload"),
        ({"memory-limit": "much"}, "memory-limit"),
        ({"memory-limit": "200"}, '"200" is 200 bytes'),
        ({"perload": []}, "preload"),
    ],
)
def test_invalid_settings_of_the_edit_loop_are_refused(settings: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_project({**PROJECT, "tool": {"incamera": {**settings, "entry": "plain"}}}, Path("/nowhere"))
    assert named in f"{caught.value} {caught.value.hint}"


def test_sizes_with_units_become_bytes() -> None:
    assert [parse_bytes(text) for text in ("200M", "1.5 GB", "64k", "4096", "1GiB")] == [
        *(200_000_000, 1_500_000_000, 64_000, 4096, 1_000_000_000),
    ]
    with pytest.raises(ValueError, match="200M"):
        parse_bytes("-5M")


def test_a_syntax_error_is_described_as_python_prints_it() -> None:
    refused = Refused(path="app.py", message="'(' was never closed", line=3, column=10, text="    print(1\n")
    assert describe_refusal(refused, {"app.py": file("app.py")}).splitlines()[1:] == [
        '  File "/home/you/app.py", line 3',
        "    print(1",
        "         ^",
        "SyntaxError: '(' was never closed",
    ]


def test_messages_for_an_update_and_for_an_ended_run() -> None:
    assert describe_update(["app.py"], "restarted", 0.1, 0.2) == "app.py: sent in 0.10 s, restarted in 0.20 s"
    assert describe_update(["a.py", "b.py", "c.py"], "started", 0, 0).startswith("a.py and 2 more: ")
    ended = {"code": None, "signal": 9, "seconds": 2.0, "peak": 20_000_000, "killed": 1, "reason": None}
    assert describe_end(ended) == (
        "the app was killed by SIGKILL (after 2.0 s, at most 20.0 MB, ended 1 process that it had left behind); "
        "waiting for changes"
    )
    assert "memory limit" in describe_end({**ended, "reason": "memory-limit"})
    assert "ended 2 processes that it" in describe_end({**ended, "killed": 2})
    assert "no memory was left (after 2.0 s, at most 20.0 MB" in describe_end({**ended, "reason": "out-of-memory"})
    assert "has ended with exit code 3" in describe_end({"code": 3, "signal": None})


def test_a_plain_run_tells_what_killed_the_app_and_nothing_of_what_the_user_did() -> None:
    assert describe_kill({"signal": 9, "reason": "out-of-memory", "peak": 20_000_000}) == (
        "the app was killed by the camera's kernel, because no memory was left; it used at most 20.0 MB"
    )
    assert describe_kill({"signal": 2}) is None
    assert describe_kill({"signal": 9, "reason": "stopped"}) is None
    assert describe_kill({"code": 3, "signal": None}) is None
    assert describe_killed_run(RunEnd(139)) == "the app was killed by SIGSEGV"
    assert describe_killed_run(RunEnd(137, 20_000_000, out_of_memory=True)) == (
        "the app was killed by the camera's kernel, because no memory was left; it used 20.0 MB or more"
    )
    assert describe_killed_run(RunEnd(137, 20_000_000)) == "the app was killed by SIGKILL; it used 20.0 MB or more"
    assert [code for code in (0, 1, 128, 130, 143, 255) if describe_killed_run(RunEnd(code))] == []


def test_a_busy_app_is_reported_with_its_user_and_time() -> None:
    since = time.mktime((2026, 3, 1, 14, 5, 0, 0, 0, -1))
    error = AgentError("anna@desk is at work there", kind="busy", hint="--take-over", owner={"since": since})
    told = explain_busy(error)
    assert str(told) == "anna@desk is at work there, since 14:05 on 01 March"
    assert told.hint == "--take-over"


def test_memory_is_reported_once_and_again_when_it_runs_low() -> None:
    from incamera.edit.messages import MemoryMessages

    class Told:
        def __init__(self) -> None:
            self.texts: list[str] = []

        def info(self, text: str) -> None:
            self.texts.append(text)

        def warn(self, text: str) -> None:
            self.texts.append(f"warning: {text}")

    told = Told()
    news = MemoryMessages(told)  # type: ignore[arg-type]
    news.on_message({"free": 300 << 20, "run": None, "fork_server": 10 << 20})
    news.on_message({"free": 300 << 20, "run": 0, "fork_server": 0})  # it is just ending
    assert told.texts == []
    for free in (300, 200, 10, 9):
        news.on_message({"free": free << 20, "run": 20 << 20, "fork_server": 10 << 20})
    assert len(told.texts) == 2
    assert told.texts[0].startswith("memory: fork server ")
    assert told.texts[1].startswith("warning: memory: ")
