"""The table of functions that acap calls is made from incamera's tables."""

from __future__ import annotations

import runpy

from .conftest import PACKAGE


def test_table_is_what_the_script_makes() -> None:
    made = runpy.run_path(str(PACKAGE / "make_functions.py"))
    assert (PACKAGE / "src/acap/vdo_functions.h").read_text("utf-8") == made["render"]()
