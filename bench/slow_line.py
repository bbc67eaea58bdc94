"""A relay on loopback that carries TCP as a slow network does, and counts the turns that a client waits for.

A turn is one change of direction, seen at the host's end: the host sends something, and what it receives next after
that ends the turn. Whatever goes one way without a pause for the other counts once, however many packets it takes. So a
login of which every request waits for its answer has one turn for each pair, and requests that are sent together have
one turn together. A turn costs at least the round-trip time.
"""

from __future__ import annotations

import asyncio
import random
import socket
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

# What TCP puts into a packet over Ethernet, and how long it waits at least before it repeats a lost one.
_SEGMENT = 1448
_REPEAT_SECONDS = 0.2
# What may be on its way in each direction: the buffers of sender and routers.
_BUFFER = 64 * 1024


@dataclass(frozen=True, slots=True)
class Network:
    """A round-trip time in seconds, a rate in Mbit/s in each direction, and the part of packets that is lost."""

    name: str
    round_trip: float
    mbit: float
    loss: float = 0.0


NETWORKS = (
    Network("5 ms, 100 Mbit/s", 0.005, 100),
    Network("30 ms, 20 Mbit/s", 0.030, 20),
    Network("120 ms, 2 Mbit/s, 1 % loss", 0.120, 2, 0.01),
)

LOOPBACK = "127.0.0.1"


class SlowLine:
    """Forwards connections to `port` of *address* to the port *to* of loopback.

    `turns`, `sent` (host → camera) and `received` are counts.
    """

    def __init__(self, to: int, network: Network, address: str) -> None:
        self.network = network
        self.address = address
        self._to = to
        self._loop = asyncio.new_event_loop()
        self._random = random.Random(1)
        self.port = 0
        self.reset()

    def reset(self) -> None:
        self.turns = self.sent = self.received = 0
        self._host_spoke = False

    def start(self) -> None:
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        listener = socket.create_server((self.address, 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._server = self._call(asyncio.start_server(self._serve, sock=listener))
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        async def end() -> None:
            self._server.close()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self._call(end())
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(self.network.round_trip)  # TCP's own handshake
        there_reader, there_writer = await asyncio.open_connection(LOOPBACK, self._to)
        try:
            await asyncio.gather(
                self._carry(reader, there_writer, self._note_sent, lambda _: None),
                self._carry(there_reader, writer, lambda _: None, self._note_received),
            )
        finally:
            for end in (writer, there_writer):
                end.close()

    def _note_sent(self, count: int) -> None:
        self.sent += count
        self._host_spoke = True

    def _note_received(self, count: int) -> None:
        self.received += count
        self.turns += self._host_spoke
        self._host_spoke = False

    async def _carry(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        came: Callable[[int], None],
        left: Callable[[int], None],
    ) -> None:
        """Copy to the end of *source*; *came* and *left* are told how many bytes did."""
        queue: deque[tuple[float, bytes]] = deque()
        more, room = asyncio.Event(), asyncio.Event()
        waiting, ended = 0, False

        async def deliver() -> None:
            nonlocal waiting
            while queue or not ended:
                if not queue:
                    more.clear()
                    await more.wait()
                    continue
                when, data = queue.popleft()
                await asyncio.sleep(max(0.0, when - self._loop.time()))
                sink.write(data)
                left(len(data))
                await sink.drain()
                waiting -= len(data)
                room.set()
            with suppress(OSError):
                sink.write_eof()

        delivering = asyncio.create_task(deliver())
        free_at = arrives = 0.0
        try:
            with suppress(OSError):
                while data := await source.read(16 * 1024):
                    came(len(data))
                    now = self._loop.time()
                    free_at = max(free_at, now) + len(data) * 8 / (self.network.mbit * 1e6)
                    arrives = max(arrives, free_at + self.network.round_trip / 2 + self._repeat(len(data)))
                    queue.append((arrives, data))
                    waiting += len(data)
                    more.set()
                    while waiting > _BUFFER and not delivering.done():
                        room.clear()
                        await room.wait()
            ended = True
            more.set()
            with suppress(OSError):
                await delivering
        finally:
            delivering.cancel()

    def _repeat(self, size: int) -> float:
        """Return how long lost packets among so many bytes hold up all that follows: TCP delivers in order."""
        lost = any(self._random.random() < self.network.loss for _ in range(-(-size // _SEGMENT)))
        return max(_REPEAT_SECONDS, self.network.round_trip) if lost else 0.0


@contextmanager
def slow_line(to: int, network: Network, *, address: str = LOOPBACK) -> Iterator[SlowLine]:
    line = SlowLine(to, network, address)
    line.start()
    try:
        yield line
    finally:
        line.stop()
