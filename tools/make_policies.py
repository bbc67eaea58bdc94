"""Writes the data of the audit: the libraries of each profile's virtual camera, and of each target's bare runtime.

    python tools/make_policies.py [PROFILE | TARGET | glib-2.74 ...]        (default: all)

`glib-2.74` are the libraries of the GLib that AXIS OS 11.11 has, from the Debian suite with the same version.

Run it (`make policies`) when a profile, a suite or the runtime changes.
tests/integration/commands/test_audit.py compares the data with the cameras and the runtimes.
"""

from __future__ import annotations

import json
import lzma
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from incamera.abi.policy import load_exports
from incamera.build.deb_trees import ensure_deb_tree
from incamera.connect.choose import virtual_device
from incamera.connect.connection import connected
from incamera.console import Console
from incamera.context import Context
from incamera.device.libraries import describe_library, read_page_size
from incamera.elf import dump_exports, is_elf, pack_exports
from incamera.project.loading import load_project
from incamera.resolver.suites import runtime_data
from incamera.targets.architecture import Architecture
from incamera.targets.packages import DebSet
from incamera.targets.profile import Profile, load_profiles
from incamera.targets.suite import load_suites
from incamera.targets.target import Target
from incamera.virtual.camera import stop_camera
from incamera.virtual.stand_ins import stand_ins
from incamera.virtual.start import start_virtual
from incamera.workflows.build import build_bundle

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera

GLIB = "glib-2.74"
# Those of the packages that `resolver/data/runtime.toml` lists under `binary`.
WHEEL_LIBRARIES = frozenset({"libstdc++.so.6", "libgcc_s.so.1", "libatomic.so.1", "libz.so.1"})
DATA = Path(__file__).parents[1] / "src" / "incamera" / "abi" / "data"


def main(names: list[str]) -> None:
    context = Context.open(Console())
    for name, profile in load_profiles().items():
        # The later ones have the libraries of the newest that root can enter.
        if profile.has_root_login and (not names or name in names):
            with running(context, profile) as camera:
                write(DATA / "policies" / name, *describe_camera(context, camera))
    for target in targets():
        if not names or str(target) in names:
            write(DATA / "runtimes" / str(target), *describe_runtime(context, target))
    for architecture in Architecture:
        if not names or GLIB in names:
            write(DATA / "policies" / f"{GLIB}-{architecture}", *describe_glib(context, architecture))


def targets() -> Iterator[Target]:
    pythons = [suite.python for suite in load_suites().values() if suite.python]
    return (Target(architecture, python) for architecture in Architecture for python in pythons)


@contextmanager
def running(context: Context, profile: Profile) -> Iterator[VirtualCamera]:
    """Start a virtual camera of *profile*, and stop it when the block ends."""
    camera = start_virtual(context, profile, name=f"policy-{profile.name}")
    try:
        yield camera
    finally:
        stop_camera(context.store, camera.name)


def describe_camera(context: Context, camera: VirtualCamera) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Return the document and the symbols of a virtual camera's libraries, which `write` takes."""
    with connected(context, virtual_device(camera)) as connection:
        session, facts = connection.session, connection.facts
        page_size = read_page_size(session)
        data = session.get_all([library.path for library in facts.libraries], limit=1 << 30, timeout=300)
    rows = []
    symbols = {}
    profile = load_profiles()[camera.profile]
    # Of the camera's own libraries, abi/data/camera_api.toml says what sources say.
    imitated = {path.name for path in stand_ins(profile.architecture, profile.version)}
    for library in facts.libraries:
        row = None if library.soname in imitated else describe_library(data[library.path])
        if row is not None:
            symbols[library.real_name] = row.pop("exports")
            rows.append({"name": library.soname, "path": library.path, "real_name": library.real_name} | row)
    document = {
        "source": f"the virtual camera {camera.profile}",
        "loader": facts.loader,
        "folders": list(facts.library_folders),
        "page_size": page_size,
        "libraries": rows,
    }
    return document, symbols


