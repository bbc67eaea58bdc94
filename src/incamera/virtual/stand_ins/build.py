"""Build the stand-ins of the camera's libraries and the service behind them, for every architecture.

The bytes are the same wherever it is done.

    python -m incamera.virtual.stand_ins.build [--output FOLDER] [--zig PATH] [--cache FOLDER] [ARCHITECTURE ...]

Needs zig ZIG_VERSION (`pip install ziglang==0.17.1`), and no headers of GLib. Without --output, the libraries beside
this file are replaced.

Each function has the symbol version that programs ask for. One whose version no source tells has all of them: a program
that asks for one that is not there would not start. A library for an older AXIS OS lacks what is newer.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from incamera.sdk.headers import render_headers
from incamera.sdk.tables import Function, Library, axis_os_number, load_libraries
from incamera.virtual.stand_ins import SERVICE
from incamera.virtual.stand_ins.devices import render_devices

ZIG_VERSION = "0.17.1"
HERE = Path(__file__).resolve().parent
TARGETS = {
    "armv7hf": ("arm-linux-gnueabihf.2.28", "-mcpu=cortex_a9"),
    "aarch64": ("aarch64-linux-gnu.2.28", "-mcpu=cortex_a53"),
    "x86_64": ("x86_64-linux-gnu.2.28", "-mcpu=x86_64"),
}
"""The last one is for trying programs on the host."""
_CAMERAS = ("10.12", "11.11", "12.11", "13.0")
VERSIONS = {"armv7hf": _CAMERAS, "aarch64": _CAMERAS, "x86_64": ("10.12", "12.11")}
"""The AXIS OS of the libraries for each architecture: those of the virtual cameras."""
FLAGS = (
    *(
        "-std=gnu11",
        "-D_GNU_SOURCE",
        "-O2",
        "-fPIC",
        "-s",
        "-Wall",
        "-Wextra",
        "-Wmissing-prototypes",
        "-Werror",
    ),
    *("-fno-stack-protector", "-fno-sanitize=all", "-Wl,--build-id=none", "-Wl,--no-undefined"),
)
LIBRARY_FLAGS = ("-shared", "-Wl,-z,nodelete")
"""An engine's thread, and types that GObject knows, have code of the library: it is never unloaded."""
ENGINES = ("vdo", "drawing", "larod", "axparameter", "axevent")
"""Folders of `engines`: what the service does for each library."""
GLIB = {"libglib-2.0.so.0": "-DOF_GLIB", "libgobject-2.0.so.0": "-DOF_GOBJECT"}
PITCH_STEPS = {"10.12": 192}
"""Rows are a multiple of so many bytes. Apps that take the pitch for the width fail in one of the virtual cameras."""
# From this AXIS OS on, times have 64 bits on armv7hf.
LONG_TIMES = "13.0"
# Those with values of GLib's GVariant. No public program calls them.
LEFT_OUT = frozenset({"vdo_map_new_from_variant", "vdo_map_to_variant", "vdo_map_get_variant"})


@dataclass(frozen=True, slots=True)
class Imitated:
    """A library that is imitated by the C files in the folder of its name.

    `uses`: what it is linked with, beside the C library. `older`: functions of former generations, which are in no
    table, with their symbol versions, or "" where that is not known. `own`: what the stand-ins call of each other,
    and no camera has. `until`: the newest AXIS OS that has it, if a newer one has not. `engine`: the folder of
    `engines` with what the service does for it, which the library has, too.
    """

    uses: tuple[str, ...]
    older: Mapping[str, str] = field(default_factory=dict)
    own: tuple[str, ...] = ()
    until: str = ""
    engine: str = ""


IMITATED = {
    "vdo": Imitated((*GLIB, "-ldl", "-lpthread"), engine="vdo"),
    "larod": Imitated(
        ("-lm", "-lpthread"),
        {
            "larodSetChip": "LIBLAROD_1.0.0",
            "larodListChips": "",
            "larodGetChipName": "",
            "larodCreateInferenceRequest": "LIBLAROD_1.0.0",
            "larodDestroyInferenceRequest": "",
            "larodRunInference": "LIBLAROD_1.0.0",
            "larodLoadModel_API_VERSION_1": "LIBLAROD_2.0.0",
            "larodDestroyTensors_API_VERSION_1": "LIBLAROD_3.0.0",
            "larodRunJob_API_VERSION_2": "",
            "larodRunJobAsync_API_VERSION_2": "",
        },
        engine="larod",
    ),
    "axstorage": Imitated((*GLIB, "-lpthread")),
    "axevent": Imitated((*GLIB, "-lpthread"), engine="axevent"),
    "axparameter": Imitated((*GLIB, "-lpthread"), engine="axparameter"),
    "licensekey": Imitated(()),
    "bbox": Imitated(("-lm", "-lpthread"), own=("incamera_draw",), engine="drawing"),
    "axoverlay": Imitated((*GLIB, "-lm", "-lpthread", "-ldl"), own=("incamera_draw",), engine="drawing"),
    "axoverlay2": Imitated(("-lm", "-lpthread"), own=("incamera_draw",), engine="drawing"),
    "mdb": Imitated(("-lpthread",), until="12.11"),
    "datahub": Imitated(("-lpthread",)),
}


