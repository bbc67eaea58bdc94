"""What is asked over a line into the app: consoles, and the stacks of its threads."""

from __future__ import annotations

import _thread
import os
import sys

from incamera_agent.wire.frames import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict

    from incamera_agent.inapp.console import Session
    from incamera_agent.wire.frames import Message


class Window:
    """*main*: the main thread's number, where the app may not have imported `threading` yet."""

    def __init__(self, line: int, main: int = 0) -> None:
        self.line = line
        self._main = main
        self._sending = _thread.allocate_lock()
        self._sessions: Dict[int, Session] = {}

    def send(self, message: Message, payload: bytes = b"") -> None:
        """From any thread."""
        data = encode(message, payload)
        with self._sending:
            while data:
                try:
                    data = data[os.write(self.line, data) :]
                except OSError:
                    return

    def take(self, message: Message) -> bool:
        """Do what *message* asks; False: it is nothing for us."""
        try:
            return self._answer(message)
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            self.send({**address(message), "type": "error", "kind": "inside", "message": text})
            return True

    def close(self) -> None:
        for session in self._sessions.values():
            session.end()
        self._sessions.clear()

    def _answer(self, message: Message) -> bool:
        kind = message["type"]
        if self._main:
            _import_threading(self._main)
            self._main = 0
        if kind == "stacks":
            from incamera_agent.inapp.stacks import list_stacks

            self.send({**address(message), "type": "stacks", "threads": list_stacks()})
        elif kind == "attach":
            from incamera_agent.inapp.console import Session

            self._sessions[message["session"]] = Session(self, message["session"])
        elif kind == "detach":
            session = self._sessions.pop(message["session"], None)
            if session is not None:
                session.end()
        elif kind in ("eval", "complete", "interrupt"):
            self._sessions[message["session"]].take(message)
        else:
            return False
        return True


def address(message: Message) -> Dict[str, Any]:
    """What lets an answer find who asked."""
    return {name: message[name] for name in ("client", "id", "session") if name in message}


def _import_threading(main: int) -> None:
    """What imports it first is the main thread to it; in part from Python 3.13 on, too."""
    if "threading" in sys.modules:
        return
    import threading

    first = threading.main_thread()
    active = threading._active  # type: ignore[attr-defined]
    active[main] = active.pop(first.ident, first)
    first._ident = main  # type: ignore[attr-defined]
    first._native_id = os.getpid()  # type: ignore[attr-defined]
