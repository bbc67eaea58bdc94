"""Devices over SSH: connecting, deploying and running, with real servers and the faults that a network has."""

from __future__ import annotations

import os
import platform
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from incamera.device.deploy import deploy
from incamera.device.guard import Guard, ensure_guard
from incamera.device.probe import probe
from incamera.device.run import AppCommand, Streams, run_app
from incamera.device.ssh import connect, forwarded
from incamera.device.sync import Shipment, plan_shipment
from incamera.device.values import Device
from incamera.errors import ConnectionLost, DeviceError, DeviceRefused, DeviceUnreachable, DeviceUnsuitable
from incamera.runtime.launcher import require_launcher
from incamera.tree import list_tree

from .ssh_server import Line, SshServer

if TYPE_CHECKING:
    from incamera.device.host_keys import Decide, HostKey
    from incamera.device.session import Session


@pytest.fixture(scope="module")
def host_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture(scope="module")
def client_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture
def server(tmp_path: Path, host_key: asyncssh.SSHKey, client_key: asyncssh.SSHKey) -> Iterator[SshServer]:
    server = SshServer(tmp_path / "device", host_key, client_key)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def line(server: SshServer) -> Iterator[Line]:
    line = Line(server.port)
    yield line
    line.close()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A home without keys or configuration of the user who runs the tests."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    return {"HOME": str(home)}


@pytest.fixture
def opened(tmp_path: Path, environment: dict[str, str]) -> Callable[..., Any]:
    """Connects to a device, its host key accepted."""

    @contextmanager
    def connected(device: Device, decide: Decide = lambda _: True, timeout: float = 10) -> Iterator[Session]:
        with connect(
            device, known_hosts=tmp_path / "known_hosts", decide=decide, environment=environment, timeout=timeout
        ) as session:
            yield session

    return connected


@pytest.fixture
def session(server: SshServer, opened: Callable[..., Any]) -> Iterator[Session]:
    with opened(server.device()) as session:
        yield session


@pytest.fixture
def guard(server: SshServer) -> Guard:
    return Guard(require_launcher(platform.machine()), str(server.folder))


@pytest.fixture
def shipment(tmp_path: Path) -> Shipment:
    root = tmp_path / "bundle"
    (root / "lib").mkdir(parents=True)
    for number in range(50):
        (root / "lib" / f"{number}.py").write_bytes(os.urandom(40_000))
    (root / "lib" / "link").symlink_to("1.py")
    return plan_shipment("doorbell", root, list_tree(root), extra_files={"device/launcher": b"libraries lib\n"})


def wait_until(condition: Callable[[], object]) -> None:
    limit = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.02)


class Ends:
    """Pipes for the host's ends of a run; what arrives is collected."""

    def __init__(self) -> None:
        self.stdin_reader, self.stdin = os.pipe()
        self._readers, writers = zip(*(os.pipe() for _ in range(2)), strict=True)
        self.streams = Streams(self.stdin_reader, *writers)
        self.out, self.err = bytearray(), bytearray()
        self._threads = [
            threading.Thread(target=self._collect, args=pair, daemon=True)
            for pair in zip(self._readers, (self.out, self.err), strict=True)
        ]
        for thread in self._threads:
            thread.start()

    def _collect(self, reader: int, into: bytearray) -> None:
        while data := os.read(reader, 1 << 16):
            into += data

    def close_input(self) -> None:
        if self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1

    def finish(self) -> None:
        self.close_input()
        os.close(self.streams.stdout)
        os.close(self.streams.stderr)
        for thread in self._threads:
            thread.join(10)
        for descriptor in (self.stdin_reader, *self._readers):
            os.close(descriptor)


@pytest.fixture
def ends() -> Iterator[Ends]:
    ends = Ends()
    yield ends
    ends.finish()


def shell(script: str, **more: Any) -> AppCommand:
    return AppCommand(words=("sh", "-c", script), **more)


# Connecting


