"""Running over SSH: streams, signals, terminals, and a connection that ends."""

from __future__ import annotations

import os
import pty
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from incamera.device.run import run_app
from incamera.device.streams import Streams
from incamera.errors import ConnectionLost
from incamera.guard.program import Guard, ensure_guard
from incamera.transport.protocols import Program
from tests.programs import shell

from ...waiting import PATIENCE_SECONDS, wait_until

if TYPE_CHECKING:
    from incamera.transport.session import Session

    from ..line import Line
    from ..ssh_server import SshServer
    from .conftest import Ends


# Running


def test_streams_environment_folder_and_exit_code_are_passed_on(session: Session, guard: Guard, ends: Ends) -> None:
    path = ensure_guard(session, guard)
    ends.close_input()
    command = shell('pwd; echo "$A"; echo problem >&2; exit 3', folder="/usr", environment={"A": "it's"})
    assert run_app(session, path, command, streams=ends.streams) == 3
    wait_until(lambda: ends.out == b"/usr\nit's\n" and ends.err == b"problem\n", "both streams arrive")


def test_input_is_passed_on_to_its_end(session: Session, guard: Guard, ends: Ends) -> None:
    path = ensure_guard(session, guard)

    def type_in() -> None:
        for _ in range(50):
            os.write(ends.stdin, os.urandom(10_000))
        ends.close_input()

    threading.Thread(target=type_in, daemon=True).start()
    assert run_app(session, path, shell("wc -c"), streams=ends.streams) == 0
    wait_until(lambda: ends.out.strip() == b"500000", "the count arrives")


def test_output_arrives_while_the_app_runs(session: Session, guard: Guard, ends: Ends) -> None:
    path = ensure_guard(session, guard)

    def answer() -> None:
        wait_until(lambda: ends.out == b"question\n", "the question arrives")
        os.write(ends.stdin, b"answer\n")

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    python = Program((sys.executable, "-c", "print('question'); print(input())"))
    assert run_app(session, path, python, streams=ends.streams) == 0
    wait_until(lambda: ends.out == b"question\nanswer\n", "the answer arrives")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_exit_code_of_a_killed_app_is_128_and_the_signal(
    session: Session, guard: Guard, ends: Ends, number: signal.Signals
) -> None:
    path = ensure_guard(session, guard)
    assert run_app(session, path, shell(f"kill -{int(number)} $$"), streams=ends.streams) == 128 + number


def test_run_ends_with_the_app_though_a_child_holds_its_output(session: Session, guard: Guard, ends: Ends) -> None:
    path = ensure_guard(session, guard)
    assert run_app(session, path, shell("sleep 1000 & echo $!; exit 4"), streams=ends.streams) == 4
    wait_until(lambda: ends.out, "the app prints")
    assert not is_running(int(ends.out))


def test_app_that_cannot_start_ends_with_127(session: Session, guard: Guard, ends: Ends) -> None:
    path = ensure_guard(session, guard)
    assert run_app(session, path, Program(("/nowhere/app",)), streams=ends.streams) == 127
    wait_until(lambda: b"/nowhere/app: No such file" in ends.err, "the error is printed")


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize("how", ["cut", "freeze"])
def test_lost_connection_ends_every_process_of_the_run(
    how: str,
    server: SshServer,
    line: Line,
    opened: Callable[..., Any],
    guard: Guard,
    ends: Ends,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import incamera.guard.supervise as module
    import incamera.transport.ssh as ssh

    monkeypatch.setattr(module, "GUARD_TIMEOUT_SECONDS", 1.5)
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.3)
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.5)
    monkeypatch.setattr(ssh, "KEEPALIVE_SECONDS", 0.5)
    with opened(server.device(port=line.port)) as session:
        path = ensure_guard(session, guard)

        def lose() -> None:
            wait_until(lambda: ends.out.count(b"\n") == 3, "the app prints three lines")
            line.cut() if how == "cut" else line.freeze()

        threading.Thread(target=lose, daemon=True).start()
        with pytest.raises(ConnectionLost):
            run_app(
                session,
                path,
                shell("echo $$; setsid sleep 1000 & echo $!; echo $INCAMERA_RUN; sleep 1000"),
                streams=ends.streams,
            )
    *pids, run = ends.out.decode().split()
    wait_until(lambda: not any(is_running(int(pid)) for pid in pids), "its processes end")
    wait_until(lambda: not list(Path("/tmp").glob(f"{run}*")), "its files are removed")


