"""Serves attach requests in an app that is a Python of its own, not a fork of the fork server.

Loaded when somebody attaches. Clients of the attach socket speak the part of the agent's protocol that concerns one
run; the agent, which has a control line to each run that it started, sends the same requests without a `hello`.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _thread
import os

from incamera_agent.inapp.inspector import Inspector, copy_address
from incamera_agent.wire.frames import MAXIMUM_REQUEST_BYTES, Decoder, FrameError, MessageError
from incamera_agent.wire.protocol import PROTOCOL, Answer, ErrorKind, Request, describe_agent, refuse_protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Set

    from incamera_agent.wire.frames import Message

_CHUNK_BYTES = 1 << 16
# The name of the only run, which is this process.
_RUN = "plain"
# Each has a thread.
_MAXIMUM_SESSIONS = 16
# No request has a payload.
_MAXIMUM_PAYLOAD_BYTES = 1 << 16


class ControlLine:
    """The agent's connection to a run that it started cold."""

    def __init__(self, descriptor: int, own_threads: Set[int], main_thread: int) -> None:
        self._descriptor = descriptor
        self._inspector = Inspector(descriptor, own_threads, main_thread)
        self._decoder = Decoder()

    def read(self) -> bool:
        """Answer what has arrived; return False when no more can come."""
        try:
            data = os.read(self._descriptor, _CHUNK_BYTES)
            for frame in self._decoder.feed(data):
                self._inspector.answer(frame.message)
        except (OSError, FrameError):
            return False
        return bool(data)


class Client:
    """One client of the attach socket.

    *own_threads* are the identifiers of the agent's threads in this process, *main_thread* that of the app's main
    thread. *folder* is where the app was started, *files* the folder whose files it shows, if it is a working folder.
    """

    def __init__(self, connection: int, own_threads: Set[int], main_thread: int, folder: str, files: str) -> None:
        self._connection = connection
        self._own_threads = own_threads
        self._inspector = Inspector(connection, own_threads, main_thread)
        self._folder = {"folder": folder, "files": files}
        self._sessions = 0
        self._greeted = False

    def serve(self) -> None:
        """Answer requests until the client leaves. Runs in a thread of its own."""
        _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
        self._own_threads.add(_thread.get_ident())
        decoder = Decoder(maximum_json=MAXIMUM_REQUEST_BYTES, maximum_payload=_MAXIMUM_PAYLOAD_BYTES)
        try:
            while True:
                data = os.read(self._connection, _CHUNK_BYTES)
                if not data or not self._take(decoder, data):
                    break
        except (OSError, FrameError):
            pass
        self._inspector.close()
        self._own_threads.discard(_thread.get_ident())

    def _take(self, decoder: Decoder, data: bytes) -> bool:
        """Answer the requests in *data*; return False when the connection is to be closed."""
        while True:
            try:
                return all(self._answer(frame.message) for frame in decoder.feed(data))
            except MessageError as error:
                self._refuse({}, str(error))
                data = b""

    def _answer(self, message: Message) -> bool:
        """Answer *message*; return False when the connection is to be closed."""
        kind = message["type"]
        if kind == Request.HELLO:
            self._greeted = message.get("protocol") == PROTOCOL
            answer = describe_agent() if self._greeted else refuse_protocol(message)
            self._inspector.send({**copy_address(message), **answer})
            return self._greeted
        if kind == Request.GOODBYE:
            return False
        if not self._greeted:
            self._refuse(message, "hello comes first")
        elif kind == Request.ATTACH and self._inspector.count_consoles() >= _MAXIMUM_SESSIONS:
            self._refuse(message, f"this client has {_MAXIMUM_SESSIONS} sessions already")
        elif kind == Request.ATTACH:
            self._sessions += 1
            self._inspector.answer({"type": Request.ATTACH, "session": self._sessions})
            answer = {"type": Answer.ATTACHED, "session": self._sessions, "run": _RUN, "pid": os.getpid()}
            self._inspector.send({**copy_address(message), **answer, **self._folder})
        elif not self._inspector.answer(message):
            self._refuse(message, f"{kind} is for the host that owns the app")
        return True

    def _refuse(self, message: Message, text: str) -> None:
        error = {"type": Answer.ERROR, "kind": ErrorKind.REQUEST, "message": text, "hint": None}
        self._inspector.send({**copy_address(message), **error})