def test_one_connection_serves_many_commands(session: Session) -> None:
    assert session.run("cat; echo problem >&2; exit 5", input=b"x" * 300_000).exit_code == 5
    result = session.run("echo out; echo problem >&2")
    assert (result.text, result.error_text) == ("out\n", "problem")
    assert session.run("kill -9 $$").exit_code == 128 + signal.SIGKILL


def test_a_new_device_is_trusted_once_and_then_known(
    server: SshServer, opened: Callable[..., Any], tmp_path: Path, environment: dict[str, str]
) -> None:
    asked: list[HostKey] = []

    def trust(key: HostKey) -> bool:
        asked.append(key)
        return True

    with opened(server.device(), decide=trust):
        pass
    assert [key.fingerprint for key in asked] == [server.host_key.get_fingerprint()]
    assert (tmp_path / "known_hosts").read_text().startswith(f"[127.0.0.1]:{server.port} ssh-ed25519 ")
    with opened(server.device(), decide=lambda key: pytest.fail("asked again")):
        pass
    assert not list(Path(environment["HOME"], ".ssh").iterdir()), "only our own file is written"


def test_a_new_device_that_nobody_vouches_for_is_refused(server: SshServer, opened: Callable[..., Any]) -> None:
    with pytest.raises(DeviceRefused, match="not known yet") as caught, opened(server.device(), decide=lambda _: False):
        pass
    assert server.host_key.get_fingerprint() in str(caught.value)


def test_the_users_own_known_hosts_count(
    server: SshServer, opened: Callable[..., Any], environment: dict[str, str]
) -> None:
    key = server.host_key.export_public_key("openssh").decode()
    Path(environment["HOME"], ".ssh", "known_hosts").write_text(f"[127.0.0.1]:{server.port} {key}")
    with opened(server.device(), decide=lambda _: False) as session:
        assert session.run("true").exit_code == 0


def test_another_host_key_is_explained(server: SshServer, opened: Callable[..., Any], tmp_path: Path) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519")
    line = f"[127.0.0.1]:{server.port} {other.export_public_key('openssh').decode()}"
    (tmp_path / "known_hosts").write_text(f"# a remark\n{line}")
    with pytest.raises(DeviceRefused) as caught, opened(server.device()):
        pass
    message = str(caught.value)
    assert other.get_fingerprint() in message
    assert server.host_key.get_fingerprint() in message
    assert f"{tmp_path / 'known_hosts'}, line 2" in message
    assert "ssh-keygen -R" in str(caught.value.hint)


def test_a_pinned_key_needs_no_file(server: SshServer, opened: Callable[..., Any], tmp_path: Path) -> None:
    pinned = server.host_key.export_public_key("openssh").decode()
    with opened(server.device(host_key=pinned), decide=lambda _: False):
        pass
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key("openssh").decode()
    with pytest.raises(DeviceRefused, match="another host key"), opened(server.device(host_key=other)):
        pass
    assert not (tmp_path / "known_hosts").exists()


def test_ssh_config_is_honoured(server: SshServer, opened: Callable[..., Any], environment: dict[str, str]) -> None:
    Path(environment["HOME"], ".ssh", "config").write_text(
        f"Host axiscam\n  Hostname 127.0.0.1\n  Port {server.port}\n  User root\n  IdentityFile {server.key_file}\n"
    )
    with opened(Device(name="axiscam", host="axiscam")) as session:
        assert session.run("echo here").text == "here\n"


def test_a_key_that_the_device_does_not_know_is_refused(
    server: SshServer, opened: Callable[..., Any], tmp_path: Path
) -> None:
    stranger = tmp_path / "stranger"
    stranger.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
    with pytest.raises(DeviceRefused, match="does not let root in") as caught, opened(server.device(keys=(stranger,))):
        pass
    assert "ssh-copy-id" in str(caught.value.hint)


def test_a_device_that_is_off(server: SshServer, opened: Callable[..., Any]) -> None:
    with pytest.raises(DeviceUnreachable, match="nothing answers"), opened(server.device(port=1)):
        pass


def test_a_device_that_does_not_answer(server: SshServer, line: Line, opened: Callable[..., Any]) -> None:
    line.freeze()
    with pytest.raises(DeviceUnreachable), opened(server.device(port=line.port), timeout=0.5):
        pass


