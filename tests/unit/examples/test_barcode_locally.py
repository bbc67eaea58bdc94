"""The example `barcode` on this computer."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Locally


pytestmark = pytest.mark.starts_processes


def test_barcode_of_the_known_scene_is_read(copied: Callable[[str], Path], locally: Locally) -> None:
    folder = copied("barcode")
    built = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
        cwd=folder,
        env=os.environ | {"CFLAGS": "-Wall -Wextra -Werror"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    done = locally(folder, "--", "1")
    assert (done.returncode, done.stdout) == (0, "2000012345678\n"), done.stderr
