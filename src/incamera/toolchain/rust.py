"""Refuses packages written in Rust, which cannot be built, before anything is compiled."""

from __future__ import annotations

from collections.abc import Iterable

from incamera.errors import BuildError
from incamera.toolchain.build_system import requirement_names

_RUST = ("maturin", "setuptools-rust")
_HINT = (
    "choose an older release that has a wheel for the camera's architecture, or Debian's package of it "
    '([tool.incamera.sources] NAME = "deb"), or another package without Rust'
)


def refuse_rust(requirements: Iterable[str], *, package: str, hint: str | None = None) -> None:
    """Raise BuildError when the build *requirements* show that *package* is written in Rust.

    *hint* says what to choose instead; None for a general hint.
    """
    found = sorted(requirement_names(requirements).intersection(_RUST))
    if found:
        raise BuildError(
            f"{package} is written in Rust ({found[0]} builds it): its build would download crates from crates.io, "
            "which the lockfile does not pin",
            hint=hint or _HINT,
        )
