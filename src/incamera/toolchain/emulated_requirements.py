"""Installs build requirements for the target, from outside of the emulated root, where pip runs fast."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.toolchain.build_env import install_wheels
from incamera.toolchain.emulated_root import compile_modules

if TYPE_CHECKING:
    from incamera.store import Store
    from incamera.targets.target import Target
    from incamera.toolchain.emulated_root import EmulatedRoot


def install_target_wheels(store: Store, root: EmulatedRoot, wheels: Mapping[str, Path], tree: Path) -> None:
    """Install *wheels*, paths by file name, for the target of *root* into the empty folder *tree*."""
    with store.temporary() as folder:
        installed = folder / "installed"
        installed.mkdir()
        install_wheels(store, root.interpreter, wheels, installed, options=platform_options(root.target))
        compile_modules(root.interpreter, installed, "/requirements")
        for path in installed.iterdir():
            path.replace(tree / path.name)


def installed_versions(packages: Path) -> dict[str, str]:
    """Return the versions of the distributions in the folder *packages* by name, from their metadata's file names."""
    found = {}
    for ending in (".dist-info", ".egg-info"):
        for path in sorted(packages.glob(f"*{ending}")):
            name, version, *_ = path.name.removesuffix(ending).split("-")
            found[_normalise(name)] = version
    return found


def _normalise(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def platform_options(target: Target) -> list[str]:
    """Return the options with which pip accepts wheels for *target*."""
    machine, python = target.architecture.facts.wheel, target.python.replace(".", "")
    newest = int(target.suite.glibc.partition(".")[2])
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(newest, 16, -1)]
    abis = (f"cp{python}", "abi3", "none")
    return [
        *("--implementation", "cp", "--python-version", target.python),
        *(word for abi in abis for word in ("--abi", abi)),
        *(
            word
            for name in (*platforms, f"manylinux2014_{machine}", f"linux_{machine}")
            for word in ("--platform", name)
        ),
    ]