def test_a_name_that_does_not_exist(opened: Callable[..., Any]) -> None:
    with pytest.raises(DeviceUnreachable, match="no host called"), opened(Device(name="x", host="nowhere.invalid")):
        pass


def test_a_lost_connection_is_noticed(server: SshServer, session: Session) -> None:
    threading.Timer(0.3, server.drop_connections).start()
    with pytest.raises(ConnectionLost):
        session.run("sleep 30")
    with pytest.raises(ConnectionLost):
        session.run("true")


# Probing


def test_a_probe_tells_what_the_device_is(session: Session, server: SshServer, tmp_path: Path) -> None:
    cache = tmp_path / "facts.json"
    facts = probe(session, cache=cache)
    assert facts.architecture == platform.machine()
    assert facts.libc == platform.libc_ver()[1]
    assert "tar" in facts.tools
    assert any(library.soname == "libc.so.6" for library in facts.libraries)
    home = next(place for place in facts.places if place.path == str(server.folder))
    assert home.writable
    assert home.executable
    assert home.free
    # Until it restarts, only what may change is asked again.
    again = probe(session, cache=cache)
    assert again.libraries == facts.libraries
    assert again.fingerprint == facts.fingerprint
    assert len(server.commands) == 2


# Deploying


def test_deploys_only_what_changed(session: Session, guard: Guard, shipment: Shipment) -> None:
    told: list[tuple[int, int]] = []
    first = deploy(session, shipment, guard, progress=lambda done, total: told.append((done, total)))
    assert (first.files_sent, first.files_unchanged) == (51, 0)
    assert told[-1] == (first.bytes_sent, first.bytes_sent)
    assert list_tree(Path(first.destination), {})[1:] == sorted(shipment.entries, key=lambda e: e.path.encode())
    again = deploy(session, shipment, guard)
    assert (again.files_sent, again.bytes_sent, again.files_unchanged) == (0, 0, 51)
    changed = plan_shipment("doorbell", shipment.root, list_tree(shipment.root), extra_files={"app.py": b"print()"})
    assert deploy(session, changed, guard).files_sent == 1


def test_nothing_new_takes_one_round_trip(
    session: Session, server: SshServer, guard: Guard, shipment: Shipment
) -> None:
    deploy(session, shipment, guard)
    before = len(server.commands)
    deploy(session, shipment, guard)
    assert len(server.commands) == before + 1


def test_what_goes_wrong_on_the_device_is_told_in_its_words(session: Session, guard: Guard, shipment: Shipment) -> None:
    ensure_guard(session, guard)
    in_the_way = Path(guard.place) / "incamera" / "doorbell"
    in_the_way.write_text("a file where the app's folder shall be")
    with pytest.raises(DeviceError, match=r"[Nn]ot a directory|File exists"):
        deploy(session, shipment, guard)
    assert in_the_way.read_text() == "a file where the app's folder shall be"


def test_a_deploy_that_is_cut_goes_on_where_it_stopped(
    server: SshServer, line: Line, opened: Callable[..., Any], guard: Guard, shipment: Shipment
) -> None:
    with opened(server.device()) as session:
        ensure_guard(session, guard)
        old = deploy(session, plan_shipment("doorbell", shipment.root, [], extra_files={"old": b"old"}), guard)
    with opened(server.device(port=line.port)) as session:
        line.cut_after(1_200_000)
        with pytest.raises(ConnectionLost):
            deploy(session, shipment, guard)
    current = Path(old.destination).parent / "current"
    assert current.resolve() == Path(old.destination)
    with opened(server.device()) as session:
        rest = deploy(session, shipment, guard)
    assert 0 < rest.files_sent < 51
    assert current.resolve() == Path(rest.destination)


def test_two_deploys_at_once(server: SshServer, opened: Callable[..., Any], guard: Guard, shipment: Shipment) -> None:
    results = []

    def one() -> None:
        with opened(server.device()) as session:
            results.append(deploy(session, shipment, guard))

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(result.files_sent for result in results) == [0, 0, 51]
    assert len({result.destination for result in results}) == 1


