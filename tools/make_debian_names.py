"""Writes which Debian package holds which Python distribution, for each suite with a Python.

    python tools/make_debian_names.py

Debian's dh-python has the list (`cpython3_fallback`), made from the metadata inside all packages of the archive. Run
this (`make debian-names`) when a suite is added, or has a new dh-python.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.utils import canonicalize_name

from incamera.build.deb_trees import load_index, unpack_debs
from incamera.console import Console
from incamera.context import Context
from incamera.project.import_names import distribution_of
from incamera.targets.suite import load_suites

DATA = Path(__file__).parents[1] / "src" / "incamera" / "resolver" / "data" / "debian_names"
LIST = "usr/share/dh-python/dist/cpython3_fallback"


def main() -> None:
    context = Context.open(Console())
    for suite in load_suites().values():
        if suite.python is None:
            continue
        deb = load_index(context, suite, "armhf").find("dh-python")[0]
        with TemporaryDirectory() as folder:
            unpack_debs(context, [deb], Path(folder), lambda path: path if path == LIST else None)
            text = (Path(folder) / LIST).read_text("utf-8")
        header = f"# Written by tools/make_debian_names.py from {deb} of {suite.name}.\n"
        (DATA / f"{suite.name}.txt").write_text(header + convert(text), "utf-8")


def convert(text: str) -> str:
    """Return one line for each distribution: its normalized name, and its package unless that is python3-NAME.

    A module that the list has besides the distribution it belongs to (PIL) is left out.
    """
    found = {(canonicalize_name(words[0]), words[1]) for line in text.splitlines() if len(words := line.split()) == 2}
    lines = {
        name if package == f"python3-{name}" else f"{name} {package}"
        for name, package in found
        if (distribution_of(name), package) not in found
    }
    return "".join(f"{line}\n" for line in sorted(lines))


if __name__ == "__main__":
    main()
