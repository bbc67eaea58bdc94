"""Servers that do not answer, and servers that let nobody in: the error names the step and the cause."""

from __future__ import annotations

import asyncio
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from tests.integration.line import Line
from tests.waiting import PATIENCE_SECONDS, wait_until

from incamera.errors import ConfigError, ConnectionLost, DeviceError, DeviceRefused, DeviceUnreachable
from incamera.transport import ssh
from incamera.transport.device import Device, SshAddress
from incamera.transport.host_keys import UnknownHostKey
from incamera.transport.protocols import Program
from incamera.transport.ssh import connect

from .servers import Server, TakesAll, agent, connect_to, home, serving, ssh_server, tcp_server, write_key

__all__ = ["home"]

pytestmark = pytest.mark.starts_processes


class OnlyPasswords(Server):
    offers = ("password", "keyboard-interactive")


class Closed(Server):
    offers = ()


class KnowsKeyButRefuses(Server):
    """As `PermitRootLogin no`: the key is known, but with its signature it is refused."""

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        self.asked += 1
        return self.asked == 1


class ThreeAttempts(Server):
    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        self.asked += 1
        if self.asked == 3:
            self.connection.disconnect(2, "Too many authentication failures")
        return False


class NeverDecides(Server):
    async def begin_auth(self, username: str) -> bool:
        await asyncio.sleep(1000)
        return True


# Time


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "WHOLE_SECONDS", 4.0)


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize(
    ("server", "told"),
    [
        (tcp_server(b""), "accepts connections at port .*, but sends no SSH banner within 4 s"),
        (tcp_server(b"SSH-2.0-slow\r\n"), r"\(SSH-2.0-slow\) does not finish the key exchange within 4 s"),
        (ssh_server(NeverDecides), "AsyncSSH.* does not decide within 4 s whether to let you in"),
    ],
)
def test_step_that_takes_too_long_is_named(server: Callable[[], Any], told: str, home: Path) -> None:
    with serving(server) as port, pytest.raises(DeviceUnreachable, match=told):
        connect_to(port, home, timeout=1)


def test_host_that_does_not_answer_to_tcp_is_told_after_its_own_time(home: Path) -> None:
    with socket.socket() as full:
        # Linux leaves connections unanswered that do not fit into the queue of those to be accepted.
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        started = time.monotonic()
        with pytest.raises(DeviceUnreachable, match=r"does not answer within 1 s \(TCP port"):
            connect_to(full.getsockname()[1], home, timeout=1)
        assert time.monotonic() - started < ssh.WHOLE_SECONDS
        for one in waiting:
            one.close()


def test_server_may_take_longer_for_the_login_than_tcp_may(home: Path) -> None:
    class Slow(TakesAll):
        async def begin_auth(self, username: str) -> bool:
            await asyncio.sleep(1.2)
            return True

    with serving(ssh_server(Slow)) as port:
        connect_to(port, home, timeout=1)


# Refused logins


@pytest.mark.parametrize(
    ("server", "told", "hint"),
    [
        (Server, r"does not let root in with any of your keys \(id_ed25519\)", "ssh-copy-id"),
        (OnlyPasswords, "does not take keys from root: it takes .*a password", "PubkeyAuthentication"),
        (Closed, "it offers no way to log in", "PubkeyAuthentication"),
        (KnowsKeyButRefuses, "knows your key id_ed25519, but does not let root in", "PermitRootLogin"),
    ],
)
def test_cause_of_a_refused_login_is_told(server: type[Server], told: str, hint: str, home: Path) -> None:
    with serving(ssh_server(server)) as port, pytest.raises(DeviceRefused, match=told) as error:
        connect_to(port, home)
    assert hint in str(error.value.hint)


def test_key_with_a_passphrase_is_told(home: Path) -> None:
    write_key(home / ".ssh" / "id_ed25519", "secret")
    with (
        serving(ssh_server(Server)) as port,
        pytest.raises(DeviceRefused, match="id_ed25519 has a passphrase") as error,
    ):
        connect_to(port, home)
    assert f"ssh-add {home}/.ssh/id_ed25519" in str(error.value.hint)


