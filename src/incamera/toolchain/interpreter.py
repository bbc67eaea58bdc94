"""The build interpreter: a Python of the target's minor version that runs on the host, out of a tree of .debs."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.targets.host import Host


@dataclass(frozen=True, slots=True)
class HostTree:
    """Unpacked .debs for the host. Programs start through its own loader: the host's C library doesn't matter."""

    root: Path
    host: Host

    @property
    def libraries(self) -> Path:
        return self.root / "usr/lib" / self.host.gnu

    def argv(self, program: Path, *arguments: str, argv0: Path | None = None) -> list[str]:
        """Return the command line that runs *program*, a file of this tree, which believes to be called *argv0*."""
        # --inhibit-cache: /etc/ld.so.cache names the host's libraries.
        loader = [str(self.libraries / self.host.loader), "--inhibit-cache", "--library-path", str(self.libraries)]
        return [*loader, "--argv0", str(argv0 or program), str(program), *arguments]

    def write_wrapper(self, path: Path, program: Path, *arguments: str, argv0: Path | None = None) -> Path:
        """Write a script *path* that runs *program* with *arguments* before its own."""
        write_script(path, f'exec {shlex.join(self.argv(program, *arguments, argv0=argv0))} "$@"')
        return path


@dataclass(frozen=True, slots=True)
class BuildInterpreter:
    tree: HostTree
    python: str

    @property
    def program(self) -> Path:
        return self.tree.root / f"usr/bin/python{self.python}"

    def argv(self, *arguments: str, bytecode_cache: Path | None = None) -> list[str]:
        """Return the command line that starts it with *arguments*; byte-code goes to *bytecode_cache*, or nowhere."""
        return self.tree.argv(self.program, *_bytecode_options(bytecode_cache), *arguments)

    def write_environment(self, folder: Path, bytecode_cache: Path | None = None) -> Path:
        """Make *folder* a virtual environment of this interpreter, and return the Python to call in it.

        It's made by hand since `venv` would link to a program that only starts where the host has the same C library.
        """
        binaries = folder / "bin"
        binaries.mkdir(parents=True, exist_ok=True)
        self.site_packages(folder).mkdir(parents=True, exist_ok=True)
        # Python looks for this file beside what it's called by, so `sys.executable` is the wrapper: children start too.
        (folder / "pyvenv.cfg").write_text(
            f"home = {self.program.parent}\ninclude-system-site-packages = false\nversion = {self.python}\n", "utf-8"
        )
        wrapper = binaries / f"python{self.python}"
        # As options, not as variables: children started with -E or -I must not write to the tree either.
        self.tree.write_wrapper(wrapper, self.program, *_bytecode_options(bytecode_cache), argv0=wrapper)
        for name in ("python", "python3"):
            (binaries / name).symlink_to(wrapper.name)
        return wrapper

    def site_packages(self, folder: Path) -> Path:
        return folder / f"lib/python{self.python}/site-packages"


def _bytecode_options(cache: Path | None) -> list[str]:
    # The tree is content-addressed: byte-code written into it would be a fault to `store verify`.
    return ["-B"] if cache is None else ["-X", f"pycache_prefix={cache}"]


def write_script(path: Path, command: str) -> None:
    path.write_text(f"#!/bin/sh\n{command}\n", "utf-8")
    path.chmod(0o755)
