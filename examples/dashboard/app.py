"""Frames, events and parameters in one event loop. With a number as its argument, the app ends after so many lines."""

from __future__ import annotations

import asyncio
import itertools
import sys
from dataclasses import dataclass, field
from typing import Any

import acap
import numpy as np

PORT = "tns1:Device/tnsaxis:IO/Port"


@dataclass
class Board:
    """What the loop knows."""

    frames: int = 0
    brightness: float = 0.0
    ports: dict[Any, Any] = field(default_factory=dict)
    interval: float = 1.0


async def watch_frames(board: Board) -> None:
    async with acap.video.Stream(320, 180, "y800", framerate=5) as stream:
        async for frame in stream:
            board.frames += 1
            board.brightness = float(np.asarray(frame.y).mean() / 255)


async def watch_ports(board: Board) -> None:
    async for event in acap.events.subscribe(PORT, "port", "state"):
        board.ports[event.data["port"]] = event.data["state"]


async def watch_interval(board: Board) -> None:
    async for value in acap.parameters.changes("Interval"):
        board.interval = float(value)


async def main(wanted: int | None) -> None:
    board = Board(interval=acap.parameters.number("Interval"))
    async with asyncio.TaskGroup() as tasks:
        watchers = [tasks.create_task(watch(board)) for watch in (watch_frames, watch_ports, watch_interval)]
        for _ in itertools.islice(itertools.count(), wanted):
            await asyncio.sleep(board.interval)
            print(f"{board.frames} frames, {board.brightness:.0%} bright, ports {board.ports}", flush=True)
        for watcher in watchers:
            watcher.cancel()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else None))
