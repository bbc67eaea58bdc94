"""What capture.c does, with acap: `loop`, `async`. `memory` and `address` look at what frames cost, `age` at how old
they are.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import acap


def report(frames: int, rate: float, mean: bool) -> None:
    with acap.video.Stream(1280, 720, "nv12", framerate=rate, keep="all") as stream:
        for count, frame in enumerate(stream):
            if count == 0:
                start, busy, first = time.monotonic(), time.process_time(), frame.sequence
            if mean:
                np.asarray(frame.y).mean()
            if count == frames - 1:
                break
        show(start, busy, frame.sequence - first + 1 - frames, frames)


def show(start: float, busy: float, missed: int, frames: int) -> None:
    print(json.dumps([time.monotonic() - start, missed, (time.process_time() - busy) / (frames - 1) * 1e6]))


async def report_async(frames: int, rate: float) -> None:
    async with acap.video.Stream(1280, 720, "nv12", framerate=rate, keep="all") as stream:
        count = 0
        async for frame in stream:
            if count == 0:
                start, busy, first = time.monotonic(), time.process_time(), frame.sequence
            count += 1
            if count == frames:
                break
        show(start, busy, frame.sequence - first + 1 - frames, frames)


def usage() -> tuple[int, int]:
    """Return the resident bytes and the open descriptors of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE"), len(list(Path("/proc/self/fd").iterdir()))


def memory(frames: int, rate: float) -> None:
    """Take *frames* with a rebuilt stream every 1000, and print what is more after them than after the first 2000."""
    os.environ["INCAMERA_VDO_RESTART_AFTER"] = "1000"
    with acap.video.Stream(320, 240, "nv12", framerate=rate, keep="all") as stream:
        for _ in range(2000):
            np.asarray(next(stream).y).mean()
        before = usage()
        for _ in range(frames - 2000):
            np.asarray(next(stream).y).mean()
        after = usage()
        print(json.dumps([after[0] - before[0], after[1] - before[1], stream.held, stream.rebuilt]))


def address() -> None:
    """Print whether an array of a frame lies in memory that the camera's library has mapped."""
    with acap.video.Stream(1280, 720, "nv12", framerate=100) as stream:
        frame = next(stream)
        place: Any = np.asarray(frame.y).__array_interface__["data"][0]
        for line in Path("/proc/self/maps").read_text().splitlines():
            start, end = (int(number, 16) for number in line.split()[0].split("-"))
            if start <= place < end:
                print(json.dumps("memfd:vdo-buffer" in line))


def age(frames: int, rate: float, slowness: float) -> None:
    """Take *frames*, each after *slowness* frame times of other work, and print how many frame times old each is."""
    with acap.video.Stream(1280, 720, "nv12", framerate=rate) as stream:
        ages = []
        for _ in range(frames):
            time.sleep(slowness / rate)
            frame = next(stream)
            ages.append((time.monotonic() - frame.timestamp) * rate)
        print(json.dumps(ages))


if __name__ == "__main__":
    kind, *rest = sys.argv[1:]
    if kind == "loop":
        report(int(rest[0]), float(rest[1]), rest[2] == "mean")
    elif kind == "async":
        asyncio.run(report_async(int(rest[0]), float(rest[1])))
    elif kind == "age":
        age(int(rest[0]), float(rest[1]), float(rest[2]))
    elif kind == "memory":
        memory(int(rest[0]), float(rest[1]))
    else:
        address()
