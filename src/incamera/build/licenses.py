"""The license texts of all that is in a bundle, as its Debian packages and wheels bring them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.archives import clean_path, open_zip
from incamera.build.deb_trees import unpack_debs
from incamera.build.keys import MOST_KEPT
from incamera.build.runtime import collect_wheels
from incamera.debian.index import Deb

if TYPE_CHECKING:
    from incamera.context import Context, Step
    from incamera.project.locked import Lock
    from incamera.project.settings import Project

# Increase it when the texts of the same packages change.
_FORMAT = 1
_DOCUMENTATION = re.compile(r"usr/share/doc/([^/]+)(/copyright)?")
_IN_WHEEL = re.compile(r"[^/]+\.dist-info/(?:licenses/.+|(?:LICEN[CS]E|COPYING|NOTICE|AUTHORS)[^/]*)", re.IGNORECASE)
_MAX_TEXT_BYTES = 2_000_000


def ensure_licenses(context: Context, project: Project, lock: Lock, step: Step) -> Path:
    """Return a tree with the license texts of the packages in *lock*: `debian/NAME/copyright`, `python/NAME/…`.

    If the store does not have it, the packages are read again. Raises FetchError, BuildError.
    """
    inputs = [_FORMAT, sorted(deb.sha256 for deb in lock.debs), [item.name for item in lock.distributions], lock.digest]
    key = hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:32]

    def build(tree: Path) -> None:
        with step.phase("collecting licenses", "licenses collected"):
            _collect_debian(context, lock, tree)
            _collect_python(context, project, lock, tree)

    return context.store.ensure_tree("licenses", key, build, most=MOST_KEPT)[0]


def _collect_debian(context: Context, lock: Lock, tree: Path) -> None:
    def select(path: str) -> str | None:
        match = _DOCUMENTATION.fullmatch(path)
        # Without the file's name, it is a link to the documentation of a package from the same source.
        return f"debian/{match[1]}{match[2] or ''}" if match else None

    unpack_debs(context, [Deb(**asdict(deb)) for deb in lock.debs], tree, select)
    for path in sorted(tree.glob("debian/*")):
        if path.is_symlink() and not path.exists():
            path.unlink()


def _collect_python(context: Context, project: Project, lock: Lock, tree: Path) -> None:
    wheels = collect_wheels(context, project, lock)
    for name, wheel in sorted(wheels.items()):
        distribution = name.partition("-")[0]
        for path, text in _read_texts(wheel):
            place = tree / "python" / distribution / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(text)


def _read_texts(wheel: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the license files of *wheel*, and their paths below its metadata."""
    with wheel.open("rb") as stream, open_zip(stream) as archive:
        for info in archive.infos:
            if not _IN_WHEEL.fullmatch(info.filename) or info.filename.endswith("/"):
                continue
            if info.file_size <= _MAX_TEXT_BYTES:
                path = clean_path(info.filename).partition("/")[2].removeprefix("licenses/")
                yield path, b"".join(archive.chunks(info))
