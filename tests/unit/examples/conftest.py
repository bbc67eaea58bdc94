"""Runs the examples on this computer, as `incamera run --local` does."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.acap_video.conftest import PACKAGE, ROOT, built_module

from incamera.virtual.stand_ins import host_stand_ins

__all__ = ["built_module"]

Locally = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def acap_folder(built_module: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with acap, as if it were installed there."""
    if host_stand_ins(platform.machine()) is None:
        pytest.skip("the known scene needs a computer with an x86-64 processor")
    folder = tmp_path_factory.mktemp("desk")
    shutil.copytree(PACKAGE / "src/acap", folder / "acap")
    shutil.copytree(built_module, folder / "acap", dirs_exist_ok=True)
    return folder


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[str], Path]:
    """Return a copy of an example: copied("barcode")."""

    def copy(name: str) -> Path:
        ignored = shutil.ignore_patterns("pylock.*", "__pycache__", ".*", "build", "*.egg-info", "*.so")
        return Path(shutil.copytree(ROOT / "examples" / name, tmp_path / name, ignore=ignored))

    return copy


@pytest.fixture
def locally(acap_folder: Path, tmp_path: Path) -> Locally:
    """Run `incamera run --local` in a folder: locally(folder, "--", "1", ACAP_PICTURE="boxes.png")."""

    def run(folder: Path, *words: str, timeout: float = 300, **more: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("ACAP_", "INCAMERA_"))}
        environment |= {"PYTHONPATH": str(acap_folder), "VIRTUAL_ENV": sys.prefix}
        return subprocess.run(
            [sys.executable, "-m", "incamera", "run", "--local", *words],
            cwd=folder,
            env=environment | {"INCAMERA_STORE": str(tmp_path / "store")} | more,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run
