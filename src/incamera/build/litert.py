"""LiteRT, which runs the models of virtual cameras on this computer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from incamera.targets.host import require_host
from incamera.toolchain import litert

if TYPE_CHECKING:
    from incamera.context import Context


def ensure_litert(context: Context) -> Path:
    """Return LiteRT's library, which is downloaded if the store does not have it. Raises FetchError, BuildError."""
    with context.reporter.step("litert") as step:
        path, step.cached = litert.ensure_litert(
            context.store, context.http, require_host(), environment=context.environment, phase=step.phase
        )
    return path
