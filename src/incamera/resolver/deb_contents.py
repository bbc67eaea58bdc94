"""What a Debian package holds, from the metadata inside it: for packages whose names do not say it for certain."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from incamera.debian.fetch import fetch_debs
from incamera.debian.unpack import unpack_deb

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.debian.index import Deb
    from incamera.resolver.debian_names import DebianNames
    from incamera.resolver.solve import Resolved

_PACKAGES = "usr/lib/python3/dist-packages/"
_METADATA = re.compile(rf"{_PACKAGES}[^/]+\.(?:dist-info/METADATA|egg-info/PKG-INFO|egg-info)")
_MODULE = re.compile(rf"{_PACKAGES}(\w+)(?:/__init__\.py|\.py|(?:\.[\w-]+)?\.so)")


@dataclass(frozen=True, slots=True)
class DebContents:
    """The *distributions* (normalized names) and the top-level *modules* of a package."""

    distributions: frozenset[str]
    modules: frozenset[str]

    def holds(self, name: str) -> bool:
        """Return whether the distribution *name* may be in the package, or in one that it stands for.

        One without metadata is known by its module. python3-h5py has no files: it depends on the package that has them.
        """
        if self.distributions:
            return name in self.distributions
        return not self.modules or name in {canonicalize_name(module) for module in self.modules}


def read_contents(context: Context, deb: Deb) -> DebContents:
    """Return what *deb* holds; fetch it if the store does not have it. Raises FetchError, IntegrityError."""
    path = fetch_debs([deb], context.mirror, context.http, context.store)[deb]
    modules = set()

    def select(file: str) -> str | None:
        if match := _MODULE.fullmatch(file):
            modules.add(match[1])
        return file if _METADATA.fullmatch(file) else None

    with context.store.temporary() as folder:
        files = unpack_deb(path, folder, select)
        names = {name for file in files for name in _read_names(folder / file)}
    return DebContents(frozenset(names), frozenset(modules))


def _read_names(file: Path) -> Iterator[str]:
    if file.is_file() and not file.is_symlink():
        for line in file.read_text("utf-8", "replace").splitlines():
            if line.startswith("Name:"):
                yield canonicalize_name(line.removeprefix("Name:").strip())
            if not line.strip():
                return


def find_wrong_debs(context: Context, resolved: Sequence[Resolved], names: DebianNames) -> dict[str, str]:
    """Return why a package does not hold the distribution that it was taken for, by the distribution's name.

    A package that only other Debian packages ask for is the right one, whatever it holds.
    """
    wrong = {}
    for item in resolved:
        deb, name = item.candidate.deb, item.candidate.name
        if deb is None or names.is_certain(name, deb.package):
            continue
        if all(requirement.source == "deb" for requirement, _ in item.requirements):
            continue
        contents = read_contents(context, deb)
        if not contents.holds(name):
            found = sorted(contents.distributions or contents.modules)
            wrong[name] = f"{deb.package} holds {', '.join(found[:5])}, not {name}"
    return wrong
