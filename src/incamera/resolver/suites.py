"""Debian's suites as a source of Python distributions: versions, and the packages that make a runtime."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from packaging.markers import default_environment

from incamera.errors import IntegrityError

if TYPE_CHECKING:
    from incamera.debian.index import PackageIndex
    from incamera.targets.target import Target


def upstream_version(version: str) -> str:
    """Return the upstream part of a Debian *version*, without repacking marks: `1:1.24.2+dfsg-1+deb12u1` is 1.24.2."""
    upstream = version.rpartition(":")[2].rpartition("-")[0] or version.rpartition(":")[2]
    for addition in ("+dfsg", "+ds", "~dfsg", "~ds", ".dfsg", "+repack", "+really"):
        upstream = upstream.partition(addition)[0]
    return upstream.replace("~", "")


def target_environment(target: Target, debs: PackageIndex) -> dict[str, str]:
    """Return the values of PEP 508's marker variables on *target*; nothing is taken from the host.

    The full Python version is that of the interpreter in *debs*. Raises IntegrityError when *debs* have none.
    """
    found = debs.find(f"python{target.python}-minimal")
    if not found:
        raise IntegrityError(
            f"the package index of Debian {target.suite.name} has no Python {target.python}",
            hint="the mirror may be incomplete: try another INCAMERA_DEBIAN_MIRROR",
        )
    full = upstream_version(found[0].version)
    values = dict.fromkeys(default_environment(), "")
    return values | {
        "implementation_name": "cpython",
        "implementation_version": full,
        "os_name": "posix",
        "platform_machine": target.architecture.facts.wheel,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": full,
        "python_version": target.python,
        "sys_platform": "linux",
    }


@cache
def runtime_data() -> dict[str, Any]:
    """Return the tables of `data/runtime.toml`."""
    return tomllib.loads(resources.files("incamera.resolver").joinpath("data/runtime.toml").read_text("utf-8"))
