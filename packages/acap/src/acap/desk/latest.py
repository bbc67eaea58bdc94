"""The picture that a desk's camera took last: boxes and overlays are drawn over it."""

from __future__ import annotations

from typing import Any

# PyAV's frame, as it came from the source.
picture: Any = None
