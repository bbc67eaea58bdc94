"""Private root folders, in which builds run: foreign code that must not see or change anything of this computer.

A program of its own makes them (`data/enter.py`), with Linux namespaces, for cross builds and for emulated ones.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from incamera import proc
from incamera.disk import remove_tree
from incamera.errors import ToolFailed

_ENTER = Path(__file__).with_name("data") / "enter.py"
_DEVICES = ("null", "zero", "full", "random", "urandom")
# What programs of this computer need, which a cross build may call (host_programs.py).
_SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"),
    *("/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One command in the private root folder `root`, which `make_root` has made.

    `read_only` and `writable`: folders of this computer by their path in there. `environment`: all its variables.
    `refusals`: see `network.py`. `more`: what only an emulated build needs.
    """

    root: Path
    cwd: str
    environment: Mapping[str, str]
    read_only: Mapping[str, Path]
    writable: Mapping[str, Path]
    refusals: Path | None = None
    more: Mapping[str, object] = field(default_factory=dict)

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command line that runs *argv* in there."""
        rows = [[str(path), inside, False] for inside, path in self.read_only.items()]
        rows += [[str(path), inside, True] for inside, path in self.writable.items()]
        rows += [[f"/dev/{name}", f"/dev/{name}", True] for name in _DEVICES]
        spec = {
            "root": str(self.root),
            "binds": rows,
            "namespaces": True,
            "strict": True,
            "binfmt": None,
            "proot": None,
            "refusals": None if self.refusals is None else str(self.refusals),
            "cwd": self.cwd,
            "environment": dict(self.environment),
            **self.more,
        }
        path = self.root.with_name(f"{self.root.name}.json")
        path.write_text(json.dumps(spec, indent=1), "utf-8")
        return [sys.executable, "-I", "-S", str(_ENTER), str(path), *argv]


def make_root(root: Path) -> None:
    """Make the folder *root* one that can be entered: with places for devices, /proc and /tmp, and one user."""
    for name in ("proc", "tmp", "dev/shm", "etc"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "etc/passwd").write_text(f"builder:x:{os.getuid()}:{os.getgid()}::/tmp:/bin/sh\n", "utf-8")
    (root / "etc/group").write_text(f"builder:x:{os.getgid()}:\n", "utf-8")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n", "utf-8")


def make_private_folders(scratch: Path) -> dict[str, Path]:
    """Return the folders for /tmp and /dev/shm, made anew in *scratch*: an earlier command could have left links."""
    folders = {"/tmp": scratch / "tmp", "/dev/shm": scratch / "shm"}
    for path in folders.values():
        if path.exists():
            remove_tree(path)
        path.mkdir()
    return folders


def system_folders(root: Path) -> dict[str, Path]:
    """Return the folders with this computer's programs, and make those links in *root* that some of them are."""
    found = {}
    for name in map(Path, _SYSTEM):
        inside = root / name.relative_to("/")
        if name.is_symlink():
            if not inside.is_symlink():
                inside.symlink_to(name.readlink())
        elif name.exists():
            found[str(name)] = name
    return found


@cache
def find_isolation_fault() -> str | None:
    """Return why this computer does not let us isolate builds; None where it does."""
    with tempfile.TemporaryDirectory(prefix="incamera-") as folder:
        root = Path(folder) / "root"
        make_root(root)
        entry = Entry(root=root, cwd="/", environment={}, read_only=system_folders(root), writable={})
        try:
            proc.run(entry.command(()), purpose="isolate builds", env={}, timeout=30)
        except ToolFailed as failure:
            return failure.tail.rpartition("folder: ")[2] or str(failure)
    return None
