"""The clients that are attached to runs: passes their requests on, and the runs' answers back."""

from __future__ import annotations

from incamera_agent.wire.connection import RequestError
from incamera_agent.wire.protocol import Answer, ErrorKind, Event, Request, find_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Tuple

    from incamera_agent.server.run import Run
    from incamera_agent.server.supervisor import Supervisor
    from incamera_agent.wire.connection import Connection
    from incamera_agent.wire.frames import Message


# Each session has a thread in the app, and each request waits there.
_MAXIMUM_SESSIONS = 16
_MAXIMUM_STACKS_REQUESTS = 64
# What an app may send to a client that is attached to it.
_APP_MESSAGES = frozenset({Answer.STACKS, Answer.EVALUATED, Answer.COMPLETIONS, Answer.ERROR, Event.OUTPUT})


class Consoles:
    """*host* is one of the clients. Set `supervisor` before the first request."""

    supervisor: Supervisor

    def __init__(self, host: Connection) -> None:
        self._host = host
        self._count = 0
        self._sessions: Dict[int, Tuple[Connection, Run]] = {}
        self._stacks_requests: Dict[int, Tuple[Connection, Run, Message]] = {}

    # Requests; each raises RequestError

    def attach(self, connection: Connection, message: Message, _payload: bytes) -> None:
        run = self._require_control(message)
        if sum(owner is connection for owner, _run in self._sessions.values()) >= _MAXIMUM_SESSIONS:
            raise RequestError(ErrorKind.FLOOD, f"this client has {_MAXIMUM_SESSIONS} sessions already")
        session = self._count + 1
        _send(run, {"type": Request.ATTACH, "session": session})
        self._count = session
        self._sessions[session] = (connection, run)
        answer = {"type": Answer.ATTACHED, "session": session, "run": run.name, "pid": run.pid}
        folder = run.request["folder"]
        connection.answer(message, {**answer, "folder": folder, "files": find_files(folder)})

    def detach(self, connection: Connection, message: Message, _payload: bytes) -> None:
        self._require_session(connection, message)
        self._detach(message["session"])

    def pass_on(self, connection: Connection, message: Message, _payload: bytes) -> None:
        run = self._require_session(connection, message)
        _send(run, message)

    def stacks(self, connection: Connection, message: Message, _payload: bytes) -> None:
        run = self._require_control(message)
        if len(self._stacks_requests) >= _MAXIMUM_STACKS_REQUESTS:
            raise RequestError(ErrorKind.FLOOD, f"{run.name} has not answered the requests before this one")
        request = {"type": Request.STACKS, "client": self._count + 1}
        _send(run, {**request, "id": message["id"]} if "id" in message else request)
        self._count += 1
        self._stacks_requests[self._count] = (connection, run, message)

    def _require_control(self, message: Message) -> Run:
        run = self.supervisor.require_run(message)
        if run.control is None or run.control.closed:
            raise RequestError(ErrorKind.NO_RUN, f"{run.name} has closed its connection to the agent")
        return run

    def _require_session(self, connection: Connection, message: Message) -> Run:
        owner, run = self._sessions.get(message.get("session", 0), (None, None))
        if run is None or owner is not connection:
            raise RequestError(ErrorKind.NO_RUN, "the app has ended, or there is no such session")
        return run

    def _detach(self, session: int) -> None:
        _connection, run = self._sessions.pop(session)
        if run.control is not None:
            run.control.send({"type": Request.DETACH, "session": session})

    # What happens meanwhile

    def on_control(self, run: Run, message: Message, payload: bytes) -> None:
        """Pass what *run* answers on to the client that asked. Raises KeyError, TypeError, ValueError."""
        if message["type"] not in _APP_MESSAGES:
            return
        if "client" in message:
            connection, _run, _request = self._stacks_requests.pop(message.pop("client"), (None, None, None))
        else:
            connection, _run = self._sessions.get(message.get("session", 0), (None, None))
        if connection is not None:
            connection.send(message, payload)
            if connection.full and run.control is not None:
                run.control.pause_until_drained(connection)

    def on_end(self, run: Run) -> None:
        """Answer what *run* cannot answer any more, because it has ended."""
        for number, (connection, other, request) in list(self._stacks_requests.items()):
            if other is run:
                del self._stacks_requests[number]
                connection.answer_error(request, ErrorKind.NO_RUN, "the app has ended")

    def on_event(self, run: Run, event: Message) -> None:
        """Send *event* to the clients attached to *run*, or to a former run of its name. The host has it already."""
        attached = {
            session: connection for session, (connection, other) in self._sessions.items() if other.name == run.name
        }
        for connection in set(attached.values()) - {self._host}:
            connection.send(event)
        if event["type"] != Answer.RELOADED:
            for session in attached:
                del self._sessions[session]

    def forget(self, connection: Connection) -> None:
        """End the sessions of a client that has gone."""
        self._stacks_requests = {
            number: asked for number, asked in self._stacks_requests.items() if asked[0] is not connection
        }
        for session, (owner, _run) in list(self._sessions.items()):
            if owner is connection:
                self._detach(session)


def _send(run: Run, message: Message) -> None:
    """Send *message* to the app. Raises RequestError while the app does not take what was sent before."""
    if run.control is None or run.control.full:
        raise RequestError(ErrorKind.FLOOD, f"{run.name} has not taken the requests before this one")
    run.control.send(message)
