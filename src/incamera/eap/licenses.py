"""The license texts in a package: LICENSE for the app, and a folder with those of all else that is inside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.eap.contents import written

if TYPE_CHECKING:
    from incamera.eap.tar import Member
    from incamera.tree import Entry

FOLDER = "licenses"
_DATA = resources.files("incamera.eap") / "data" / "licenses"
# The names that copyright files refer to, in a folder that a package does not have.
_COMMON = re.compile(rb"/usr/share/common-licenses/([A-Za-z0-9.-]*[A-Za-z0-9])")
_NEWEST = {"GFDL": "GFDL-1.3", "GPL": "GPL-3", "LGPL": "LGPL-3"}
_OWN = ("incamera", "musl")


def dump_license(name: str, license: str, texts: list[bytes]) -> bytes:
    """Return the file LICENSE: the *texts* of the project, or a line with its *license*; then where the others are."""
    own = texts or [f"{name}: {license or 'its authors have named no license'}\n".encode()]
    more = f"\nThe folder {FOLDER} has the licenses of Python and of the packages that come with {name}.\n"
    return b"\n".join([*own, more.encode()])


def license_members(folder: Path, entries: list[Entry]) -> Iterator[Member]:
    """Yield the members for the license texts in *folder*, for those that they refer to, and for incamera's own."""
    named: set[str] = set()
    for entry in entries:
        # A link leads to the folder of another package that was made of the same source.
        path = f"{entry.path}/copyright" if entry.link else entry.path
        text = (folder / path).read_bytes()
        named.update(match[1].decode() for match in _COMMON.finditer(text))
        yield written(f"{FOLDER}/{path}", text)
    for name in sorted({_NEWEST.get(name, name) for name in named}):
        text_file = _DATA / "common" / name
        if text_file.is_file():
            yield written(f"{FOLDER}/common/{name}", text_file.read_bytes())
    for name in _OWN:
        yield written(f"{FOLDER}/{name}/LICENSE", (_DATA / f"{name}.txt").read_bytes())
