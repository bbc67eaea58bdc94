"""The agent: receives the requests of the host and of other clients, and has them fulfilled."""

from __future__ import annotations

import _socket as socket
import os
import signal

from incamera_agent.server.consoles import Consoles
from incamera_agent.server.folder import AgentFolder, Busy, public_owner
from incamera_agent.server.live import LiveFolder, Refused
from incamera_agent.server.requests import parse_open
from incamera_agent.server.supervisor import Supervisor
from incamera_agent.server.work import find_work_folder
from incamera_agent.wire.connection import Connection, RequestError
from incamera_agent.wire.loop import EventLoop
from incamera_agent.wire.protocol import (
    EXIT_BUSY,
    EXIT_PROTOCOL,
    PROTOCOL,
    Answer,
    ErrorKind,
    Request,
    describe_agent,
    refuse_protocol,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, List, Optional, Set, Tuple

    from incamera_agent.server.run import Run
    from incamera_agent.wire.frames import Message

# More clients than that are turned away: each may make the agent keep a long request.
_MAXIMUM_CLIENTS = 16
# What is kept of the names that a client gives itself.
_OWNER_CHARACTERS = 200
# With more than this waiting for a commit, no more of the host is read. A frame without payload takes about a kilobyte.
_MAXIMUM_WAITING_BYTES = 256 << 10
_WAITING_FRAME_BYTES = 1 << 10
# The name of the live folder.
_LIVE = "live"
# What a client of the socket may ask. The host may ask everything.
_CLIENT_REQUESTS = frozenset(
    {
        Request.HELLO,
        Request.ATTACH,
        Request.DETACH,
        Request.EVAL,
        Request.COMPLETE,
        Request.INTERRUPT,
        Request.STACKS,
        Request.MEMORY,
        Request.TAKE_OVER,
        Request.GOODBYE,
    }
)


class Agent:
    """*user* and *command* tell other hosts who holds the app. With *take_over*, an agent that holds it is ended."""

    def __init__(self, folder: AgentFolder, user: str, command: str, *, take_over: bool) -> None:
        self.exit_code = 0
        self._folder = folder
        self._user = user
        self._command = command
        self._wants_take_over = take_over
        self._loop = EventLoop()
        self._clients: Set[Connection] = set()
        self._listener = -1
        self._acquired = False
        self._live: Optional[LiveFolder] = None
        self._commits: Set[object] = set()
        self._last_commit_failed = False
        self._waiting: List[Tuple[Message, bytes]] = []
        """What the host has sent since a start that waits for the commits under way."""
        self._waiting_bytes = 0
        self._waiting_handled: List[Callable[[], None]] = []

    def serve(self, incoming: int, outgoing: int, work: str = "") -> int:
        """Serve the host over *incoming* and *outgoing* until it leaves; return the exit code.

        Apps run in the working folder of *work*, if that is named. Raises Become in forks.
        """
        self._host = Connection(self._loop, incoming, outgoing, self._handle, self._handle_close)
        consoles = Consoles(self._host)
        supervisor = Supervisor(
            self._loop,
            self._host,
            on_control=consoles.on_control,
            on_event=consoles.on_event,
            on_end=self._handle_end,
            on_idle=self._finish,
        )
        consoles.supervisor = supervisor
        supervisor.work = find_work_folder(work)
        if work and supervisor.work is None:
            supervisor.folder = os.getcwd()
        self._consoles = consoles
        self._supervisor = supervisor
        self._handlers: Dict[str, Callable[[Connection, Message, bytes], None]] = {
            Request.HELLO: self._greet,
            Request.GOODBYE: self._goodbye,
            Request.TAKE_OVER: self._take_over,
            Request.PRELOAD: lambda _connection, message, _payload: supervisor.fork_servers.preload(message),
            Request.OPEN: self._open,
            Request.PUT: self._put,
            Request.DELETE: self._delete,
            Request.DISCARD: self._discard,
            Request.COMMIT: self._commit,
            Request.START: self._start,
            Request.STDIN: supervisor.write_input,
            Request.RESIZE: supervisor.resize,
            Request.SIGNAL: supervisor.signal,
            Request.STOP: supervisor.stop,
            Request.RELOAD: supervisor.reload,
            Request.MEMORY: supervisor.report_memory,
            Request.ATTACH: consoles.attach,
            Request.DETACH: consoles.detach,
            Request.EVAL: consoles.pass_on,
            Request.COMPLETE: consoles.pass_on,
            Request.INTERRUPT: consoles.pass_on,
            Request.STACKS: consoles.stacks,
        }
        self._loop.on_signal(signal.SIGCHLD, supervisor.reap)
        self._loop.on_signal(signal.SIGTERM, self._leave)
        self._loop.on_signal(signal.SIGUSR1, self._handle_stop_signal)
        self._loop.on_signal(signal.SIGHUP, self._leave)
        self._loop.on_signal(signal.SIGINT, lambda: None)
        self._loop.run()
        self._host.flush(1.0)
        return self.exit_code

    # Frames

    def _handle(self, connection: Connection, message: Message, payload: bytes) -> None:
        kind = message["type"]
        try:
            if connection is self._host and (self._waiting or (self._commits and message.get("after_commit"))):
                self._wait(message, payload)
                return
            if message.get("after_commit") and self._last_commit_failed:
                raise RequestError(ErrorKind.START, "the change before it was not applied")
            if not connection.greeted and kind != Request.HELLO:
                raise RequestError(ErrorKind.PROTOCOL, "hello comes first")
            if connection is not self._host and kind not in _CLIENT_REQUESTS:
                raise RequestError(ErrorKind.REQUEST, f"{kind} is for the host that owns the app")
            handler = self._handlers.get(kind)
            if handler is None:
                raise RequestError(ErrorKind.REQUEST, f"there is no request called {kind}")
            handler(connection, message, payload)
        except RequestError as error:
            connection.answer_error(message, error.kind, str(error), error.hint)
        except OSError as error:
            where = f": {error.filename}" if error.filename else ""
            connection.answer_error(message, kind, f"{error.strerror}{where}")
        except Exception as error:  # no request may end the agent, and the app with it
            connection.answer_error(message, ErrorKind.REQUEST, f"{kind}: {type(error).__name__}: {error}")

    def _wait(self, message: Message, payload: bytes) -> None:
        """Handle a frame of the host after the commits under way. Read no more of them than there is room for."""
        self._waiting.append((message, payload))
        self._waiting_bytes += _WAITING_FRAME_BYTES + len(payload)
        if self._waiting_bytes > _MAXIMUM_WAITING_BYTES:
            self._host.pause_until(self._waiting_handled.append)

    def _handle_waiting(self) -> None:
        """Handle what has waited for a commit, in its order; it waits on where a frame of it begins another commit."""
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        handled, self._waiting_handled = self._waiting_handled, []
        for call in handled:
            call()
        for frame in waiting:
            self._handle(self._host, *frame)

    def _handle_close(self, connection: Connection, _reason: Optional[str]) -> None:
        if connection is self._host:
            self._leave()
            return
        self._clients.discard(connection)
        self._consoles.forget(connection)

    # Beginning and end

    def _greet(self, connection: Connection, message: Message, _payload: bytes) -> None:
        if message.get("protocol") != PROTOCOL:
            connection.answer(message, refuse_protocol(message))
            self._drop(connection, EXIT_PROTOCOL)
            return
        if connection is self._host and not self._acquired:
            try:
                self._folder.acquire(self._user, self._command, take_over=self._wants_take_over)
            except Busy as busy:
                owner = public_owner(busy.owner)
                text = f"{owner['user']} is running the app with `{owner['command']}`"
                error = {"type": Answer.ERROR, "kind": ErrorKind.BUSY, "message": text, "owner": owner}
                connection.answer(message, {**error, "hint": "add --take-over to end it"})
                self._drop(connection, EXIT_BUSY)
                return
            self._acquired = True
            if not self._folder.kept:
                self._listen()
        connection.greeted = True
        ours = {"live": self._folder.path(_LIVE)} if connection is self._host else {}
        connection.answer(message, {**describe_agent(), **ours})

    def _listen(self) -> None:
        if self._listener < 0:
            self._folder.remove_socket()
            self._listener = self._folder.listen()
            self._loop.watch(self._listener, read=self._accept)

    def _start(self, connection: Connection, message: Message, payload: bytes) -> None:
        self._listen()
        self._supervisor.start(connection, message, payload)

    def _handle_end(self, run: Run) -> None:
        self._consoles.on_end(run)
        if self._folder.kept and not self._supervisor.runs:
            self._close_socket()
            self._loop.call_later(0.0, self._report_memory)

    def _report_memory(self) -> None:
        """Tell the host, unasked, what the agent takes while it waits."""
        if not self._supervisor.runs:
            self._supervisor.report_memory(self._host, {}, b"")

    def _close_socket(self) -> None:
        """Let nobody attach until the next run: a kept agent waits for that, and has no app that could answer."""
        if self._listener >= 0:
            self._loop.watch(self._listener)
            os.close(self._listener)
            self._listener = -1
            self._folder.remove_socket()
        for client in list(self._clients):
            self._drop(client, 0)

    def _drop(self, connection: Connection, exit_code: int) -> None:
        """Close *connection*; when it is the host's, end with *exit_code*."""
        if connection is self._host:
            self.exit_code = exit_code
            self._loop.stop()
        else:
            connection.flush(0.5)
            connection.close()
            self._handle_close(connection, None)

    def _accept(self) -> None:
        listener = socket.socket(fileno=self._listener)
        try:
            descriptor, _address = listener._accept()  # type: ignore[attr-defined]
        except OSError:
            return
        finally:
            listener.detach()
        if len(self._clients) >= _MAXIMUM_CLIENTS:
            os.close(descriptor)
            return
        self._clients.add(Connection(self._loop, descriptor, descriptor, self._handle, self._handle_close))

    def _goodbye(self, connection: Connection, _message: Message, _payload: bytes) -> None:
        if connection is self._host:
            self._leave()
        else:
            self._drop(connection, 0)

    def _take_over(self, _connection: Connection, message: Message, _payload: bytes) -> None:
        owner = {name: str(message.get(name))[:_OWNER_CHARACTERS] for name in ("user", "command")}
        text = f"{owner['user']} has taken over with `{owner['command']}`"
        error = {"type": Answer.ERROR, "kind": ErrorKind.TAKEN_OVER, "message": text, "hint": None}
        self._host.send({**error, "owner": owner})
        self._leave()

    def _handle_stop_signal(self) -> None:
        """End, and tell the host not to start another agent, as it does after a SIGTERM."""
        text = "the app was stopped by another command"
        self._host.send({"type": Answer.ERROR, "kind": ErrorKind.STOPPED, "message": text, "hint": None})
        self._leave()

    def _leave(self) -> None:
        """End all runs; `_finish` is called after that."""
        if not self._supervisor.leaving:
            self._supervisor.leave()

    def _finish(self) -> None:
        self._supervisor.close()
        if self._live is not None:
            self._live.remove()
        if self._acquired:
            self._folder.release()
        self._loop.stop()

    # The live folder

    def _open(self, connection: Connection, message: Message, _payload: bytes) -> None:
        source, named, hashed = parse_open(message)
        folder = named or self._folder.path(_LIVE)
        live = LiveFolder(self._loop, folder, f"{folder}.new", self._supervisor.work)
        files = live.fill(source, hashed=hashed)
        self._live = live
        self._supervisor.folder = folder
        if self._supervisor.work is not None:
            self._supervisor.work.source = folder
        connection.answer(message, {"type": Answer.OPENED, "folder": folder, "files": files})

    def _require_live(self) -> LiveFolder:
        if self._live is None:
            raise RequestError(ErrorKind.PUT, "no live folder is open")
        return self._live

    def _put(self, _connection: Connection, message: Message, payload: bytes) -> None:
        live = self._require_live()
        try:
            live.put(message, payload)
        except (Refused, RequestError, OSError) as error:
            text = f"{message.get('path')}: {getattr(error, 'strerror', None) or error}"[:1000]
            live.break_batch(message.get("path"), text)
            raise RequestError(ErrorKind.PUT, text) from None

    def _delete(self, _connection: Connection, message: Message, _payload: bytes) -> None:
        live = self._require_live()
        try:
            live.delete(message.get("path"))
        except Refused as error:
            live.break_batch(message.get("path"), str(error))
            raise RequestError(ErrorKind.PUT, str(error)) from None

    def _discard(self, _connection: Connection, message: Message, _payload: bytes) -> None:
        if self._live is not None:
            self._live.discard(message.get("path"))

    def _commit(self, connection: Connection, message: Message, _payload: bytes) -> None:
        held = frozenset(path for path in message.get("held") or () if isinstance(path, str))
        self._last_commit_failed = True  # where it raises an error

        def end(answer: Message) -> None:
            connection.answer(message, answer)
            self._commits.discard(commit)
            self._last_commit_failed = answer["type"] != Answer.COMMITTED
            self._handle_waiting()

        live, commit = self._require_live(), object()
        self._commits.add(commit)
        try:
            pid = live.commit(end, held)
        except Exception:
            self._commits.discard(commit)  # else what comes after it would wait for ever
            raise
        if pid is not None:
            self._supervisor.checks.add(pid)
