"""The setting that says where the headers of the camera's libraries come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from incamera.errors import ConfigError
from incamera.project.settings_parsing import parse_project


def parse(sdk: str) -> None:
    parse_project({"project": {"name": "lamp"}, "tool": {"incamera": {"entry": "lamp", "sdk": sdk}}}, Path())


def test_headers_are_those_of_incamera() -> None:
    parse("builtin")


def test_other_sdk_is_refused_with_the_value_that_exists() -> None:
    with pytest.raises(ConfigError, match=r'tool\.incamera\.sdk: unknown value "vendor"') as refused:
        parse("vendor")
    assert '"builtin"' in str(refused.value.hint)
