"""The control connection of a forked run: receives the agent's requests, and prepares the process for new code."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from incamera_agent.forkserver.modules import forget_modules
from incamera_agent.forkserver.spec import apply_environment
from incamera_agent.inapp.inspector import Inspector
from incamera_agent.inapp.listener import Listener, close, own_threads
from incamera_agent.reload import kept
from incamera_agent.wire.frames import Decoder, FrameError
from incamera_agent.wire.protocol import Answer, Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List

    from incamera_agent.wire.frames import Message

_CHUNK_BYTES = 1 << 16
# How long the app may take to end after SIGTERM when the agent is gone.
_GRACE_SECONDS = 3.0
# How long the app's threads may take to end when it has returned for a reload.
_THREADS_SECONDS = 2.0


class Control:
    """*descriptor* is the connection to the agent, *request* what the fork was asked to run."""

    def __init__(self, descriptor: int, request: Message) -> None:
        self._inspector = Inspector(descriptor, own_threads)
        self._decoder = Decoder()
        self._arguments: List[str] = request["arguments"]
        self._reload: Message = {}
        self._pid = os.getpid()

    def start(self) -> None:
        """Start the thread that receives requests. Call it in the main thread, before the app starts."""
        kept.on_import = self._report_import
        Listener(self._inspector.descriptor, self._read, self._after_fork_in_child).start()

    def _report_import(self) -> None:
        self._inspector.send({"type": "supports-reload"})

    # In the app's main thread

    def join_threads(self) -> bool:
        """Return whether all of the app's threads have ended, so that none goes on with old code."""
        deadline = time.monotonic() + _THREADS_SECONDS
        others = [
            thread
            for thread in threading.enumerate()
            if not thread.daemon and thread is not threading.main_thread() and thread.ident not in own_threads
        ]
        for thread in others:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in others)

    def prepare_reload(self, folder: str, files: str) -> List[str]:
        """Make the process ready for the new code in *folder*; return the arguments to run it with.

        *files* is the folder whose files *folder* shows, if it is a working folder.
        """
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        # Reset first: a request that arrives from here on leads to one reload too many rather than to none.
        kept.reload_wanted = False
        request = self._reload
        if request.get("arguments") is not None:
            self._arguments = request["arguments"]
        apply_environment(request.get("environment") or {})
        os.chdir(folder)
        for place in filter(None, (folder, files)):
            forget_modules(place)
        if kept.on_import is None:
            kept.on_import = self._report_import
        answer = {"type": Answer.RELOADED, "number": request["number"], "kept": list(kept.objects)}
        self._inspector.send(answer)
        return self._arguments

    # In the listener's thread

    def _read(self) -> bool:
        try:
            data = os.read(self._inspector.descriptor, _CHUNK_BYTES)
            for frame in self._decoder.feed(data):
                if frame.type == Request.RELOAD:
                    self._reload = frame.message
                    kept.reload_wanted = True
                else:
                    self._inspector.answer(frame.message)
        except (OSError, FrameError):
            return False  # an app may close every descriptor that it finds
        if not data:
            # The agent is gone. Nothing that it started may stay.
            os.kill(self._pid, signal.SIGTERM)
            time.sleep(_GRACE_SECONDS)
            os.kill(self._pid, signal.SIGKILL)
        return True

    def _after_fork_in_child(self) -> None:
        kept.on_import = None
        close(self._inspector.descriptor)
        self._inspector.descriptor = -1
