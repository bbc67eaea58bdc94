"""A toolchain, and the folder in which a project is built with it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from incamera import proc
from incamera.archives import BadArchive, read_inside
from incamera.toolchain.cmake import write_toolchain_file
from incamera.toolchain.compiler import Gcc, Zig, write_commands
from incamera.toolchain.headers import find_headers
from incamera.toolchain.host_programs import link_host_programs
from incamera.toolchain.interpreter import BuildInterpreter, write_script
from incamera.toolchain.meson import write_cross_file
from incamera.toolchain.sysconfig import write_sysconfig
from incamera.toolchain.vendor_sdk import SDK, SdkFiles, link_sdk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from incamera.targets.target import Target
    from incamera.toolchain.emulator import Emulator

# 1980-01-01, the earliest time in a zip archive, and so in a wheel.
_EARLIEST = "315532800"
# The folder of the sysroot with what is needed to use the camera's libraries. Their pkg-config files have this path.
CAMERA = "camera"


@dataclass(frozen=True, kw_only=True, slots=True)
class Toolchain:
    """What extension modules for a target are built with.

    `interpreter`: a Python of the target's minor version that runs on this host.
    `sysroot`: unpacked Debian packages of the target; all files are below `usr/`.
    `bytecode_cache`: a folder for the interpreter's byte-code; None for a temporary one.
    `ensure_emulator`: returns the emulator for builds that run programs of the target; None when there is none.
    `camera`: a folder with `include`, `lib` and `pkgconfig` of the camera's libraries; None when the build uses none.
    `sdk`: the vendor's SDK, in its place; None for builds without it.
    """

    target: Target
    interpreter: BuildInterpreter
    compiler: Gcc | Zig
    sysroot: Path
    bytecode_cache: Path | None = None
    ensure_emulator: Callable[[], Emulator] | None = None
    camera: Path | None = None
    sdk: SdkFiles | None = None


@dataclass(frozen=True, slots=True)
class BuildFolder:
    """A folder that `prepare` has prepared.

    `python`: the Python of the build. `environment`: all environment variables of the build's processes.
    `reads`: the folders outside that the build needs. `headers`: the folders with headers that the compiler searches
    last, and Python's, by name.
    """

    root: Path
    python: Path
    environment: Mapping[str, str]
    cross_file: Path
    reads: tuple[Path, ...] = ()
    headers: Mapping[str, Path] = field(default_factory=dict)

    @property
    def project(self) -> Path:
        return self.root / "project"

    def expand(self, text: str) -> str:
        """Return *text*, a setting of a recipe, with the sysroot's path in place of `{sysroot}`."""
        return text.replace("{sysroot}", str(self.root / "sysroot"))

    @property
    def dropped(self) -> list[str]:
        """The options that the compiler driver left out because they name files of this computer, sorted."""
        try:
            lines = read_inside(self.root, "dropped.log", limit=_MAX_DROPPED).decode("utf-8", "replace").splitlines()
        except (OSError, BadArchive):  # there is none, or the build has put something else there
            return []
        return sorted(set(lines))


# In bytes.
_MAX_DROPPED = 1_000_000


