"""Build requirements as the target needs them: chosen by tags and fetched outside of the emulated root."""

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
# A chain of build requirements that all need building is longer than anybody would wait for.
_MOST_BUILT = 8

BuildSdist = Callable[[Path, Path, frozenset[str]], Path]
"""Builds an unpacked sdist in the emulated root, and puts the wheel in a folder; see *waiting* below."""


def ensure_target_requirements(
    store: Store,
    root: EmulatedRoot,
    requirements: Iterable[str],
    *,
    build_sdist: BuildSdist,
    waiting: frozenset[str] = frozenset(),
    environment: Mapping[str, str] | None = None,
) -> Path:
    """Return a tree with *requirements* as they are installed on the target, fetched if it isn't there.

    They come as wheels from the index that the user's pip is set up for; one that has none is built by *build_sdist*.
    What the root has as a Debian package is left out. *waiting*: the keys of the trees that wait for this one. Raises
    ConfigError, BuildError, and ToolFailed with pip's own words.
    """
    wanted = missing_requirements(normalise_requirements(requirements), root)
    key = hashlib.sha256(repr((1, wanted, str(root.target), root.tree.name)).encode()).hexdigest()
    if key in waiting:
        raise BuildError(f"the build requirements {', '.join(wanted)} need themselves to be built for {root.target}")
    user = os.environ if environment is None else environment

    def build(tree: Path) -> None:
        if wanted:
            with store.temporary() as folder:
                _Fetching(store, root, folder, user, build_sdist, waiting | {key}).install(wanted, tree)

    return store.ensure_tree(KIND, key, build)[0]


def missing_requirements(requirements: Sequence[str], root: EmulatedRoot) -> tuple[str, ...]:
    """Return those of *requirements* that apply to the target and that no Debian package of the root satisfies."""
    present = installed_versions(root.tree / "usr/lib/python3/dist-packages")
    environment = _marker_environment(root.target)
    missing = []
    for text in requirements:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate(environment):
            continue
        requirement.marker = None  # pip would judge it by the computer that it runs on
        version = present.get(_normal(requirement.name))
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            missing.append(str(requirement))
    return tuple(missing)


def installed_versions(packages: Path) -> dict[str, str]:
    """Return name and version of the distributions in the folder *packages*, read from their metadata's names."""
    found = {}
    for ending in (".dist-info", ".egg-info"):
        for path in sorted(packages.glob(f"*{ending}")):
            name, version, *_ = path.name.removesuffix(ending).split("-")
            found[_normal(name)] = version
    return found


def _normal(name: str) -> str:
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
    """Return pip's options by which it chooses wheels for *target*, whatever it runs on."""
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
class _Fetching:
    """One set of requirements under way, in a *folder* of its own."""

    store: Store
    root: EmulatedRoot
    folder: Path
    environment: Mapping[str, str]
    build_sdist: BuildSdist
    waiting: frozenset[str]

    def install(self, wanted: Sequence[str], tree: Path) -> None:
        built, made = self.folder / "built", self.folder / "made"
        built.mkdir()
        options = ("--quiet", "--no-compile", "--only-binary", ":all:", "--find-links", str(built))
        tried: set[str] = set()
        while True:
            try:
                self.pip("install", *options, *platform_options(self.root.target), "--target", str(made), *wanted)
                break
            except ToolFailed as failure:
                lacking = _NO_WHEEL.search(failure.tail)
                if lacking is None or lacking[1] in tried or len(tried) == _MOST_BUILT:
                    raise
                tried.add(lacking[1])
                self.build(lacking[1], built)
        compile_modules(self.root.interpreter, made, "/requirements")
        for path in made.iterdir():
            path.replace(tree / path.name)

    def build(self, requirement: str, built: Path) -> None:
        """Put a wheel for *requirement*, of which the index has only the sdist, in the folder *built*."""
        with self.store.temporary() as downloads, self.store.temporary() as unpacked:
            options = ("--quiet", "--no-deps", "--no-binary", ":all:")
            self.pip("download", *options, "--dest", str(downloads), requirement)
            [archive] = downloads.iterdir()
            self.build_sdist(unpack_sdist(archive, unpacked), built, self.waiting)

    def pip(self, *arguments: str) -> None:
        interpreter = self.root.interpreter
        cache = bytecode_cache(self.store.root, interpreter)
        proc.run(
            interpreter.argv("-s", "-P", pip_program(), *arguments, bytecode_cache=cache),
            purpose=f"get what the build needs, for {self.root.target}",
            env=pip_environment(self.environment, cache=self.store.root / "caches/pip") | {"TMPDIR": str(self.folder)},
            hint="pip's own settings are used (PIP_INDEX_URL, pip.conf); a proxy is read from https_proxy",
        )
