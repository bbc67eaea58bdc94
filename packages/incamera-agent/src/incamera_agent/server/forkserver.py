"""The agent's side of its fork server: starts it, asks it for forks, starts another when it has died."""

from __future__ import annotations

import os
import signal

from incamera_agent.forkserver.become import Become
from incamera_agent.server.requests import parse_preload
from incamera_agent.wire import packets
from incamera_agent.wire.protocol import Answer, ErrorKind, Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

    from incamera_agent.wire.connection import Connection
    from incamera_agent.wire.frames import Message
    from incamera_agent.wire.loop import EventLoop


class ForkServer:
    """One fork server, which imports *imports* with *environment* set. Raises OSError where none can be started.

    *on_message* is called with the fork server and each message that it sends; the last one is `gone`, with its exit
    `status`.
    """

    def __init__(
        self,
        loop: EventLoop,
        imports: Sequence[str],
        environment: Mapping[str, Optional[str]],
        on_message: Callable[[ForkServer, Message], None],
    ) -> None:
        self.imports = list(imports)
        self.environment = dict(environment)
        self.imported: Dict[str, float] = {}
        """Seconds that each package took to import."""
        self.failed: Dict[str, str] = {}
        """Why a package is not imported beforehand."""
        self.importing: Optional[str] = None
        self.ready = False
        self.gone = False
        self.runs: List[str] = []
        """The runs that it forked, or is to fork, and that have not ended."""
        self._loop = loop
        self._on_message = on_message
        ends: List[int] = []
        try:
            ends += packets.make_pair()
            ends += os.pipe()
            self.pid = os.fork()
        except OSError:
            for end in ends:
                os.close(end)
            raise
        self._line, line, self._output, output = ends
        if self.pid == 0:
            loop.close()
            names, settings = self.imports, self.environment
            raise Become(lambda: _become_fork_server(line, output, names, settings))
        for descriptor in (line, output):
            os.close(descriptor)
        for descriptor in (self._line, self._output):
            os.set_blocking(descriptor, False)
        loop.watch(self._line, read=self._read)
        self.watch_output(True)

    def fork(self, request: Message, files: Sequence[int]) -> None:
        """Ask for a fork. Raises OSError: EMSGSIZE for arguments that are too long."""
        os.set_blocking(self._line, True)
        try:
            packets.send(self._line, request, files)
        finally:
            os.set_blocking(self._line, False)

    def close(self) -> None:
        """Close the connection: the fork server ends, and so does what it has forked."""
        if self._line >= 0:
            self._loop.watch(self._line)
            os.close(self._line)
            self._line = -1

    def process_ended(self, status: int) -> None:
        """Handle the end of its process, after what it sent before that."""
        while self._line >= 0 and self._read():
            pass
        # A process that a package started may still hold the other end open.
        self.gone = True
        self.close()
        self._on_message(self, {"type": "gone", "status": status})

    def watch_output(self, wanted: bool) -> None:
        """Read what packages print, or let them wait until the host has taken what they printed before."""
        if self._output >= 0:
            self._loop.watch(self._output, read=self._read_output if wanted else None)

    def _read_output(self) -> None:
        try:
            data = os.read(self._output, 1 << 16)
        except BlockingIOError:
            return
        if data:
            self._on_message(self, {"type": "printed", "text": data.decode("utf-8", "replace")})
        else:
            self._loop.watch(self._output)
            os.close(self._output)
            self._output = -1

    def _read(self) -> bool:
        """Handle the next message. Return False when there is none."""
        try:
            received = packets.receive(self._line)
        except BlockingIOError:
            return False
        except (ValueError, RecursionError):
            self._kill()
            return False
        if received is None:
            self.gone = True
            self.close()
            return False
        message, files = received
        for file in files:
            os.close(file)
        try:
            self._take(message)
        except Exception:  # a package could send anything, such as numbers that no process has
            self._kill()
            return False
        return True

    def _kill(self) -> None:
        """End the fork server: a package in its process has written to the connection."""
        try:
            os.kill(self.pid, signal.SIGKILL)
        except OSError:
            pass
        self.close()  # so that it is blamed on this package, and not on one that is imported meanwhile

    def _take(self, message: Message) -> None:
        kind = message["type"]
        if kind == "importing":
            self.importing = message["name"]
        elif kind == "imported":
            self.imported[message["name"]] = round(message["seconds"], 4)
        elif kind == "failed":
            self.failed[message["name"]] = message["text"]
        elif kind == "ready":
            self.ready = True
            self.importing = None
        self._on_message(self, message)


