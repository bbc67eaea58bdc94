"""The setting that says where the headers of the camera's libraries come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from incamera.errors import ConfigError
from incamera.project.settings_parsing import parse_project


def parse(sdk: str) -> str:
    return parse_project({"project": {"name": "lamp"}, "tool": {"incamera": {"entry": "lamp", "sdk": sdk}}}, Path()).sdk


def test_headers_are_those_of_incamera_or_of_an_image() -> None:
    assert parse("builtin") == "builtin"
    image = "axisecp/acap-native-sdk:1.0-{architecture}"
    assert parse(image) == image


@pytest.mark.parametrize("value", ["vendor", "bultin", "ubuntu:24.04"])
def test_word_that_is_neither_is_refused_with_the_values_that_exist(value: str) -> None:
    with pytest.raises(ConfigError, match=r"tool\.incamera\.sdk: unknown value") as refused:
        parse(value)
    assert '"builtin"' in str(refused.value.hint)
    assert "axisecp/acap-native-sdk" in str(refused.value.hint)


def test_name_that_no_image_can_have_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"tool\.incamera\.sdk: .* cannot be the name of an image"):
        parse("axisecp/SDK:{arch}")
