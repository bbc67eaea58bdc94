"""Events: those of a stream, and those of all streams of the camera."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

import acap

pytestmark = pytest.mark.usefixtures("video")


def make(**options: Any) -> Any:
    return acap.video.Stream(320, 240, **{"framerate": 100, **options})


@pytest.fixture
def others() -> set[int]:
    """The streams that other tests have left in this process."""
    with acap.video.Events(timeout=0) as events:
        return {event.stream for event in events}


def test_stream_tells_that_it_has_started() -> None:
    with make(events=True) as stream:
        assert stream.events() == [("started", stream.id)]
        assert stream.events() == []


def test_events_are_refused_unless_they_were_asked_for() -> None:
    with make() as stream, pytest.raises(ValueError, match="make it with events=True"):
        stream.events()


def test_streams_that_exist_come_and_go_are_told(others: set[int]) -> None:
    def told() -> list[Any]:
        return [event for event in events if event.stream not in others]

    with make() as existing, acap.video.Events(timeout=0) as events:
        assert told() == [("existing", existing.id)]
        with make() as stream:
            pass
        assert told() == [("created", stream.id), ("closed", stream.id)]
        assert told() == []


def test_loop_over_events_ends_after_the_timeout(others: set[int]) -> None:
    with acap.video.Events(timeout=0.05) as events:
        start = time.monotonic()
        assert {event.stream for event in events} <= others
        assert time.monotonic() - start >= 0.05


def test_events_are_awaited_beside_other_tasks(others: set[int]) -> None:
    async def main() -> list[str]:
        async with acap.video.Events() as events:
            for _ in others:
                assert (await anext(events)).stream in others
            waiting = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0)
            async with make() as stream:
                first = await waiting
                assert first.stream == stream.id
            return [first.kind, (await anext(events)).kind]

    assert asyncio.run(main()) == ["created", "closed"]


def test_closed_watch_cannot_be_used() -> None:
    events = acap.video.Events()
    events.close()
    with pytest.raises(acap.StreamClosed):
        next(events)
