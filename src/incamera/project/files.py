"""Which files of a project belong to its app, and a digest of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from incamera.errors import ConfigError

# Files and folders that tools make. Those that begin with a dot are left out, too.
_LEFT_OUT = frozenset({"__pycache__", "build", "dist", "node_modules", "venv", "env", "htmlcov"})
UNREADABLE_HINT = "make it readable, remove it, or move it into a folder whose name begins with a dot"
_LEFT_OUT_ENDINGS = (".pyc", ".pyo", ".egg-info", ".eap", "~")


def project_files(folder: Path) -> list[str]:
    """Return the paths of the app's files below *folder*: relative to it, with `/`, sorted."""
    return sorted(_walk(folder))


def _walk(folder: Path) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not is_left_out(name)]
        relative = Path(parent).relative_to(folder)
        for name in files:
            if not is_left_out(name) and not name.startswith("pylock."):
                yield (relative / name).as_posix()


def is_left_out(name: str) -> bool:
    """Whether files and folders called *name* never belong to the app."""
    return name.startswith(".") or name in _LEFT_OUT or name.endswith(_LEFT_OUT_ENDINGS)


def is_reachable(folder: Path, path: str) -> bool:
    """Whether the app may have the file *path* of *folder*: its name allows that, and no link leads there."""
    parts = Path(path).parts
    links = (folder.joinpath(*parts[:number]).is_symlink() for number in range(1, len(parts)))
    return not any(map(is_left_out, parts)) and not any(links)


def metadata_digest(folder: Path) -> str:
    """Return a digest of the files from which build back ends take a project's dependencies.

    They are known by their names, because a digest of all files would change with every edit.
    """
    patterns = ("pyproject.toml", "setup.py", "setup.cfg", "hatch_build.py", "*requirements*.txt", "requirements/*.txt")
    paths = {path.relative_to(folder).as_posix() for pattern in patterns for path in folder.glob(pattern)}
    return files_digest(folder, sorted(paths))


def files_digest(folder: Path, paths: Iterable[str]) -> str:
    """Return the sha256 of the names, modes and contents of *paths* below *folder*.

    Raises ConfigError for a file that cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        try:
            with (folder / path).open("rb") as stream:
                executable = os.fstat(stream.fileno()).st_mode & 0o100
                content = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise ConfigError(
                f"cannot read {folder / path}, which belongs to the app: {error.strerror}",
                hint=UNREADABLE_HINT,
            ) from error
        digest.update(f"{path}\0{bool(executable)}\0{content}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