def test_too_little_space_is_told_before_anything_is_sent(session: Session, guard: Guard, shipment: Shipment) -> None:
    huge = replace(shipment, entries=(replace(shipment.entries[0], path="huge", size=1 << 60), *shipment.entries))
    with pytest.raises(DeviceUnsuitable, match=r"MB free, the bundle needs .* MB more"):
        deploy(session, huge, guard)


def test_a_bundle_that_changes_while_it_is_sent(session: Session, guard: Guard, shipment: Shipment) -> None:
    (shipment.root / "lib" / "3.py").write_bytes(os.urandom(40_000))
    with pytest.raises(DeviceError, match="did not come whole"):
        deploy(session, shipment, guard)


def test_a_place_that_cannot_be_written(session: Session, guard: Guard, shipment: Shipment) -> None:
    with pytest.raises(DeviceError, match="cannot write"):
        deploy(session, shipment, replace(guard, place="/proc/nowhere"))


# Running


def test_streams_and_the_exit_code(session: Session, guard: Guard, ends: Ends) -> None:
    path = ensure_guard(session, guard)
    ends.close_input()
    command = shell('pwd; echo "$A"; echo problem >&2; exit 3', folder="/usr", environment={"A": "it's"})
    assert run_app(session, path, command, streams=ends.streams) == 3
    wait_until(lambda: ends.out == b"/usr\nit's\n" and ends.err == b"problem\n")


def test_input_is_passed_on_to_its_end(session: Session, guard: Guard, ends: Ends) -> None:
    path = ensure_guard(session, guard)

    def type_in() -> None:
        for _ in range(50):
            os.write(ends.stdin, os.urandom(10_000))
        ends.close_input()

    threading.Thread(target=type_in, daemon=True).start()
    assert run_app(session, path, shell("wc -c"), streams=ends.streams) == 0
    wait_until(lambda: ends.out.strip() == b"500000")


def test_output_comes_as_it_is_printed(session: Session, guard: Guard, ends: Ends) -> None:
    path = ensure_guard(session, guard)

    def answer() -> None:
        wait_until(lambda: ends.out == b"question\n")
        os.write(ends.stdin, b"answer\n")

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    python = AppCommand(words=(sys.executable, "-c", "print('question'); print(input())"))
    assert run_app(session, path, python, streams=ends.streams) == 0
    wait_until(lambda: ends.out == b"question\nanswer\n")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_killed_app_gives_128_and_the_signal(
    session: Session, guard: Guard, ends: Ends, number: signal.Signals
) -> None:
    path = ensure_guard(session, guard)
    assert run_app(session, path, shell(f"kill -{int(number)} $$"), streams=ends.streams) == 128 + number


def test_a_child_that_holds_the_output_does_not_hold_us(session: Session, guard: Guard, ends: Ends) -> None:
    path = ensure_guard(session, guard)
    assert run_app(session, path, shell("sleep 1000 & echo $!; exit 4"), streams=ends.streams) == 4
    wait_until(lambda: ends.out)
    assert not is_running(int(ends.out))


def test_an_app_that_cannot_start(session: Session, guard: Guard, ends: Ends) -> None:
    path = ensure_guard(session, guard)
    assert run_app(session, path, AppCommand(words=("/nowhere/app",)), streams=ends.streams) == 127
    wait_until(lambda: b"/nowhere/app: No such file" in ends.err)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize("how", ["cut", "freeze"])
def test_a_lost_connection_leaves_no_process_behind(
    how: str,
    server: SshServer,
    line: Line,
    opened: Callable[..., Any],
    guard: Guard,
    ends: Ends,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import incamera.device.holding as module
    import incamera.device.ssh as ssh

    monkeypatch.setattr(module, "GUARD_TIMEOUT_SECONDS", 1.5)
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.3)
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.5)
    monkeypatch.setattr(ssh, "_KEEPALIVE_SECONDS", 0.5)
    with opened(server.device(port=line.port)) as session:
        path = ensure_guard(session, guard)

        def lose() -> None:
            wait_until(lambda: ends.out.count(b"\n") == 3)
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
    wait_until(lambda: not any(is_running(int(pid)) for pid in pids))
    wait_until(lambda: not list(Path("/tmp").glob(f"{run}*")))


