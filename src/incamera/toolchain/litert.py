"""Gets LiteRT's C library, from a wheel of the package index, and unpacks it into the store."""

from __future__ import annotations

import tomllib
from contextlib import nullcontext
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.toolchain.pinned_wheel import Phase, PinnedWheel, WheelProgram, ensure_wheel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from incamera.http import Http
    from incamera.store import Store
    from incamera.targets.host import Host

_LIBRARY = "ai_edge_litert/libLiteRt.so"
_LITERT = WheelProgram(
    name="LiteRT",
    project="ai-edge-litert",
    kind="litert",
    wanted=_LIBRARY,
    hint="set PIP_INDEX_URL to an index that mirrors PyPI",
    needs=lambda name: name == _LIBRARY or name.endswith(".dist-info/licenses/LICENSE"),
)


def find_litert(host: Host) -> PinnedWheel:
    """Return the wheel for *host*."""
    text = resources.files("incamera.toolchain").joinpath("data/litert.toml").read_text("utf-8")
    return PinnedWheel.parse(tomllib.loads(text)["wheels"][host.machine])


def ensure_litert(
    store: Store,
    http: Http,
    host: Host,
    *,
    environment: Mapping[str, str] | None = None,
    phase: Phase = lambda doing, done, total: nullcontext(lambda _: None),
) -> tuple[Path, bool]:
    """Return LiteRT's library for *host*, and whether the store had it already.

    *environment* has the user's pip settings. *phase*: see `context.Step`. Raises FetchError, IntegrityError,
    BuildError.
    """
    tree, cached = ensure_wheel(store, http, _LITERT, find_litert(host), environment=environment, phase=phase)
    return tree / _LIBRARY, cached
