"""What files of a runtime need and it has not: the camera must have it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from incamera.runtime.layout import MISSING


class Missing(NamedTuple):
    """A library that a file of the bundle needs and the bundle has not."""

    file: str
    needs: str


def load_missing(tree: Path) -> list[Missing]:
    """Return what the runtime in *tree* leaves to the camera."""
    return [Missing(file, needs) for file, needs in json.loads((tree / MISSING).read_text("utf-8"))]


def write_missing(tree: Path, missing: Sequence[Missing]) -> None:
    (tree / MISSING).write_text(json.dumps(missing, indent=0) + "\n", "utf-8")
