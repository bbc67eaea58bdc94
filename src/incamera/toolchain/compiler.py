"""The compilers' commands in a build folder: `cc`, `c++`, `ar` and their kin, each a small script."""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera.errors import BuildError
from incamera.toolchain import driver
from incamera.toolchain.interpreter import BuildInterpreter, HostTree, write_script
from incamera.toolchain.plan import gcc_version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from incamera.targets.target import Target

# Programs that gcc starts by itself. They'd ask for the host's loader, so it is given scripts instead.
_GCC_PARTS = ("cc1", "cc1plus", "collect2", "lto1", "lto-wrapper")
_BINUTILS = ("ar", "as", "ld", "ld.bfd", "nm", "objcopy", "objdump", "ranlib", "readelf", "strip")


@dataclass(frozen=True, slots=True)
class Gcc:
    """Debian's cross gcc, out of a tree of .debs."""

    tree: HostTree

    def folders(self) -> tuple[Path, ...]:
        return (self.tree.root,)

    def environment(self) -> dict[str, str]:
        return {}

    def commands(self, target: Target, folder: Path) -> dict[str, list[str]]:
        """Write what gcc needs into *folder*, and return the command line of each tool."""
        gnu, version = target.architecture.facts.gnu, gcc_version(target).version
        binaries = self.tree.root / "usr/bin"
        parts = next(self.tree.root.glob(f"usr/lib*/gcc*/{gnu}/{version}/cc1"), None)
        if parts is None:
            raise BuildError(f"{self.tree.root} holds no gcc {version} for {gnu}")
        libexec = folder / "gcc"
        libexec.mkdir()
        for name in _GCC_PARTS:
            if (parts.parent / name).exists():
                self.tree.write_wrapper(libexec / name, parts.parent / name)
        tools = {}
        for name in _BINUTILS:
            program = binaries / f"{gnu}-{name}"
            if program.exists():
                self.tree.write_wrapper(libexec / name, program)
                tools[name] = [str(libexec / name)]
        for command, name in (("cc", "gcc"), ("c++", "g++")):
            program = binaries / f"{gnu}-{name}-{version}"
            tools[command] = [
                *self.tree.argv(program),
                f"--sysroot={folder / 'sysroot'}",
                f"-B{libexec}/",
                f"-L{folder / 'linker-scripts'}",
                *target.architecture.facts.cflags,
            ]
        # A native compiler (on an arm64 host) looks for its C++ headers in the sysroot; they are in its own tree.
        headers = self.tree.root / "usr/include"
        if (headers / "c++" / version).is_dir():
            tools["c++"].append("-nostdinc++")
            for place in (f"c++/{version}", f"{gnu}/c++/{version}", f"c++/{version}/backward"):
                tools["c++"] += ["-isystem", str(headers / place)]
        return tools


@dataclass(frozen=True, slots=True)
class Zig:
    """zig from PyPI: one static program, which makes its C run time when first needed and keeps it in *cache*."""

    tree: Path
    cache: Path

    def folders(self) -> tuple[Path, ...]:
        return (self.tree, self.cache)

    def environment(self) -> dict[str, str]:
        return {"ZIG_GLOBAL_CACHE_DIR": str(self.cache), "ZIG_LOCAL_CACHE_DIR": str(self.cache)}

    def commands(self, target: Target, folder: Path) -> dict[str, list[str]]:
        facts = target.architecture.facts
        zig = str(self.tree / "ziglang/zig")
        usr = folder / "sysroot/usr"
        flags = [
            "-target",
            f"{facts.zig}.{target.suite.glibc}",
            f"-mcpu={facts.zig_cpu}",
            f"-L{folder / 'linker-scripts'}",
            # zig's own headers go first: they are of the C library that it links with.
            "-idirafter",
            str(usr / "include"),
            "-idirafter",
            str(usr / "include" / facts.gnu),
            f"-L{usr / 'lib' / facts.gnu}",
            "-Wno-unused-command-line-argument",
            # Without it zig lets undefined behaviour trap, in C code that was never written for that.
            "-fno-sanitize=undefined",
            # The C run time that zig makes has debug sections, with its own paths in them.
            "-g0",
            "-s",
        ]
        return {
            "cc": [zig, "cc", *flags],
            "c++": [zig, "c++", *flags],
            "ar": [zig, "ar"],
            "ranlib": [zig, "ranlib"],
            "objcopy": [zig, "objcopy"],
        }


def write_commands(
    compiler: Gcc | Zig,
    interpreter: BuildInterpreter,
    target: Target,
    folder: Path,
    *,
    allowed: Sequence[Path],
    bytecode_cache: Path,
) -> Mapping[str, Path]:
    """Write the tools' scripts to *folder*/bin, and return the path of each. *allowed*: what compiling may read."""
    gnu = target.architecture.facts.gnu
    commands = compiler.commands(target, folder)
    binaries, libexec = folder / "bin", folder / "libexec"
    libexec.mkdir()
    shutil.copyfile(driver.__file__, libexec / "incamera_driver.py")
    may_read = [str(path) for path in (*allowed, *compiler.folders())]
    write_linker_scripts(folder / "sysroot", target, folder / "linker-scripts")
    written = {}
    for name, command in commands.items():
        path = binaries / name
        if name in ("cc", "c++"):
            words = [*command, f"-ffile-prefix-map={folder}=/incamera"]
            program = libexec / f"{name}.py"
            log = str(folder / "dropped.log")
            program.write_text(
                f"import sys\nsys.path.insert(0, {str(libexec)!r})\nimport incamera_driver\n"
                f"sys.exit(incamera_driver.main({words!r}, {may_read!r}, {log!r}, sys.argv[1:]))\n",
                "utf-8",
            )
            # -S -I: no site packages, no variables; it starts within 10 ms.
            arguments = interpreter.argv("-S", "-I", str(program), bytecode_cache=bytecode_cache)
            write_script(path, f'exec {shlex.join(arguments)} "$@"')
        else:
            write_script(path, f'exec {shlex.join(command)} "$@"')
        written[name] = path
        for alias in _ALIASES.get(name, (name,)):
            for prefix in ("", f"{gnu}-"):
                if not (link := binaries / f"{prefix}{alias}").exists():
                    link.symlink_to(path.name)
    return written


# Back ends that ask for a compiler by one of these names get ours, not the host's.
_ALIASES = {"cc": ("cc", "gcc", "clang"), "c++": ("c++", "g++", "clang++")}


def write_linker_scripts(sysroot: Path, target: Target, folder: Path) -> None:
    """Write the target's linker scripts to *folder*, to be searched first, with paths into *sysroot*.

    `libc.so` is a text that names /lib/…/libc.so.6. The linker would look for that in the sysroot only if the script
    itself lay there by its real path, and if the sysroot had a /lib.
    """
    folder.mkdir()
    usr = sysroot / "usr"
    for library in sorted((usr / "lib" / target.architecture.facts.gnu).glob("lib*.so")):
        if library.is_symlink() or library.stat().st_size > _LINKER_SCRIPT_BYTES:
            continue
        data = library.read_bytes()
        if b"\0" not in data:
            text = _ABSOLUTE.sub(rf"{usr}/lib/", data.decode("utf-8", "replace"))
            (folder / library.name).write_text(text, "utf-8")
    # Found before any other by what insists on linking libpython: a module takes that from the program that loads it.
    (folder / f"libpython{target.python}.a").write_bytes(b"!<arch>\n")


_LINKER_SCRIPT_BYTES = 4096
_ABSOLUTE = re.compile(r"(?<![\w./])/(?:usr/)?lib/")
