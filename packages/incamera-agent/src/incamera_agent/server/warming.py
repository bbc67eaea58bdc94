"""Which warm process there is: made when asked for, made again when it has died, kept while runs of it go on."""

from __future__ import annotations

from incamera_agent.server.forkserver import Warm, describe_end
from incamera_agent.wire.answers import answer, answer_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Optional, Tuple

    from incamera_agent.wire.connection import Peer
    from incamera_agent.wire.frames import Message
    from incamera_agent.wire.loop import Loop


class Warming:
    """*on_message* gets what a warm process tells of runs, and its end."""

    def __init__(self, loop: Loop, host: Peer, on_message: Callable[[Warm, Message], None]) -> None:
        self.warm: Optional[Warm] = None
        self.pids: Dict[int, Warm] = {}
        self.leaving = False
        self._loop = loop
        self._host = host
        self._on_message = on_message
        self._request: Optional[Message] = None
        # What there is to be, even where it cannot be made now: imports, environment, and what failed before.
        self._wanted: Tuple[List[str], Dict[str, Any], Dict[str, str]] = ([], {}, {})

    def request(self, message: Message) -> None:
        imports = [str(name) for name in message["imports"]]
        self._wanted = (imports, message.get("environment") or {}, {})
        self._make()
        self._request = message

    def _make(self) -> Warm:
        """Raises OSError; then the next start tries again."""
        old, self.warm = self.warm, None
        if old is not None:
            self._retire(old)
        imports, environment, failed = self._wanted
        warm = Warm(self._loop, imports, environment, self._hear)
        warm.failed.update(failed)
        self.pids[warm.pid] = warm
        self.warm = warm
        return warm

    def _retire(self, warm: Warm) -> None:
        """It goes when the runs that it has forked have ended."""
        if not warm.runs:
            warm.close()

    def require(self) -> Warm:
        """Raises OSError."""
        return self._make() if self.warm is None or self.warm.gone else self.warm

    def _hear(self, warm: Warm, message: Message) -> None:
        kind = message["type"]
        if kind == "printed":
            self._host.send({"type": "log", "level": "warning", "text": message["text"]})
        elif kind == "ready" and warm is self.warm:
            self._tell_warmed(warm, message["rss"])
        elif kind == "threaded":
            why = "it starts a thread when it is imported, and a fork would lose that"
            self._go_without(warm, message["name"], why)
        elif kind == "gone":
            self._lose(warm, message["status"])
            self._on_message(warm, message)
        else:
            self._on_message(warm, message)
            if kind in ("exited", "unforked") and warm is not self.warm:
                self._retire(warm)

    def _tell_warmed(self, warm: Warm, rss: int) -> None:
        request, self._request = self._request, None
        if request is not None:
            told = {"type": "warmed", "imports": warm.imported, "failed": warm.failed, "rss": rss}
            answer(self._host, request, told)

    def _go_without(self, warm: Warm, name: str, why: str) -> None:
        if warm is self.warm:
            others = [other for other in warm.imports if other != name]
            self._wanted = (others, warm.environment, {**warm.failed, name: why})
            try:
                self._make()
            except OSError as error:
                self._do_without(f"cannot be made anew: {error.strerror}")

    def _lose(self, warm: Warm, status: int) -> None:
        self.pids.pop(warm.pid, None)
        if warm is self.warm and not self.leaving:
            why = describe_end(status)
            if warm.importing is not None and not warm.ready:
                self._go_without(warm, warm.importing, why)
            else:
                self._do_without(f"has ended: {why}")

    def _do_without(self, what: str) -> None:
        """Tell whoever waits for it, or else as news, that there is no warm process for now."""
        request, self._request = self._request, None
        if request is not None:
            answer_error(self._host, request, "warm", f"the warm process {what}")
        else:
            text = f"the warm process {what}; the next start makes another\n"
            self._host.send({"type": "log", "level": "warning", "text": text})
