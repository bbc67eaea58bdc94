"""Installs build requirements for the target, from outside of the emulated root, where pip runs fast."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from incamera import proc
from incamera.errors import BuildError, ToolFailed
from incamera.toolchain.build_env import KIND, normalise_requirements, pip_environment, pip_program
from incamera.toolchain.build_folder import bytecode_cache
from incamera.toolchain.emulated_root import compile_modules
from incamera.toolchain.sdist import unpack_sdist

if TYPE_CHECKING:
    from incamera.store import Store
    from incamera.targets.target import Target
    from incamera.toolchain.emulated_root import EmulatedRoot

_NO_WHEEL = re.compile(r"No matching distribution found for ([A-Za-z0-9][^\s;(]*)")
# The most build requirements of one project that are built from sdists. More would take too long.
_MAX_BUILT = 8

BuildSdist = Callable[[Path, Path, frozenset[str]], Path]
"""Builds an unpacked sdist in the emulated root, and puts the wheel into a folder; the third: *waiting* below."""


def ensure_target_requirements(
    store: Store,
    root: EmulatedRoot,
    requirements: Iterable[str],
    *,
    build_sdist: BuildSdist,
    waiting: frozenset[str] = frozenset(),
    environment: Mapping[str, str] | None = None,
) -> Path:
    """Return a tree with *requirements* installed for the target; if the store does not have it, make it.

    Wheels come from the index of the user's pip settings. *build_sdist* builds those that have only an sdist. Those
    that a Debian package of the root satisfies are left out. *waiting*: the keys of the trees whose making needs this
    tree. Raises ConfigError, BuildError, and ToolFailed with pip's output.
    """
    wanted = missing_requirements(normalise_requirements(requirements), root)
    key = hashlib.sha256(repr((1, wanted, str(root.target), root.tree.name)).encode()).hexdigest()
    if key in waiting:
        raise BuildError(f"building {', '.join(wanted)} for {root.target} requires the same packages to be built first")
    user = os.environ if environment is None else environment

    def build(tree: Path) -> None:
        if wanted:
            with store.temporary() as folder:
                _Installer(store, root, folder, user, build_sdist, waiting | {key}).install(wanted, tree)

    return store.ensure_tree(KIND, key, build)[0]


def missing_requirements(requirements: Sequence[str], root: EmulatedRoot) -> tuple[str, ...]:
    """Return the *requirements* that apply to the target and that no Debian package of the root satisfies."""
    present = installed_versions(root.tree / "usr/lib/python3/dist-packages")
    environment = _marker_environment(root.target)
    missing = []
    for text in requirements:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate(environment):
            continue
        requirement.marker = None  # pip would evaluate it for this computer
        version = present.get(_normalise(requirement.name))
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            missing.append(str(requirement))
    return tuple(missing)


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


def _marker_environment(target: Target) -> dict[str, str]:
    return {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": target.architecture.facts.wheel,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{target.python}.0",
        "python_version": target.python,
        "sys_platform": "linux",
        "extra": "",
    }


def platform_options(target: Target) -> list[str]:
    """Return the options with which pip chooses wheels for *target*."""
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


@dataclass(frozen=True, slots=True)
class _Installer:
    """Installs one set of requirements. `folder` is a temporary one."""

    store: Store
    root: EmulatedRoot
    folder: Path
    environment: Mapping[str, str]
    build_sdist: BuildSdist
    waiting: frozenset[str]

    def install(self, wanted: Sequence[str], tree: Path) -> None:
        """Install *wanted* into the empty *tree*; build a wheel of each that has only an sdist."""
        built, installed = self.folder / "built", self.folder / "installed"
        built.mkdir()
        options = ("--quiet", "--no-compile", "--only-binary", ":all:", "--find-links", str(built))
        tried: set[str] = set()
        while True:
            try:
                self.pip("install", *options, *platform_options(self.root.target), "--target", str(installed), *wanted)
                break
            except ToolFailed as failure:
                missing = _NO_WHEEL.search(failure.tail)
                if missing is None or missing[1] in tried or len(tried) == _MAX_BUILT:
                    raise
                tried.add(missing[1])
                self.build(missing[1], built)
        compile_modules(self.root.interpreter, installed, "/requirements")
        for path in installed.iterdir():
            path.replace(tree / path.name)

    def build(self, requirement: str, built: Path) -> None:
        """Build a wheel of the sdist of *requirement*, and put it into the folder *built*."""
        with self.store.temporary() as downloads, self.store.temporary() as unpacked:
            options = ("--quiet", "--no-deps", "--no-binary", ":all:")
            self.pip("download", *options, "--dest", str(downloads), requirement)
            [archive] = downloads.iterdir()
            self.build_sdist(unpack_sdist(archive, unpacked), built, self.waiting)

    def pip(self, *arguments: str) -> None:
        """Run pip with *arguments*. Raises ToolFailed."""
        interpreter = self.root.interpreter
        cache = bytecode_cache(self.store.root, interpreter)
        proc.run(
            interpreter.argv("-s", "-P", pip_program(), *arguments, bytecode_cache=cache),
            purpose=f"install build requirements for {self.root.target}",
            env=pip_environment(self.environment, cache=self.store.root / "caches/pip") | {"TMPDIR": str(self.folder)},
            hint="check pip's own settings (PIP_INDEX_URL, pip.conf), and the proxy in https_proxy",
        )