def prepare(toolchain: Toolchain, requirements: Path, folder: Path, *, emulator: Emulator | None = None) -> BuildFolder:
    """Prepare *folder* for a build with *requirements*, the tree of build requirements.

    The folder contains absolute paths, so it cannot be moved. It is made for one build, and removed afterwards. Raises
    BuildError when the toolchain is not complete.
    """
    target, interpreter = toolchain.target, toolchain.interpreter
    sysroot = folder / "sysroot"
    sysroot.mkdir()
    (sysroot / "usr").symlink_to(toolchain.sysroot / "usr")
    for merged in ("lib", "lib64"):  # the C library's linker scripts have paths in /lib
        (sysroot / merged).symlink_to(f"usr/{merged}")
    temporary = folder / "tmp"
    temporary.mkdir()
    cache = toolchain.bytecode_cache or folder / "bytecode"
    python = interpreter.write_environment(folder, cache)
    site_packages = interpreter.site_packages(folder)
    (site_packages / "_incamera_requirements.pth").write_text(
        # addsitedir also reads the packages' own .pth files.
        f"import site; site.addsitedir({str(requirements)!r})\n",
        "utf-8",
    )
    allowed = [folder, toolchain.sysroot, requirements]
    compiler = toolchain.compiler.for_build(folder)
    headers = find_headers(requirements, sysroot, target.architecture.facts.gnu)
    if toolchain.camera is not None:
        (sysroot / CAMERA).symlink_to(toolchain.camera)
        allowed.append(toolchain.camera)
        headers[CAMERA] = sysroot / CAMERA / "include"
    if toolchain.sdk is not None:
        link_sdk(toolchain.sdk, sysroot / SDK, toolchain.sysroot, target.architecture.facts.gnu)
        allowed.append(toolchain.sdk.sysroot)
        headers[SDK] = sysroot / SDK / "usr/include"
    tools = write_commands(
        compiler, interpreter, target, folder, allowed=allowed, headers=list(headers.values()), sdk=toolchain.sdk
    )
    if toolchain.camera is not None:  # this folder is searched for libraries
        for library in (toolchain.camera / "lib").iterdir():
            (folder / "linker-scripts" / library.name).symlink_to(library)
    archive = folder / f"linker-scripts/libpython{target.python}.a"
    # The versions of CMake that take no path of the library from the toolchain file search for it here: see cmake.py.
    (folder / "lib" / archive.name).symlink_to(archive)
    variables = write_sysconfig(target, sysroot, tools, site_packages)
    _write_pkg_config(toolchain, folder, sysroot)
    _write_scripts(requirements / "bin", folder / "bin", python)
    _write_config_scripts(sysroot, folder / "bin")
    wrapper = emulator.write_wrapper(folder / "libexec/emulator", target, sysroot) if emulator else None
    toolchain_file = folder / "target.cmake"
    write_toolchain_file(toolchain_file, target, tools, sysroot, [folder, requirements], python, wrapper)
    cross_file = write_cross_file(folder / "target.ini", target, tools, folder / "bin", python, wrapper)
    environment = {
        **build_variables(),
        "HOME": str(temporary),
        "TMPDIR": str(temporary),
        "PATH": f"{folder / 'bin'}:{link_host_programs(folder / 'host')}",
        "CMAKE_TOOLCHAIN_FILE": str(toolchain_file),
        # There is no compiler for this computer. Without these variables, a build would take the cross compiler for one
        # where the kernel can run its programs.
        "CC_FOR_BUILD": "false",
        "CXX_FOR_BUILD": "false",
        **_sdk_variables(toolchain, sysroot),
        **variables,
        **compiler.environment(),
    }
    reads = [toolchain.sysroot, requirements, cache, interpreter.tree.root, *compiler.folders()]
    reads += emulator.folders() if emulator else ()
    reads += [toolchain.camera] if toolchain.camera is not None else ()
    reads += [toolchain.sdk.sysroot] if toolchain.sdk is not None else ()
    outside = tuple(path for path in reads if not path.is_relative_to(folder))
    headers["python"] = sysroot / f"usr/include/python{target.python}"
    return BuildFolder(folder, python, environment, cross_file, outside, headers)


def build_variables() -> dict[str, str]:
    """Return the variables that builds for all targets get."""
    return {
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "SOURCE_DATE_EPOCH": _EARLIEST,
        "PYTHONHASHSEED": "0",
        "PYTHONNOUSERSITE": "1",
        "PYTHONUTF8": "1",
        "PYTHONUNBUFFERED": "1",  # the log then has the lines of all processes in the right order
    }


def _sdk_variables(toolchain: Toolchain, sysroot: Path) -> dict[str, str]:
    """Return the variables by which build scripts for the vendor's SDK find it."""
    if toolchain.sdk is None:
        return {}
    processor = "arm" if toolchain.target.architecture.facts.bits == 32 else toolchain.target.architecture.value
    return {"SDKTARGETSYSROOT": str(sysroot / SDK), "OECORE_TARGET_ARCH": processor}