def test_missing_and_damaged_keys_are_told(home: Path) -> None:
    (home / ".ssh" / "bad").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n")
    (home / ".ssh" / "config").write_text("IdentityFile ~/.ssh/none\nIdentityFile ~/.ssh/bad\n")
    with serving(ssh_server(Server)) as port, pytest.raises(DeviceRefused, match="there is none to offer") as error:
        connect_to(port, home)
    assert "none: there is no such file" in str(error.value)
    assert "bad: " in str(error.value)


def test_configuration_without_keys_is_refused(home: Path) -> None:
    (home / ".ssh" / "config").write_text("PubkeyAuthentication no\n")
    with pytest.raises(ConfigError, match="PubkeyAuthentication no"):
        connect_to(1, home)


@pytest.mark.parametrize(
    "config",
    [
        # Of both lines, `ssh` knows what asyncssh does not, and cameras that are old need what the last two allow.
        "KexAlgorithms sntrup761x25519-sha512@openssh.com,curve25519-sha256\n",
        "PubkeyAcceptedAlgorithms ssh-ed25519,sk-ssh-ed25519-cert-v01@openssh.com\n",
        "Ciphers +nothing\nMACs ^nothing\n",
        "PubkeyAcceptedKeyTypes +ssh-rsa\nHostKeyAlgorithms +ssh-rsa\n",
        "PubkeyAuthentication host-bound\n",
        "ConnectTimeout 0\nAddressFamily INET\n",
        "CertificateFile ~/.ssh/none-cert.pub\nCertificateFile ~/.ssh/known_hosts\n",
    ],
)
def test_configuration_that_ssh_understands_is_no_obstacle(config: str, home: Path) -> None:
    (home / ".ssh" / "config").write_text(config)
    with serving(ssh_server(TakesAll)) as port:
        connect_to(port, home)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("Ciphers nothing,else\n", "Ciphers nothing,else`, of which incamera has none"),
        ("ProxyCommand echo\nProxyUseFdpass yes\n", "ProxyUseFdpass yes"),
        ("ProxyJump gate,a:b:c\n", 'ProxyJump of ~/.ssh/config .*"a:b:c" is not an address'),
        ("AddressFamily inet6\n", "no address that AddressFamily inet6 allows"),
    ],
)
def test_option_that_prevents_the_connection_is_named(config: str, told: str, home: Path) -> None:
    (home / ".ssh" / "config").write_text(config)
    with serving(ssh_server(TakesAll)) as port, pytest.raises((ConfigError, DeviceUnreachable), match=told):
        connect_to(port, home)


def test_option_that_leaves_nothing_in_common_with_the_server_is_named(home: Path) -> None:
    (home / ".ssh" / "config").write_text("HostKeyAlgorithms ssh-rsa\n")
    with serving(ssh_server(TakesAll)) as port, pytest.raises(DeviceError) as error:
        connect_to(port, home)
    assert "HostKeyAlgorithms" in str(error.value.hint)


@pytest.mark.usefixtures("hurry")
def test_proxy_that_passes_nothing_on_is_named(home: Path) -> None:
    (home / ".ssh" / "config").write_text("ProxyCommand sleep 1000\n")
    with pytest.raises(DeviceUnreachable, match=r"the ProxyCommand for cam .* passes no SSH banner on"):
        connect_to(1, home)


