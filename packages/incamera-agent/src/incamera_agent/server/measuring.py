"""What the agent, its warm process and a run use of the camera's memory, told from time to time."""

from __future__ import annotations

import os

from incamera_agent import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict

    from incamera_agent.server.run import Run
    from incamera_agent.server.warming import Warming
    from incamera_agent.wire.connection import Peer
    from incamera_agent.wire.frames import Message
    from incamera_agent.wire.loop import Loop

MEMORY_SECONDS = 2.0


class Measuring:
    """Tells *host* for as long as there are *runs*."""

    def __init__(self, loop: Loop, host: Peer, warming: Warming, runs: Dict[str, Run]) -> None:
        self._loop = loop
        self._host = host
        self._warming = warming
        self._runs = runs
        self._measuring = False

    def begin(self) -> None:
        if not self._measuring:
            self._measuring = True
            self._loop.after(MEMORY_SECONDS, self._measure)

    def measure(self) -> Message:
        run = next(reversed(self._runs.values()), None) if self._runs else None
        alive = run is not None and run.pid and run.status is None
        warm = self._warming.warm
        return {
            "type": "memory",
            "agent": processes.resident_bytes(os.getpid()),
            "warm": processes.fair_bytes(warm.pid) if warm is not None and not warm.gone else None,
            "run": run.measure() if run is not None and alive else None,
            "free": processes.free_bytes(),
            "peak": run.peak if run is not None else None,
        }

    def _measure(self) -> None:
        self._measuring = bool(self._runs)
        if self._measuring:
            if not self._host.full:
                self._host.send(self.measure())
            self._loop.after(MEMORY_SECONDS, self._measure)
