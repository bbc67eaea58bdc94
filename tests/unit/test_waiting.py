"""Waiting for other threads."""

import os
import signal
import threading
from concurrent.futures import Future

import pytest

from incamera import waiting
from incamera.waiting import await_result


def test_a_result_and_an_error() -> None:
    done: Future[int] = Future()
    done.set_result(3)
    assert await_result(done) == 3
    failed: Future[int] = Future()
    failed.set_exception(TimeoutError("its own"))
    with pytest.raises(TimeoutError, match="its own"):
        await_result(failed)


def test_it_waits_as_long_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "SIGNAL_CHECK_SECONDS", 0.001)
    future: Future[str] = Future()
    threading.Timer(0.05, future.set_result, ["late"]).start()
    assert await_result(future) == "late"


def test_ctrl_c_is_heard() -> None:
    threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        await_result(Future())
