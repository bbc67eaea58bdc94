"""The agent's side of the warm process: makes it, asks it for forks, makes another when it has died."""

from __future__ import annotations

import os
import signal

from incamera_agent.forkserver.become import Become
from incamera_agent.wire import packets as messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, List, Mapping, Optional, Sequence

    from incamera_agent.wire.frames import Message
    from incamera_agent.wire.loop import Loop


class Warm:
    """One warm process. *on_message* gets what it tells, and `{"type": "gone", "status"}` as the last.

    Raises OSError where there can be none.
    """

    def __init__(
        self,
        loop: Loop,
        imports: Sequence[str],
        environment: Mapping[str, Optional[str]],
        on_message: Callable[[Warm, Message], None],
    ) -> None:
        self.imports = list(imports)
        self.environment = dict(environment)
        self.imported: Dict[str, float] = {}
        self.failed: Dict[str, str] = {}
        self.importing: Optional[str] = None
        self.ready = False
        self.gone = False
        self.runs: List[str] = []
        self._loop = loop
        self._on_message = on_message
        ends: List[int] = []
        try:
            ends += messages.make_pair()
            ends += os.pipe()
            self.pid = os.fork()
        except OSError:
            for end in ends:
                os.close(end)
            raise
        self._line, theirs, self._printed, printed = ends
        if self.pid == 0:
            loop.close()
            wanted, settings = self.imports, self.environment
            raise Become(lambda: _become_warm(theirs, printed, wanted, settings))
        for descriptor in (theirs, printed):
            os.close(descriptor)
        for descriptor in (self._line, self._printed):
            os.set_blocking(descriptor, False)
        loop.watch(self._line, read=self._read)
        loop.watch(self._printed, read=self._read_printed)

    def fork(self, request: Message, files: Sequence[int]) -> None:
        """Ask for a fork. Raises OSError: of EMSGSIZE for too many arguments."""
        os.set_blocking(self._line, True)
        try:
            messages.send(self._line, request, files)
        finally:
            os.set_blocking(self._line, False)

    def close(self) -> None:
        """Let it go: it ends, and so does what it has forked."""
        if self._line >= 0:
            self._loop.watch(self._line)
            os.close(self._line)
            self._line = -1

    def reaped(self, status: int) -> None:
        """The agent has seen it end. What it told before that is heard first."""
        while self._line >= 0 and self._read():
            pass
        # Whatever a package has started may hold the other end of the line still.
        self.gone = True
        self.close()
        self._on_message(self, {"type": "gone", "status": status})

    def _read_printed(self) -> None:
        """What packages print when they are imported belongs to no run."""
        try:
            data = os.read(self._printed, 1 << 16)
        except BlockingIOError:
            return
        if data:
            self._on_message(self, {"type": "printed", "text": data.decode("utf-8", "replace")})
        else:
            self._loop.watch(self._printed)
            os.close(self._printed)

    def _read(self) -> bool:
        """Hear what it tells; False: that was all for now."""
        try:
            received = messages.receive(self._line)
        except BlockingIOError:
            return False
        if received is None:
            self.gone = True
            self.close()
            return False
        message, _files = received
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
        return True


def _become_warm(line: int, printed: int, imports: List[str], environment: Mapping[str, Optional[str]]) -> int:
    # Only there: what it needs, the agent can do without.
    from incamera_agent.forkserver import process as warm_process

    return warm_process.main(line, printed, imports, environment)


def describe_end(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
