"""Folders as values: what lies in a tree, listed, hashed and compared, wherever it stands.

Times, owners and the write bits are left out on purpose: two trees with equal entries are the same tree.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """A file (`sha256`, `size`, `executable`) or a symbolic link (`link`), by its path below the root, with `/`."""

    path: str
    sha256: str = ""
    size: int = 0
    executable: bool = False
    link: str = ""


def list_tree(root: Path, known: Mapping[str, Entry] | None = None) -> list[Entry]:
    """Return every file and link below *root*, in byte order of paths; *known* entries are believed, not hashed."""
    known = known or {}
    entries = []
    for folder, folders, files in os.walk(root):
        prefix = os.path.relpath(folder, root).replace(os.sep, "/") + "/"
        prefix = prefix.removeprefix("./")
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]  # noqa: PTH114, PTH118
        for name in files + links:
            path = prefix + name
            entries.append(known[path] if path in known else read_entry(root, path))
    return sorted(entries, key=lambda entry: entry.path.encode())


def read_entry(root: Path, path: str) -> Entry:
    full = root / path
    status = full.lstat()
    if stat.S_ISLNK(status.st_mode):
        return Entry(path, link=str(full.readlink()))
    with full.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Entry(path, digest, status.st_size, bool(status.st_mode & 0o100))


def tree_digest(entries: Iterable[Entry]) -> str:
    """Return the sha256 that a tree with these *entries* is known by."""
    digest = hashlib.sha256()
    for entry in sorted(entries, key=lambda entry: entry.path.encode()):
        kind = f"l {entry.link}" if entry.link else f"{'x' if entry.executable else 'f'} {entry.sha256}"
        digest.update(f"{entry.path}\0{kind}\n".encode())
    return digest.hexdigest()


def dump_entries(entries: Iterable[Entry]) -> str:
    """Return *entries* as JSON, a line each, to be read again by `parse_entries`."""
    rows = [[e.path, e.sha256, e.size, int(e.executable), e.link] for e in entries]
    return "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n"


def parse_entries(text: str) -> list[Entry]:
    """Raises ValueError when *text* is not what `dump_entries` writes."""
    rows = json.loads(text)
    try:
        return [Entry(str(p), str(d), int(s), bool(x), str(link)) for p, d, s, x, link in rows]
    except TypeError as error:
        raise ValueError(f"not a list of entries: {error}") from error
