"""Servers, proxies, jump hosts, agents and name servers that do odd things: one true sentence each, in time."""

from __future__ import annotations

import asyncio
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest
from tests.waiting import PATIENCE_SECONDS

from incamera.errors import ConfigError, DeviceError, DeviceRefused, DeviceUnreachable
from incamera.transport import login, ssh, tcp
from incamera.transport.host_keys import UnknownHostKey

from .servers import HOST_KEY, Server, TakesAll, agent, connect_to, home, serving, serving_at, ssh_server, write_key

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet

__all__ = ["home"]

pytestmark = pytest.mark.starts_processes

BANNER = b"SSH-2.0-odd\r\n"
CLOSE = object()
RESET = object()


@pytest.fixture
def hurry_if(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Has connecting take 3 s at most, in a test that waits for that."""

    def hurry(waits: bool) -> None:
        if waits:
            monkeypatch.setattr(ssh, "WHOLE_SECONDS", 3.0)

    return hurry


def slow(*values: object) -> ParameterSet:
    """Return the values of a test that waits until the time is over."""
    return pytest.param(*values, marks=pytest.mark.matrix)


def says(*steps: bytes | object) -> Callable[[], Any]:
    """A TCP server that sends each of *steps*, at CLOSE and RESET closes, and then is silent."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for step in steps:
                if step is RESET:
                    linger = struct.pack("ii", 1, 0)
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                if step in (CLOSE, RESET):
                    await reader.read(1000)  # what is closed with input left resets the connection
                    return
                assert isinstance(step, bytes)
                writer.write(step)
                await writer.drain()
            while await reader.read(1000):
                pass
        except OSError:
            pass
        finally:
            writer.close()

    return lambda: asyncio.start_server(answer, "127.0.0.1", 0)


def drips(data: bytes) -> Callable[[], Any]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for byte in data:
                writer.write(bytes([byte]))
                await asyncio.sleep(0.3)
        finally:
            writer.close()

    return lambda: asyncio.start_server(answer, "127.0.0.1", 0)


@pytest.mark.parametrize(
    ("server", "told", "hint"),
    [
        (says(CLOSE), "ended the connection before it told that it is an SSH server$", "too many connections"),
        (says(BANNER, CLOSE), "ended the connection at the key exchange", "try again"),
        (says(BANNER, b"\0\0\1\0\5", CLOSE), "ended the connection at the key exchange", "try again"),
        (says(BANNER, b"\0\0\1\0\5"), r"\(SSH-2.0-odd\) does not finish the key exchange within 3 s", "busy"),
        (says(BANNER, b"\x7f\xff\xff\xff" * 9), "at the key exchange: Max packet size exceeded", ""),
        (
            says(b"Exceeded MaxStartups\r\n", CLOSE),
            'before it told that it is an SSH server; it sent "Exceeded MaxStartups"',
            "many",
        ),
        (
            says(b"HTTP/1.1 400 Bad Request\r\n\r\n", CLOSE),
            'it sent "HTTP/1.1 400 Bad Request"',
            "that of a web server",
        ),
        (says(b"220 cam FTP server\r\n", CLOSE), 'it sent "220 cam FTP server"', "that of another service"),
        (says(b"SSH-1.5-old\r\n"), 'Unsupported SSH version; it sent "SSH-1.5-old"', ""),
        (says(b"a" * 100_000), "Banner line too long", ""),
        (drips(b"SSH-2.0-drips\r\n" * 9), 'sends no SSH banner within 3 s; it sent "SSH-2', "overloaded"),
    ],
)
def test_server_that_speaks_no_ssh_is_told_with_what_it_said(
    server: Callable[[], Any], told: str, hint: str, home: Path, hurry_if: Callable[[bool], None]
) -> None:
    hurry_if("within 3 s" in told)
    with serving(server) as port, pytest.raises(DeviceUnreachable, match=told) as error:
        connect_to(port, home)
    assert hint in str(error.value.hint)


def test_connection_that_is_reset_was_one(home: Path) -> None:
    with serving(says(BANNER, RESET)) as port, pytest.raises(DeviceUnreachable, match=r"ended the conn|by peer"):
        connect_to(port, home)


class Stalls(TakesAll):
    """Lets one in at first; then it never decides."""

    logins = 0

    async def begin_auth(self, username: str) -> bool:
        Stalls.logins += 1
        if Stalls.logins > 1:
            await asyncio.sleep(1000)
        return True


def test_server_that_was_logged_in_to_before_has_the_same_time(home: Path, hurry_if: Callable[[bool], None]) -> None:
    Stalls.logins = 0
    with serving(ssh_server(Stalls)) as port:
        connect_to(port, home)
        hurry_if(True)
        with pytest.raises(DeviceUnreachable, match="does not decide within 3 s"):
            connect_to(port, home)
        assert Stalls.logins == 2, "there is no time for another attempt"


def test_name_server_that_does_not_answer_is_told_from_a_silent_host(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def hang(*arguments: Any, **more: Any) -> Any:
        if more.get("flags", 0) & socket.AI_NUMERICHOST:
            return real(*arguments, **more)
        time.sleep(1000)  # in a thread that does not keep the process from ending
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with pytest.raises(DeviceUnreachable, match=r"no name server has told the address of cam\.example within 1 s"):
        connect_to(1, home, host="cam.example", timeout=1)


def test_each_address_of_a_host_is_tried(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(ssh_server(TakesAll)) as port, socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:  # those that come after them are not answered
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        addresses = [full.getsockname(), ("127.0.0.1", 1), ("127.0.0.1", port)]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", address) for address in addresses]

        async def resolve(*_: object) -> Any:
            return found

        monkeypatch.setattr(tcp, "_resolve", resolve)
        connect_to(port, home, timeout=2)
        del found[2]
        with pytest.raises(DeviceUnreachable, match="nothing answers at its SSH port"):
            connect_to(port, home, timeout=1)
        for one in waiting:
            one.close()


# ProxyCommand


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("echo 'no route to gate' >&2; exit 255", 'ended before it passed on an SSH banner; it printed "no route to'),
        ("read -r line; echo rubbish", 'ended before it passed on an SSH banner.*it sent "rubbish"'),
        slow("echo Welcome; exec sleep 1000", 'passes no SSH banner on within 3 s; it sent "Welcome"'),
        slow("while :; do echo warning >&2; done", 'passes no SSH banner on within 3 s; it printed "'),
        ("/nowhere/nc", "ended before it passed on an SSH banner; it printed .*not found"),
    ],
)
def test_proxy_that_fails_is_told_with_what_it_said(
    command: str, told: str, home: Path, hurry_if: Callable[[bool], None]
) -> None:
    hurry_if("within 3 s" in told)
    (home / "proxy").write_text(command)
    (home / ".ssh" / "config").write_text(f"Host cam\n  ProxyCommand sh {home}/proxy\n")
    with pytest.raises(DeviceUnreachable, match=told) as error:
        connect_to(0, home, host="cam")
    assert f"the ProxyCommand of ~/.ssh/config: sh {home}/proxy" in str(error.value.hint)


# Jump hosts


class Forwards(TakesAll):
    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> Any:
        return True


class ForwardsNothing(TakesAll):
    def connection_requested(self, *_: object) -> Any:
        raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "open failed")


