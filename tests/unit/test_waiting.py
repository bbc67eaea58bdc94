"""Waiting for the result of another thread."""

import os
import signal
import threading
from concurrent.futures import Future

import pytest

from incamera import waiting
from incamera.waiting import await_result


def test_await_result_returns_the_result_or_raises_the_error() -> None:
    done: Future[int] = Future()
    done.set_result(3)
    assert await_result(done) == 3
    failed: Future[int] = Future()
    failed.set_exception(TimeoutError("its own"))
    with pytest.raises(TimeoutError, match="its own"):
        await_result(failed)


def test_await_result_waits_longer_than_one_signal_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "SIGNAL_CHECK_SECONDS", 0.001)
    future: Future[str] = Future()
    threading.Timer(0.05, future.set_result, ["late"]).start()
    assert await_result(future) == "late"


def test_ctrl_c_interrupts_await_result() -> None:
    def wait_and_press_ctrl_c() -> None:
        threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGINT]).start()
        await_result(Future())

    with pytest.raises(KeyboardInterrupt):
        wait_and_press_ctrl_c()