def test_endless_output_waits_for_its_reader(session: Session, guard: Guard) -> None:
    """Nobody reads: neither our memory nor the connection's buffers grow without end, and the run can be ended."""
    import resource

    path = ensure_guard(session, guard)
    reader, writer = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    results: list[int] = []
    thread = threading.Thread(
        target=lambda: results.append(run_app(session, path, shell("yes"), streams=Streams(null, writer, null)))
    )
    thread.start()
    time.sleep(1.5)
    assert thread.is_alive()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000
    os.close(reader)  # as `head` does when it has seen enough
    thread.join(20)
    assert results == [128 + signal.SIGPIPE]
    os.close(writer)
    os.close(null)


# As a program of its own: signals and terminals

PROGRAM = """
import sys
from pathlib import Path
from incamera.device.guard import Guard, ensure_guard
from incamera.device.run import AppCommand, run_app
from incamera.device.ssh import connect
from incamera.device.values import Device
port, key, binary, place, script = sys.argv[1:]
device = Device(name="test", host="127.0.0.1", port=int(port), user="root", keys=(Path(key),))
with connect(device, known_hosts=Path(place) / "known_hosts", decide=lambda key: True) as session:
    path = ensure_guard(session, Guard(Path(binary), place))
    sys.exit(run_app(session, path, AppCommand(words=("sh", "-c", script))))
"""


def program(server: SshServer, guard: Guard, script: str) -> list[str]:
    return [
        *(sys.executable, "-c", PROGRAM, str(server.port), str(server.key_file)),
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
    assert process.wait(20) == 9


def test_a_second_ctrl_c_kills_it(started: Callable[[str], subprocess.Popen[bytes]]) -> None:
    process = started("trap 'echo caught' INT; echo here; while :; do sleep 0.05; done")
    assert read_line(process) == b"here"
    process.send_signal(signal.SIGINT)
    assert read_line(process) == b"caught"
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 128 + signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_when_the_tool_ends_the_app_does_too(
    started: Callable[[str], subprocess.Popen[bytes]], number: signal.Signals
) -> None:
    process = started("setsid sleep 1000 & echo $! $INCAMERA_RUN; sleep 1000")
    pid, run = read_line(process).decode().split()
    process.send_signal(number)
    process.wait(20)
    wait_until(lambda: not is_running(int(pid)))
    wait_until(lambda: not list(Path("/tmp").glob(f"{run}*")))


def test_a_terminal_at_both_ends(server: SshServer, guard: Guard) -> None:
    script = "tty >/dev/null && stty size; echo $TERM; stty -echo; read x; echo got $x; stty size; sleep 1000"
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
            data = os.read(ours, 1000)
            assert data, bytes(seen)
            seen.extend(data)

    read_until(b"33 111\r\nxterm-test\r\n")
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 122, 0, 0))
    time.sleep(0.5)
    os.write(ours, b"hello\r")
    read_until(b"got hello\r\n44 122\r\n")
    os.write(ours, b"\x03")
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGINT
    assert termios.tcgetattr(ours) == before, "the terminal is as it was"
    os.close(ours)


# Forwarding


def test_a_server_that_leads_no_connections_on_is_told_at_once(
    tmp_path: Path, host_key: asyncssh.SSHKey, client_key: asyncssh.SSHKey, opened: Callable[..., Any]
) -> None:
    async def ready() -> bool:
        return True

    server = SshServer(tmp_path / "strict", host_key, client_key, key_options="no-port-forwarding ")
    server.start()
    try:
        with (
            opened(server.device()) as session,
            pytest.raises(DeviceError, match="leads no connections on") as error,
            forwarded(session, 12345, local_port=0, until_ready=ready),
        ):
            pytest.fail("nothing can be forwarded")
    finally:
        server.stop()
    assert "forwarding" in str(error.value.hint)
