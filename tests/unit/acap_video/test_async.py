"""Streams in asyncio: `async for` waits on the stream's file descriptor, without a thread."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import acap

from .scene import read_code

pytestmark = pytest.mark.usefixtures("video")


def make(**options: Any) -> Any:
    return acap.video.Stream(320, 240, **{"framerate": 100, **options})


def test_two_streams_and_a_task_share_a_loop() -> None:
    async def read(count: int) -> list[int]:
        numbers = []
        async with make(keep="all") as stream:
            async for frame in stream:
                assert read_code(frame.y)[0] == frame.sequence
                numbers.append(frame.sequence)
                if len(numbers) == count:
                    break
        return numbers

    async def main() -> tuple[list[int], list[int], int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.001)

        ticking = asyncio.create_task(tick())
        first, second = await asyncio.gather(read(5), read(5))
        ticking.cancel()
        return first, second, ticks

    threads = set(threading.enumerate())
    first, second, ticks = asyncio.run(main())
    assert first == sorted(set(first))
    assert second == sorted(set(second))
    assert ticks > 1
    assert set(threading.enumerate()) <= threads


def test_cancelled_wait_leaves_a_stream_that_works() -> None:
    async def main() -> int:
        async with make(framerate=3) as stream:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(anext(stream), 0.01)
            return int((await anext(stream)).sequence)

    assert asyncio.run(main()) == 0


def test_stream_is_rebuilt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INCAMERA_VDO_RESTART_AFTER", "3")

    async def main() -> int:
        async with make(keep="all") as stream:
            for _ in range(8):
                await anext(stream)
            return int(stream.rebuilt)

    assert asyncio.run(main()) == 2


def test_wait_ends_after_the_timeout() -> None:
    async def main() -> None:
        async with make(framerate=0.1, timeout=0.05) as stream:
            await anext(stream)

    with pytest.raises(acap.NoFrame):
        asyncio.run(main())


def test_held_frames_are_refused() -> None:
    async def main() -> None:
        async with make() as stream:
            frames = [frame async for frame in stream]
            assert frames

    with pytest.warns(acap.FramesHeldWarning, match="all 3 buffers"), pytest.raises(acap.Starved):
        asyncio.run(main())
