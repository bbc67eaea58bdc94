"""A run on the device: the guard becomes the app, and ends all of it when the host is gone."""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.starts_processes


class Run:
    """Both of the guard's channels."""

    def __init__(self, guard: Path, folder: Path) -> None:
        self.guard = guard
        self.folder = folder
        self.holder: subprocess.Popen[bytes] | None = None
        self.processes: list[subprocess.Popen[bytes]] = []

    def hold(self, *, timeout: float = 30, grace: float = 5) -> None:
        options = ["--timeout", str(int(timeout * 1000)), "--grace", str(int(grace * 1000))]
        self.holder = holder = self._start("supervise", self.folder, *options)
        assert read_line(holder) == "ready"

    def app(self, script: str) -> subprocess.Popen[bytes]:
        return self._start("run", self.folder, "--", "sh", "-c", script)

    def tell(self, *lines: str) -> None:
        assert self.holder is not None
        assert self.holder.stdin is not None
        self.holder.stdin.write("".join(f"{line}\n" for line in lines).encode())
        self.holder.stdin.flush()

    def line(self) -> str:
        assert self.holder is not None
        return read_line(self.holder)

    def end(self) -> list[str]:
        """Close the guard's standard input, as a lost connection does. Returns what it says."""
        assert self.holder is not None
        stdout, _ = self.holder.communicate(timeout=20)
        self.holder = None
        assert not self.folder.exists()
        return [line for line in stdout.decode().splitlines() if line != "exited"]

    def _start(self, *words: str | Path) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([self.guard, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.processes.append(process)
        return process


@pytest.fixture
def run(guard: Path, tmp_path: Path) -> Iterator[Run]:
    run = Run(guard, tmp_path / f"run-{secrets.token_hex(8)}")
    yield run
    if run.holder is not None:
        run.end()
    for process in run.processes:
        process.kill()
        process.communicate()


def read_line(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    return str(process.stdout.readline().decode().strip())


def wait_until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """A process that ended and whom nobody has waited for yet doesn't run."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_the_guard_becomes_the_app(run: Run) -> None:
    run.hold()
    app = run.app('echo $$ "$INCAMERA_RUN"; cut -d" " -f6 /proc/$$/stat; exit 3')
    assert read_line(app) == f"{app.pid} {run.folder.name}"
    assert read_line(app) == str(app.pid), "it leads a session of its own"
    assert app.wait(20) == 3
    assert run.line() == "exited"
    assert run.end() == ["ended 0", "left 0"]


def test_the_two_may_start_in_either_order(run: Run) -> None:
    app = run.app("echo started")
    time.sleep(0.1)
    run.hold()
    assert read_line(app) == "started"


def test_signals_that_the_server_ignores_reach_the_app(run: Run) -> None:
    run.hold()
    code = "import signal, subprocess, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); subprocess.run(sys.argv[1:])"
    words: list[str | Path] = [run.guard, "run", run.folder, "--", "sh", "-c", "kill -INT $$; echo survived"]
    with subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE) as process:
        assert process.communicate()[0] == b""


@pytest.mark.parametrize(
    "child",
    [
        "sleep 1000 & echo $!",
        "setsid sleep 1000 & echo $!",
        # A session of its own and no trace of ours in the environment: then its parent tells.
        "env -i setsid sleep 1000 & echo $!",
    ],
)
def test_a_lost_connection_leaves_no_process_behind(run: Run, child: str) -> None:
    run.hold()
    app = run.app(f"{child}; sleep 1000")
    pid = int(read_line(app))
    said = run.end()
    assert said[-1] == "left 0"
    assert int(said[0].split()[1]) >= 2
    assert app.wait(20) == -signal.SIGTERM
    wait_until(lambda: not is_running(pid))


def test_a_daemon_that_outlives_the_app_is_ended(run: Run) -> None:
    run.hold()
    app = run.app("setsid sleep 1000 >/dev/null & echo $!")
    pid = int(read_line(app))
    app.wait(20)
    assert run.end() == ["ended 1", "left 0"]
    wait_until(lambda: not is_running(pid))


def test_silence_ends_the_run(run: Run) -> None:
    run.hold(timeout=0.3)
    app = run.app("sleep 1000")
    assert app.wait(20) == -signal.SIGTERM
    assert run.end()[-1] == "left 0"


def test_heartbeats_keep_it(run: Run) -> None:
    run.hold(timeout=0.5)
    app = run.app("echo here; sleep 1000")
    assert read_line(app) == "here"
    for _ in range(10):
        run.tell(".")
        time.sleep(0.1)
    assert app.poll() is None


def test_who_ignores_a_polite_signal_is_killed(run: Run) -> None:
    run.hold(grace=0.2)
    app = run.app("trap '' TERM; echo here; while :; do sleep 0.1; done")
    assert read_line(app) == "here"
    assert run.end()[-1] == "left 0"
    assert app.wait(20) == -signal.SIGKILL


def test_a_stopped_app_is_ended_too(run: Run) -> None:
    run.hold()
    app = run.app("echo here; kill -STOP $$; sleep 1000")
    assert read_line(app) == "here"
    wait_until(lambda: Path(f"/proc/{app.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
    assert run.end()[-1] == "left 0"
    assert app.wait(20) == -signal.SIGTERM


def test_the_end_order_ends_it(run: Run) -> None:
    run.hold()
    app = run.app("echo here; sleep 1000")
    assert read_line(app) == "here"
    run.tell("end")
    assert app.wait(20) == -signal.SIGTERM


def test_signals_are_passed_on(run: Run) -> None:
    run.hold()
    app = run.app("trap 'echo caught' INT; echo here; while :; do sleep 0.05; done")
    assert read_line(app) == "here"
    run.tell("signal INT")
    assert read_line(app) == "caught"
    run.tell("signal KILL")
    assert app.wait(20) == -signal.SIGKILL


def test_a_signal_that_comes_early_waits_for_the_app(run: Run) -> None:
    run.hold()
    run.tell("signal INT")
    assert run.app("sleep 1000").wait(20) == -signal.SIGINT


def test_a_run_that_was_ended_does_not_begin(run: Run) -> None:
    run.hold()
    (run.folder / "pid.new").mkdir()  # so that it cannot write down who it is, as when the folder has just gone
    assert run.app("echo begun").wait(20) == 125


def test_says_when_the_app_cannot_be_started(run: Run) -> None:
    run.hold()
    done = subprocess.run(
        [run.guard, "run", run.folder, "--", "/nowhere/python3"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 127
    assert "/nowhere/python3: No such file" in done.stderr


def test_other_processes_are_left_alone(run: Run) -> None:
    run.hold()
    app = run.app("echo here; sleep 1000")
    assert read_line(app) == "here"
    with subprocess.Popen(["sleep", "1000"], env={"INCAMERA_RUN": f"{run.folder.name}5"}) as other:
        try:
            run.end()
            assert other.poll() is None
        finally:
            other.kill()
