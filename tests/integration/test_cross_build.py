"""Wheels built for a camera's processor: with every build back end, and from sdists of the package index."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from packaging.version import Version

from incamera.build.indexes import open_indexes
from incamera.build.toolchain import ensure_toolchain
from incamera.errors import BuildError, ToolFailed
from incamera.targets.host import require_host
from incamera.targets.target import Target
from incamera.toolchain.build_folder import Toolchain
from incamera.toolchain.build_system import load_build_system
from incamera.toolchain.options import BuildOptions
from incamera.toolchain.pep517 import build_wheel
from incamera.toolchain.plan import Compiler
from incamera.toolchain.sdist import unpack_sdist

from .builds import wheel_build
from .wheel_modules import read_modules

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.store import Store

PROJECTS = Path(__file__).parent / "projects/cross"
ARMV7 = Target.parse("armv7hf-cp311")

# The index has no older one for ARM.
OLDEST_CMAKE = "cmake==3.15.3" if require_host().machine == "x86_64" else "cmake==3.18.4.post1"

ToolchainWith = Callable[..., Toolchain]


@pytest.fixture(scope="module")
def toolchain_with(context: Context) -> ToolchainWith:
    """Returns a toolchain with -dev packages."""
    return lambda target, *dev: ensure_toolchain(context, target, Compiler.gcc, dev=dev)


@pytest.fixture(scope="module")
def sdist(context: Context, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """Fetches an sdist from the package index and unpacks it."""
    from incamera.wheels.fetch import fetch_files

    def fetch(name: str, version: str) -> Path:
        files = open_indexes(context).find(name)
        [file] = [file for file in files if file.kind == "sdist" and file.version == Version(version)]
        blob = fetch_files([file], context.http, context.store)[file]
        return unpack_sdist(blob, tmp_path_factory.mktemp(name))

    return fetch


@pytest.mark.parametrize(
    ("project", "modules"),
    [
        # setuptools with Cython; numpy's headers must have the sizes of the target's types.
        ("cython_numpy", {"sizes": set()}),
        # cffi runs on the host and writes C for the target.
        pytest.param("cffi_module", {"_crc": {"libz.so.1"}}, marks=pytest.mark.matrix),
        # meson runs two programs of the target.
        ("meson_runs", {"meson_runs": {"libz.so.1"}, "limited": set()}),
        # CMake does so too, and finds Python, pybind11 and zlib.
        ("skbuild_core", {"adds": {"libstdc++.so.6"}, "plain": {"libz.so.1"}}),
        pytest.param("skbuild_old", {"plain": set()}, marks=pytest.mark.matrix),
    ],
)
def test_back_end_builds_modules_of_the_target(
    store: Store,
    toolchain_with: ToolchainWith,
    target: Target,
    tmp_path: Path,
    project: str,
    modules: dict[str, set[str]],
) -> None:
    notes: list[str] = []
    log = tmp_path / "log"
    wheel = build_wheel(
        wheel_build(project=PROJECTS / project, store=store, log=log, warn=notes.append),
        toolchain_with(target, "zlib1g-dev"),
        tmp_path,
    )
    found = read_modules(wheel)
    assert {Path(name).name.partition(".")[0] for name in found} == set(modules)
    for name, module in found.items():
        assert module.machine == target.architecture.facts.elf_machine
        assert name.endswith((f".cpython-311-{target.architecture.facts.gnu}.so", ".abi3.so"))
        assert modules[Path(name).name.partition(".")[0]] <= set(module.needed)
        assert not [library for library in module.needed if library.startswith("libpython")]
        assert not module.run_paths
    assert notes == []
    # No tool of this computer was found, or looked for.
    for trace in (b"/usr/bin/cmake", b"/usr/bin/ninja", b"x86_64-linux-gnu-gcc"):
        assert trace not in log.read_bytes()


# The oldest that scikit-build-core accepts; the oldest with all that FindPython has for modules; the index's newest,
# with policy CMP0190 (how FindPython cross-compiles) unset and set.
@pytest.mark.parametrize(
    ("cmake", "policies", "target"),
    [
        pytest.param(OLDEST_CMAKE, "3.15", "armv7hf-cp311", marks=pytest.mark.matrix),
        pytest.param("cmake==3.18.4.post1", "3.18", "aarch64-cp313", marks=pytest.mark.matrix),
        pytest.param("cmake", "4.0", "armv7hf-cp313", marks=pytest.mark.matrix),
        ("cmake", "4.4", "aarch64-cp311"),
    ],
)
def test_cmake_finds_the_python_of_the_target(
    store: Store, toolchain_with: ToolchainWith, tmp_path: Path, cmake: str, policies: str, target: str
) -> None:
    parsed = Target.parse(target)
    project = PROJECTS / "cmake_python"
    requires = load_build_system(project).requires
    options = BuildOptions(
        settings={"cmake.define.POLICIES": policies},
        build_requires=tuple(cmake if name == "cmake" else name for name in requires),
    )
    wheel = build_wheel(
        wheel_build(project=project, store=store, target=target, options=options),
        toolchain_with(parsed, "zlib1g-dev"),
        tmp_path,
    )
    suffix = f".cpython-{parsed.python.replace('.', '')}-{parsed.architecture.facts.gnu}.so"
    names = {f"one{suffix}", f"classic{suffix}"}
    if cmake != "cmake==3.15.3":  # where python3_add_library has no WITH_SOABI
        names.add(f"two{suffix}")
    if cmake == "cmake":
        names.add("stable.abi3.so")
    found = read_modules(wheel)
    assert set(found) == names
    for module in found.values():
        assert module.machine == parsed.architecture.facts.elf_machine
        assert not [library for library in module.needed if library.startswith("libpython")]


@pytest.mark.parametrize(
    "project",
    ["hatch", pytest.param("flit", marks=pytest.mark.matrix), pytest.param("poetry", marks=pytest.mark.matrix)],
)
def test_back_end_without_a_compiler_builds_a_pure_wheel(
    store: Store, toolchain_with: ToolchainWith, tmp_path: Path, project: str
) -> None:
    wheel = build_wheel(
        wheel_build(project=PROJECTS / project, store=store), toolchain_with(ARMV7, "zlib1g-dev"), tmp_path
    )
    assert wheel.name.startswith("pure-1-py")
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("pure.py") == b"ANSWER = 42\n"


def test_sdist_links_with_a_library_from_debian(
    store: Store, toolchain_with: ToolchainWith, sdist: Callable[[str, str], Path], target: Target, tmp_path: Path
) -> None:
    wheel = build_wheel(
        wheel_build(project=sdist("PyYAML", "6.0.3"), store=store), toolchain_with(target, "libyaml-dev"), tmp_path
    )
    machine = target.architecture.facts.wheel
    assert wheel.name == f"pyyaml-6.0.3-cp311-cp311-linux_{machine}.whl"
    [module] = read_modules(wheel).values()
    assert "libyaml-0.so.2" in module.needed


@pytest.mark.matrix
def test_sdist_of_the_limited_api_gives_an_abi3_wheel(
    store: Store, toolchain_with: ToolchainWith, sdist: Callable[[str, str], Path], target: Target, tmp_path: Path
) -> None:
    wheel = build_wheel(wheel_build(project=sdist("tornado", "6.5.2"), store=store), toolchain_with(target), tmp_path)
    assert "-abi3-" in wheel.name
    assert list(read_modules(wheel)) == ["tornado/speedups.abi3.so"]


def test_sdist_that_downloads_is_refused_with_the_dev_package_as_hint(
    store: Store, toolchain_with: ToolchainWith, sdist: Callable[[str, str], Path], tmp_path: Path
) -> None:
    # Without libzmq3-dev it fetches libzmq through CMake.
    with pytest.raises(ToolFailed, match=r"tried to download github\.com") as caught:
        build_wheel(wheel_build(project=sdist("pyzmq", "27.1.0"), store=store), toolchain_with(ARMV7), tmp_path)
    assert "-dev package" in str(caught.value.hint)


@pytest.mark.parametrize(
    "tool", ["urllib", "pip", *(pytest.param(name, marks=pytest.mark.matrix) for name in ("curl", "git"))]
)
def test_build_that_downloads_is_refused(
    store: Store, toolchain_with: ToolchainWith, tmp_path: Path, tool: str
) -> None:
    options = BuildOptions(environment={"TOOL": tool}, build_requires=("setuptools>=77", "pip"))
    with pytest.raises(ToolFailed, match=r"tried to download downloads\.example\.org") as caught:
        build_wheel(
            wheel_build(project=PROJECTS / "downloads", store=store, options=options, hint="take the wheel"),
            toolchain_with(ARMV7),
            tmp_path,
        )
    assert caught.value.hint == "take the wheel"


def test_recipe_changes_requirements_settings_and_environment(
    store: Store, toolchain_with: ToolchainWith, tmp_path: Path
) -> None:
    project = tmp_path / "own"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["no-such-package-anywhere>=9"]\nbuild-backend = "own"\nbackend-path = ["."]\n'
    )
    (project / "own.py").write_text(
        "import os, sys, setuptools\n"
        "def build_wheel(folder, settings=None, metadata=None):\n"
        "    sys.exit(repr((settings, os.environ['OWN'])))\n"
    )
    options = BuildOptions(
        settings={"one": "{sysroot}/usr", "many": ("a", "b")},
        environment={"OWN": "{sysroot}"},
        build_requires=("setuptools>=77",),
    )
    with pytest.raises(ToolFailed) as caught:
        build_wheel(wheel_build(project=project, store=store, options=options), toolchain_with(ARMV7), tmp_path / "out")
    sysroot = caught.value.tail.rpartition("'")[0].rpartition("'")[2]
    assert sysroot.endswith("/sysroot")
    assert f"({{'one': '{sysroot}/usr', 'many': ['a', 'b']}}, '{sysroot}')" in caught.value.tail


def test_rust_is_refused_before_anything_is_fetched(
    store: Store, toolchain_with: ToolchainWith, tmp_path: Path
) -> None:
    project = tmp_path / "orjson-3.11.0"
    project.mkdir()
    (project / "pyproject.toml").write_text('[build-system]\nrequires = ["maturin>=1"]\nbuild-backend = "maturin"\n')
    with pytest.raises(BuildError, match=r"orjson-3\.11\.0 is written in Rust") as caught:
        build_wheel(
            wheel_build(project=project, store=store, hint="take ujson"), toolchain_with(ARMV7), tmp_path / "out"
        )
    assert caught.value.hint == "take ujson"
