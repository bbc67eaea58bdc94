"""The agent's ear inside a run: one thread, which the app doesn't see, waits for what the agent asks."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time

from .frames import Decoder, FrameError, encode
from .keeping import kept
from .modules import purge
from .spec import apply_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Set

    from .frames import Message
    from .sessions import Session

_CHUNK = 1 << 16
# What an app gets between the signal to end and the end, when the agent is gone.
_GRACE_SECONDS = 3.0
# How long threads of the app may take to see that it has been asked to return.
_THREADS_SECONDS = 2.0


class Inside:
    def __init__(self, line: int, request: Message) -> None:
        self._line = line
        self._sending = _thread.allocate_lock()
        self._sessions: Dict[int, Session] = {}
        self._arguments: List[str] = request["arguments"]
        self._order: Message = {}
        self._pid = os.getpid()
        self.threads: Set[int] = set()  # of ours; the app's stacks are told without them

    def begin(self) -> None:
        kept.on_listening = lambda: self.send({"type": "listening"})
        os.register_at_fork(after_in_child=self._leave)
        _thread.start_new_thread(self._listen, ())

    # Called by the app's main thread.

    def await_threads(self) -> bool:
        """Tell whether all of the app's threads have ended, so that nothing of the old code goes on."""
        limit = time.monotonic() + _THREADS_SECONDS
        others = [
            thread
            for thread in threading.enumerate()
            if not thread.daemon and thread is not threading.main_thread() and thread.ident not in self.threads
        ]
        for thread in others:
            thread.join(max(0.0, limit - time.monotonic()))
        return not any(thread.is_alive() for thread in others)

    def renew(self, folder: str) -> List[str]:
        """Make the process ready for the new code; return the arguments that it gets."""
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        order = self._order
        if order.get("arguments") is not None:
            self._arguments = order["arguments"]
        apply_environment(order.get("environment") or {})
        os.chdir(folder)
        purge(folder)
        if kept.on_listening is None:
            kept.on_listening = lambda: self.send({"type": "listening"})
        self.send({"type": "reloaded", "kept": list(kept.objects)})
        return self._arguments

    # From any thread.

    def send(self, message: Message, payload: bytes = b"") -> None:
        data = encode(message, payload)
        with self._sending:
            while data:
                try:
                    data = data[os.write(self._line, data) :]
                except OSError:
                    return

    # The thread.

    def _listen(self) -> None:
        # Or a signal to the app might come to this thread, and not wake the main one, whose affair it is.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        self.threads.add(_thread.get_ident())
        decoder = Decoder()
        while True:
            try:
                data = os.read(self._line, _CHUNK)
                frames = decoder.feed(data)
            except (OSError, FrameError):
                return  # an app may close every descriptor that it finds
            if not data:
                break
            for message, _payload in frames:
                try:
                    self._answer(message)
                except Exception as error:
                    text = f"{type(error).__name__}: {error}"
                    self.send({**_address(message), "type": "error", "kind": "inside", "message": text})
        # The agent is gone, and nothing of ours may stay.
        os.kill(self._pid, signal.SIGTERM)
        time.sleep(_GRACE_SECONDS)
        os.kill(self._pid, signal.SIGKILL)

    def _leave(self) -> None:
        """In a child of the app: what is ours isn't the child's."""
        kept.on_listening = None
        try:
            os.close(self._line)
        except OSError:
            pass
        self._line = -1

    def _answer(self, message: Message) -> None:
        kind = message["type"]
        if kind == "reload":
            self._order = message
            kept.wanted = True
        elif kind == "stacks":
            from .sessions import list_stacks

            self.send({**_address(message), "type": "stacks", "threads": list_stacks(self.threads)})
        elif kind == "attach":
            from .sessions import Session

            self._sessions[message["session"]] = Session(self, message["session"])
        elif kind == "detach":
            session = self._sessions.pop(message["session"], None)
            if session is not None:
                session.end()
        elif kind in ("eval", "complete", "interrupt"):
            self._sessions[message["session"]].take(message)


def _address(message: Message) -> Dict[str, Any]:
    """What lets the agent pass an answer on to who asked."""
    return {name: message[name] for name in ("client", "id", "session") if name in message}
