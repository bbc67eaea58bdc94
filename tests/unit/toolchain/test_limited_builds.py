"""A build that takes too much is stopped, with real processes: the limit is named, and nothing of the build is left."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.waiting import wait_until

from incamera.errors import ToolFailed
from incamera.project.build_limits import parse_build_limits
from incamera.toolchain import build_log
from incamera.toolchain.isolation import Entry, find_isolation_fault, make_root, system_folders
from incamera.toolchain.limited_run import run_limited
from incamera.toolchain.limits import Limits, default_limits

pytestmark = pytest.mark.starts_processes

# So large that no test reaches them unless it means to.
WIDE = Limits(memory=2_000_000_000, disk=2_000_000_000, tasks=400)
Build = Callable[[Limits, str], None]


@pytest.fixture(params=["plain", "isolated"])
def build(request: pytest.FixtureRequest, tmp_path: Path) -> Build:
    """Runs Python code as a build does, and waits until no process of it is left."""
    if request.param == "isolated" and (fault := find_isolation_fault()):
        pytest.skip(f"this system allows no isolation: {fault}")
    folder = tmp_path / "build"
    folder.mkdir()

    def run(limits: Limits, code: str) -> None:
        argv = [sys.executable, "-I", "-S", "-c", f"{code}  # {folder}"]
        environment = {"PATH": "/usr/bin:/bin"}
        if request.param == "isolated":
            root = tmp_path / "root"
            make_root(root)
            entry = Entry(
                root=root,
                cwd=str(folder),
                environment=environment,
                read_only={
                    **system_folders(root),
                    sys.prefix: Path(sys.prefix),
                    sys.base_prefix: Path(sys.base_prefix),
                },
                writable={str(folder): folder},
            )
            argv, environment = entry.command(argv), {}
        try:
            run_limited(
                argv,
                purpose="build it",
                env=environment,
                folders=(folder, folder),
                log=tmp_path / "log",
                limits=limits,
                hint="take the wheel",
            )
        finally:
            wait_until(lambda: not running_in(folder), "no process of the build is left")

    return run


def running_in(folder: Path) -> list[bytes]:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if f"# {folder}".encode() in line:
            lines.append(line)
    return lines


MEMORY = "taken = []\nwhile True:\n    taken.append(bytearray(b'x' * 5_000_000))"
# Each process stays below the limit.
MEMORY_OF_MANY = (
    "import os, time\nfor _ in range(12):\n    if not os.fork():\n"
    "        taken = bytearray(b'x' * 20_000_000)\n        break\ntime.sleep(600)"
)
# Bounded, so that it does no harm where the limit does not hold.
PROCESSES = "import os, time\nfor _ in range(8):\n    os.fork()\ntime.sleep(600)"
THREADS = "import threading, time\nfor _ in range(200): threading.Thread(target=time.sleep, args=(600,)).start()"
FILE = "out = open('big', 'wb')\nwhile True:\n    out.write(bytes(1_000_000))"
FILES = "n = 0\nwhile True:\n    open(f'{n}', 'wb').write(bytes(900_000)); n += 1"
SPARSE = "open('big', 'wb').truncate(10**13)"
SLEEP = "import time\ntime.sleep(600)"
SPIN = "while True: pass"
OUTPUT = "while True: print('y' * 1000)"


@pytest.mark.parametrize(
    ("limits", "code", "says", "hint"),
    [
        pytest.param(
            {"memory": 100_000_000}, MEMORY, "used more than 100.0 MB of memory", 'memory = "200.0 MB"', id="memory"
        ),
        pytest.param(
            {"memory": 100_000_000}, MEMORY_OF_MANY, "used more than 100.0 MB", "memory = ", id="memory-of-many"
        ),
        pytest.param({"tasks": 40}, PROCESSES, "more processes and threads than 40", "start fewer", id="processes"),
        pytest.param({"tasks": 40}, THREADS, "more processes and threads than 40", "start fewer", id="threads"),
        pytest.param({"disk": 20_000_000}, FILE, "wrote more than 20.0 MB", 'disk = "40.0 MB"', id="file"),
        pytest.param({"disk": 20_000_000}, FILES, "wrote more than 20.0 MB", "disk = ", id="files"),
        pytest.param(
            {"files": 100}, FILES.replace("900_000", "0"), "wrote more than 100 files", "fewer", id="empty-files"
        ),
        pytest.param({"idle_seconds": 1.2}, SLEEP, "did nothing for 0.02 minutes", "hours = ", id="sleep"),
        pytest.param({"seconds": 0.36}, SPIN, "took longer than 0.0001 hours", "hours = 0.0002", id="spin"),
        pytest.param({"output": 30_000_000}, OUTPUT, "printed more than 30.0 MB", "print less", id="output"),
    ],
)
def test_limit_that_is_reached_is_named(
    build: Build, tmp_path: Path, limits: dict[str, int], code: str, says: str, hint: str
) -> None:
    with pytest.raises(ToolFailed, match=f"cannot build it: it {says}|cannot build it: it started {says}") as caught:
        build(replace(WIDE, **limits), code)
    assert hint in (caught.value.hint or "")
    kept = build_log._LOG_HEAD + build_log._LOG_TAIL
    assert (tmp_path / "log").stat().st_size < kept + 10_000_000


def test_file_cannot_be_made_larger_than_the_limit(build: Build, tmp_path: Path) -> None:
    with pytest.raises(ToolFailed) as caught:
        build(replace(WIDE, disk=20_000_000), SPARSE)
    assert "File too large" in caught.value.tail
    assert (tmp_path / "build/big").stat().st_size == 0


def test_build_within_its_limits_is_left_alone(build: Build, tmp_path: Path) -> None:
    build(WIDE, "import sys; print('out'); sys.stdout.flush(); print('err', file=sys.stderr)")
    first, *rest = (tmp_path / "log").read_text().splitlines()
    assert first.startswith("$ ")
    assert rest == ["out", "err"]
    with pytest.raises(ToolFailed, match="exit code 3") as caught:
        build(WIDE, "print('why'); raise SystemExit(3)")
    assert caught.value.hint == "take the wheel"
    assert caught.value.tail.splitlines()[-1] == "why"


def test_log_of_a_long_output_has_its_beginning_and_its_end(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_log, "_LOG_HEAD", 1000)
    monkeypatch.setattr(build_log, "_LOG_TAIL", 1000)
    build(WIDE, "print('first'); print('middle ' * 100_000); print('last')")
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[1] == "first"
    assert lines[-1] == "last"
    assert any("are left out here" in line for line in lines)
    assert (tmp_path / "log").stat().st_size < 200_000


def test_process_that_a_build_leaves_behind_does_not_hold_it_up(tmp_path: Path) -> None:
    code = "import os, time\nif os.fork():\n    print('done')\nelse:\n    os.setsid(); time.sleep(5)"
    run_limited(
        [sys.executable, "-c", code],
        purpose="build it",
        env={},
        folders=(tmp_path, tmp_path),
        log=tmp_path / "log",
        limits=replace(WIDE, seconds=4),
    )
    assert "done" in (tmp_path / "log").read_text()


def test_settings_replace_the_defaults() -> None:
    usual = default_limits()
    assert usual.memory > 100_000_000
    settings = parse_build_limits({"memory": "9 GB", "disk": "90G", "hours": 48})
    raised = default_limits(settings)
    assert (raised.memory, raised.disk, raised.seconds) == (9_000_000_000, 90_000_000_000, 172_800)
    assert raised.tasks == usual.tasks
