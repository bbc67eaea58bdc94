"""Requirements of a project: its own extras, groups, and itself."""

from __future__ import annotations

from typing import Any

import pytest

from incamera.errors import ConfigError
from incamera.project.dependencies import parse_dependencies


def dependencies(
    project: dict[str, Any], *, groups: dict[str, list[str]] | None = None, **settings: list[str]
) -> tuple[str, ...]:
    """Return the requirements of the project `door-bell`, with the extras and groups that its *settings* choose."""
    project = {"name": "door.bell", **project}
    chosen = {**settings, "groups": list(groups or {})}
    return parse_dependencies({"project": project, "dependency-groups": groups or {}}, project, chosen)


OPTIONAL = {
    "Fast_Math": ["numpy", "numba; python_version < '3.12'"],
    "view": ["pillow"],
    "all": ["door-bell[fast-math,view]"],
    "circle": ["door_bell[circle, view]"],
    "arm": ["Door.Bell[fast-math]; platform_machine != 'x86_64'"],
}


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("fast-math", ("numpy", 'numba; python_version < "3.12"')),
        ("all", ("numpy", 'numba; python_version < "3.12"', "pillow")),
        ("circle", ("pillow",)),
        (
            "arm",
            (
                'numpy; platform_machine != "x86_64"',
                'numba; platform_machine != "x86_64" and python_version < "3.12"',
            ),
        ),
    ],
)
def test_extra_brings_the_requirements_of_the_extras_it_names(extra: str, expected: tuple[str, ...]) -> None:
    assert dependencies({"optional-dependencies": OPTIONAL}, extras=[extra]) == expected


def test_project_may_depend_on_its_own_extra() -> None:
    assert dependencies({"dependencies": ["door-bell[view]", "six"], "optional-dependencies": OPTIONAL}) == (
        "pillow",
        "six",
    )


def test_group_may_name_the_project_and_its_extras() -> None:
    project = {"optional-dependencies": OPTIONAL}
    assert dependencies(project, groups={"dev": ["door-bell", "door.bell[view]", "six"]}) == ("pillow", "six")


def test_unknown_extra_of_the_project_itself_is_refused() -> None:
    with pytest.raises(ConfigError, match=r'"door-bell\[veiw\]": the project has no extra "veiw"') as caught:
        dependencies({"dependencies": ["door-bell[veiw]"], "optional-dependencies": OPTIONAL})
    assert "view" in str(caught.value.hint)


@pytest.mark.parametrize("text", ["door-bell", "Door_Bell>=1", "door.bell; python_version > '3'"])
def test_project_that_depends_on_its_own_name_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is the project itself") as caught:
        dependencies({"dependencies": ["six", text]})
    assert "another name" in str(caught.value.hint)
