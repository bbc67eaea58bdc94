"""The contents of a folder as values, to be listed, hashed and compared.

Times, owners and write permissions are left out on purpose: two trees with equal entries count as the same tree.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from incamera.digest import Sha256


class Entry(NamedTuple):
    """A file (*sha256*, *size* in bytes, *executable*) or a symbolic link (*link*: its target).

    *path* is relative to the root of the tree, with `/`.
    """

    path: str
    sha256: Sha256 | Literal[""] = ""
    size: int = 0
    executable: bool = False
    link: str = ""

    @property
    def raw_path(self) -> bytes:
        """The bytes of the path, by which entries are sorted: a name need not be UTF-8."""
        return self.path.encode("utf-8", "surrogateescape")


def list_tree(root: Path, known: Mapping[str, Entry] | None = None) -> list[Entry]:
    """Return all files and symbolic links below *root*, sorted by the bytes of their paths. Raises OSError.

    An entry in *known*, by its path, is taken as it is; the file is not read.
    """
    known = known or {}
    entries = []
    for folder, folders, files in os.walk(root):
        prefix = os.path.relpath(folder, root).replace(os.sep, "/") + "/"
        prefix = prefix.removeprefix("./")
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]  # noqa: PTH114, PTH118
        for name in files + links:
            path = prefix + name
            entries.append(known[path] if path in known else read_entry(root, path))
    return sorted(entries, key=lambda entry: entry.raw_path)


def read_entry(root: Path, path: str) -> Entry:
    """Return the entry for the file or link *path* below *root*. Raises OSError."""
    full = root / path
    status = full.lstat()
    if stat.S_ISLNK(status.st_mode):
        return Entry(path, link=str(full.readlink()))
    with full.open("rb") as stream:
        digest = Sha256.of_stream(stream)
    return Entry(path, digest, status.st_size, bool(status.st_mode & 0o100))


def tree_digest(entries: Iterable[Entry]) -> Sha256:
    """Return the sha256 of a tree with these *entries*, in whatever order they come."""
    digest = hashlib.sha256()
    lines = []
    for entry in entries:
        kind = f"l {entry.link}" if entry.link else f"{'x' if entry.executable else 'f'} {entry.sha256}"
        lines.append((entry.raw_path, f"\0{kind}\n".encode("utf-8", "surrogateescape")))
    for raw_path, line in sorted(lines):
        digest.update(raw_path + line)
    return Sha256(digest.hexdigest())


def dump_entries(entries: Iterable[Entry]) -> str:
    """Return *entries* as JSON, one a line; `parse_entries` reads it."""
    rows = [[e.path, e.sha256, e.size, int(e.executable), e.link] for e in entries]
    return "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n"


def parse_entries(text: str) -> list[Entry]:
    """Return the entries in *text*. Raises ValueError when `dump_entries` cannot have written it."""
    rows = json.loads(text)
    try:
        return [Entry(str(p), Sha256(d) if d else "", int(s), bool(x), str(link)) for p, d, s, x, link in rows]
    except TypeError as error:
        raise ValueError(f"not a list of entries: {error}") from error
