"""Calls from code that isn't asynchronous, and Ctrl-C at any moment of one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine
from concurrent.futures import Future
from typing import Any

import pytest

from incamera.transport.session import LoopThread


async def endless(begun: threading.Event, ended: list[str]) -> AsyncGenerator[int, None]:
    try:
        begun.set()
        await asyncio.sleep(3600)
        yield 1
    finally:
        ended.append("cleaned up")


def test_ctrl_c_before_the_call_has_a_future_cancels_what_was_started(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, ended = threading.Event(), list[str]()
    schedule = asyncio.run_coroutine_threadsafe
    interrupts = iter([KeyboardInterrupt])

    def scheduled(coroutine: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> Future[Any]:
        future = schedule(coroutine, loop)
        for interrupt in interrupts:
            begun.wait(60)
            raise interrupt
        return future

    with LoopThread() as loop:
        numbers = endless(begun, ended)
        monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", scheduled)
        with pytest.raises(KeyboardInterrupt):
            loop.call(anext(numbers))
        assert ended == ["cleaned up"]
        loop.call(numbers.aclose())  # raises RuntimeError while the generator runs
