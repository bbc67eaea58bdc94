"""The example `detector` on this computer."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .pictures import is_green, read_picture

if TYPE_CHECKING:
    from .conftest import Locally

pytestmark = pytest.mark.starts_processes


def test_square_of_the_known_scene_is_found_and_boxed(copied: Callable[[str], Path], locally: Locally) -> None:
    folder = copied("detector")
    done = locally(folder, "--", "10")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 10
    assert sum(bool(re.fullmatch(r"square \d+% at -?0\.\d\d, 0\.[45]\d", line)) for line in lines) >= 9
    assert is_green(read_picture(folder / "shapes.jpg")).sum() > 200
