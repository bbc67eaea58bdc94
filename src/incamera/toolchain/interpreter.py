"""The build interpreter: a Python of the target's minor version that runs on the host, from unpacked packages."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.targets.host import Host


@dataclass(frozen=True, slots=True)
class HostTree:
    """Unpacked Debian packages for the host, with their own loader and C library, which start their programs."""

    root: Path
    host: Host

    @property
    def libraries(self) -> Path:
        return self.root / "usr/lib" / self.host.gnu

    def argv(self, program: Path, *arguments: str, argv0: Path | None = None) -> list[str]:
        """Return the command line that runs *program*, a file of this tree, with *argv0* as its own name."""
        # --inhibit-cache: /etc/ld.so.cache has the host's libraries.
        loader = [str(self.libraries / self.host.loader), "--inhibit-cache", "--library-path", str(self.libraries)]
        return [*loader, "--argv0", str(argv0 or program), str(program), *arguments]

    def write_wrapper(self, path: Path, program: Path, *arguments: str, argv0: Path | None = None) -> Path:
        """Write the script *path*, which runs *program* with *arguments* and the script's own. Returns *path*."""
        write_script(path, f'exec {shlex.join(self.argv(program, *arguments, argv0=argv0))} "$@"')
        return path


@dataclass(frozen=True, slots=True)
class BuildInterpreter:
    """Python of the minor version `python` (`3.11`) in `tree`."""

    tree: HostTree
    python: str

    @property
    def program(self) -> Path:
        return self.tree.root / f"usr/bin/python{self.python}"

    def argv(self, *arguments: str, bytecode_cache: Path | None = None) -> list[str]:
        """Return the command line that starts it with *arguments*.

        It writes byte-code to *bytecode_cache*; without that, none.
        """
        return self.tree.argv(self.program, *_bytecode_options(bytecode_cache), *arguments)

    def write_environment(self, folder: Path, bytecode_cache: Path | None = None) -> Path:
        """Make *folder* a virtual environment of this interpreter, and return the path of its Python.

        (`venv` would make a link to the interpreter, which does not start without its own loader.)
        """
        binaries = folder / "bin"
        binaries.mkdir(parents=True, exist_ok=True)
        self.site_packages(folder).mkdir(parents=True, exist_ok=True)
        # Python searches this file near argv[0], and sets `sys.executable` to the wrapper, so that its child processes
        # start, too.
        (folder / "pyvenv.cfg").write_text(
            f"home = {self.program.parent}\ninclude-system-site-packages = false\nversion = {self.python}\n", "utf-8"
        )
        wrapper = binaries / f"python{self.python}"
        # Options, not variables, since child processes started with -E or -I must not write to the tree either.
        self.tree.write_wrapper(wrapper, self.program, *_bytecode_options(bytecode_cache), argv0=wrapper)
        for name in ("python", "python3"):
            (binaries / name).symlink_to(wrapper.name)
        return wrapper

    def site_packages(self, folder: Path) -> Path:
        """Return the site-packages of the virtual environment *folder*."""
        return folder / f"lib/python{self.python}/site-packages"


def _bytecode_options(cache: Path | None) -> list[str]:
    # The store knows the digests of the tree's files, so byte-code must not be written into it.
    return ["-B"] if cache is None else ["-X", f"pycache_prefix={cache}"]


def write_script(path: Path, command: str) -> None:
    """Write the executable shell script *path* that runs *command*."""
    path.write_text(f"#!/bin/sh\n{command}\n", "utf-8")
    path.chmod(0o755)
