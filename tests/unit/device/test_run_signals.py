"""Signals on their way to the app."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from incamera.device.signals import handling_signals


@pytest.fixture
def hangup() -> Iterator[None]:
    """What `nohup` does."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hangup")
def test_signal_that_was_ignored_at_start_stays_ignored() -> None:
    heard: list[int] = []
    with handling_signals(heard.append):
        for number in (signal.SIGHUP, signal.SIGTERM):
            os.kill(os.getpid(), number)
    assert heard == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
