"""Programs that a contract test runs on a device, and devices of each kind to run them on."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh
from tests.integration.ssh_server import SshServer

from incamera.holder.client import close_connections, open_held
from incamera.transport.device import Device, SshAddress
from incamera.transport.local import open_local
from incamera.transport.protocols import Channel, Program
from incamera.transport.session import Session
from incamera.transport.ssh import connect

from .fake import FakeProcess, FakeTransport, Run, open_fake

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

# The programs, each as Python's source for a real device and as a coroutine for the fake one.

TELL = "import json, os, sys; print(json.dumps([sys.argv[1:], os.environ.get('A'), os.getcwd()]))"
EXIT = "import sys; sys.exit(int(sys.argv[1]))"
KILL = "import os, sys; os.kill(os.getpid(), int(sys.argv[1]))"
COUNT = "import sys; print(len(sys.stdin.buffer.read())); print('counted', file=sys.stderr)"
COPY = "import shutil, sys; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)"
FLOOD = "import sys; [stream.buffer.write(bytes(int(sys.argv[1]))) for stream in (sys.stdout, sys.stderr)]"
TALK = "import sys; print('ready', flush=True); print(sys.stdin.readline().upper(), end='', flush=True)"
SLEEP = "import time; print('asleep', flush=True); time.sleep(1000)"


def python(source: str, *arguments: str, **more: object) -> Program:
    """Return the program that runs one of the sources above."""
    return Program((sys.executable, "-ISc", source, *arguments), **more)  # type: ignore[arg-type]


async def read_line(channel: Channel) -> bytes:
    """Return one line of the standard output, or what there is before its end."""
    line = b""
    while not line.endswith(b"\n") and (data := await channel.read(1)):
        line += data
    return line


async def _tell(process: FakeProcess) -> int:
    program = process.program
    told = [list(program.arguments[3:]), program.environment.get("A"), program.folder]
    await process.stdout.write(json.dumps(told).encode())
    return 0


async def _exit(process: FakeProcess) -> int:
    return int(process.program.arguments[3])


async def _kill(process: FakeProcess) -> int:
    return 128 + int(process.program.arguments[3])


async def _count(process: FakeProcess) -> int:
    size = 0
    while data := await process.stdin.read(1000):
        size += len(data)
    await process.stdout.write(b"%d\n" % size)
    await process.stderr.write(b"counted\n")
    return 0


async def _copy(process: FakeProcess) -> int:
    while data := await process.stdin.read(1000):
        await process.stdout.write(data)
    return 0


async def _flood(process: FakeProcess) -> int:
    for pipe in (process.stdout, process.stderr):
        for _ in range(0, int(process.program.arguments[3]), 1000):
            await pipe.write(bytes(1000))
    return 0


async def _talk(process: FakeProcess) -> int:
    await process.stdout.write(b"ready\n")
    await process.stdout.write((await process.stdin.read_line()).upper())
    return 0


async def _sleep(process: FakeProcess) -> int:
    await process.stdout.write(b"asleep\n")
    await asyncio.sleep(1000)
    return 0


_COROUTINES: dict[str, Run] = {
    TELL: _tell,
    EXIT: _exit,
    KILL: _kill,
    COUNT: _count,
    COPY: _copy,
    FLOOD: _flood,
    TALK: _talk,
    SLEEP: _sleep,
}


async def _run_python(process: FakeProcess) -> int:
    return await _COROUTINES[process.program.arguments[2]](process)


# The devices


@dataclass(frozen=True, slots=True)
class Subject:
    """A device of some kind: *folder* is one on it, *lose* loses the connection, *serve* listens at a port of it."""

    session: Session
    folder: str
    serve: Callable[[Serve], int]
    lose: Callable[[], None]
    is_executable: Callable[[str], bool]


@contextmanager
def local_subject(folder: Path) -> Iterator[Subject]:
    with open_local(Device(name="test", address=SshAddress(host="127.0.0.1"))) as session, _listening() as serve:

        def lose() -> None:
            session.call(session.transport.close())

        yield Subject(session, str(folder), serve, lose, lambda path: bool(Path(path).stat().st_mode & 0o111))


@contextmanager
def ssh_subject(folder: Path) -> Iterator[Subject]:
    host_key, client_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    server = SshServer(folder, host_key, client_key)
    server.start()
    device = server.device(host_key=host_key.export_public_key("openssh").decode())
    try:
        with (
            connect(device, known_hosts=folder.parent / "known_hosts", environment={"HOME": str(folder)}) as session,
            _listening() as serve,
        ):
            yield Subject(
                session,
                str(folder),
                serve,
                server.drop_connections,
                lambda path: bool(Path(path).stat().st_mode & 0o111),
            )
    finally:
        server.stop()


@contextmanager
def held_subject(folder: Path) -> Iterator[Subject]:
    host_key, client_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    server = SshServer(folder, host_key, client_key)
    server.start()
    device = server.device(host_key=host_key.export_public_key("openssh").decode())
    store = folder.parent
    try:
        with (
            Session(
                lambda: open_held(
                    store, device, known_hosts=folder.parent / "known_hosts", environment={"HOME": str(folder)}
                )
            ) as session,
            _listening() as serve,
        ):
            yield Subject(
                session,
                str(folder),
                serve,
                server.drop_connections,
                lambda path: bool(Path(path).stat().st_mode & 0o111),
            )
    finally:
        server.stop()
        close_connections(store)


@contextmanager
def fake_subject(folder: Path) -> Iterator[Subject]:
    def make() -> FakeTransport:
        transport = FakeTransport(
            Device(name="test", address=SshAddress(host="192.0.2.10")), {sys.executable: _run_python}
        )
        transport.folders.add("/folder")
        return transport

    with open_fake(make) as session:
        transport = session.transport
        assert isinstance(transport, FakeTransport)

        def serve(handler: Serve) -> int:
            transport.services[4000] = handler
            return 4000

        yield Subject(
            session,
            "/folder",
            serve,
            lambda: session.call(transport.lose()),
            lambda path: path in transport.executable,
        )


@contextmanager
def _listening() -> Iterator[Callable[[Serve], int]]:
    """Yields a function that has a coroutine answer at a port of this computer, until the block is left."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    servers: list[asyncio.Server] = []

    def serve(handler: Serve) -> int:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await handler(reader, writer)
            finally:
                writer.close()

        start = asyncio.start_server(handle, "127.0.0.1", 0)
        server = asyncio.run_coroutine_threadsafe(start, loop).result(10)
        servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def finish() -> None:
        # What was accepted must begin: a task that is cancelled before its first step, and a connection of a server
        # that was closed meanwhile, would leave the socket open.
        for listening in [listening for server in servers for listening in server.sockets]:
            loop.remove_reader(listening.fileno())
        for _ in range(5):
            await asyncio.sleep(0)
        for server in servers:
            server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(5):  # for what closes its transport
            await asyncio.sleep(0)

    try:
        yield serve
    finally:
        asyncio.run_coroutine_threadsafe(finish(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
