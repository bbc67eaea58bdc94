"""Whether builds are isolated on this computer, and what happens where they cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from incamera.errors import BuildError
from incamera.toolchain.isolation import find_isolation_fault

if TYPE_CHECKING:
    from incamera.context import Context


def check_isolation(context: Context, setting: str) -> None:
    """Warn once where builds cannot be isolated; raise BuildError there when *setting* is "require"."""
    fault = find_isolation_fault()
    if fault is None:
        return
    if setting == "require":
        raise BuildError(
            f"builds cannot be isolated on this computer: {fault}",
            hint="allow unprivileged user namespaces (docs/explanation/isolation.md), "
            'or set build-isolation = "auto" in [tool.incamera]',
        )
    context.warn_once(
        f"builds run with your own rights, since this computer does not let us isolate them: {fault}. "
        "docs/explanation/isolation.md says what to do"
    )
