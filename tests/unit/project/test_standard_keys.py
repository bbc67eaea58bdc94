"""docs/reference/pyproject.md says of each standard key whether it is obeyed or of no effect: here each one is set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from incamera.project.settings_parsing import parse_project
from incamera.project.standard import _BUILD_SYSTEM_KEYS, _PROJECT_KEYS

if TYPE_CHECKING:
    from incamera.project.settings import Project

PAGE = Path(__file__).parents[3] / "docs/reference/pyproject.md"
PLAIN = {"name": "lamp", "version": "1"}
# A value for each key that is not what a project without it has.
VALUES: Mapping[str, Any] = {
    "name": "bell",
    "version": "2",
    "description": "A lamp",
    "readme": "README.md",
    "requires-python": ">=3.11",
    "license": "MIT",
    "license-files": ["LICENSE"],
    "authors": [{"name": "Lamp"}],
    "maintainers": [{"name": "Lamp"}],
    "keywords": ["light"],
    "classifiers": ["Topic :: Home Automation"],
    "urls": {"Home": "https://example.com"},
    "scripts": {"lamp": "lamp:main"},
    "gui-scripts": {"lamp": "lamp:main"},
    "entry-points": {"lamp.plugins": {"lamp": "lamp:main"}},
    "dependencies": ["numpy"],
    "optional-dependencies": {"view": ["pillow"]},
    "dynamic": ["description"],
    "import-names": ["lamp"],
    "import-namespaces": ["lamps"],
    "requires": ["hatchling"],
    "build-backend": "hatchling.build",
    "backend-path": ["."],
}


def effects() -> dict[str, str]:
    """Return what the page says of each key in a table with three columns."""
    found: dict[str, str] = {}
    row = re.compile(r"^\| ((?:`[a-z-]+`(?:, )?)+) \| (obeyed|refused|no effect) \|", re.MULTILINE)
    for keys, effect in row.findall(PAGE.read_text("utf-8")):
        found |= dict.fromkeys(re.findall(r"`([^`]+)`", keys), effect)
    return found


def test_the_page_has_each_standard_key() -> None:
    assert set(effects()) == {*_PROJECT_KEYS, *_BUILD_SYSTEM_KEYS} == set(VALUES)


@pytest.mark.parametrize("key", _PROJECT_KEYS)
def test_key_of_project_has_the_effect_that_the_page_says(key: str, tmp_path: Path) -> None:
    build: dict[str, Any] = {"build-system": {"requires": []}} if key == "dynamic" else {}
    extras = {"extras": ["view"]} if key == "optional-dependencies" else {}

    def parse(more: Mapping[str, Any]) -> Project:
        settings = {"entry": "lamp", **(extras if more else {})}
        return parse_project({"project": {**PLAIN, **more}, "tool": {"incamera": settings}, **build}, tmp_path)

    differs = parse({key: VALUES[key]}) != parse({})
    assert differs == (effects()[key] == "obeyed")


@pytest.mark.parametrize("key", _BUILD_SYSTEM_KEYS)
def test_build_system_is_obeyed(key: str, tmp_path: Path) -> None:
    table = {"project": PLAIN, "tool": {"incamera": {"entry": "lamp"}}}
    assert parse_project({**table, "build-system": {key: VALUES[key]}}, tmp_path) != parse_project(table, tmp_path)
    assert effects()[key] == "obeyed"


@pytest.mark.parametrize("tool", [{"uv": {"package": False}}, {"poetry": {"package-mode": False}}])
def test_a_project_that_is_no_package_is_not_built(tool: Mapping[str, Any], tmp_path: Path) -> None:
    table = {"project": PLAIN, "build-system": {"requires": ["hatchling"]}}
    assert parse_project({**table, "tool": {"incamera": {"entry": "lamp"}}}, tmp_path).has_build_system
    assert not parse_project({**table, "tool": {"incamera": {"entry": "lamp"}, **tool}}, tmp_path).has_build_system
