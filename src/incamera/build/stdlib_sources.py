"""The sources of the standard library, of which a runtime has only the byte-code."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.build.deb_trees import unpack_debs
from incamera.debian.index import Deb
from incamera.runtime import layout
from incamera.runtime.stdlib import adapt_module

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.project.locked import Lock

# The Debian packages with the standard library.
_PYTHON_DEBS = re.compile(r"(?:lib)?python3\.\d+(?:-\w+)?|python3-(?:distutils|lib2to3|gdbm)")


def unpack_stdlib_sources(context: Context, lock: Lock, folder: Path) -> None:
    """Unpack the sources of the standard library into *folder*, changed as in a runtime. Raises FetchError."""
    target = lock.target
    place = layout.plan_layout(target, ["*"])
    prefix = f"{layout.stdlib(target)}/"

    def select(path: str) -> str | None:
        placed = place(path)
        return placed if placed is not None and placed.startswith(prefix) and placed.endswith(".py") else None

    def adapt(_: Deb, files: Sequence[str]) -> None:
        for file in files:
            if not (folder / file).is_symlink():
                adapt_module(folder, file, target)

    debs = [Deb(**asdict(deb)) for deb in lock.debs if _PYTHON_DEBS.fullmatch(deb.package)]
    unpack_debs(context, debs, folder, select, on_files=adapt)
