from __future__ import annotations

from pathlib import Path

import pytest

from incamera.errors import ConfigError
from incamera.store import Store
from incamera.targets.host import Host
from incamera.toolchain.build_env import ensure_build_requirements, normalise_requirements, pip_environment
from incamera.toolchain.interpreter import BuildInterpreter, HostTree

HOST = Host("x86_64", "amd64", "x86_64-linux-gnu", "ld-linux-x86-64.so.2")


def test_equal_requirements_have_one_normal_form() -> None:
    assert normalise_requirements(["setuptools >= 77", "cython>=3.1,<4"]) == normalise_requirements(
        ["cython<4,>=3.1", "setuptools>=77", "setuptools >=77"]
    )


def test_invalid_requirement_is_quoted_in_the_error() -> None:
    with pytest.raises(ConfigError, match=r'"cython =! 3" is not a requirement'):
        normalise_requirements(["cython =! 3"])


def test_pip_gets_the_users_index_but_no_other_install_folder() -> None:
    seen = pip_environment(
        {
            "PIP_INDEX_URL": "https://index.example/simple",
            "PIP_TARGET": "/elsewhere",
            "PIP_USER": "1",
            "https_proxy": "http://proxy.example:3128",
            "PYTHONPATH": "/host",
            "VIRTUAL_ENV": "/host",
        }
    )
    assert seen["PIP_INDEX_URL"] == "https://index.example/simple"
    assert seen["https_proxy"] == "http://proxy.example:3128"
    assert not {"PIP_TARGET", "PIP_USER", "PYTHONPATH", "VIRTUAL_ENV"} & set(seen)


def test_pip_keeps_downloads_in_the_given_cache_only() -> None:
    users = {"PIP_CACHE_DIR": "/elsewhere", "PIP_NO_CACHE_DIR": "off"}
    assert pip_environment(users)["PIP_NO_CACHE_DIR"] == "1"
    kept = pip_environment(users, cache=Path("/store/pip"))
    assert (kept["PIP_CACHE_DIR"], kept.get("PIP_NO_CACHE_DIR")) == ("/store/pip", None)


def test_no_requirements_need_no_pip(tmp_path: Path) -> None:
    interpreter = BuildInterpreter(HostTree(tmp_path / "missing", HOST), "3.11")
    tree, cached = ensure_build_requirements(Store(tmp_path / "store"), interpreter, [])
    assert (list(tree.iterdir()), cached) == ([], False)
    assert ensure_build_requirements(Store(tmp_path / "store"), interpreter, []) == (tree, True)
