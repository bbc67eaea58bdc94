"""What the error says when the wheel of an sdist cannot be built."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from incamera.build.sdists import SdistBuild, explaining_failure
from incamera.errors import ToolFailed

LAMP = cast("SdistBuild", SimpleNamespace(name="lamp", target="armv7hf-cp311", source="sdist"))


@pytest.mark.parametrize(
    ("output", "hint"),
    [
        ("lamp.c:3:10: fatal error: zbar.h: No such file or directory", "the Debian package that has zbar.h as dev"),
        ("lamp.c:1:10: fatal error: 'zbar.h' file not found", "the Debian package that has zbar.h as dev"),
        ("ld: cannot find -lzbar: No such file or directory", "the Debian package that has libzbar as dev"),
        ("ld: cannot find -lzbar", "the Debian package that has libzbar as dev"),
        ("lamp.c:1:1: error: expected ';'", '[tool.incamera.sources] lamp = "emulated"'),
    ],
)
def test_missing_header_or_library_is_looked_for_in_debian(output: str, hint: str) -> None:
    with pytest.raises(ToolFailed) as caught, explaining_failure(LAMP, Path("lamp.log")):
        raise ToolFailed("exit code 1", tail=output)
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("lamp.log has the whole output; ")
    assert hint in caught.value.hint
