"""Gets zig, a wheel from the package index, and unpacks it into the store."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.toolchain.pinned_wheel import Phase, WheelProgram, ensure_wheel
from incamera.toolchain.plan import load_compilers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from incamera.http import Http
    from incamera.store import Store
    from incamera.targets.host import Host

_ZIG = WheelProgram(
    name="zig",
    project="ziglang",
    kind="zig",
    wanted="ziglang/zig",
    hint="set PIP_INDEX_URL to an index that mirrors PyPI, or choose the other compiler: "
    'compiler = "gcc" in [tool.incamera]',
)


def ensure_zig(
    store: Store,
    http: Http,
    host: Host,
    *,
    environment: Mapping[str, str] | None = None,
    phase: Phase = lambda doing, done, total: nullcontext(lambda _: None),
) -> tuple[Path, bool]:
    """Return the tree with `ziglang/zig` for *host*, and whether the store had it already.

    *environment* has the user's pip settings. *phase*: see `context.Step`. Raises FetchError, IntegrityError,
    BuildError.
    """
    return ensure_wheel(
        store, http, _ZIG, load_compilers().zig_wheels[host.machine], environment=environment, phase=phase
    )


def zig_cache(store: Store) -> Path:
    """Return the folder in which zig keeps the C runtimes that it builds."""
    path = store.root / "caches" / "zig"
    path.mkdir(parents=True, exist_ok=True)
    return path
