"""User-mode QEMU for cross builds that run small programs of the target, as meson and CMake may."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera.targets.architecture import Architecture
from incamera.targets.packages import DebSet
from incamera.toolchain.interpreter import HostTree, write_script

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.targets.host import Host
    from incamera.targets.target import Target

# The same for all targets, since its version makes no difference to them. In bookworm, it has a fifth of the size.
_SUITE = "bookworm"
_PROGRAMS = {Architecture.armv7hf: "qemu-arm", Architecture.aarch64: "qemu-aarch64"}

_SCRIPT = """\
# Scripts run on this computer: the build's Python is one.
IFS= read -r first < "$1" || :
case "$first" in '#!'*) exec "$@" ;; esac
exec {command} "$@"
"""


@dataclass(frozen=True, slots=True)
class Emulator:
    """QEMU (`tree`), and a tree of the target's loader, C and C++ libraries (`libraries`)."""

    tree: HostTree
    libraries: Path

    def folders(self) -> tuple[Path, ...]:
        """Return the folders that it reads."""
        return self.tree.root, self.libraries

    def write_wrapper(self, path: Path, target: Target, sysroot: Path) -> Path:
        """Write the script *path*, which runs a program of *target* with the libraries of *sysroot*. Returns *path*."""
        facts = target.architecture.facts
        folders = [root / "usr/lib" / facts.gnu for root in (self.libraries, sysroot)]
        command = self.tree.argv(
            self.tree.root / "usr/bin" / _PROGRAMS[target.architecture],
            *("-L", str(path.parent.parent / "emulated")),
            *("-E", "LD_LIBRARY_PATH=" + ":".join(map(str, folders))),
        )
        # A program's loader is /lib/…, but in the trees everything is below usr/.
        root = path.parent.parent / "emulated"
        root.mkdir()
        for folder in ("lib", "lib64"):
            (root / folder).symlink_to(self.libraries / "usr" / folder)
        write_script(path, _SCRIPT.format(command=shlex.join(command)))
        return path


def plan_emulator(target: Target, host: Host) -> tuple[DebSet, DebSet]:
    """Return the Debian packages of QEMU, and those of the libraries that the target's programs need."""
    without = frozenset({"gcc-12-base", "gcc-14-base"})
    emulator = DebSet(suite=_SUITE, architecture=host.debian, roots=("qemu-user",), leave_out=without)
    libraries = DebSet(
        suite=target.suite.name,
        architecture=target.architecture.facts.debian,
        roots=("libc6", "libstdc++6"),
        leave_out=without,
    )
    return emulator, libraries


def select_for_emulator(path: str) -> str | None:
    """Return *path*, or None for an emulator of a processor that no target has."""
    folder, _, name = path.rpartition("/")
    return None if folder == "usr/bin" and name not in _PROGRAMS.values() else path