class ForkServerManager:
    """Starts a fork server on request, another when it has died, and keeps each until its runs have ended.

    *on_message* is called with a fork server and what it sends about its runs, and at its end with `gone`.
    """

    def __init__(self, loop: EventLoop, host: Connection, on_message: Callable[[ForkServer, Message], None]) -> None:
        self.current: Optional[ForkServer] = None
        self.by_pid: Dict[int, ForkServer] = {}
        """All whose processes have not ended, former ones with runs included."""
        self.leaving = False
        self._loop = loop
        self._host = host
        self._on_message = on_message
        self._request: Optional[Message] = None
        # What the next one is to have: imports, environment, and the packages that failed before.
        self._wanted: Tuple[List[str], Dict[str, Any], Dict[str, str]] = ([], {}, {})

    def preload(self, request: Message) -> None:
        """Start a fork server that imports what *request* asks for; it is answered later. Raises OSError.

        After an OSError, the next start of a run tries again.
        """
        imports, environment = parse_preload(request)
        self._wanted = (imports, environment, {})
        self._start()
        self._request = request

    def require(self) -> ForkServer:
        """Return the fork server, a new one if it has died. Raises OSError."""
        return self._start() if self.current is None or self.current.gone else self.current

    def _start(self) -> ForkServer:
        old, self.current = self.current, None
        if old is not None:
            self._close_if_unused(old)
        imports, environment, failed = self._wanted
        server = ForkServer(self._loop, imports, environment, self._handle)
        server.failed.update(failed)
        self.by_pid[server.pid] = server
        self.current = server
        return server

    def _close_if_unused(self, server: ForkServer) -> None:
        if not server.runs:
            server.close()

    def _handle(self, server: ForkServer, message: Message) -> None:
        kind = message["type"]
        if kind == "printed":
            self._host.send({"type": Event.LOG, "level": "warning", "text": message["text"]})
            if self._host.full:
                server.watch_output(False)
                self._host.call_once_drained(lambda: server.watch_output(True))
        elif kind == "ready" and server is self.current:
            self._answer_preload(server, message["rss"])
        elif kind == "threaded":
            reason = "it starts a thread when it is imported, and a fork would lose that"
            self._restart_without(server, message["name"], reason)
        elif kind == "gone":
            self._handle_end(server, message["status"])
            self._on_message(server, message)
        else:
            self._on_message(server, message)
            if kind in ("exited", "fork-failed") and server is not self.current:
                self._close_if_unused(server)

    def _answer_preload(self, server: ForkServer, rss: int) -> None:
        request, self._request = self._request, None
        if request is not None:
            answer = {"type": Answer.PRELOADED, "imports": server.imported, "failed": server.failed, "rss": rss}
            self._host.answer(request, answer)

    def _restart_without(self, server: ForkServer, name: str, reason: str) -> None:
        if server is self.current:
            others = [other for other in server.imports if other != name]
            self._wanted = (others, server.environment, {**server.failed, name: reason})
            try:
                self._start()
            except OSError as error:
                self._report_missing(f"cannot be started again: {error.strerror}")

    def _handle_end(self, server: ForkServer, status: int) -> None:
        self.by_pid.pop(server.pid, None)
        if server is self.current and not self.leaving:
            reason = describe_status(status)
            if server.importing is not None and not server.ready:
                self._restart_without(server, server.importing, reason)
            else:
                self._report_missing(f"has ended: {reason}")

    def _report_missing(self, text: str) -> None:
        """Say that there is no fork server for now: as the answer to `preload` if one waits for it, else as a log."""
        request, self._request = self._request, None
        if request is not None:
            self._host.answer_error(request, ErrorKind.PRELOAD, f"the fork server {text}")
        else:
            line = f"the fork server {text}; the next start of the app makes another\n"
            self._host.send({"type": Event.LOG, "level": "warning", "text": line})


def _become_fork_server(line: int, output: int, imports: List[str], environment: Mapping[str, Optional[str]]) -> int:
    # Imported in the child only: the agent does without the modules that it needs.
    from incamera_agent.forkserver import process

    return process.main(line, output, imports, environment)


def describe_status(status: int) -> str:
    """Return how a process with the wait status *status* ended, in words."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
