"""A toolchain, and the folder in which one project is built with it."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera import proc
from incamera.toolchain.compiler import Gcc, Zig, write_commands
from incamera.toolchain.interpreter import BuildInterpreter, write_script
from incamera.toolchain.sysconfig import write_sysconfig

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from incamera.targets.target import Target

# zip archives, hence wheels, cannot hold an earlier time.
_EARLIEST = "315532800"


@dataclass(frozen=True, kw_only=True, slots=True)
class Toolchain:
    """All that a target's extension modules are built with. *sysroot*: unpacked .debs of the target, all below usr/."""

    target: Target
    interpreter: BuildInterpreter
    compiler: Gcc | Zig
    sysroot: Path
    bytecode_cache: Path | None = None


@dataclass(frozen=True, slots=True)
class BuildFolder:
    """A folder made ready by `prepare`: what to call Python, and the complete environment of all that runs in it."""

    root: Path
    python: Path
    environment: Mapping[str, str]

    @property
    def project(self) -> Path:
        return self.root / "project"

    @property
    def dropped(self) -> list[str]:
        """What the compilers' command lines had of this computer's, and was left out."""
        log = self.root / "dropped.log"
        return sorted(set(log.read_text("utf-8").splitlines())) if log.exists() else []


def prepare(toolchain: Toolchain, requirements: Path, folder: Path) -> BuildFolder:
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
    variables = write_sysconfig(target, sysroot, tools, site_packages)
    _write_pkg_config(toolchain, folder, sysroot)
    _write_scripts(requirements / "bin", folder / "bin", python)
    environment = {
        **build_variables(),
        "HOME": str(temporary),
        "TMPDIR": str(temporary),
        # Ours shadow the host's compilers. The rest of the host's programs (sh, make, git) can be called.
        "PATH": f"{folder / 'bin'}:/usr/bin:/bin",
        **variables,
        **toolchain.compiler.environment(),
    }
    return BuildFolder(folder, python, environment)


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


def _write_scripts(scripts: Path, binaries: Path, python: Path) -> None:
    """Put the requirements' programs (`cython`, `ninja`) on the path, run by the Python of this build."""
    if not scripts.is_dir():
        return
    for script in sorted(scripts.iterdir()):
        path = binaries / script.name
        if path.exists() or not script.is_file():
            continue
        with script.open("rb") as stream:
            is_python = stream.read(2) == b"#!" and b"python" in stream.readline()
        if is_python:
            write_script(path, f'exec {shlex.quote(str(python))} {shlex.quote(str(script))} "$@"')
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
