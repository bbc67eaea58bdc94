"""Answers requests about the app from within its process: consoles, and the stacks of its threads."""

from __future__ import annotations

import _thread
import os
import sys

from incamera_agent.wire.frames import encode
from incamera_agent.wire.protocol import Answer, ErrorKind, Request

_LONGEST_TEXT = 1000

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Set

    from incamera_agent.inapp.console import Console
    from incamera_agent.wire.frames import Message


class Inspector:
    """Answers over *descriptor*.

    *own_threads* are the identifiers of the agent's threads in this process. *main_thread* is that of the app's main
    thread, where the app may not have imported `threading` yet.
    """

    def __init__(self, descriptor: int, own_threads: Set[int], main_thread: int = 0) -> None:
        self.descriptor = descriptor
        self._own_threads = own_threads
        self._main_thread = main_thread
        self._lock = _thread.allocate_lock()
        self._consoles: Dict[int, Console] = {}

    def send(self, message: Message, payload: bytes = b"") -> None:
        """Send a frame, from any thread. Does nothing when the other end is closed. Raises FrameError."""
        data = encode(message, payload)
        with self._lock:
            while data:
                try:
                    data = data[os.write(self.descriptor, data) :]
                except OSError:
                    return

    def answer(self, message: Message) -> bool:
        """Do what *message* asks. Return False when it is not a request about the app."""
        try:
            return self._answer(message)
        except Exception as error:
            import traceback  # the error may be of the app's making, with a text that cannot be had

            text = "".join(traceback.format_exception_only(type(error), error)).strip()[:_LONGEST_TEXT]
            answer = {"type": Answer.ERROR, "kind": ErrorKind.CONSOLE, "message": text, "hint": None}
            self.send({**copy_address(message), **answer})
            return True

    def count_consoles(self) -> int:
        return len(self._consoles)

    def close(self) -> None:
        """End all consoles."""
        for console in self._consoles.values():
            console.end()
        self._consoles.clear()

    def _answer(self, message: Message) -> bool:
        kind = message["type"]
        if self._main_thread:
            _import_threading(self._main_thread)
            self._main_thread = 0
        if kind == Request.STACKS:
            from incamera_agent.inapp.stacks import list_stacks

            self.send({**copy_address(message), "type": Answer.STACKS, "threads": list_stacks(self._own_threads)})
        elif kind == Request.ATTACH:
            from incamera_agent.inapp.console import Console

            self._consoles[message["session"]] = Console(self.send, message["session"], self._own_threads)
        elif kind == Request.DETACH:
            console = self._consoles.pop(message["session"], None)
            if console is not None:
                console.end()
        elif kind in (Request.EVAL, Request.COMPLETE, Request.INTERRUPT):
            self._consoles[message["session"]].take(message)
        else:
            return False
        return True


def copy_address(message: Message) -> Dict[str, Any]:
    """Return those fields of a request that its answer needs to reach whoever asked."""
    return {name: message[name] for name in ("client", "id", "session") if isinstance(message.get(name), (int, str))}


def _import_threading(main_thread: int) -> None:
    """Import `threading`, which takes the thread that imports it first for the main thread, and correct that.

    Part of it is still necessary in Python 3.13 and later.
    """
    if "threading" in sys.modules:
        return
    import threading

    first = threading.main_thread()
    active = threading._active  # type: ignore[attr-defined]
    active[main_thread] = active.pop(first.ident, first)
    first._ident = main_thread  # type: ignore[attr-defined]
    first._native_id = os.getpid()  # type: ignore[attr-defined]
