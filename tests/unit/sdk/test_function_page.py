"""The page that tells for each function of the camera's libraries what becomes of it."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

from incamera.sdk.tables import load_libraries
from incamera.virtual.stand_ins import build

ROOT = Path(__file__).parents[3]
# Of 108 public programs and packages, none calls these. Each of the others is called by some, as far as is known.
NEVER_CALLED = re.compile(
    r"vdo_\w+_(va|strv)|vdo_map_\w*variant|vdo_map_[sg]et_quad32[iu]|vdo_stream_(to_fd|play|encode)"
)


def test_page_is_what_the_tables_say() -> None:
    made: dict[str, Any] = runpy.run_path(str(ROOT / "docs/reference/make_camera_functions.py"))
    committed = (ROOT / "docs/reference/camera-functions.md").read_text("utf-8")
    assert committed == made["make_page"](), "run docs/reference/make_camera_functions.py"


def test_no_function_that_a_public_program_calls_is_left_out() -> None:
    """Each is called by acap or imitated; acap itself calls only what is imitated."""
    called: dict[str, tuple[str, ...]] = runpy.run_path(str(ROOT / "packages/acap/make_functions.py"))["CALLED"]
    assert set(called) == set(build.IMITATED) == set(load_libraries())
    for name, library in load_libraries().items():
        exported = {function.name for function in library.functions if function.is_exported}
        assert set(called[name]) <= exported - build.LEFT_OUT, name
        assert [one for one in exported & build.LEFT_OUT if not NEVER_CALLED.fullmatch(one)] == []


def test_functions_that_are_refused_are_called_by_no_program() -> None:
    text = (ROOT / "docs/reference/camera-functions.md").read_text("utf-8")
    refused = re.findall(r"^\| `(vdo_\w+)` .*\| (?:refuses|no: [^|]*) \|$", text, re.MULTILINE)
    assert refused
    assert [name for name in refused if not NEVER_CALLED.fullmatch(name)] == []
