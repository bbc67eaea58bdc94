"""The stand-ins of the camera's libraries in the repository are what the sources beside them make."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.targets.host import require_host
from incamera.toolchain.zig import ensure_zig, zig_cache
from incamera.virtual.stand_ins import build

if TYPE_CHECKING:
    from incamera.context import Context

ARCHITECTURES = [name if name == "armv7hf" else pytest.param(name, marks=pytest.mark.matrix) for name in build.TARGETS]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_binaries_are_what_the_sources_make(context: Context, tmp_path: Path, architecture: str) -> None:
    """Byte for byte; each time for one architecture, since zig makes its C library anew for each."""
    zig, _ = ensure_zig(context.store, context.http, require_host())
    words = [
        sys.executable,
        build.__file__,
        "--zig",
        str(zig / "ziglang/zig"),
        "--cache",
        str(zig_cache(context.store)),
    ]
    done = subprocess.run(
        [*words, "--output", tmp_path, architecture], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    committed = build.HERE / "bin"
    kept = {
        path.relative_to(committed): path.read_bytes()
        for path in (committed / architecture).rglob("*")
        if path.is_file()
    }
    assert sorted(made) == sorted(kept)
    assert [str(path) for path in made if made[path] != kept[path]] == []
