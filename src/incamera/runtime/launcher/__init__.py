"""The launcher: a small static C program that starts a bundle's Python on any camera, and guards its runs."""

from __future__ import annotations

from pathlib import Path

from incamera.errors import InCameraError

_BINARIES = Path(__file__).parent / "bin"


def require_launcher(architecture: str) -> Path:
    """Return the launcher for *architecture* (ACAP's name, or `x86_64` to try things on the host).

    In a bundle it is `bin/python3`; called `incamera-guard`, it is the guard that deploying and running rely on.
    """
    return _require(architecture, "launcher")


def require_crash_module(architecture: str) -> Path:
    """Return the agent's module `_crash` for *architecture*, which tells where in C code an app has crashed."""
    return _require(architecture, "crash.so")


def _require(architecture: str, name: str) -> Path:
    path = _BINARIES / architecture / name
    if not path.exists():
        known = ", ".join(sorted(folder.name for folder in _BINARIES.iterdir()))
        raise InCameraError(f"there is no launcher for {architecture}", hint=f"there is one for {known}")
    return path
