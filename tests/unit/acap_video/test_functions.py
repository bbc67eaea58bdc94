"""The tables of functions that acap calls are made from incamera's tables."""

from __future__ import annotations

import runpy

import pytest

from .conftest import PACKAGE


@pytest.mark.parametrize(
    "library",
    [
        "vdo",
        "larod",
        "axevent",
        "axoverlay",
        "axoverlay2",
        "axparameter",
        "axstorage",
        "bbox",
        "datahub",
        "licensekey",
        "mdb",
    ],
)
def test_table_is_what_the_script_makes(library: str) -> None:
    made = runpy.run_path(str(PACKAGE / "make_functions.py"))
    assert (PACKAGE / f"src/acap/{library}_functions.h").read_text("utf-8") == made["render"](library)
