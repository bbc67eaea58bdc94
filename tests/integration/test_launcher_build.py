"""The launcher's binaries in the repository are what the sources beside them make."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.runtime.launcher import require_crash_module, require_launcher
from incamera.targets.host import require_host
from incamera.toolchain.zig import ensure_zig, zig_cache

if TYPE_CHECKING:
    from incamera.context import Context


def test_binary_is_what_the_sources_make(context: Context, tmp_path: Path) -> None:
    """Byte for byte; for one architecture, since zig makes its C library anew for each."""
    zig, _ = ensure_zig(context.store, context.http, require_host())
    script = Path(require_launcher("armv7hf").parents[2]) / "build.py"
    words = [sys.executable, str(script), "--zig", str(zig / "ziglang/zig"), "--cache", str(zig_cache(context.store))]
    done = subprocess.run(
        [*words, "--output", str(tmp_path), "armv7hf"], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    for path in (require_launcher("armv7hf"), require_crash_module("armv7hf")):
        assert (tmp_path / "armv7hf" / path.name).read_bytes() == path.read_bytes()
