"""Connecting to devices over SSH: real servers, keys, and what a network does."""

from __future__ import annotations

import platform
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from incamera.device.probe import probe
from incamera.errors import ConnectionLost, DeviceError, DeviceRefused, DeviceUnreachable
from incamera.transport.device import Device, SshAddress
from incamera.transport.host_keys import UnknownHostKey, accept_key
from incamera.transport.protocols import Program
from tests.programs import shell

from ..ssh_server import SshServer

if TYPE_CHECKING:
    from incamera.transport.session import Session

    from ..line import Line


# Connecting


def test_one_connection_serves_many_commands(session: Session) -> None:
    assert session.run(shell("cat; echo problem >&2; exit 5"), input=b"x" * 300_000).exit_code == 5
    result = session.run(shell("echo out; echo problem >&2"))
    assert (result.text, result.error_text) == ("out\n", "problem")
    assert session.run(shell("kill -9 $$")).exit_code == 128 + signal.SIGKILL


def test_new_device_is_known_once_its_key_was_accepted(
    server: SshServer, opened: Callable[..., Any], tmp_path: Path, environment: dict[str, str]
) -> None:
    with pytest.raises(UnknownHostKey) as caught, opened(server.device(), trust=False):
        pass
    assert caught.value.key.fingerprint == server.host_key.get_fingerprint()
    assert not (tmp_path / "known_hosts").exists()
    accept_key(tmp_path / "known_hosts", caught.value.key)
    assert (tmp_path / "known_hosts").read_text().startswith(f"[127.0.0.1]:{server.port} ssh-ed25519 ")
    with opened(server.device(), trust=False):
        pass
    assert not list(Path(environment["HOME"], ".ssh").iterdir()), "only our own file is written"


def test_new_device_is_refused_with_its_fingerprint(server: SshServer, opened: Callable[..., Any]) -> None:
    with pytest.raises(DeviceRefused, match="not known yet") as caught, opened(server.device(), trust=False):
        pass
    assert server.host_key.get_fingerprint() in str(caught.value)


def test_key_in_the_users_known_hosts_is_trusted(
    server: SshServer, opened: Callable[..., Any], environment: dict[str, str]
) -> None:
    key = server.host_key.export_public_key("openssh").decode()
    Path(environment["HOME"], ".ssh", "known_hosts").write_text(f"[127.0.0.1]:{server.port} {key}")
    with opened(server.device(), trust=False) as session:
        assert session.run(Program(("true",))).exit_code == 0


def test_changed_host_key_is_refused_with_both_keys_and_the_line(
    server: SshServer, opened: Callable[..., Any], tmp_path: Path
) -> None:
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


def test_pinned_key_is_the_only_one_that_is_trusted(
    server: SshServer, opened: Callable[..., Any], tmp_path: Path
) -> None:
    pinned = server.host_key.export_public_key("openssh").decode()
    with opened(server.device(host_key=pinned), trust=False):
        pass
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key("openssh").decode()
    with pytest.raises(DeviceRefused, match="another host key"), opened(server.device(host_key=other)):
        pass
    assert not (tmp_path / "known_hosts").exists()


def test_ssh_config_is_honoured(server: SshServer, opened: Callable[..., Any], environment: dict[str, str]) -> None:
    Path(environment["HOME"], ".ssh", "config").write_text(
        f"Host axiscam\n  Hostname 127.0.0.1\n  Port {server.port}\n  User root\n  IdentityFile {server.key_file}\n"
    )
    with opened(Device(name="axiscam", address=SshAddress(host="axiscam"))) as session:
        assert session.run(Program(("echo", "here"))).text == "here\n"


def test_refused_login_names_ssh_copy_id(server: SshServer, opened: Callable[..., Any], tmp_path: Path) -> None:
    stranger = tmp_path / "stranger"
    stranger.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
    with pytest.raises(DeviceRefused, match="does not let root in") as caught, opened(server.device(keys=(stranger,))):
        pass
    assert "ssh-copy-id" in str(caught.value.hint)


def test_refused_connection_is_device_unreachable(server: SshServer, opened: Callable[..., Any]) -> None:
    with pytest.raises(DeviceUnreachable, match="nothing answers"), opened(server.device(port=1)):
        pass


# It takes the 30 s that a login may take.
@pytest.mark.matrix
def test_silent_device_is_device_unreachable(server: SshServer, line: Line, opened: Callable[..., Any]) -> None:
    line.freeze()
    with pytest.raises(DeviceUnreachable), opened(server.device(port=line.port), timeout=0.5):
        pass


def test_unknown_host_name_is_named(opened: Callable[..., Any]) -> None:
    with (
        pytest.raises(DeviceUnreachable, match="no host called"),
        opened(Device(name="x", address=SshAddress(host="nowhere.invalid"))),
    ):
        pass


def test_lost_connection_is_noticed(server: SshServer, session: Session) -> None:
    threading.Timer(0.3, server.drop_connections).start()
    with pytest.raises(ConnectionLost):
        session.run(Program(("sleep", "30")))
    with pytest.raises(ConnectionLost):
        session.run(Program(("true",)))


# Probing


def test_probe_reads_facts_and_asks_less_the_second_time(session: Session, server: SshServer, tmp_path: Path) -> None:
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


# Forwarding


def test_forward_is_refused_at_once_where_the_server_does_not_allow_it(
    tmp_path: Path, host_key: asyncssh.SSHKey, client_key: asyncssh.SSHKey, opened: Callable[..., Any]
) -> None:
    async def ready() -> bool:
        return True

    server = SshServer(tmp_path / "strict", host_key, client_key, key_options="no-port-forwarding ")
    server.start()
    try:
        with (
            opened(server.device()) as session,
            pytest.raises(DeviceError, match="does not allow TCP forwarding") as error,
            session.forwarded(12345, local_port=0, until_ready=ready),
        ):
            pytest.fail("nothing can be forwarded")
    finally:
        server.stop()
    assert "settings" in str(error.value.hint)
