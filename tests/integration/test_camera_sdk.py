"""Headers and import libraries of the camera: C programs and modules that use them are built without vendor files."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from elftools.elf.elffile import ELFFile

from incamera.build.camera_sdk import CameraUse
from incamera.build.toolchain import ensure_toolchain
from incamera.sdk.tables import load_libraries
from incamera.targets.target import Target
from incamera.toolchain.build_folder import BuildFolder, prepare
from incamera.toolchain.plan import Compiler

if TYPE_CHECKING:
    from incamera.context import Context

    from .command import Run

PROJECTS = Path(__file__).parent / "projects"
PROGRAMS = PROJECTS / "camera_c"
ARMV7, AARCH64 = Target.parse("armv7hf-cp311"), Target.parse("aarch64-cp313")
TARGETS = [pytest.param(ARMV7, id="armv7hf"), pytest.param(AARCH64, id="aarch64", marks=pytest.mark.matrix)]
STRICT = ("-Wall", "-Wextra", "-Werror")
FolderOf = Callable[[Target], BuildFolder]


@pytest.fixture(scope="module")
def folder_of(context: Context, tmp_path_factory: pytest.TempPathFactory) -> FolderOf:
    """Returns the folder of a build that uses all of the camera's libraries."""

    @cache
    def make(target: Target) -> BuildFolder:
        camera = CameraUse(tuple(load_libraries().values()))
        toolchain = ensure_toolchain(context, target, Compiler.gcc, camera=camera)
        requirements, folder = (tmp_path_factory.mktemp(name) for name in ("requirements", "build"))
        return prepare(toolchain, requirements, folder)

    return make


def run(folder: BuildFolder, cwd: Path, *command: str) -> str:
    done = subprocess.run(
        [folder.root / "bin" / command[0], *command[1:]],
        cwd=cwd,
        env=dict(folder.environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("compiler", "standard"), [("cc", "c11"), ("c++", "c++17")])
def test_all_headers_compile_together(
    folder_of: FolderOf, tmp_path: Path, target: Target, compiler: str, standard: str
) -> None:
    source = write_sources(tmp_path, {"all": header_names()}, compiler)
    run(folder_of(target), tmp_path, compiler, f"-std={standard}", *STRICT, "-fsyntax-only", *source)


@pytest.mark.matrix
@pytest.mark.parametrize("target", [ARMV7, AARCH64], ids=str)
@pytest.mark.parametrize(("compiler", "standard"), [("cc", "c11"), ("c++", "c++17")])
def test_each_header_compiles_alone(
    folder_of: FolderOf, tmp_path: Path, target: Target, compiler: str, standard: str
) -> None:
    sources = write_sources(tmp_path, {name.replace("/", "_"): [name] for name in header_names()}, compiler)
    run(folder_of(target), tmp_path, compiler, f"-std={standard}", *STRICT, "-fsyntax-only", *sources)


def header_names() -> list[str]:
    return [header.name for library in load_libraries().values() for header in library.headers]


def write_sources(folder: Path, included: Mapping[str, Sequence[str]], compiler: str) -> list[str]:
    """Write a source for each of *included*, a name and headers, and return the names of the files."""
    for name, headers in included.items():
        path = folder / f"{name}.{'c' if compiler == 'cc' else 'cpp'}"
        path.write_text("".join(f"#include <{header}>\n" for header in headers), "utf-8")
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("compiler", "standard"),
    [("cc", "c11"), pytest.param("c++", "c++17", marks=pytest.mark.matrix)],
)
def test_structures_have_the_layout_of_the_cameras(
    folder_of: FolderOf, tmp_path: Path, target: Target, compiler: str, standard: str
) -> None:
    (tmp_path / "layouts.c").write_text((PROJECTS / "layouts.c").read_text("utf-8"), "utf-8")
    language = ("-x", "c" if compiler == "cc" else "c++")
    run(folder_of(target), tmp_path, compiler, f"-std={standard}", *STRICT, "-fsyntax-only", *language, "layouts.c")


