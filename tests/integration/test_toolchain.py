"""Cross compilation: what comes out, what is kept out, and what an error says."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.errors import BuildError, ResolveError, ToolFailed
from incamera.targets.target import Target
from incamera.toolchain.build_folder import Toolchain
from incamera.toolchain.isolation import find_isolation_fault
from incamera.toolchain.pep517 import build_wheel
from incamera.toolchain.plan import Compiler

from .builds import wheel_build
from .wheel_modules import read_module, read_modules

if TYPE_CHECKING:
    from incamera.store import Store

NUMBERS = Path(__file__).parents[2] / "examples/numbers"
ToolchainFor = Callable[[Target, Compiler], Toolchain]


def make_project(folder: Path, source: str, **extension: object) -> Path:
    """Write a project with one C module, `own`, that setuptools builds with *extension* as its arguments."""
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools>=77"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "own"\nversion = "1"\n'
    )
    (folder / "own.c").write_text(source)
    arguments = "".join(f", {key}={value!r}" for key, value in extension.items())
    (folder / "setup.py").write_text(
        f"from setuptools import setup, Extension\nsetup(ext_modules=[Extension('own', ['own.c']{arguments})])\n"
    )
    return folder


MODULE = """
#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "own", NULL, -1, NULL};
PyMODINIT_FUNC PyInit_own(void) { return PyModule_Create(&module); }
"""


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("target", "compiler"),
    [
        pytest.param(
            Target.parse(architecture),
            compiler,
            id=f"{compiler.value}-{architecture}",
        )
        for compiler in Compiler
        for architecture in ("armv7hf", "aarch64")
    ],
)
def test_build_gives_the_same_bytes_twice_for_the_target(
    store: Store, toolchain_for: ToolchainFor, target: Target, compiler: Compiler, tmp_path: Path
) -> None:
    toolchain = toolchain_for(target, compiler)
    before = sorted(NUMBERS.rglob("*"))
    wheels = [
        build_wheel(wheel_build(project=NUMBERS, store=store, log=tmp_path / f"log-{name}"), toolchain, tmp_path / name)
        for name in ("one", "two")
    ]
    assert wheels[0].name == f"numbers_demo-1.0-cp311-cp311-linux_{target.architecture.facts.wheel}.whl"
    one, two = (hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in wheels)
    assert one == two
    assert sorted(NUMBERS.rglob("*")) == before  # the build leaves nothing in the project's folder
    with zipfile.ZipFile(wheels[0]) as archive:
        [module] = [name for name in archive.namelist() if name.endswith(".so")]
        assert module == f"numbers_demo/_series.cpython-311-{target.architecture.facts.gnu}.so"
        data = archive.read(module)
    for leak in (str(store.root), str(tmp_path), str(Path.home()) + "/", "/usr/include"):
        assert leak.encode() not in data
    facts = read_module(data)
    assert facts.machine == target.architecture.facts.elf_machine
    assert set(facts.needed) <= {"libc.so.6", "libm.so.6"}
    assert not facts.run_paths
    assert b"build_wheel" in (tmp_path / "log-one").read_bytes()


def test_host_folders_in_a_projects_settings_are_left_out(
    store: Store, toolchain_for: ToolchainFor, target: Target, tmp_path: Path
) -> None:
    trap = tmp_path / "usr-local-include"
    trap.mkdir()
    (trap / "trap.h").write_text("#error a header of the host was read\n")
    source = '#if __has_include("trap.h")\n#include "trap.h"\n#endif\n' + MODULE
    project = make_project(
        tmp_path / "own",
        source,
        include_dirs=[str(trap), "/usr/include"],
        library_dirs=["/usr/lib", "/usr/lib/x86_64-linux-gnu"],
        runtime_library_dirs=["/usr/lib"],
    )
    notes: list[str] = []
    build_wheel(
        wheel_build(project=project, store=store, warn=notes.append),
        toolchain_for(target, Compiler.gcc),
        tmp_path / "out",
    )
    for what in (f"-I{trap}", "-I/usr/include", "-L/usr/lib", "-rpath /usr/lib"):
        assert any(what in note for note in notes), what


def test_environment_of_the_host_does_not_reach_a_build(
    store: Store, toolchain_for: ToolchainFor, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = tmp_path / "trap"
    trap.mkdir()
    (trap / "setuptools.py").write_text("raise SystemExit('the host PYTHONPATH was used')\n")
    (trap / "Python.h").write_text("#error CPATH was used\n")
    for name, value in {
        "PYTHONPATH": trap,
        "CPATH": trap,
        "CFLAGS": "-DLEAK",
        "CC": "false",
        "PYTHONHOME": trap,
    }.items():
        monkeypatch.setenv(name, str(value))
    source = "#ifdef LEAK\n#error CFLAGS was used\n#endif\n" + MODULE
    assert build_wheel(
        wheel_build(project=make_project(tmp_path / "own", source), store=store),
        toolchain_for(target, Compiler.gcc),
        tmp_path / "o",
    )


def test_compiler_error_names_the_line(store: Store, toolchain_for: ToolchainFor, tmp_path: Path) -> None:
    project = make_project(tmp_path / "own", MODULE + "int f(void) { return nowhere; }\n")
    log = tmp_path / "log"
    with pytest.raises(ToolFailed) as caught:
        build_wheel(
            wheel_build(project=project, store=store, log=log),
            toolchain_for(Target.parse("armv7hf"), Compiler.gcc),
            tmp_path / "out",
        )
    assert caught.value.tail.splitlines()[0].startswith("own.c:5:")
    assert "nowhere" in caught.value.tail
    assert "Traceback" not in caught.value.tail
    assert b"nowhere" in log.read_bytes()
    assert not (tmp_path / "out").exists()
    assert not [path for path in (store.root / "tmp").iterdir() if path.name.startswith(f"{os.getpid()}-")]


def test_library_of_the_host_is_refused_by_name(store: Store, toolchain_for: ToolchainFor, tmp_path: Path) -> None:
    library = tmp_path / "libhost.so"
    library.write_bytes(b"\x7fELF")
    project = make_project(tmp_path / "own", MODULE, extra_objects=[str(library)])
    with pytest.raises(ToolFailed) as caught:
        build_wheel(
            wheel_build(project=project, store=store),
            toolchain_for(Target.parse("armv7hf"), Compiler.gcc),
            tmp_path / "out",
        )
    assert f"{library} is a library of this computer" in caught.value.tail
    assert "name the library's -dev package as dev in a recipe" in caught.value.tail


def test_wheel_with_a_binary_for_the_host_is_refused(store: Store, toolchain_for: ToolchainFor, tmp_path: Path) -> None:
    project = make_project(tmp_path / "own", MODULE)
    package = project / "data"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "tool").write_bytes(Path("/proc/self/exe").read_bytes()[:4096])
    with (project / "pyproject.toml").open("a") as stream:
        stream.write('[tool.setuptools]\npackages = ["data"]\n[tool.setuptools.package-data]\ndata = ["tool"]\n')
    with pytest.raises(BuildError, match="data/tool is for"):
        build_wheel(
            wheel_build(project=project, store=store),
            toolchain_for(Target.parse("armv7hf"), Compiler.gcc),
            tmp_path / "out",
        )


def test_missing_build_requirement_is_named(store: Store, toolchain_for: ToolchainFor, tmp_path: Path) -> None:
    project = make_project(tmp_path / "own", MODULE)
    text = (project / "pyproject.toml").read_text().replace("setuptools>=77", "setuptools>=9999")
    (project / "pyproject.toml").write_text(text)
    with pytest.raises(ResolveError, match="asks for setuptools>=9999"):
        build_wheel(
            wheel_build(project=project, store=store),
            toolchain_for(Target.parse("armv7hf"), Compiler.gcc),
            tmp_path / "out",
        )


def test_c_plus_plus_links_the_shared_library(
    store: Store, toolchain_for: ToolchainFor, target: Target, tmp_path: Path
) -> None:
    project = make_project(tmp_path / "own", "", language="c++")
    (project / "own.c").unlink()
    (project / "own.cpp").write_text(
        "#include <iostream>\n#include <vector>\n"
        + MODULE
        + "int f() { std::vector<int> v(3); std::cout << v.size(); return 0; }\n"
    )
    setup = (project / "setup.py").read_text().replace("own.c'", "own.cpp'")
    (project / "setup.py").write_text(setup)
    wheel = build_wheel(
        wheel_build(project=project, store=store), toolchain_for(target, Compiler.gcc), tmp_path / "out"
    )
    [module] = read_modules(wheel).values()
    assert "libstdc++.so.6" in module.needed


def test_build_preprocesses_for_the_target_and_takes_its_version_from_the_user(
    store: Store, toolchain_for: ToolchainFor, target: Target, tmp_path: Path
) -> None:
    project = make_project(tmp_path / "own", MODULE)
    setup = (
        "import os, subprocess\n"
        "made = subprocess.run(['cpp', '-P', '-'], input=b'__ARM_ARCH', capture_output=True, check=True).stdout\n"
        "assert int(made) >= 7\n"
        "from setuptools import Extension, setup\n"
        "version = os.environ['SETUPTOOLS_SCM_PRETEND_VERSION']\n"
        "setup(version=version, ext_modules=[Extension('own', ['own.c'])])\n"
    )
    (project / "setup.py").write_text(setup)
    (project / "pyproject.toml").write_text(
        (project / "pyproject.toml").read_text().replace('version = "1"', 'dynamic = ["version"]')
    )
    wheels = [
        build_wheel(
            wheel_build(
                project=project,
                store=store,
                environment={"SETUPTOOLS_SCM_PRETEND_VERSION": "1.2.3"},
                isolated=isolated,
            ),
            toolchain_for(target, Compiler.gcc),
            tmp_path / str(isolated),
        )
        for isolated in (find_isolation_fault() is None, False)
    ]
    assert {wheel.name.split("-")[1] for wheel in wheels} == {"1.2.3"}
    assert wheels[0].read_bytes() == wheels[1].read_bytes()