def build(architecture: str, output: Path, zig: Sequence[str], cache: Path) -> None:
    """Write the libraries and the service for *architecture* into folders of *output*: `11.11/libvdostream.so.1`."""
    environment = {**os.environ, "ZIG_LOCAL_CACHE_DIR": str(cache), "ZIG_GLOBAL_CACHE_DIR": str(cache)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def compile_c(version: str, *words: str) -> None:
            command = [*zig, "cc", *target_of(architecture, version), *FLAGS, *words]
            subprocess.run(command, cwd=folder, env=environment, check=True)

        for soname, define in GLIB.items():
            compile_c(
                VERSIONS[architecture][0],
                *LIBRARY_FLAGS,
                define,
                f"-Wl,-soname,{soname}",
                "-o",
                soname,
                str(HERE / "glib/libraries.c"),
                "-Wno-everything",
            )
        for library, imitated in IMITATED.items():
            for version in versions(library, architecture):
                soname = write_sources(library, version, folder / library / version)
                destination = output / version / soname
                destination.parent.mkdir(parents=True, exist_ok=True)
                sources = f"{library}/{version}"
                compile_c(
                    version,
                    *LIBRARY_FLAGS,
                    *defines(version),
                    *("-I", str(HERE / "glib"), "-I", sources, f"-Wl,-soname,{soname}"),
                    f"-Wl,--version-script={sources}/versions.map",
                    *("-o", str(destination), *(f"{sources}/{unit}" for unit in units(folder / sources))),
                    *imitated.uses,
                )
                destination.chmod(0o755)
        for version in VERSIONS[architecture]:
            sources = f"{SERVICE}/{version}"
            write_service(folder / sources)
            destination = output / version / SERVICE
            compile_c(
                version,
                *defines(version),
                *("-I", str(HERE / "glib"), "-I", sources, "-Wl,-z,now", "-o", str(destination)),
                *(*(f"{sources}/{unit}" for unit in units(folder / sources)), "-lm", "-lpthread"),
            )
            destination.chmod(0o755)


def versions(library: str, architecture: str) -> list[str]:
    """Return the AXIS OS that *library* is built for: those that have it."""
    since = axis_os_number(load_libraries()[library].since)
    until = axis_os_number(IMITATED[library].until or VERSIONS[architecture][-1])
    return [version for version in VERSIONS[architecture] if since <= axis_os_number(version) <= until]


def defines(version: str) -> list[str]:
    """Return the compiler's options that tell the C files for which AXIS OS they are."""
    return [f"-DAXIS_OS={axis_os_number(version)}", f"-DPITCH_STEP={PITCH_STEPS.get(version, 1)}"]


def target_of(architecture: str, version: str) -> list[str]:
    """Return the compiler's options that choose the processor, the C library, and how long times are."""
    target, cpu = TARGETS[architecture]
    if architecture != "armv7hf" or axis_os_number(version) < axis_os_number(LONG_TIMES):
        return ["-target", target, cpu]
    # glibc has had 64-bit times since 2.34.
    return ["-target", "arm-linux-gnueabihf.2.34", cpu, "-D_TIME_BITS=64", "-D_FILE_OFFSET_BITS=64"]


def units(folder: Path) -> list[str]:
    """Return the names of what to compile in *folder*, into which `write_sources` or `write_service` has written."""
    return [path.name for name in ("library.c", "program.c", "engine-*.c") for path in sorted(folder.glob(name))]


def write_sources(name: str, version: str, folder: Path) -> str:
    """Write all that the library *name* is made of into *folder*: compile its `units`. Returns its soname."""
    folder.mkdir(parents=True, exist_ok=True)
    _copy(HERE / name, folder)
    _copy(HERE / "shared", folder)
    library = load_libraries()[name]
    _write_headers(library, folder)
    functions, nodes = choose(library, version)
    parts = sorted(path.name for path in (HERE / name).glob("*.c"))
    (folder / "library.c").write_text(render_source(parts, functions, nodes), "utf-8")
    (folder / "versions.map").write_text(render_version_script(functions, nodes), "utf-8")
    if engine := IMITATED[name].engine:
        write_engine(engine, folder)
    return library.soname


def write_service(folder: Path) -> None:
    """Write all that the camera's service is made of into *folder*: compile its `units`."""
    folder.mkdir(parents=True, exist_ok=True)
    _copy(HERE / "service", folder)
    _copy(HERE / "shared", folder)
    parts = sorted(path.name for path in (HERE / "service").glob("*.c"))
    (folder / "program.c").write_text("".join(f'#include "{part}"\n' for part in parts), "utf-8")
    for engine in ENGINES:
        write_engine(engine, folder)


def write_engine(name: str, folder: Path) -> None:
    """Write engine-NAME.c into *folder*, which includes the C files of the engine *name*, in a folder below."""
    parts = folder / f"engine-{name}"
    parts.mkdir(exist_ok=True)
    _copy(HERE / "engines" / name, parts)
    if library := load_libraries().get(name):
        _write_headers(library, folder)
    if name == "larod":
        (parts / "devices.h").write_text(render_devices(), "utf-8")
    lines = [f'#include "engine-{name}/{path.name}"\n' for path in sorted(parts.glob("*.c"))]
    (folder / f"engine-{name}.c").write_text("".join(lines), "utf-8")


def _write_headers(library: Library, folder: Path) -> None:
    for header, text in render_headers(library).items():
        (folder / header).parent.mkdir(exist_ok=True)
        (folder / header).write_text(text, "utf-8")


def _copy(source: Path, folder: Path) -> None:
    for path in source.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())


