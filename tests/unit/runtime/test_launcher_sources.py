"""The launcher's C modules use one another in one direction only."""

from __future__ import annotations

import graphlib
import re
from pathlib import Path

import pytest

import incamera.runtime.launcher

FOLDER = Path(incamera.runtime.launcher.__file__).parent
MODULES = sorted(path.stem for path in FOLDER.glob("*.c"))


def included(path: Path) -> set[str]:
    return set(re.findall(r'^#include "(\w+)\.h"', path.read_text("utf-8"), re.MULTILINE))


def test_modules_have_no_cycle() -> None:
    uses = {name: {used for used in included(FOLDER / f"{name}.c") if used in MODULES} - {name} for name in MODULES}
    graphlib.TopologicalSorter(uses).prepare()


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.h")))
def test_every_header_is_used(name: str) -> None:
    assert any(name in included(path) for path in FOLDER.glob("*.[ch]"))


@pytest.mark.parametrize("name", MODULES)
def test_a_module_includes_its_own_header_first(name: str) -> None:
    """So that the compiler compares both."""
    if (FOLDER / f"{name}.h").exists():
        first = re.search(r'^#include "(\w+)\.h"', (FOLDER / f"{name}.c").read_text("utf-8"), re.MULTILINE)
        assert first is not None
        assert first[1] == name
