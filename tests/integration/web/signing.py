"""Sign packages for virtual cameras, which know the key of their store alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.integration.command import Run


def signed(incamera: Run, package: Path) -> Path:
    """Return the file with *package* and a signature, beside it."""
    done = incamera("virtual", "sign", package, "--json")
    assert done.code == 0, done.err
    return Path(json.loads(done.out)["file"])
