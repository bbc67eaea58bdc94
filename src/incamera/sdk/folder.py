"""Writes the folder that builds get: headers, import libraries and pkg-config files of the camera's libraries."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from incamera.sdk.headers import render_headers
from incamera.sdk.import_library import make_import_library
from incamera.sdk.tables import Library, load_libraries

if TYPE_CHECKING:
    from incamera.targets.architecture import Architecture

# Where it is in the sysroot of a build.
PLACE = "camera"
_EMPTY_ARCHIVE = b"!<arch>\n"


def write_sdk(folder: Path, architecture: Architecture) -> None:
    """Write `include`, `lib` and `pkgconfig` for *architecture* into *folder*."""
    for name in ("lib", "pkgconfig"):
        (folder / name).mkdir()
    for library in load_libraries().values():
        for name, text in render_headers(library).items():
            path = folder / "include" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        functions = {function.name: function.node for function in library.functions}
        data = make_import_library(library.soname, functions, library.nodes, architecture)
        (folder / f"lib/lib{library.link}.so").write_bytes(data)
        for archive in library.archives:
            (folder / "lib" / archive).write_bytes(_EMPTY_ARCHIVE)
        for name in library.pkg_config:
            (folder / f"pkgconfig/{name}.pc").write_text(_render_pkg_config(name, library), "utf-8")


def _render_pkg_config(name: str, library: Library) -> str:
    return (
        f"prefix=/{PLACE}\n"
        "includedir=${prefix}/include\n"
        "libdir=${prefix}/lib\n"
        "\n"
        f"Name: {name}\n"
        f"Description: {library.title}, a library of the camera\n"
        # The newest version whose functions are declared: programs ask for at least one.
        f"Version: {_VERSION}\n"
        + (f"Requires: {' '.join(library.requires)}\n" if library.requires else "")
        + "Cflags: -I${includedir}\n"
        f"Libs: -L${{libdir}} -l{library.link}\n"
    )


_VERSION = "12.11.0"
