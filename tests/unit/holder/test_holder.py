"""The holder's process: it keeps connections to a real SSH server between sessions."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh
import pytest
from tests.integration.ssh_server import SshServer
from tests.waiting import wait_until

from incamera.__main__ import main
from incamera.disk import process_exists
from incamera.errors import StoreError
from incamera.holder.client import close_connections, list_connections, open_held
from incamera.holder.dial import NoHolder
from incamera.holder.place import Place
from incamera.transport.protocols import Program
from incamera.transport.session import Session

if TYPE_CHECKING:
    from incamera.transport.device import Device
    from incamera.transport.protocols import Transport

ECHO = Program(("echo", "here"))


class Camera:
    """A device, and the store whose holder keeps connections to it."""

    def __init__(self, store: Path, server: SshServer, device: Device) -> None:
        self.store = store
        self.server = server
        self.device = device
        self.environment = {"HOME": str(server.folder)}

    @contextmanager
    def session(self) -> Iterator[Session]:
        with Session(
            lambda: open_held(
                self.store, self.device, known_hosts=self.server.folder / "known_hosts", environment=self.environment
            )
        ) as session:
            assert session.require(ECHO, purpose="say something") == b"here\n"
            yield session

    @property
    def logins(self) -> int:
        return len(self.server._connections)

    @property
    def holder(self) -> int:
        pid, _ = list_connections(self.store)
        assert pid is not None
        return pid


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[Camera]:
    # Longer than the path of a socket may be.
    store = tmp_path / ("s" * 120)
    store.mkdir()
    host_key, client_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    server = SshServer(tmp_path / "home", host_key, client_key)
    server.start()
    device = server.device(host_key=host_key.export_public_key("openssh").decode())
    try:
        yield Camera(store, server, device)
    finally:
        pid, _ = list_connections(store)
        close_connections(store)
        server.stop()
        wait_until(lambda: pid is None or not process_exists(pid), "the holder has ended")


pytestmark = pytest.mark.starts_processes


def test_next_session_uses_the_same_connection(camera: Camera) -> None:
    with camera.session():
        pass
    with camera.session():
        pass
    assert camera.logins == 1
    (kept,) = list_connections(camera.store)[1]
    assert (kept["device"], kept["uses"]) == ("test", 2)


def test_two_sessions_at_a_time_have_a_connection_each(camera: Camera) -> None:
    with camera.session(), camera.session():
        assert camera.logins == 2


def test_holder_keeps_nothing_of_the_command_that_started_it(camera: Camera) -> None:
    with camera.session():
        holder = Path("/proc", str(camera.holder))
        assert (holder / "cwd").readlink() == Path("/")
        assert os.getsid(camera.holder) != os.getsid(0)
        targets = {str(link.readlink()) for link in (holder / "fd").iterdir()}
        ours = {str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.exists()}
        assert not {name for name in targets & ours if name.startswith(("pipe:", "socket:", "/dev/pts"))}
    assert str(camera.server.key_file) not in (holder / "cmdline").read_text()


def test_program_that_is_sent_more_than_it_reads_sees_the_end_when_the_command_ends(
    camera: Camera, tmp_path: Path
) -> None:
    begun, go, ended = tmp_path / "begun", tmp_path / "go", tmp_path / "ended"
    script = f"touch {begun}; while [ ! -e {go} ]; do sleep 0.05; done; cat >/dev/null; touch {ended}"

    megabytes = 0

    async def send_too_much(transport: Transport) -> None:
        nonlocal megabytes
        channel = await transport.start(Program(("sh", "-c", script)))
        while True:
            await channel.write(bytes(1 << 20))
            megabytes += 1

    with camera.session() as session:
        sending = asyncio.run_coroutine_threadsafe(send_too_much(session.transport), session._loop)
        wait_until(lambda: begun.exists() and megabytes > 3, "the program has more input than it takes")
        sending.cancel()
    with camera.session():
        go.touch()
        wait_until(ended.exists, "the program's input has ended")
    assert camera.logins == 1


def test_result_of_a_program_that_ends_without_reading_its_input_is_known(camera: Camera) -> None:
    with camera.session() as session:
        for size in (0, 1, 1 << 10, 1 << 16) * 5:
            assert session.run(Program(("sh", "-c", "echo told; exit 7")), input=bytes(size)).exit_code == 7


def test_killed_holder_costs_a_new_connection_and_nothing_else(camera: Camera) -> None:
    with camera.session():
        killed = camera.holder
    os.kill(killed, signal.SIGKILL)
    with camera.session():
        assert camera.holder != killed


def test_connection_that_was_lost_meanwhile_is_replaced(camera: Camera) -> None:
    with camera.session():
        pass
    camera.server.drop_connections()
    with camera.session():
        pass
    assert camera.logins == 2


def test_changed_list_of_known_hosts_asks_for_a_new_connection(camera: Camera) -> None:
    with camera.session():
        pass
    (camera.server.folder / "known_hosts").write_text("# changed\n")
    with camera.session():
        pass
    assert camera.logins == 2
    assert len(list_connections(camera.store)[1]) == 1


def test_closed_connections_end_with_their_holder(camera: Camera) -> None:
    with camera.session():
        pass
    holder = camera.holder
    assert [kept["device"] for kept in close_connections(camera.store, "test")] == ["test"]
    wait_until(lambda: not process_exists(holder), "the holder has ended")
    assert list_connections(camera.store) == (None, [])


def test_connection_to_another_device_is_not_closed(camera: Camera) -> None:
    with camera.session():
        pass
    assert close_connections(camera.store, "other") == []
    assert len(list_connections(camera.store)[1]) == 1


@pytest.fixture
def stopped(camera: Camera, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A holder that has been stopped, and so answers nothing: its process number."""
    with camera.session():
        pass
    pid = camera.holder
    os.kill(pid, signal.SIGSTOP)
    monkeypatch.setattr("incamera.holder.dial.ANSWER_SECONDS", 0.5)
    monkeypatch.setenv("INCAMERA_STORE", str(camera.store))
    yield pid
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def test_close_kills_a_holder_that_does_not_answer(
    camera: Camera, stopped: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["connections", "list"]) == 6
    assert f"process {stopped}, which keeps connections open, does not answer" in capsys.readouterr().err
    assert main(["connections", "close", "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"schema": 1, "closed": [], "killed": stopped}
    assert f"process {stopped}" in shown.err
    assert list_connections(camera.store) == (None, [])


def test_holder_that_does_not_answer_is_not_waited_for(camera: Camera, stopped: int) -> None:
    with pytest.raises(NoHolder), camera.session():
        pass


def test_process_that_is_no_holder_is_not_killed(camera: Camera, stopped: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("incamera.holder.client.SERVER_MODULE", "another.program")
    killed: list[int] = []
    assert close_connections(camera.store, on_killed=killed.append) == []
    assert process_exists(stopped)


# Who may use it


def test_folder_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holder").mkdir()
    (tmp_path / "holder").chmod(0o755)
    with pytest.raises(StoreError, match="is not safe"):
        Place(tmp_path)


def test_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "holder").symlink_to("elsewhere")
    with pytest.raises(StoreError, match="is not safe"):
        Place(tmp_path)


def test_socket_of_another_users_program_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path)
    with socket.socket(socket.AF_UNIX) as planted:
        planted.bind(place.address)
        planted.listen()
        monkeypatch.setattr("incamera.holder.place.peer_user", lambda connection: os.geteuid() + 1)
        with pytest.raises(StoreError, match="another user's program"):
            place.connect()
    place.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a network namespace without a user namespace")
def test_another_network_has_a_holder_of_its_own(camera: Camera) -> None:
    code = "from pathlib import Path; from incamera.holder.place import Place; print(Place(Path({!r})).connect())"
    words = [sys.executable, "-c", code.format(str(camera.store))]
    with camera.session():
        here = subprocess.run(words, capture_output=True, text=True, check=True)
        there = subprocess.run(["unshare", "--net", *words], capture_output=True, text=True, check=True)
    assert here.stdout.startswith("<socket.socket")
    assert there.stdout == "None\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_another_user_cannot_reach_the_socket(camera: Camera) -> None:
    with camera.session():
        path = next((camera.store / "holder").glob("socket-*"))
        assert path.parent.stat().st_mode & 0o077 == 0
        assert path.stat().st_mode & 0o077 == 0
        child = os.fork()
        if child == 0:
            try:
                os.setuid(65534)
                os.chdir(path.parent)
            except PermissionError:
                os._exit(0)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