def test_what_is_newer_than_the_chosen_axis_os_is_not_declared(folder_of: FolderOf, tmp_path: Path) -> None:
    source = "#include <vdo-stream.h>\nint main(void) { return vdo_stream_nv12_new != 0; }\n"
    (tmp_path / "program.c").write_text(source)
    check = (folder_of(ARMV7), tmp_path, "cc", "-fsyntax-only", "program.c")
    run(*check, "-DINCAMERA_AXIS_OS=1208")
    with pytest.raises(AssertionError, match=r"vdo_stream_nv12_new.* undeclared"):
        run(*check, "-DINCAMERA_AXIS_OS=1207")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", sorted(path.stem for path in PROGRAMS.glob("*.c")))
def test_program_links_with_the_cameras_library(folder_of: FolderOf, tmp_path: Path, target: Target, name: str) -> None:
    folder, library = folder_of(target), load_libraries()[name]
    flags = run(folder, tmp_path, "pkg-config", "--cflags", "--libs", library.pkg_config[0]).split()
    source = str(PROGRAMS / f"{name}.c")
    (tmp_path / "program.c").write_text(Path(source).read_text("utf-8"), "utf-8")
    run(folder, tmp_path, "cc", "-std=gnu11", *STRICT, "program.c", "-o", "program", *flags, "-Wl,--no-undefined")
    needed, versions = read_program((tmp_path / "program").read_bytes())
    assert library.soname in needed
    known = {function.name: function.node for function in library.functions}
    used = {symbol: version for symbol, version in versions.items() if symbol in known}
    assert used
    assert used == {symbol: known[symbol] for symbol in used}


def read_program(data: bytes) -> tuple[set[str], dict[str, str]]:
    """Return the libraries that the ELF file *data* needs, and the version of each function that it imports, or ""."""
    elf = ELFFile(io.BytesIO(data))
    dynamic: Any = elf.get_section_by_name(".dynamic")
    needed = {tag.needed for tag in dynamic.iter_tags() if tag.entry.d_tag == "DT_NEEDED"}
    names: dict[int, str] = {}
    wanted: Any = elf.get_section_by_name(".gnu.version_r")
    for _, auxiliaries in wanted.iter_versions():
        names |= {auxiliary.entry.vna_other: auxiliary.name for auxiliary in auxiliaries}
    symbols: Any = elf.get_section_by_name(".dynsym")
    indexes: Any = elf.get_section_by_name(".gnu.version")
    imported = {}
    for symbol, index in zip(symbols.iter_symbols(), indexes.iter_symbols(), strict=True):
        if symbol.entry.st_shndx == "SHN_UNDEF" and symbol.name:
            imported[symbol.name] = names.get(index.entry.ndx, "")
    return needed, imported


@pytest.mark.parametrize(
    ("target", "profile"),
    [
        ("armv7hf", "axis-os-12-armv7hf"),
        pytest.param("aarch64", "axis-os-12-aarch64", marks=pytest.mark.matrix),
    ],
)
def test_cython_module_that_calls_the_camera_is_built_and_audited(
    incamera: Run, tmp_path: Path, target: str, profile: str
) -> None:
    shutil.copytree(PROJECTS / "camera_app", tmp_path, dirs_exist_ok=True)
    built = incamera("build", "--target", target, cwd=tmp_path)
    assert built.code == 0, built.err
    assert "of this computer" not in built.err  # no option was left out
    audited = incamera("audit", "--target", target, "--profile", profile, "--json", cwd=tmp_path)
    report = json.loads(audited.out)
    assert (audited.code, report["findings"]) == (0, []), report["findings"]
    older = incamera("audit", "--target", target, "--profile", profile.replace("12", "11"), "--json", cwd=tmp_path)
    [finding] = json.loads(older.out)["findings"]
    assert older.code == 1
    assert "VDOSTREAM_15.34" in finding["needs"]


@pytest.mark.matrix
def test_package_in_a_folder_of_the_users_own_gets_the_cameras_headers(incamera: Run, tmp_path: Path) -> None:
    shutil.copytree(PROJECTS / "camera_app", tmp_path / "capture")
    app = tmp_path / "app"
    app.mkdir()
    (app / "app.py").write_text("import capture\n")
    (app / "pyproject.toml").write_text(
        '[project]\nname = "lamp"\nversion = "1"\ndependencies = ["camera-app"]\n'
        '[tool.uv.sources]\ncamera-app = { path = "../capture" }\n[tool.incamera]\ntargets = ["armv7hf"]\n'
    )
    audited = incamera("audit", "--profile", "axis-os-12-armv7hf", "--json", cwd=app)
    assert audited.code == 0, audited.err
    assert json.loads(audited.out)["findings"] == []
