"""Writes the compilers' commands into a build folder: `cc`, `c++`, `ar` and the like, each a small script."""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera import proc
from incamera.errors import BuildError
from incamera.toolchain import driver
from incamera.toolchain.interpreter import BuildInterpreter, HostTree, write_script
from incamera.toolchain.plan import gcc_version
from incamera.toolchain.vendor_sdk import SDK, change_command

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from incamera.targets.target import Target
    from incamera.toolchain.vendor_sdk import SdkFiles

# Programs that gcc starts. They would need the host's loader, so gcc gets scripts that start them through theirs.
_GCC_PARTS = ("cc1", "cc1plus", "collect2", "lto1", "lto-wrapper")
_BINUTILS = ("ar", "as", "ld", "ld.bfd", "nm", "objcopy", "objdump", "ranlib", "readelf", "strip")


@dataclass(frozen=True, slots=True)
class Gcc:
    """Debian's cross gcc, in a tree of unpacked packages."""

    tree: HostTree

    def for_build(self, folder: Path) -> Gcc:
        """Return the compiler for a build in *folder*."""
        return self

    def folders(self) -> tuple[Path, ...]:
        """Return the folders that the compiler reads."""
        return (self.tree.root,)

    def environment(self) -> dict[str, str]:
        """Return the environment variables that the compiler needs."""
        return {}

    def commands(self, target: Target, folder: Path) -> dict[str, list[str]]:
        """Write the scripts that gcc needs into *folder*, and return the command line of each tool.

        Raises BuildError when the tree has no gcc for *target*.
        """
        gnu, version = target.architecture.facts.gnu, gcc_version(target).version
        binaries = self.tree.root / "usr/bin"
        parts = next(self.tree.root.glob(f"usr/lib*/gcc*/{gnu}/{version}/cc1"), None)
        if parts is None:
            raise BuildError(
                f"{self.tree.root} has no gcc {version} for {gnu}", hint="`incamera store verify` removes damaged trees"
            )
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
        # A native compiler (on an arm64 host) searches its C++ headers in the sysroot, but they are in its own tree.
        headers = self.tree.root / "usr/include"
        if (headers / "c++" / version).is_dir():
            tools["c++"].append("-nostdinc++")
            for path in (f"c++/{version}", f"{gnu}/c++/{version}", f"c++/{version}/backward"):
                tools["c++"] += ["-isystem", str(headers / path)]
        return tools


