"""A toolchain, and the folder in which one project is built with it."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera import proc
from incamera.toolchain.cmake import write_toolchain_file
from incamera.toolchain.compiler import Gcc, Zig, write_commands
from incamera.toolchain.host_programs import link_host_programs
from incamera.toolchain.interpreter import BuildInterpreter, write_script
from incamera.toolchain.meson import write_cross_file
from incamera.toolchain.sysconfig import write_sysconfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from incamera.targets.target import Target
    from incamera.toolchain.emulator import Emulator

# zip archives, hence wheels, cannot hold an earlier time.
_EARLIEST = "315532800"


@dataclass(frozen=True, kw_only=True, slots=True)
class Toolchain:
    """All that a target's extension modules are built with. *sysroot*: unpacked .debs of the target, all below usr/.

    *ensure_emulator* is called by builds that may want to run a program of the target; without it they can't.
    """

    target: Target
    interpreter: BuildInterpreter
    compiler: Gcc | Zig
    sysroot: Path
    bytecode_cache: Path | None = None
    ensure_emulator: Callable[[], Emulator] | None = None


@dataclass(frozen=True, slots=True)
class BuildFolder:
    """A folder made ready by `prepare`: what to call Python, and the complete environment of all that runs in it."""

    root: Path
    python: Path
    environment: Mapping[str, str]
    cross_file: Path

    @property
    def project(self) -> Path:
        return self.root / "project"

    def expand(self, text: str) -> str:
        """Return *text* with the path for `{sysroot}`, where a recipe must name a file of it."""
        return text.replace("{sysroot}", str(self.root / "sysroot"))

    @property
    def dropped(self) -> list[str]:
        """What the compilers' command lines had of this computer's, and was left out."""
        log = self.root / "dropped.log"
        return sorted(set(log.read_text("utf-8").splitlines())) if log.exists() else []


def prepare(toolchain: Toolchain, requirements: Path, folder: Path, *, emulator: Emulator | None = None) -> BuildFolder:
    """Make the empty *folder* ready for a build with the back end's *requirements* (a tree of packages).

    It holds absolute paths and nothing of value: made for one build, then removed.
    """
    target, interpreter = toolchain.target, toolchain.interpreter
    sysroot = folder / "sysroot"
    sysroot.mkdir()
    (sysroot / "usr").symlink_to(toolchain.sysroot / "usr")
    for merged in ("lib", "lib64"):  # the C library's linker scripts name /lib
        (sysroot / merged).symlink_to(f"usr/{merged}")
    temporary = folder / "tmp"
    temporary.mkdir()
    cache = toolchain.bytecode_cache or folder / "bytecode"
    python = interpreter.write_environment(folder, cache)
    site_packages = interpreter.site_packages(folder)
    (site_packages / "_incamera_requirements.pth").write_text(
        # addsitedir: the packages' own .pth files count too.
        f"import site; site.addsitedir({str(requirements)!r})\n",
        "utf-8",
    )
    allowed = [folder, toolchain.sysroot, requirements]
    tools = write_commands(toolchain.compiler, interpreter, target, folder, allowed=allowed, bytecode_cache=cache)
    archive = folder / f"linker-scripts/libpython{target.python}.a"
    (folder / "lib" / archive.name).symlink_to(archive)  # where a CMake finds it that cannot be told: see cmake.py
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
        # There is no compiler for this computer; without this, ours would be taken for one where the kernel runs what
        # it makes.
        "CC_FOR_BUILD": "false",
        "CXX_FOR_BUILD": "false",
        **variables,
        **toolchain.compiler.environment(),
    }
    return BuildFolder(folder, python, environment, cross_file)


def build_variables(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the few variables that a build gets whatever the target; of the user's, only SOURCE_DATE_EPOCH."""
    epoch = (os.environ if environment is None else environment).get("SOURCE_DATE_EPOCH", _EARLIEST)
    return {
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "SOURCE_DATE_EPOCH": epoch,
        "PYTHONHASHSEED": "0",
        "PYTHONNOUSERSITE": "1",
        "PYTHONUTF8": "1",
        "PYTHONUNBUFFERED": "1",  # so that the log has a failing command's lines in order
    }


def _write_pkg_config(toolchain: Toolchain, folder: Path, sysroot: Path) -> None:
    gnu = toolchain.target.architecture.facts.gnu
    places = f"{sysroot}/usr/lib/{gnu}/pkgconfig:{sysroot}/usr/lib/pkgconfig:{sysroot}/usr/share/pkgconfig"
    tree = toolchain.interpreter.tree
    program = tree.root / "usr/bin/pkgconf"
    lines = (
        f"export PKG_CONFIG_LIBDIR={shlex.quote(places)} PKG_CONFIG_SYSROOT_DIR={shlex.quote(str(sysroot))}\n"
        "unset PKG_CONFIG_PATH PKG_CONFIG_SYSTEM_INCLUDE_PATH PKG_CONFIG_SYSTEM_LIBRARY_PATH\n"
    )
    # Without pkgconf in the tree, every package is "not found": the host's own pkg-config must not answer.
    command = f'exec {shlex.join(tree.argv(program))} "$@"' if program.exists() else "exit 1"
    for name in ("pkg-config", "pkgconf", f"{gnu}-pkg-config"):
        write_script(folder / "bin" / name, lines + command)


def _write_config_scripts(sysroot: Path, binaries: Path) -> None:
    """Put the sysroot's `geos-config` and the like on the path, with the paths that they print leading into it."""
    for script in sorted((sysroot / "usr/bin").glob("*-config")):
        path = binaries / script.name
        if path.exists() or not script.is_file():
            continue
        data = script.read_bytes()
        if data.startswith(b"#!"):
            first, newline, rest = data.decode("utf-8", "replace").partition("\n")
            path.write_text(first + newline + _SYSTEM_PATH.sub(f"{sysroot}/usr", rest), "utf-8")
            path.chmod(0o755)


# /usr by itself (prefix=/usr), or what libraries and headers have below it; not the programs that a script starts.
_SYSTEM_PATH = re.compile(r"(?<![\w./}-])/usr(?=/(?:include|lib|share)\b|[\s\"';]|$)", re.MULTILINE)


def _write_scripts(scripts: Path, binaries: Path, python: Path) -> None:
    """Put the requirements' programs (`cython`, `ninja`) on the path, run by the Python of this build."""
    if not scripts.is_dir():
        return
    for script in sorted(scripts.iterdir()):
        path = binaries / script.name
        if path.exists() or not script.is_file():
            continue
        first, _, rest = script.read_bytes().partition(b"\n")
        if first.startswith(b"#!") and b"python" in first:
            # A copy; to sh it's a call of Python with itself, to Python a text and then the script. Some programs
            # (meson) write down by what file they were called, to be called again.
            call = f"#!/bin/sh\n'''exec' {shlex.quote(str(python))} \"$0\" \"$@\"\n' '''\n"
            path.write_bytes(call.encode() + rest)
            path.chmod(0o755)
        else:
            path.symlink_to(script)


def bytecode_cache(root: Path, interpreter: BuildInterpreter) -> Path:
    """Where the build interpreter keeps its byte-code below the store's *root*; its tree is not to be written to."""
    path = root / "caches" / f"pyc-{interpreter.python}"
    path.mkdir(parents=True, exist_ok=True)
    return path


def run_python(folder: BuildFolder, *arguments: str, purpose: str) -> proc.Result:
    """Run the build's Python with *arguments*, as the back end would see it."""
    return proc.run([folder.python, *arguments], purpose=purpose, env=folder.environment, cwd=folder.root)