def describe_runtime(context: Context, target: Target) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Return the document and the symbols of the libraries in a bundle without packages, which `write` takes."""
    with TemporaryDirectory() as folder:
        Path(folder, "pyproject.toml").write_text(
            '[project]\nname = "bare"\nversion = "1"\ndependencies = []\n\n[tool.incamera]\nentry = "app.py"\n'
        )
        Path(folder, "app.py").write_text("")
        bundle = build_bundle(context, load_project(Path(folder)), target)
    names = bundle.library_names()
    program = f"libexec/python{target.python}"
    found = {program: bundle.path / program} | {
        f"lib/{path.name}": path for path in sorted((bundle.path / "lib").iterdir()) if path.is_file() and is_elf(path)
    }
    symbols = {}
    rows = []
    for path, file in found.items():
        row = describe_library(file.read_bytes())
        if row is not None:
            real_name = names.get(file.name, file.name)
            symbols[real_name] = row.pop("exports")
            rows.append({"name": file.name, "path": path, "real_name": real_name} | row)
    more, more_symbols = describe_wheel_libraries(context, target, known={row["name"] for row in rows})
    document = {
        "source": f"a bundle for {target} without any packages",
        "program": rows[0],
        "wheel_libraries": more,
        "libraries": rows[1:],
    }
    return document, symbols | more_symbols


def describe_wheel_libraries(
    context: Context, target: Target, known: Collection[str]
) -> tuple[list[dict[str, Any]], dict[str, list[str]]]:
    """Return the rows and the symbols of the libraries besides *known* that binary wheels bring into a bundle."""
    facts = target.architecture.facts
    debs = DebSet(suite=target.suite.name, architecture=facts.debian, roots=tuple(runtime_data()["binary"]))
    tree = ensure_deb_tree(context, "audit-wheel-libraries", debs)
    rows = []
    symbols = {}
    for path in sorted((tree / "usr/lib" / facts.gnu).glob("lib*.so.*")):
        row = describe_library(path.read_bytes()) if path.is_symlink() else None
        if row is not None and row["soname"] == path.name and path.name not in known and path.name in WHEEL_LIBRARIES:
            real_name = path.resolve().name
            symbols[real_name] = row.pop("exports")
            rows.append({"name": path.name, "path": f"lib/{path.name}", "real_name": real_name} | row)
    return rows, symbols


def describe_glib(context: Context, architecture: Architecture) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Return the document and the symbols of bookworm's GLib, which `write` takes."""
    facts = architecture.facts
    debs = DebSet(suite="bookworm", architecture=facts.debian, roots=("libglib2.0-0",))
    tree = ensure_deb_tree(context, f"audit-{GLIB}", debs)
    rows = []
    symbols = {}
    for path in sorted((tree / "usr/lib" / facts.gnu).glob("libg*-2.0.so.0")):
        real_name = path.resolve().name
        row = describe_library(path.read_bytes())
        if row is not None:
            symbols[real_name] = row.pop("exports")
            rows.append({"name": path.name, "path": f"/usr/lib/{path.name}", "real_name": real_name} | row)
    return {"source": f"libglib2.0-0 of Debian {debs.suite}", "libraries": rows}, symbols


def write(path: Path, document: Mapping[str, Any], symbols: Mapping[str, list[str]]) -> None:
    """Write `path.json` and `path.symbols`."""
    path.parent.mkdir(exist_ok=True)
    _beside(path, ".json").write_text(dump(document), "utf-8")
    _beside(path, ".symbols").write_bytes(pack_symbols(symbols))


def pack_symbols(symbols: Mapping[str, list[str]]) -> bytes:
    """Return the content of `.symbols`: a line of JSON, the size of each file's part, and then the parts.

    Each is compressed by itself, since an audit needs the symbols of few libraries.
    """
    parts = {
        name: lzma.compress(pack_exports(lines).encode(), preset=9 | lzma.PRESET_EXTREME)
        for name, lines in symbols.items()
    }
    sizes = {name: len(part) for name, part in parts.items()}
    return json.dumps(sizes).encode() + b"\n" + b"".join(parts.values())


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def dump_symbols(symbols: Mapping[str, list[str]]) -> str:
    """Return the symbols as text: a line `=NAME` for each file, and then the lines of its exports."""
    return "\n".join(["", *(line for name, lines in symbols.items() for line in (f"={name}", *lines))])


def load_symbols(path: Path) -> str:
    """Return the text of `dump_symbols` for the symbols that `write` wrote for *path*."""
    exports = load_exports(path.relative_to(DATA).as_posix())
    return dump_symbols({name: dump_exports(found) for name, found in exports.items()})


def dump(document: Mapping[str, Any]) -> str:
    """Return *document* as JSON with a line for each library, so that a diff can be read."""
    lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in document.items() if key != "libraries"]
    rows = ",\n".join(f"  {json.dumps(row)}" for row in document["libraries"])
    return "{\n" + ",\n".join([*lines, f' "libraries": [\n{rows}\n ]']) + "\n}\n"


if __name__ == "__main__":
    main(sys.argv[1:])
