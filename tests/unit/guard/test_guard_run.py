"""`guard run` becomes the app; `guard supervise` ends all of it when the host is gone."""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.waiting import PATIENCE_SECONDS, wait_until

from incamera.guard.answers import parse_answer
from incamera.runtime.launcher.protocol import Answer, Ended, ExitCode, Exited, Ready, Sample

pytestmark = pytest.mark.starts_processes


class Run:
    """Both of the guard's channels: `supervise`, and `run`, which becomes the app."""

    def __init__(self, guard: Path, folder: Path) -> None:
        self.guard = guard
        self.folder = folder
        self.supervisor: subprocess.Popen[bytes] | None = None
        self.processes: list[subprocess.Popen[bytes]] = []

    def supervise(self, *, timeout: float = PATIENCE_SECONDS, grace: float = 5) -> None:
        options = ["--timeout", str(int(timeout * 1000)), "--grace", str(int(grace * 1000))]
        self.supervisor = self._start("supervise", self.folder, *options)
        assert self.read_answer() == Ready()

    def start(self, script: str) -> subprocess.Popen[bytes]:
        return self.start_program("sh", "-c", script)

    def start_program(self, *arguments: str) -> subprocess.Popen[bytes]:
        return self._start("run", self.folder, "--", *arguments)

    def order(self, *lines: str) -> None:
        assert self.supervisor is not None
        assert self.supervisor.stdin is not None
        self.supervisor.stdin.write("".join(f"{line}\n" for line in lines).encode())
        self.supervisor.stdin.flush()

    def read_answer(self) -> Answer:
        assert self.supervisor is not None
        return parse_answer(read_line(self.supervisor).encode())

    def end(self) -> Ended:
        """Close the supervisor's standard input, as a lost connection does. Returns what it ended."""
        assert self.supervisor is not None
        assert self.supervisor.stdin is not None
        self.supervisor.stdin.close()
        while isinstance(answer := self.read_answer(), Exited):
            pass
        assert isinstance(answer, Ended)
        assert self.supervisor.wait(PATIENCE_SECONDS) == 0
        self.supervisor = None
        assert not self.folder.exists()
        return answer

    def _start(self, *words: str | Path) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([self.guard, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.processes.append(process)
        return process


@pytest.fixture
def run(guard: Path, tmp_path: Path) -> Iterator[Run]:
    run = Run(guard, tmp_path / f"run-{secrets.token_hex(8)}")
    yield run
    if run.supervisor is not None:
        run.end()
    for process in run.processes:
        with process:
            process.kill()


def read_line(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    return str(process.stdout.readline().decode().strip())


def state_of(pid: int) -> str:
    """Return the letter that /proc has for the state of a process; X where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def is_running(pid: int) -> bool:
    """A zombie does not run."""
    return state_of(pid) not in "ZX"


def test_guard_becomes_the_app(run: Run) -> None:
    run.supervise()
    app = run.start('echo $$ "$INCAMERA_RUN"; cut -d" " -f6 /proc/$$/stat; exit 3')
    assert read_line(app) == f"{app.pid} {run.folder.name}"
    assert read_line(app) == str(app.pid), "it leads a session of its own"
    assert app.wait(PATIENCE_SECONDS) == 3
    assert run.read_answer() == Exited()
    ended = run.end()
    assert (ended.count, ended.left) == (0, 0)


def test_app_waits_for_its_supervisor(run: Run) -> None:
    app = run.start("echo started")
    # It waits in the guard: the program that the guard becomes is the shell.
    wait_until(lambda: b"\0run\0" in Path(f"/proc/{app.pid}/cmdline").read_bytes(), "the guard runs")
    run.supervise()
    assert read_line(app) == "started"


def test_app_does_not_inherit_ignored_signals(run: Run) -> None:
    run.supervise()
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
def test_lost_connection_leaves_no_process_behind(run: Run, child: str) -> None:
    run.supervise()
    app = run.start(f"{child}; sleep 1000")
    pid = int(read_line(app))
    ended = run.end()
    assert ended.left == 0
    assert ended.count >= 2
    assert app.wait(PATIENCE_SECONDS) == -signal.SIGTERM
    wait_until(lambda: not is_running(pid), "the child has ended")


def test_daemon_of_the_app_is_ended(run: Run) -> None:
    run.supervise()
    app = run.start("setsid sleep 1000 >/dev/null & echo $!")
    pid = int(read_line(app))
    app.wait(PATIENCE_SECONDS)
    ended = run.end()
    assert (ended.count, ended.left) == (1, 0)
    wait_until(lambda: not is_running(pid), "the child has ended")


def test_process_that_is_becoming_another_program_is_seen(run: Run, tmp_path: Path) -> None:
    # In the middle of an execve, the kernel shows an empty environment: in about one of a hundred looks at these.
    again = tmp_path / "again"
    again.write_text('#!/bin/sh\nexec "$0"\n')
    again.chmod(0o755)
    run.supervise()
    app = run.start(f"for i in 1 2 3 4 5 6 7 8; do setsid {again} >/dev/null & echo $!; done")
    pids = {int(read_line(app)) for _ in range(8)}
    app.wait(PATIENCE_SECONDS)
    for _ in range(100):
        listed = subprocess.run([run.guard, "processes"], capture_output=True, check=True, timeout=PATIENCE_SECONDS)
        sample = parse_answer(listed.stdout.strip())
        assert isinstance(sample, Sample)
        assert pids <= {process.pid for process in sample.processes}
    ended = run.end()
    assert (ended.count, ended.left) == (8, 0)


def test_guard_tells_the_most_memory_that_the_app_has_used(run: Run) -> None:
    run.supervise()
    code = "import time; data = bytearray(60_000_000); del data; print('used', flush=True); time.sleep(2)"
    app = run.start(f'exec {sys.executable} -c "{code}"')
    assert read_line(app) == "used"
    app.wait(PATIENCE_SECONDS)
    ended = run.end()
    assert 60_000_000 < ended.peak < 120_000_000
    assert not ended.out_of_memory


def test_silent_host_ends_the_run(run: Run) -> None:
    app = run.start("sleep 1000")
    run.supervise(timeout=3)
    assert app.wait(PATIENCE_SECONDS) == -signal.SIGTERM
    assert run.end().left == 0


def test_heartbeats_keep_the_run_alive(run: Run) -> None:
    run.supervise(timeout=3)
    app = run.start("echo here; sleep 1000")
    assert read_line(app) == "here"
    end = time.monotonic() + 4
    while time.monotonic() < end:
        run.order(".")
        time.sleep(0.1)
    assert app.poll() is None


def test_app_that_ignores_sigterm_is_killed(run: Run) -> None:
    run.supervise(grace=0.2)
    app = run.start("trap '' TERM; echo here; while :; do sleep 0.1; done")
    assert read_line(app) == "here"
    assert run.end().left == 0
    assert app.wait(PATIENCE_SECONDS) == -signal.SIGKILL


def test_stopped_app_is_ended(run: Run) -> None:
    run.supervise()
    app = run.start("echo here; kill -STOP $$; sleep 1000")
    assert read_line(app) == "here"
    wait_until(lambda: state_of(app.pid) == "T", "the app is stopped")
    assert run.end().left == 0
    assert app.wait(PATIENCE_SECONDS) == -signal.SIGTERM


def test_order_to_end_ends_the_run(run: Run) -> None:
    run.supervise()
    app = run.start("echo here; sleep 1000")
    assert read_line(app) == "here"
    run.order("end")
    assert app.wait(PATIENCE_SECONDS) == -signal.SIGTERM


def test_signals_are_passed_on_to_the_app(run: Run) -> None:
    run.supervise()
    app = run.start("trap 'echo caught' INT; echo here; while :; do sleep 0.05; done")
    assert read_line(app) == "here"
    run.order("signal INT")
    assert read_line(app) == "caught"
    run.order("signal KILL")
    assert app.wait(PATIENCE_SECONDS) == -signal.SIGKILL


def test_signal_that_comes_before_the_app_is_passed_on_later(run: Run) -> None:
    run.supervise()
    run.order("signal INT")
    # Not a shell: that catches the signal when it comes while it begins, and forgets it.
    assert run.start_program("sleep", "1000").wait(PATIENCE_SECONDS) == -signal.SIGINT


def test_app_of_an_ended_run_does_not_start(run: Run) -> None:
    run.supervise()
    (run.folder / "pid.new").mkdir()  # so that it cannot write down who it is, as when the folder has just gone
    assert run.start("echo begun").wait(PATIENCE_SECONDS) == ExitCode.run_ended


def test_missing_program_is_named(run: Run) -> None:
    run.supervise()
    done = subprocess.run(
        [run.guard, "run", run.folder, "--", "/nowhere/python3"], capture_output=True, text=True, check=False
    )
    assert done.returncode == ExitCode.not_found
    assert "/nowhere/python3: No such file" in done.stderr


def test_processes_of_other_runs_are_left_alone(run: Run) -> None:
    run.supervise()
    app = run.start("echo here; sleep 1000")
    assert read_line(app) == "here"
    with subprocess.Popen(["sleep", "1000"], env={"INCAMERA_RUN": f"{run.folder.name}5"}) as other:
        try:
            run.end()
            assert other.poll() is None
        finally:
            other.kill()