class NeverForwards(TakesAll):
    def connection_requested(self, *_: object) -> Any:
        async def wait() -> bool:
            await asyncio.sleep(1000)
            return True

        return wait()


class EndsInstead(TakesAll):
    def connection_requested(self, *_: object) -> Any:
        self.connection.abort()
        return False


@pytest.mark.parametrize(
    ("server", "told"),
    [
        slow(says(), r"the jump host gate \(127.0.0.1\) accepts connections .* sends no SSH banner within 3 s"),
        (ssh_server(ForwardsNothing), "the jump host gate does not lead on to cam .*: open failed"),
        (ssh_server(NeverForwards), r"cam .*does not answer within 1 s \(TCP port \d+, through the jump host gate\)"),
        (ssh_server(EndsInstead), "the jump host gate ended the connection when it was to lead on to cam"),
        slow(ssh_server(Forwards), r"cam \(127.0.0.1\) accepts connections at port \d+, but sends no SSH banner"),
    ],
)
def test_jump_host_and_camera_behind_it_are_told_apart(
    server: Callable[[], Any], told: str, home: Path, hurry_if: Callable[[bool], None]
) -> None:
    hurry_if("no SSH banner" in told)
    with serving(server) as gate, serving(says()) as silent:
        (home / ".ssh" / "config").write_text(
            f"Host cam\n  HostName 127.0.0.1\n  Port {silent}\n  ProxyJump gate\n"
            f"Host gate\n  HostName 127.0.0.1\n  Port {gate}\n"
        )
        with pytest.raises(DeviceUnreachable, match=told):
            connect_to(0, home, host="cam", timeout=1 if "within 1 s" in told else 10)


# Refusals


def test_key_that_the_configuration_excludes_is_named(home: Path) -> None:
    (home / ".ssh" / "config").write_text("PubkeyAcceptedAlgorithms rsa-sha2-*\n")
    with serving(ssh_server(Server)) as port, pytest.raises(DeviceRefused, match="id_ed25519") as error:
        connect_to(port, home)
    assert "PubkeyAcceptedAlgorithms rsa-sha2-*" in str(error.value)
    assert "ssh-copy-id" not in str(error.value.hint)


