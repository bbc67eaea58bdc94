"""Packages written in Rust, which cannot be built here: told before anything is compiled."""

from __future__ import annotations

from collections.abc import Iterable

from incamera.errors import BuildError
from incamera.toolchain.build_system import requirement_names

_RUST = ("maturin", "setuptools-rust")
_HINT = (
    "take an older release that has a wheel for the camera's architecture, or Debian's package of it "
    '(sources = { … = "deb" } in [tool.incamera]), or a package that does the same without Rust'
)


def refuse_rust(requirements: Iterable[str], *, package: str, hint: str | None = None) -> None:
    """Raises BuildError when one of the build's *requirements* says that *package* is built by cargo.

    *hint* says what to choose instead, where the caller knows.
    """
    found = sorted(requirement_names(requirements).intersection(_RUST))
    if found:
        raise BuildError(
            f"{package} is written in Rust ({found[0]} builds it): its crates would be downloaded from crates.io "
            "during the build, and no lock vouches for them",
            hint=hint or _HINT,
        )
