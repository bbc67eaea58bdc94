"""SSH servers, others and SSH agents that a test makes for itself, and a home to connect from."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from incamera.transport.device import Device, SshAddress
from incamera.transport.ssh import connect

HOST_KEY = asyncssh.generate_private_key("ssh-ed25519")


class Server(asyncssh.SSHServer):
    """Takes no key. Other servers derive from it."""

    offers: tuple[str, ...] = ("publickey",)

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.connection = conn
        self.asked = 0

    def begin_auth(self, username: str) -> Any:
        return True

    def public_key_auth_supported(self) -> bool:
        return "publickey" in self.offers

    def password_auth_supported(self) -> bool:
        return "password" in self.offers

    def kbdint_auth_supported(self) -> bool:
        return "keyboard-interactive" in self.offers

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        self.asked += 1
        return False


class TakesAll(Server):
    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return True


@contextmanager
def serving(start: Callable[[], Any]) -> Iterator[Any]:
    """Run the server that *start* returns, in a thread of its own. Yields its port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(start(), loop).result(10)

    async def stop() -> None:
        server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(5):  # for what closes its transport
            await asyncio.sleep(0)

    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def ssh_server(factory: type[asyncssh.SSHServer]) -> Callable[[], Any]:
    async def start() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen("127.0.0.1", 0, server_factory=factory, server_host_keys=[HOST_KEY])

    return start


def tcp_server(greeting: bytes) -> Callable[[], Any]:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        try:
            while await reader.read(1000):
                pass
        finally:
            writer.close()

    return lambda: asyncio.start_server(greet, "127.0.0.1", 0)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose user has a key, and trusts the server's."""
    folder = tmp_path / "home" / ".ssh"
    folder.mkdir(parents=True)
    write_key(folder / "id_ed25519")
    (folder / "known_hosts").write_text(f"[127.0.0.1]:*,[cam]:* {HOST_KEY.export_public_key('openssh').decode()}")
    return tmp_path / "home"


def write_key(path: Path, passphrase: str | None = None) -> asyncssh.SSHKey:
    key = asyncssh.generate_private_key("ssh-ed25519", comment=path.name)
    key.write_private_key(str(path), "pkcs8-pem" if passphrase else "openssh", passphrase=passphrase)
    key.write_public_key(f"{path}.pub")
    return key


def connect_to(port: int, home: Path, *, timeout: float = 10, host: str = "127.0.0.1", **environment: str) -> None:
    """Connect to the port *port* and let go."""
    device = Device(name="cam", address=SshAddress(host=host, port=port or None))
    variables = {"HOME": str(home), **environment}
    with connect(device, known_hosts=home / "ours", environment=variables, timeout=timeout):
        pass


@contextmanager
def agent(
    folder: Path, keys: list[asyncssh.SSHKey], events: list[str] | None = None, *, signature: bytes | None = b""
) -> Iterator[str]:
    """Run an SSH agent that has *keys*. Yields its socket. *events* gets "opened" and "closed" for each connection.

    It signs, unless *signature* is another answer, or None for no answer at all.
    """
    happened: list[str] = events if events is not None else []

    def string(data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + data

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        happened.append("opened")
        try:
            while True:
                (length,) = struct.unpack(">I", await reader.readexactly(4))
                request = await reader.readexactly(length)
                if request[0] == 11:
                    listed = b"".join(string(key.public_data) + string(key.get_comment_bytes() or b"") for key in keys)
                    writer.write(string(b"\x0c" + struct.pack(">I", len(keys)) + listed))
                elif signature:
                    writer.write(string(signature))
                elif signature is not None:
                    (size,) = struct.unpack(">I", request[1:5])
                    blob, rest = request[5 : 5 + size], request[5 + size :]
                    (size,) = struct.unpack(">I", rest[:4])
                    key = next(key for key in keys if key.public_data == blob)
                    writer.write(string(b"\x0e" + string(key.sign(rest[4 : 4 + size], b"ssh-ed25519"))))
        except asyncio.IncompleteReadError:
            happened.append("closed")
        finally:
            writer.close()

    path = str(folder / "agent")
    with serving_at(path, answer):
        yield path


@contextmanager
def serving_at(path: str, answer: Any) -> Iterator[None]:
    """Have *answer* serve the connections to a socket at *path*."""
    with serving(lambda: asyncio.start_unix_server(answer, path)):
        yield
