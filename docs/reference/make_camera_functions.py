"""Write camera-functions.md: for each function of the camera's libraries, whether acap calls it and a stand-in has it.

    python docs/reference/make_camera_functions.py

Names come from incamera's tables. camera_functions.toml has the reasons. A unit test compares the page with what this
makes.
"""

from __future__ import annotations

import runpy
import tomllib
from collections.abc import Iterator
from pathlib import Path

from incamera.sdk.tables import Library, load_libraries
from incamera.virtual.stand_ins.build import IMITATED

PAGE = Path(__file__).with_name("camera-functions.md")
_REASONS = Path(__file__).with_name("camera_functions.toml")
_ACAP = Path(__file__).parents[2] / "packages/acap/make_functions.py"
_MODULES = {
    "vdo": "video",
    "larod": "inference",
    "axevent": "events",
    "axparameter": "parameters",
    "axstorage": "storage",
    "axoverlay": "overlay",
    "axoverlay2": "overlay",
    "bbox": "bbox",
    "licensekey": "license",
    "mdb": "messages",
    "datahub": "messages",
}
_INTRODUCTION = """\
# The functions of the camera's libraries

Made by `make_camera_functions.py`; don't edit it. For each function: since which AXIS OS it is there, whether
[acap](../explanation/camera-libraries.md#acap) calls it, and whether the
[stand-in](../explanation/camera-libraries.md#stand-ins) in the virtual cameras has it. A function that is newer than
the AXIS OS of a virtual camera is missing there.
"""


def make_page() -> str:
    """Return the page's text. Raises KeyError for a function that acap does not call and that has no reason."""
    called = runpy.run_path(str(_ACAP))["CALLED"]
    reasons = tomllib.loads(_REASONS.read_text("utf-8"))
    left_out, otherwise = (
        {name: reason for reason, names in reasons[part].items() for name in names.split()}
        for part in ("acap", "stand_in")
    )
    known = {name for library in load_libraries().values() for name, _ in functions(library)}
    if wrong := (left_out.keys() | otherwise.keys()) - known:
        raise KeyError(f"{_REASONS.name} has functions that are in no table: {', '.join(sorted(wrong))}")
    parts = [_INTRODUCTION]
    for name, library in load_libraries().items():
        parts.append(f"\n## {library.title}\n\n| function | since | acap.{_MODULES[name]} | stand-in |\n")
        parts.append("| --- | --- | --- | --- |\n")
        for function, since in functions(library):
            by_acap = "yes" if function in called[name] else f"no: {left_out[function]}"
            parts.append(f"| `{function}` | {since} | {by_acap} | {otherwise.get(function, 'yes')} |\n")
    return "".join(parts)


def functions(library: Library) -> Iterator[tuple[str, str]]:
    """Yield the names of the functions that *library* exports, with the AXIS OS that has them first."""
    for function in library.functions:
        if function.is_exported:
            yield function.name, function.since
    for name in IMITATED[library.name].older:
        yield name, library.since


if __name__ == "__main__":
    PAGE.write_text(make_page(), "utf-8")