def test_name_server_that_does_not_answer_is_told_from_a_wrong_name(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(DeviceUnreachable, match=r"tells the address of cam\.example"):
        connect_to(1, home, host="cam.example")


def test_files_that_are_no_private_keys_are_told_apart(home: Path) -> None:
    (home / ".ssh" / "mine.ppk").write_text("PuTTY-User-Key-File-3: ssh-ed25519\n")
    (home / ".ssh" / "config").write_text("IdentityFile ~/.ssh/mine.ppk\nIdentityFile ~/.ssh/id_ed25519.pub\n")
    with serving(ssh_server(Server)) as port, pytest.raises(DeviceRefused, match="none to offer") as error:
        connect_to(port, home)
    assert "puttygen" in str(error.value)
    assert "id_ed25519.pub: a public key, whose private key no SSH agent has" in str(error.value)


# Servers that let one in and run nothing


class ClosesAtOnce(TakesAll):
    """As `PermitRootLogin forced-commands-only` for a key without a command."""

    def auth_completed(self) -> None:
        self.connection.abort()


class OneSession(TakesAll):
    """As `MaxSessions 1`."""

    sessions = 0
    is_freed_at_the_end = False

    def session_requested(self) -> Any:
        if self.sessions:
            return False
        self.sessions = 1

        async def answer(process: asyncssh.SSHServerProcess[str]) -> None:
            marks = re.findall(r"printf %+s%+s (\S+) (\w+)", str(process.command))
            for output, mark in zip((process.stderr, process.stdout), marks, strict=True):
                output.write("".join(mark))
            await process.stdin.read()
            if self.is_freed_at_the_end:
                self.sessions = 0
            process.exit(0)

        return asyncssh.SSHServerProcess(answer, None, 3, False)


class OneAtATime(OneSession):
    """As `MaxSessions 1` of OpenSSH: one that is open counts, also before it runs anything."""

    is_freed_at_the_end = True


def test_programs_run_one_after_the_other_where_the_server_allows_no_more(home: Path) -> None:
    with serving(ssh_server(OneAtATime)) as port:
        device = Device(name="cam", address=SshAddress(host="127.0.0.1", port=port))
        with connect(device, known_hosts=home / "ours", environment={"HOME": str(home)}) as session:
            for _ in range(4):
                assert session.run(Program(("true",)), timeout=PATIENCE_SECONDS).exit_code == 0


def test_server_that_runs_nothing_is_told_from_a_lost_connection(home: Path) -> None:
    with serving(ssh_server(ClosesAtOnce)) as port:
        device = Device(name="cam", address=SshAddress(host="127.0.0.1", port=port))
        with (
            connect(device, known_hosts=home / "ours", environment={"HOME": str(home)}) as session,
            pytest.raises(ConnectionLost, match="let you in, and closed the connection") as error,
        ):
            session.run(Program(("true",)))
    assert "forced-commands-only" in str(error.value.hint)


def test_server_that_runs_one_program_at_a_time_is_refused_when_it_is_checked(home: Path) -> None:
    with serving(ssh_server(OneSession)) as port:
        device = Device(name="cam", address=SshAddress(host="127.0.0.1", port=port))
        with (
            connect(device, known_hosts=home / "ours", environment={"HOME": str(home)}) as session,
            pytest.raises(DeviceError, match="refuses to run so many programs at a time") as error,
        ):
            session.check_channels()
    assert "MaxSessions" in str(error.value.hint)


# The agent


def test_too_many_keys_in_the_agent_are_told(home: Path, tmp_path: Path) -> None:
    keys = [asyncssh.generate_private_key("ssh-ed25519", comment=f"key {number}") for number in range(6)]
    with (
        agent(tmp_path, keys) as path,
        serving(ssh_server(ThreeAttempts)) as port,
        pytest.raises(DeviceRefused, match="ended the login after 3 keys") as error,
    ):
        connect_to(port, home, SSH_AUTH_SOCK=path)
    assert "IdentitiesOnly yes" in str(error.value.hint)


def test_key_that_the_configuration_names_is_offered_first(home: Path, tmp_path: Path) -> None:
    keys = [asyncssh.generate_private_key("ssh-ed25519", comment=f"key {number}") for number in range(6)]
    mine = write_key(home / ".ssh" / "mine", "secret")
    offered: list[bytes] = []

    class Mine(Server):
        def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
            offered.append(key.public_data)
            return key.public_data == mine.public_data

    (home / ".ssh" / "config").write_text("IdentityFile ~/.ssh/mine\n")
    with agent(tmp_path, [*keys, mine]) as path, serving(ssh_server(Mine)) as port:
        connect_to(port, home, SSH_AUTH_SOCK=path)
        assert set(offered) == {mine.public_data}
        # And no other, where the configuration says so.
        offered.clear()
        (home / ".ssh" / "config").write_text("IdentityFile ~/.ssh/id_ed25519\nIdentitiesOnly yes\n")
        with pytest.raises(DeviceRefused, match=r"any of your keys \(id_ed25519\)"):
            connect_to(port, home, SSH_AUTH_SOCK=path)
        assert len(offered) == 1


# The key that a server took last


class Chooses(Server):
    """Takes the keys in `taken`. `asked_for` has the key of each request."""

    taken: set[bytes]
    asked_for: list[bytes]

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        self.asked_for.append(key.public_data)
        return key.public_data in self.taken


def chooses(*taken: asyncssh.SSHKey) -> type[Chooses]:
    attributes = {"taken": {key.public_data for key in taken}, "asked_for": []}
    return type("Chooses", (Chooses,), attributes)


def test_second_login_offers_the_key_that_was_taken_and_nothing_else(home: Path, tmp_path: Path) -> None:
    keys = [asyncssh.generate_private_key("ssh-ed25519", comment=f"key {number}") for number in range(4)]
    server = chooses(keys[3])
    with agent(tmp_path, keys) as path, serving(ssh_server(server)) as port:
        connect_to(port, home, SSH_AUTH_SOCK=path)
        # Each is asked for; the right one is asked for, and then signs.
        assert server.asked_for == [*(key.public_data for key in keys), keys[3].public_data]
        server.asked_for.clear()
        connect_to(port, home, SSH_AUTH_SOCK=path)
        assert server.asked_for == [keys[3].public_data]


def test_another_key_is_tried_when_the_server_does_not_take_the_last_one_any_more(home: Path, tmp_path: Path) -> None:
    keys = [asyncssh.generate_private_key("ssh-ed25519", comment=f"key {number}") for number in range(2)]
    server = chooses(keys[0])
    with agent(tmp_path, keys) as path, serving(ssh_server(server)) as port:
        for key in keys * 2:
            server.taken = {key.public_data}
            connect_to(port, home, SSH_AUTH_SOCK=path)


def test_refusal_of_a_key_that_was_taken_before_is_told_as_at_the_first_login(home: Path) -> None:
    server = chooses(asyncssh.read_private_key(str(home / ".ssh" / "id_ed25519")))
    with serving(ssh_server(server)) as port:
        connect_to(port, home)
        server.taken = set()
        with pytest.raises(DeviceRefused, match=r"with any of your keys \(id_ed25519\)"):
            connect_to(port, home)


def test_changed_host_key_is_refused_also_where_the_last_login_is_known(home: Path) -> None:
    with serving(ssh_server(TakesAll)) as port:
        connect_to(port, home)
        other = asyncssh.generate_private_key("ssh-ed25519").export_public_key("openssh").decode()
        (home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{port} {other}")
        with pytest.raises(DeviceRefused, match="known_hosts, line 1"):
            connect_to(port, home)


@pytest.mark.parametrize("algorithm", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"])
def test_second_login_needs_fewer_turns(algorithm: str, home: Path) -> None:
    key = asyncssh.generate_private_key(algorithm)
    key.write_private_key(str(home / ".ssh" / "id_ed25519"))
    key.write_public_key(str(home / ".ssh" / "id_ed25519.pub"))
    with serving(ssh_server(TakesAll)) as port, line_to(port) as line:
        turns = []
        for _ in range(2):
            line.turns = 0
            connect_to(line.port, home)
            turns.append(line.turns)
    first, second = turns
    assert second <= first - (1 if algorithm == "ssh-rsa" else 2)


@contextmanager
def line_to(port: int) -> Iterator[Line]:
    line = Line(port, delay=0.03)
    yield line
    line.close()


# Certificates


AUTHORITY = asyncssh.generate_private_key("ssh-ed25519")


class TakesSigned(Server):
    """As with TrustedUserCAKeys. asyncssh compares principals and dates."""

    def validate_ca_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return key == AUTHORITY.convert_to_public()


def sign_key(home: Path, **what: Any) -> None:
    key = asyncssh.read_public_key(str(home / ".ssh" / "id_ed25519.pub"))
    signed = AUTHORITY.generate_user_certificate(key, "anna's key", **{"principals": ["root"], **what})
    signed.write_certificate(str(home / ".ssh" / "id_ed25519-cert.pub"))


@pytest.mark.parametrize("named", [False, True])
def test_signed_key_is_let_in(named: bool, home: Path) -> None:
    sign_key(home)
    if named:
        (home / ".ssh" / "id_ed25519-cert.pub").rename(home / ".ssh" / "signed.pub")
        (home / ".ssh" / "config").write_text("CertificateFile ~/.ssh/signed.pub\nIdentityFile ~/.ssh/id_ed25519\n")
    with serving(ssh_server(TakesSigned)) as port:
        connect_to(port, home)


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ({"valid_before": "20200101"}, "has expired"),
        ({"valid_after": "21000101"}, r"is not valid yet: is this computer's clock right\?"),
        ({"principals": ["anna", "bert"]}, "is for anna, bert"),
    ],
)
def test_certificate_that_lets_nobody_in_is_told(what: dict[str, Any], told: str, home: Path) -> None:
    sign_key(home, **what)
    with (
        serving(ssh_server(TakesSigned)) as port,
        pytest.raises(DeviceRefused, match=f"does not let root in: the certificate .* {told}") as error,
    ):
        connect_to(port, home)
    assert "ssh-keygen -L" in str(error.value.hint)


def test_host_key_that_a_command_of_the_configuration_tells_is_trusted(home: Path) -> None:
    folder = home / ".ssh"
    line = (folder / "known_hosts").read_text()
    (folder / "known_hosts").unlink()
    command = home / "known"
    command.write_text(f'#!/bin/sh\necho "$*" >>{home}/asked\necho "$1 {line.partition(" ")[2].strip()}"\n')
    command.chmod(0o755)
    with serving(ssh_server(TakesAll)) as port:
        (folder / "config").write_text(f"KnownHostsCommand {command} %H %t\n")
        connect_to(port, home)
        assert (home / "asked").read_text() == f"[127.0.0.1]:{port} NONE\n"
        # As with `ssh`, a command that fails tells nothing.
        (folder / "config").write_text("KnownHostsCommand /bin/false\n")
        with pytest.raises(UnknownHostKey):
            connect_to(port, home)
        command.write_text(command.read_text().replace('echo "$1', 'echo "@revoked $1'))
        (folder / "config").write_text(f"KnownHostsCommand {command} %H %t\n")
        with pytest.raises(DeviceRefused, match=r"revoked.*KnownHostsCommand, line 1"):
            connect_to(port, home)


# Jump hosts


class Gate(TakesAll):
    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        return dest_port != 1


def test_camera_is_reached_through_jump_hosts(home: Path) -> None:
    with serving(ssh_server(Gate)) as gate, serving(ssh_server(Gate)) as inner, serving(ssh_server(TakesAll)) as port:
        (home / ".ssh" / "config").write_text(
            f"Host cam\n  HostName 127.0.0.1\n  Port {port}\n  ProxyJump gate,me@other@127.0.0.1:{inner}\n"
            f"Host gate\n  HostName 127.0.0.1\n  Port {gate}\n"
        )
        connect_to(0, home, host="cam")
        (home / ".ssh" / "config").write_text(
            "Host cam\n  HostName 127.0.0.1\n  Port 1\n  ProxyJump gate\n"
            f"Host gate\n  HostName 127.0.0.1\n  Port {gate}\n"
        )
        with pytest.raises(DeviceUnreachable, match=r"the jump host gate cannot reach cam \(127.0.0.1\)"):
            connect_to(0, home, host="cam")


def test_each_host_on_the_way_has_its_own_time(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(Gate):
        async def begin_auth(self, username: str) -> bool:
            await asyncio.sleep(2)
            return True

    monkeypatch.setattr(ssh, "WHOLE_SECONDS", 3.5)
    with serving(ssh_server(Slow)) as gate, serving(ssh_server(Slow)) as inner, serving(ssh_server(Slow)) as port:
        (home / ".ssh" / "config").write_text(
            f"Host cam\n  HostName 127.0.0.1\n  Port {port}\n  ProxyJump gate,127.0.0.1:{inner}\n"
            f"Host gate\n  HostName 127.0.0.1\n  Port {gate}\n"
        )
        connect_to(0, home, host="cam")


def test_unknown_key_of_a_jump_host_is_told_with_its_name(home: Path) -> None:
    with serving(ssh_server(Gate)) as gate:
        (home / ".ssh" / "known_hosts").unlink()
        (home / ".ssh" / "config").write_text(
            f"Host cam\n  ProxyJump gate\nHost gate\n  HostName 127.0.0.1\n  Port {gate}\n"
        )
        with pytest.raises(UnknownHostKey, match="the jump host gate is not known yet") as error:
            connect_to(0, home, host="cam")
    assert "`ssh gate`" in str(error.value.hint)
    assert error.value.key.address == f"[127.0.0.1]:{gate}"


def test_unknown_key_of_a_jump_host_is_told_with_the_command_that_shows_it(home: Path) -> None:
    with serving(ssh_server(Gate)) as gate:
        (home / ".ssh" / "known_hosts").unlink()
        (home / ".ssh" / "config").write_text(f"Host cam\n  ProxyJump me@127.0.0.1:{gate}\n")
        with pytest.raises(UnknownHostKey) as error:
            connect_to(0, home, host="cam")
    assert f"`ssh -p {gate} me@127.0.0.1`" in str(error.value.hint)


def test_jump_host_that_refuses_the_login_is_named(home: Path) -> None:
    with serving(ssh_server(Server)) as gate:
        (home / ".ssh" / "config").write_text(
            f"Host cam\n  ProxyJump gate\nHost gate\n  HostName 127.0.0.1\n  Port {gate}\n  User me\n"
        )
        with pytest.raises(DeviceRefused, match=r"the jump host gate .*does not let me in"):
            connect_to(0, home, host="cam")


def test_failing_jump_host_leaves_no_connection_to_the_agent_open(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    clients: list[asyncssh.SSHAgentClient] = []  # held, so that nothing but our code closes them
    connect_agent = asyncssh.connect_agent

    async def connect_and_hold(path: str) -> asyncssh.SSHAgentClient:
        clients.append(await connect_agent(path))
        return clients[-1]

    monkeypatch.setattr(asyncssh, "connect_agent", connect_and_hold)
    (home / ".ssh" / "config").write_text("Host cam\n  ProxyJump gate\nHost gate\n  HostName 127.0.0.1\n  Port 1\n")
    with agent(tmp_path, [write_key(tmp_path / "mine")], events) as path:
        with pytest.raises(DeviceUnreachable, match="the jump host gate"):
            connect_to(0, home, host="cam", SSH_AUTH_SOCK=path)
        wait_until(lambda: events.count("closed") == 2, lambda: f"both connections are closed: {events}", 20)
    assert events.count("opened") == 2


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (b"User \xe9\n", r"the user \"\\xe9\" of ~/.ssh/config cannot be sent"),
        (b"User a\x07b\n", "the user .* of ~/.ssh/config cannot be sent"),
        (b"Host cam\n  ProxyJump gate\nHost gate\n  User \xff\n", r"the user \"\\xff\" of ~/.ssh/config"),
        (b"HostName \xe9\n", r"\"\\xe9\" cannot be the name of a host"),
        (b"HostName a..b\n", r"\"a..b\" cannot be the name of a host"),
    ],
)
def test_name_that_ssh_cannot_send_is_refused_with_its_place(home: Path, config: bytes, told: str) -> None:
    (home / ".ssh" / "config").write_bytes(config)
    with pytest.raises(ConfigError, match=told) as error:
        connect_to(0, home, host="cam")
    assert error.value.hint


def test_odd_user_of_a_device_is_refused(home: Path) -> None:
    device = Device(name="cam", address=SshAddress(host="127.0.0.1", user="\udce9"))
    with (
        pytest.raises(ConfigError, match="of the device cannot be sent"),
        connect(device, known_hosts=home / "ours", environment={"HOME": str(home)}),
    ):
        pass


def test_host_that_is_its_own_jump_host_is_refused(home: Path) -> None:
    (home / ".ssh" / "config").write_text("Host *\n  ProxyJump gate\n")
    with pytest.raises(ConfigError, match="reached through itself"):
        connect_to(0, home, host="cam")


def test_proxy_command_is_used_and_named_when_it_fails(home: Path) -> None:
    with serving(ssh_server(TakesAll)) as port:
        source = (
            "import os, socket, sys, threading\ns = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
            "def send():\n    while data := os.read(0, 9999): s.sendall(data)\n"
            "threading.Thread(target=send, daemon=True).start()\nwhile data := s.recv(9999): os.write(1, data)\n"
        )
        (home / ".ssh" / "proxy.py").write_text(source)
        (home / ".ssh" / "config").write_text(
            f"Host cam\n  Port {port}\n  ProxyCommand {sys.executable} {home}/.ssh/proxy.py %p # %h\n"
        )
        connect_to(0, home, host="cam")
        (home / ".ssh" / "config").write_text("Host cam\n  ProxyCommand false\n")
        with pytest.raises(DeviceUnreachable, match="the ProxyCommand for cam ended before") as error:
            connect_to(0, home, host="cam")
    assert "ProxyCommand" in str(error.value.hint)
