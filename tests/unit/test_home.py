"""The home folder, for users that have one and for those that have none."""

import os
from pathlib import Path

import pytest

from incamera.errors import ConfigError
from incamera.home import expand_home, find_home


def test_home_is_that_of_the_environment_where_that_can_be_one() -> None:
    assert find_home({"HOME": "/home/me"}) == Path("/home/me")
    system = find_home({})
    assert system.is_absolute()
    assert find_home({"HOME": ""}) == find_home({"HOME": "relative"}) == system


def test_user_without_a_name_and_a_home_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    assert find_home({"HOME": "/x"}) == Path("/x")
    with pytest.raises(ConfigError, match="there is no home folder: HOME is not set"):
        expand_home("~/x", {})


def test_paths_with_a_tilde_are_expanded_as_a_shell_does() -> None:
    environment = {"HOME": "/home/me"}
    assert expand_home("~", environment) == Path("/home/me")
    assert expand_home("~/a/b", environment) == Path("/home/me/a/b")
    assert expand_home("~root/x", environment).name == "x"
    assert expand_home("~root/x", environment).is_absolute()
    assert expand_home(Path("a/~"), environment) == Path("a/~")
    assert expand_home("", environment) == Path()
    with pytest.raises(ConfigError, match="there is no user nobody-is-called-so"):
        expand_home("~nobody-is-called-so/x", environment)
