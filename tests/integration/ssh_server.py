"""A real SSH server on loopback that runs real commands."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import struct
import termios
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

from incamera.transport.device import Device, SshAddress

from ..waiting import PATIENCE_SECONDS


@dataclass
class SshServer:
    """Runs in a thread of its own. `folder` is home to what it runs; children of a lost connection are left alone."""

    folder: Path
    host_key: asyncssh.SSHKey
    client_key: asyncssh.SSHKey
    port: int = 0
    key_options: str = ""
    """What stands before the client's key in authorized_keys: `no-port-forwarding `."""
    login_shell: str = "sh"
    """What runs each command, with `-c` before it."""
    commands: list[str] = field(default_factory=list)
    """The commands that were started, so that a test can count round trips."""

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.key_file = self.folder / "id_ed25519"
        self.key_file.write_bytes(self.client_key.export_private_key())
        self.key_file.chmod(0o600)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._call(self._listen())

    def stop(self) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def device(self, *, port: int | None = None, **more: Any) -> Device:
        options = {"user": "root", "keys": (self.key_file,)} | more
        return Device(name="test", address=SshAddress(host="127.0.0.1", port=port or self.port, **options))

    def drop_connections(self) -> None:
        """Cut every connection, as a restart of the device would."""

        async def drop() -> None:
            for connection in self._connections:
                connection.abort()

        self._call(drop())

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=PATIENCE_SECONDS)

    async def _listen(self) -> None:
        server = self
        self._connections: set[asyncssh.SSHServerConnection] = set()

        class Handler(asyncssh.SSHServer):
            def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
                server._connections.add(conn)

            def begin_auth(self, username: str) -> bool:
                return True

            def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
                return True

        self._listener = await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_factory=Handler,
            server_host_keys=[self.host_key],
            authorized_client_keys=asyncssh.import_authorized_keys(
                self.key_options + self.client_key.export_public_key("openssh").decode()
            ),
            process_factory=self._run,
            encoding=None,
        )
        self.port = self._listener.get_port()

    async def _close(self) -> None:
        self._listener.close()
        for connection in self._connections:
            connection.abort()
        await self._listener.wait_closed()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        self.commands.append(process.command or "")
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        terminal = process.get_terminal_type()
        try:
            if terminal is None:
                await self._run_plain(process, environment)
            else:
                await self._run_in_terminal(process, environment | {"TERM": terminal})
        except (OSError, asyncssh.Error):
            process.close()

    async def _run_plain(self, process: asyncssh.SSHServerProcess[bytes], environment: dict[str, str]) -> None:
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(
            *(self.login_shell, "-c", process.command or "exec sh"),
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env=environment,
            cwd=self.folder,
            start_new_session=True,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        feeding = asyncio.create_task(_feed(process, child.stdin))
        try:
            with suppress(OSError, asyncssh.Error):
                await asyncio.gather(_copy(child.stdout, process.stdout), _copy(child.stderr, process.stderr))
            _close_output(child)
            code = await child.wait()
        except asyncio.CancelledError:  # the tests are over
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            _close_output(child)
            await child.wait()
            raise
        finally:
            feeding.cancel()
            child._transport.close()  # type: ignore[attr-defined]  # no other way is public
        _leave(process, code)

    async def _run_in_terminal(self, process: asyncssh.SSHServerProcess[bytes], environment: dict[str, str]) -> None:
        ours, theirs = os.openpty()
        columns, rows, *_ = process.get_terminal_size()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        child = await asyncio.create_subprocess_exec(
            *("setsid", "-c", self.login_shell, "-c", process.command or "exec sh"),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
            cwd=self.folder,
        )
        os.close(theirs)

        async def type_in() -> None:
            while True:
                try:
                    if not (data := await process.stdin.read(4096)):
                        return
                    os.write(ours, data)
                except asyncssh.TerminalSizeChanged as change:
                    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", change.height, change.width, 0, 0))

        typing = asyncio.create_task(type_in())
        with suppress(OSError):
            while data := await asyncio.to_thread(os.read, ours, 4096):
                process.stdout.write(data)
        typing.cancel()
        os.close(ours)
        _leave(process, await child.wait())


def _close_output(child: asyncio.subprocess.Process) -> None:
    """Let the next byte that *child* prints end it, and `wait` not wait for the end of an output that nobody reads."""
    for descriptor in (1, 2):
        child._transport.get_pipe_transport(descriptor).close()  # type: ignore[attr-defined]  # no other way is public


async def _feed(process: asyncssh.SSHServerProcess[bytes], stdin: asyncio.StreamWriter) -> None:
    with suppress(OSError, asyncssh.Error):
        while data := await process.stdin.read(1 << 16):
            stdin.write(data)
            await stdin.drain()
    stdin.close()
    with suppress(OSError):
        await stdin.wait_closed()


async def _copy(source: asyncio.StreamReader, target: asyncssh.SSHWriter[bytes]) -> None:
    while data := await source.read(1 << 16):
        target.write(data)
        await target.drain()


def _leave(process: asyncssh.SSHServerProcess[bytes], code: int) -> None:
    if code < 0:
        process.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))
    else:
        process.exit(code)