@dataclass(frozen=True, slots=True)
class Zig:
    """zig from PyPI: one static program, which builds its C runtime when it is first needed and keeps it in `cache`."""

    tree: Path
    cache: Path

    def for_build(self, folder: Path) -> Zig:
        """Return the compiler for a build in *folder*, with a copy of the cache: builds may not change that of all."""
        copy = folder / "zig-cache"
        shutil.copytree(self.cache, copy, symlinks=True)
        return Zig(self.tree, copy)

    def folders(self) -> tuple[Path, ...]:
        """Return the folders that the compiler reads."""
        return (self.tree, self.cache)

    def fill_cache(self, target: Target, folder: Path) -> None:
        """Let zig build the C and C++ runtimes for *target*, which each build would build otherwise.

        *folder* is an empty one. Raises ToolFailed.
        """
        commands = self.commands(target, folder)
        for name, source in (("cc", "a.c"), ("c++", "a.cpp")):
            (folder / source).write_text("int main(void) { return 0; }\n", "utf-8")
            for kind in ("-shared", "-pie"):
                proc.run(
                    [*commands[name], kind, "-fPIC", "-O2", source, "-o", "a.out"],
                    purpose=f"build zig's C runtime for {target}",
                    env=proc.minimal_environment(**self.environment()),
                    cwd=folder,
                )

    def environment(self) -> dict[str, str]:
        """Return the environment variables that the compiler needs."""
        return {"ZIG_GLOBAL_CACHE_DIR": str(self.cache), "ZIG_LOCAL_CACHE_DIR": str(self.cache)}

    def commands(self, target: Target, folder: Path) -> dict[str, list[str]]:
        """Return the command line of each tool in the build *folder*."""
        facts = target.architecture.facts
        zig = str(self.tree / "ziglang/zig")
        usr = folder / "sysroot/usr"
        flags = [
            "-target",
            f"{facts.zig}.{target.suite.glibc}",
            f"-mcpu={facts.zig_cpu}",
            f"-L{folder / 'linker-scripts'}",
            # zig's own headers are searched before these, since they belong to the C library that it links with.
            "-idirafter",
            str(usr / "include"),
            "-idirafter",
            str(usr / "include" / facts.gnu),
            f"-L{usr / 'lib' / facts.gnu}",
            "-Wno-unused-command-line-argument",
            # Without this, zig makes undefined behaviour crash the program, which much C code is not written for.
            "-fno-sanitize=undefined",
            # zig's C runtime has debug sections with paths of this computer.
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
    headers: Sequence[Path] = (),
    sdk: SdkFiles | None = None,
) -> Mapping[str, Path]:
    """Write the tools' scripts to *folder*/bin, and return the path of each.

    *allowed*: the folders that the compiler may read, besides its own. *headers*: those of them that it searches last.
    *sdk*: the vendor's SDK, which is linked in *folder*.
    Raises BuildError when the compiler is missing.
    """
    gnu = target.architecture.facts.gnu
    commands = compiler.commands(target, folder)
    binaries, libexec = folder / "bin", folder / "libexec"
    libexec.mkdir()
    shutil.copyfile(driver.__file__, libexec / "incamera_driver.py")
    may_read = [str(path) for path in (*allowed, *compiler.folders())]
    places = (may_read, [str(path) for path in headers], str(folder / "dropped.log"))
    write_linker_scripts(folder / "sysroot", target, folder / "linker-scripts")
    written = {}
    if sdk is not None:
        own, is_gcc = target.architecture.facts.cflags, isinstance(compiler, Gcc)
        for name in ("cc", "c++"):
            commands[name] = change_command(commands[name], sdk, folder / "sysroot" / SDK, own, gcc=is_gcc)
    commands |= {"cpp": commands["cc"]}
    for name, command in commands.items():
        path = binaries / name
        if name in ("cc", "c++", "cpp"):
            main = "preprocess" if name == "cpp" else "main"
            words = [*command, f"-ffile-prefix-map={folder}=/incamera"]
            program = libexec / f"{name}.py"
            program.write_text(
                f"import sys\nsys.path.insert(0, {str(libexec)!r})\nimport incamera_driver\n"
                f"sys.exit(incamera_driver.{main}({words!r}, {places!r}, sys.argv[1:]))\n",
                "utf-8",
            )
            # -S -I: without site-packages and environment variables, Python starts within 10 ms. The byte-code is
            # kept in the build's own folder, since the build may not write to the cache of all.
            arguments = interpreter.argv("-S", "-I", str(program), bytecode_cache=folder / "bytecode")
            write_script(path, f'exec {shlex.join(arguments)} "$@"')
        else:
            write_script(path, f'exec {shlex.join(command)} "$@"')
        written[name] = path
        for alias in _ALIASES.get(name, (name,)):
            for prefix in ("", f"{gnu}-"):
                if not (link := binaries / f"{prefix}{alias}").exists():
                    link.symlink_to(path.name)
    return written


# Back ends that start a compiler by one of these names get the cross compiler, not the host's.
_ALIASES = {"cc": ("cc", "gcc", "clang"), "c++": ("c++", "g++", "clang++"), "cpp": ("cpp",)}


def write_linker_scripts(sysroot: Path, target: Target, folder: Path) -> None:
    """Write copies of the target's linker scripts, with the sysroot's paths, to *folder*, which is searched first.

    `libc.so`, for example, is a text with the path /lib/…/libc.so.6. The linker would search that in the sysroot only
    if the real path of the script was in the sysroot, and if the sysroot had a /lib.
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
    # An empty libpython for builds that link it: a module uses the Python of the program that loads it.
    (folder / f"libpython{target.python}.a").write_bytes(b"!<arch>\n")


_LINKER_SCRIPT_BYTES = 4096
_ABSOLUTE = re.compile(r"(?<![\w./])/(?:usr/)?lib/")