def choose(library: Library, version: str) -> tuple[list[Function], list[str]]:
    """Return the functions that *library* has in AXIS OS *version*, and their symbol versions, the oldest first.

    A library of which no source tells a symbol version has none.
    """
    newest = axis_os_number(version)
    functions = [
        function
        for function in library.functions
        if function.is_exported and function.name not in LEFT_OUT and axis_os_number(function.since) <= newest
    ]
    functions += [
        Function(name=name, c="", since=library.since, source="", node=node)
        for name, node in IMITATED[library.name].older.items()
    ]
    functions += [
        Function(name=name, c="", since=library.since, source="", node=library.nodes[0] if library.nodes else "")
        for name in IMITATED[library.name].own
    ]
    used = {function.node for function in functions}
    return functions, [node for node in library.nodes if node in used]


def render_source(parts: Sequence[str], functions: Sequence[Function], nodes: Sequence[str]) -> str:
    """Return the C file that includes all *parts*, and gives each function its symbol versions."""
    return "\n".join(
        [
            *(
                f"#define {function.name} stand_in_{function.name}"
                for function in functions
                if nodes and not function.node
            ),
            *(f'#include "{part}"' for part in parts),
            *_all_nodes(functions, nodes),
            "",
        ]
    )


def _all_nodes(functions: Sequence[Function], nodes: Sequence[str]) -> Iterator[str]:
    for function in functions:
        if function.node:
            continue
        for node in nodes:
            sign = "@@" if node == nodes[-1] else "@"
            yield f'__asm__(".symver stand_in_{function.name}, {function.name}{sign}{node}");'


def render_version_script(functions: Sequence[Function], nodes: Sequence[str]) -> str:
    """Return the linker's version script."""
    if not nodes:
        return f"{{ global:{''.join(f' {function.name};' for function in functions)} local: *; }};\n"
    lines = []
    for number, node in enumerate(nodes):
        names = [function.name for function in functions if function.node == node]
        if number == 0:
            # A name with an alias in the first version vanishes from it unless it is listed.
            names += [function.name for function in functions if not function.node]
        body = "".join(f" {name};" for name in names)
        rest = " local: *;" if number == 0 else ""
        before = f" {nodes[number - 1]}" if number else ""
        lines.append(f"{node} {{ global:{body}{rest} }}{before};")
    return "\n".join([*lines, ""])


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", type=Path, default=HERE / "bin")
    parser.add_argument("--zig", type=Path)
    parser.add_argument("--cache", type=Path, help="a folder to keep zig's own cache in")
    parser.add_argument("architectures", nargs="*", default=list(TARGETS))
    arguments = parser.parse_args()
    zig = [str(arguments.zig)] if arguments.zig else [sys.executable, "-m", "ziglang"]
    version = subprocess.run([*zig, "version"], capture_output=True, text=True, check=True).stdout.strip()
    if version != ZIG_VERSION:
        sys.stderr.write(f"zig {ZIG_VERSION} is needed, this is {version}\n")
        return 1
    with tempfile.TemporaryDirectory() as cache:
        for architecture in arguments.architectures:
            build(architecture, arguments.output.absolute() / architecture, zig, arguments.cache or Path(cache))
    return 0


if __name__ == "__main__":
    sys.exit(main())