def _write_pkg_config(toolchain: Toolchain, folder: Path, sysroot: Path) -> None:
    gnu = toolchain.target.architecture.facts.gnu
    folders = f"{sysroot}/usr/lib/{gnu}/pkgconfig:{sysroot}/usr/lib/pkgconfig:{sysroot}/usr/share/pkgconfig"
    if toolchain.camera is not None:
        folders += f":{sysroot}/{CAMERA}/pkgconfig"
    system = "unset PKG_CONFIG_SYSTEM_INCLUDE_PATH PKG_CONFIG_SYSTEM_LIBRARY_PATH"
    if toolchain.sdk is not None:
        own = f"{sysroot}/{SDK}/usr"
        folders += f":{own}/lib/pkgconfig:{own}/share/pkgconfig"
        # The compiler searches it last. Where it is named, zig would take the SDK's headers of the C library.
        includes = f"/usr/include:/{SDK}/usr/include:{own}/include"
        system = f"export PKG_CONFIG_SYSTEM_INCLUDE_PATH={shlex.quote(includes)}\nunset PKG_CONFIG_SYSTEM_LIBRARY_PATH"
    tree = toolchain.interpreter.tree
    program = tree.root / "usr/bin/pkgconf"
    lines = (
        f"export PKG_CONFIG_LIBDIR={shlex.quote(folders)} PKG_CONFIG_SYSROOT_DIR={shlex.quote(str(sysroot))}\n"
        f"unset PKG_CONFIG_PATH\n{system}\n"
    )
    # Without pkgconf in the tree, no package is found: the host's own pkg-config must not be used.
    command = f'exec {shlex.join(tree.argv(program))} "$@"' if program.exists() else "exit 1"
    for name in ("pkg-config", "pkgconf", f"{gnu}-pkg-config"):
        write_script(folder / "bin" / name, lines + command)


def _write_config_scripts(sysroot: Path, binaries: Path) -> None:
    """Copy `geos-config` and similar scripts of the sysroot to the folder *binaries*, and make them print its paths."""
    for script in sorted((sysroot / "usr/bin").glob("*-config")):
        path = binaries / script.name
        if path.exists() or not script.is_file():
            continue
        data = script.read_bytes()
        if data.startswith(b"#!"):
            first, newline, rest = data.decode("utf-8", "replace").partition("\n")
            path.write_text(first + newline + _SYSTEM_PATH.sub(f"{sysroot}/usr", rest), "utf-8")
            path.chmod(0o755)


# /usr itself (prefix=/usr) and folders of headers and libraries in it, but not programs that a script starts.
_SYSTEM_PATH = re.compile(r"(?<![\w./}-])/usr(?=/(?:include|lib|share)\b|[\s\"';]|$)", re.MULTILINE)


def _write_scripts(scripts: Path, binaries: Path, python: Path) -> None:
    """Put the build requirements' programs (`cython`, `ninja`) into the folder *binaries*, run by *python*."""
    if not scripts.is_dir():
        return
    for script in sorted(scripts.iterdir()):
        path = binaries / script.name
        if path.exists() or not script.is_file():
            continue
        first, _, rest = script.read_bytes().partition(b"\n")
        if first.startswith(b"#!") and b"python" in first:
            # A shell script that starts Python with itself. To Python, these lines are a string. One file for both is
            # needed because some programs (meson) start themselves again by the name of their file.
            header = f"#!/bin/sh\n'''exec' {shlex.quote(str(python))} \"$0\" \"$@\"\n' '''\n"
            path.write_bytes(header.encode() + rest)
            path.chmod(0o755)
        else:
            path.symlink_to(script)


def bytecode_cache(root: Path, interpreter: BuildInterpreter) -> Path:
    """Return the folder below the store's *root* for the byte-code of *interpreter*, whose tree must not change."""
    path = root / "caches" / f"pyc-{interpreter.python}"
    path.mkdir(parents=True, exist_ok=True)
    return path


def fill_bytecode_cache(cache: Path, interpreter: BuildInterpreter, tree: Path) -> None:
    """Byte-compile the modules of *tree* once: a build, which cannot write to *cache*, would compile them each time."""
    done = cache / f"{tree.name}.compiled"
    if done.exists():
        return
    code = "import compileall, re, sys; compileall.compile_dir(sys.argv[1], quiet=2, rx=re.compile(sys.argv[2]))"
    proc.run(
        interpreter.argv("-I", "-c", code, str(tree), _NOT_COMPILED, bytecode_cache=cache),
        purpose=f"compile the modules of {tree}",
    )
    done.touch()


# What builds hardly ever import.
_NOT_COMPILED = r"/(tests?|testing|idlelib|lib2to3|ensurepip|pydoc_data|tkinter)/"


def run_python(folder: BuildFolder, *arguments: str, purpose: str) -> proc.Result:
    """Run the build's Python with *arguments*, in the environment of the back end. Raises ToolFailed."""
    return proc.run([folder.python, *arguments], purpose=purpose, env=folder.environment, cwd=folder.root)
