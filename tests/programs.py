"""Programs for tests to run on a device."""

from __future__ import annotations

from typing import Any

from incamera.transport.protocols import Program


def shell(script: str, *arguments: str, **more: Any) -> Program:
    """Return the program that runs *script* in a shell; *arguments* are its `$1`, `$2` …"""
    return Program(("sh", "-c", script, "sh", *arguments), **more)
