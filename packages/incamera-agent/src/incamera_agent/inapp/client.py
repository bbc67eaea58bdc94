"""Who looks into an app that was started as a Python of its own.

Whoever comes through the door speaks the agent's protocol, as far as it is for those who look in.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _thread
import os
import sys

from incamera_agent import __version__
from incamera_agent.inapp.inspector import Window, address
from incamera_agent.inapp.listener import own_threads
from incamera_agent.wire.frames import PROTOCOL, Decoder, FrameError, protocol_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from incamera_agent.wire.frames import Message

_CHUNK = 1 << 16
# There is one run, and it is this process.
_RUN = "plain"


class Line:
    """The agent's line into an app that it started as a Python of its own."""

    def __init__(self, line: int, main: int) -> None:
        self._line = line
        self._window = Window(line, main)
        self._decoder = Decoder()

    def hear(self) -> bool:
        try:
            data = os.read(self._line, _CHUNK)
            for message, _payload in self._decoder.feed(data):
                self._window.take(message)
        except (OSError, FrameError):
            return False
        return bool(data)


class Visitor:
    """*main*: the main thread's number; *folder*: where the app was started."""

    def __init__(self, connection: int, main: int, folder: str) -> None:
        self._connection = connection
        self._window = Window(connection, main)
        self._folder = folder
        self._sessions = 0
        self._greeted = False

    def serve(self) -> None:
        """Until they leave; in a thread of their own."""
        _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
        own_threads.add(_thread.get_ident())
        decoder = Decoder()
        try:
            while True:
                data = os.read(self._connection, _CHUNK)
                if not data or not all(self._answer(message) for message, _payload in decoder.feed(data)):
                    break
        except (OSError, FrameError):
            pass
        self._window.close()
        own_threads.discard(_thread.get_ident())

    def _answer(self, message: Message) -> bool:
        """False: they are to leave."""
        kind = message["type"]
        if kind == "hello":
            return self._greet(message)
        if kind == "goodbye":
            return False
        if not self._greeted:
            self._refuse(message, "hello comes first")
        elif kind == "attach":
            self._sessions += 1
            self._window.take({"type": "attach", "session": self._sessions})
            told = {"type": "attached", "session": self._sessions, "run": _RUN, "pid": os.getpid()}
            self._window.send({**address(message), **told, "folder": self._folder})
        elif not self._window.take(message):
            self._refuse(message, f"{kind} is for the host that owns the app")
        return True

    def _greet(self, message: Message) -> bool:
        if message.get("protocol") != PROTOCOL:
            self._window.send({**address(message), **protocol_error(message, __version__)})
            return False
        self._greeted = True
        python = ".".join(map(str, sys.version_info[:3]))
        who = {"protocol": PROTOCOL, "agent": __version__, "python": python, "pid": os.getpid()}
        self._window.send({**address(message), "type": "hello", **who})
        return True

    def _refuse(self, message: Message, text: str) -> None:
        self._window.send({**address(message), "type": "error", "kind": "request", "message": text, "hint": None})
