"""Edit loops to test with."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .edit_loop import Loop


@pytest.fixture
def edit_loop() -> Iterator[Callable[..., Loop]]:
    # A short path: a socket's is at most 107 bytes long.
    with tempfile.TemporaryDirectory(prefix="iw-", dir="/tmp") as folder:
        loops: list[Loop] = []

        def make(**options: Any) -> Loop:
            loops.append(Loop(Path(folder), **options))
            return loops[-1]

        yield make
        for loop in loops:
            loop.close()
