"""Makes the links of Debian's alternatives system, for libraries with several implementations: BLAS, LAPACK."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.targets.target import Target

# Folders whose files are linked into the folder above. Where two have a file, the first is used, as Debian's priorities
# say.
_KINDS = ("openblas-pthread", "openblas-openmp", "openblas-serial", "blis-pthread", "atlas", "blas", "lapack")


def link_alternatives(tree: Path, target: Target) -> None:
    """Make the links in *tree*, unpacked packages of the target."""
    gnu = target.architecture.facts.gnu
    libraries, headers = tree / f"usr/lib/{gnu}", tree / f"usr/include/{gnu}"
    for kind in _KINDS:
        _link_up(libraries / kind, "*.*", libraries)
        _link_up(libraries / kind / "pkgconfig", "*.pc", libraries / "pkgconfig")
        _link_up(headers / kind, "*.h", headers)


def _link_up(source: Path, pattern: str, folder: Path) -> None:
    for path in sorted(source.glob(pattern)):
        link = folder / path.name
        if path.is_file() and not link.exists() and not link.is_symlink():
            folder.mkdir(exist_ok=True)
            link.symlink_to(os.path.relpath(path, folder))
