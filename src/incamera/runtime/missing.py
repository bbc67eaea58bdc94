"""The libraries that files of a runtime need and it does not have, so the camera must have them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from incamera.errors import StoreError
from incamera.runtime.layout import MISSING


class Missing(NamedTuple):
    """The library `needs` that the `file` of a bundle needs, and that the bundle does not have."""

    file: str
    needs: str


def load_missing(tree: Path) -> list[Missing]:
    """Return the libraries that the runtime in *tree* needs from the camera. Raises StoreError for damage."""
    try:
        return [Missing(file, needs) for file, needs in json.loads((tree / MISSING).read_text("utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(
            f"the runtime {tree} is damaged: {error}", hint="remove damaged files with `incamera store verify`"
        ) from error


def write_missing(tree: Path, missing: Sequence[Missing]) -> None:
    """Write *missing* into the runtime in *tree*, where `load_missing` reads it."""
    (tree / MISSING).write_text(json.dumps(missing, indent=0) + "\n", "utf-8")
