"""The agent's end inside a run: hears what the agent asks, and makes the process ready for new code."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from incamera_agent.forkserver.modules import purge
from incamera_agent.forkserver.spec import apply_environment
from incamera_agent.inapp.inspector import Window
from incamera_agent.inapp.listener import Ear, close, own_threads
from incamera_agent.inapp.reload import kept
from incamera_agent.wire.frames import Decoder, FrameError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List

    from incamera_agent.wire.frames import Message

_CHUNK = 1 << 16
# What an app gets between the signal to end and the end, when the agent is gone.
_GRACE_SECONDS = 3.0
# How long threads of the app may take to see that it has been asked to return.
_THREADS_SECONDS = 2.0


class Inside:
    def __init__(self, line: int, request: Message) -> None:
        self._window = Window(line)
        self._decoder = Decoder()
        self._arguments: List[str] = request["arguments"]
        self._order: Message = {}
        self._pid = os.getpid()

    def begin(self) -> None:
        kept.on_listening = self._tell_listening
        Ear(self._window.line, self._hear, self._leave).begin()

    def _tell_listening(self) -> None:
        self._window.send({"type": "listening"})

    # Called by the app's main thread.

    def await_threads(self) -> bool:
        """Tell whether all of the app's threads have ended, so that nothing of the old code goes on."""
        limit = time.monotonic() + _THREADS_SECONDS
        others = [
            thread
            for thread in threading.enumerate()
            if not thread.daemon and thread is not threading.main_thread() and thread.ident not in own_threads
        ]
        for thread in others:
            thread.join(max(0.0, limit - time.monotonic()))
        return not any(thread.is_alive() for thread in others)

    def renew(self, folder: str) -> List[str]:
        """Make the process ready for the new code; return the arguments that it gets."""
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        # In this sequence: an order that comes in between is heard twice rather than never.
        kept.wanted = False
        order = self._order
        if order.get("arguments") is not None:
            self._arguments = order["arguments"]
        apply_environment(order.get("environment") or {})
        os.chdir(folder)
        purge(folder)
        if kept.on_listening is None:
            kept.on_listening = self._tell_listening
        self._window.send({"type": "reloaded", "order": order["order"], "kept": list(kept.objects)})
        return self._arguments

    # The thread.

    def _hear(self) -> bool:
        try:
            data = os.read(self._window.line, _CHUNK)
            frames = self._decoder.feed(data)
        except (OSError, FrameError):
            return False  # an app may close every descriptor that it finds
        for message, _payload in frames:
            if message["type"] == "reload":
                self._order = message
                kept.wanted = True
            else:
                self._window.take(message)
        if not data:
            # The agent is gone, and nothing of ours may stay.
            os.kill(self._pid, signal.SIGTERM)
            time.sleep(_GRACE_SECONDS)
            os.kill(self._pid, signal.SIGKILL)
        return True

    def _leave(self) -> None:
        """In a child of the app: what is ours isn't the child's."""
        kept.on_listening = None
        close(self._window.line)
        self._window.line = -1