def test_short_outages_end_nothing_and_a_loss_is_reported(
    server: SshServer,
    line: Line,
    opened: Callable[..., Any],
    guard: Guard,
    ends: Ends,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ten times as fast as it is: 9 s without a network, 6 s with it, 9 s without it."""
    import incamera.guard.supervise as supervise
    import incamera.transport.ssh as ssh  # which has it of `keepalive`

    for module, name in (
        (supervise, "GUARD_TIMEOUT_SECONDS"),
        (supervise, "HEARTBEAT_SECONDS"),
        (ssh, "KEEPALIVE_SECONDS"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name) / 10)

    def trouble() -> None:
        wait_until(lambda: b"up" in ends.out, "the app runs")
        for _ in range(2):
            line.pause()
            time.sleep(0.9)
            line.resume()
            time.sleep(0.6)
        os.write(ends.stdin, b"well\n")

    with opened(server.device(port=line.port)) as session:
        path = ensure_guard(session, guard)
        thread = threading.Thread(target=trouble, daemon=True)
        thread.start()
        code = run_app(session, path, shell("echo up; read -r word; echo $word; exit 7"), streams=ends.streams)
        thread.join()
        assert (code, bytes(ends.out)) == (7, b"up\nwell\n")


def test_loss_is_reported_within_20_seconds_and_before_the_guard_ends_the_run() -> None:
    import incamera.guard.supervise as supervise
    from incamera.transport import keepalive

    reported = keepalive.KEEPALIVE_SECONDS * (keepalive.KEEPALIVE_COUNT + 1)
    # After an outage of 9 s, TCP may have waited for 13 s.
    assert 13 + keepalive.KEEPALIVE_SECONDS < reported < 20
    assert 13 + supervise.HEARTBEAT_SECONDS < supervise.GUARD_TIMEOUT_SECONDS
    assert reported < supervise.GUARD_TIMEOUT_SECONDS


def test_endless_output_waits_for_its_reader(session: Session, guard: Guard, tmp_path: Path) -> None:
    """While nobody reads, neither this process nor the connection's buffers grow; the run ends with the reader."""
    path = ensure_guard(session, guard)
    reader, writer = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    results: list[int] = []
    endless = shell(f"echo $$ >{tmp_path}/pid; exec yes")
    thread = threading.Thread(
        target=lambda: results.append(run_app(session, path, endless, streams=Streams(null, writer, null)))
    )
    thread.start()
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "the app runs")
    pid = int((tmp_path / "pid").read_text())
    seen: list[list[str]] = []

    def waits() -> bool:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        seen.append([state[0], *state[11:13]])  # S: it sleeps; and the processor time that it has used
        return len(seen) > 10 and seen[-1][0] == "S" and all(before == seen[-1] for before in seen[-10:])

    wait_until(waits, "the app waits")
    assert thread.is_alive()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000
    os.close(reader)  # as `head` does when it has seen enough
    thread.join(PATIENCE_SECONDS)
    assert results == [128 + signal.SIGPIPE]
    os.close(writer)
    os.close(null)


# As a program of its own: signals and terminals

PROGRAM = """
import sys
from pathlib import Path
from incamera.guard.program import Guard, ensure_guard
from incamera.device.run import run_app
from incamera.transport.ssh import connect
from incamera.transport.device import Device, SshAddress
from incamera.transport.protocols import Program
port, key, host_key, binary, place, script = sys.argv[1:]
address = SshAddress(host="127.0.0.1", port=int(port), user="root", keys=(Path(key),), host_key=host_key)
with connect(Device(name="test", address=address), known_hosts=Path("/none")) as session:
    path = ensure_guard(session, Guard(Path(binary), place))
    sys.exit(run_app(session, path, Program(("sh", "-c", script))))
"""


def program(server: SshServer, guard: Guard, script: str) -> list[str]:
    return [
        *(sys.executable, "-c", PROGRAM, str(server.port), str(server.key_file)),
        server.host_key.export_public_key("openssh").decode(),
        *(str(guard.binary), guard.place, script),
    ]


@pytest.fixture
def started(server: SshServer, guard: Guard) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    running: list[subprocess.Popen[bytes]] = []

    def start(script: str) -> subprocess.Popen[bytes]:
        running.append(
            subprocess.Popen(program(server, guard, script), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        )
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


def read_line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return bytes(process.stdout.readline()).strip()


def test_ctrl_c_interrupts_the_app(started: Callable[[str], subprocess.Popen[bytes]]) -> None:
    process = started("trap 'echo caught; exit 9' INT; echo here; while :; do sleep 0.05; done")
    assert read_line(process) == b"here"
    process.send_signal(signal.SIGINT)
    assert read_line(process) == b"caught"
    assert process.wait(PATIENCE_SECONDS) == 9


def test_second_ctrl_c_kills_the_app(started: Callable[[str], subprocess.Popen[bytes]]) -> None:
    process = started("trap 'echo caught' INT; echo here; while :; do sleep 0.05; done")
    assert read_line(process) == b"here"
    process.send_signal(signal.SIGINT)
    assert read_line(process) == b"caught"
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_SECONDS) == 128 + signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_app_ends_with_the_tool(started: Callable[[str], subprocess.Popen[bytes]], number: signal.Signals) -> None:
    process = started("setsid sleep 1000 & echo $! $INCAMERA_RUN; sleep 1000")
    pid, run = read_line(process).decode().split()
    process.send_signal(number)
    process.wait(PATIENCE_SECONDS)
    wait_until(lambda: not is_running(int(pid)), "its process ends")
    wait_until(lambda: not list(Path("/tmp").glob(f"{run}*")), "its files are removed")


def test_app_gets_a_terminal_when_the_user_has_one(server: SshServer, guard: Guard) -> None:
    wait = "until [ '44 122' = \"$(stty size)\" ]; do sleep 0.05; done"
    script = (
        "tty >/dev/null && stty size; echo $TERM; stty -echo; read x; echo got $x; "
        f"{wait}; stty size; echo waits; exec sleep 1000"
    )
    pid, ours = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm-test"
        os.execv(sys.executable, program(server, guard, script))
    import fcntl
    import struct
    import termios

    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 111, 0, 0))
    before = termios.tcgetattr(ours)
    seen = bytearray()

    def read_until(text: bytes) -> None:
        while text not in seen:
            assert select.select([ours], [], [], 60)[0], bytes(seen)
            data = os.read(ours, 1000)
            assert data, bytes(seen)
            seen.extend(data)

    read_until(b"33 111\r\nxterm-test\r\n")
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 122, 0, 0))
    os.write(ours, b"hello\r")
    # A shell ignores SIGINT that comes while it waits for a program which ends by itself, like `stty size`.
    read_until(b"got hello\r\n44 122\r\nwaits\r\n")
    os.write(ours, b"\x03")
    wait_until(lambda: os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT), "the program ends")
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGINT
    assert termios.tcgetattr(ours) == before, "the terminal is as it was"
    os.close(ours)