def test_what_the_server_shows_at_the_login_is_told(home: Path) -> None:
    class Shows(Server):
        def begin_auth(self, username: str) -> bool:
            self.connection.send_auth_banner("Your account\nhas expired.\n")
            return True

    with serving(ssh_server(Shows)) as port, pytest.raises(DeviceRefused, match=r'says "Your account has expired\."'):
        connect_to(port, home)


async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(1000):
        pass
    writer.close()


def test_agent_that_does_not_answer_is_gone_without_and_told_in_a_refusal(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login, "_AGENT_SECONDS", 0.5)
    path = str(tmp_path / "agent")
    with serving_at(path, never_answer):
        with serving(ssh_server(TakesAll)) as port:
            connect_to(port, home, SSH_AUTH_SOCK=path)
        with serving(ssh_server(Server)) as port, pytest.raises(DeviceRefused, match=f"{path}.* does not answer"):
            connect_to(port, home, SSH_AUTH_SOCK=path)


@pytest.mark.parametrize(
    ("signature", "told"), [(b"\x05", "agent refused to sign with it"), slow(None, "does not sign")]
)
def test_agent_that_does_not_sign_is_told_from_a_server_that_refuses(
    signature: bytes | None, told: str, home: Path, tmp_path: Path, hurry_if: Callable[[bool], None]
) -> None:
    hurry_if(signature is None)
    key = asyncssh.generate_private_key("ssh-ed25519", comment="stick")

    class Mine(Server):
        def validate_public_key(self, username: str, offered: asyncssh.SSHKey) -> bool:
            return offered.public_data == key.public_data

    with (
        agent(tmp_path, [key], signature=signature) as path,
        serving(ssh_server(Mine)) as port,
        pytest.raises(DeviceError, match=told) as error,
    ):
        connect_to(port, home, SSH_AUTH_SOCK=path)
    assert "key stick" in str(error.value)


# Host keys


def test_host_key_that_the_configuration_revokes_is_refused(home: Path) -> None:
    (home / ".ssh" / "revoked").write_text(HOST_KEY.export_public_key("openssh").decode())
    (home / ".ssh" / "config").write_text("RevokedHostKeys ~/.ssh/revoked\n")
    with serving(ssh_server(TakesAll)) as port:
        with pytest.raises(DeviceRefused, match=r"is revoked: .*RevokedHostKeys .*/\.ssh/revoked"):
            connect_to(port, home)
        (home / ".ssh" / "known_hosts").unlink()  # nor is one asked to trust it
        with pytest.raises(DeviceRefused, match="is revoked") as error:
            connect_to(port, home)
        assert not isinstance(error.value, UnknownHostKey)
        (home / ".ssh" / "revoked").unlink()
        with pytest.raises(ConfigError, match=r"RevokedHostKeys .* cannot be read"):
            connect_to(port, home)


def test_host_with_a_signed_key_is_trusted_where_the_signer_is(home: Path) -> None:
    authority = write_key(home / "authority")
    certificate = authority.generate_host_certificate(HOST_KEY, "cam", principals=["127.0.0.1"])
    (home / ".ssh" / "known_hosts").write_text(f"@cert-authority * {authority.export_public_key('openssh').decode()}")

    async def start() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1", 0, server_factory=TakesAll, server_host_keys=[(HOST_KEY, certificate)]
        )

    with serving(start) as port:
        connect_to(port, home)
        with (home / ".ssh" / "known_hosts").open("a") as file:
            file.write(f"@revoked * {HOST_KEY.export_public_key('openssh').decode()}")
        with pytest.raises(DeviceRefused, match="revoked"):
            connect_to(port, home)


# Ctrl-C


class Never(TakesAll):
    async def begin_auth(self, username: str) -> bool:
        await asyncio.sleep(1000)
        return True


@pytest.mark.parametrize(
    "server", [says(), says(BANNER), says(BANNER, b"\0\0\1"), ssh_server(Never)], ids=["tcp", "banner", "key", "login"]
)
def test_connecting_is_interrupted(server: Callable[[], Any], home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "WHOLE_SECONDS", 10 * PATIENCE_SECONDS)
    made = threading.Event()
    open_socket = tcp.open_socket

    async def open_and_tell(*arguments: Any, **more: Any) -> socket.socket:
        sock = await open_socket(*arguments, **more)
        made.set()
        return sock

    monkeypatch.setattr(tcp, "open_socket", open_and_tell)
    main = threading.get_ident()

    def interrupt() -> None:
        if made.wait(PATIENCE_SECONDS):
            signal.pthread_kill(main, signal.SIGINT)

    with serving(server) as port:
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            connect_to(port, home)
        thread.join()
