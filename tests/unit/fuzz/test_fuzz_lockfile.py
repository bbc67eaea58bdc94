"""A damaged lockfile is a ConfigError, and nothing else; what is read of it is safe to use."""

from __future__ import annotations

import tomllib
from contextlib import suppress
from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.fuzz.documents import damaged_bytes, damaged_values

from incamera.digest import Sha256
from incamera.errors import ConfigError
from incamera.project.lock_parsing import parse_lock

LOCK = b"""\
lock-version = "1.0"
created-by = "incamera"
requires-python = "==3.11.*"

[[packages]]
name = "lamp"
version = "2.0"
[packages.sdist]
name = "lamp-2.0.tar.gz"
url = "https://index.example/lamp-2.0.tar.gz"
size = 7
[packages.sdist.hashes]
sha256 = "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"

[[packages]]
name = "bulb"
version = "1.0"
[[packages.wheels]]
name = "bulb-1.0-py3-none-any.whl"
url = "https://index.example/bulb-1.0-py3-none-any.whl"
[packages.wheels.hashes]
sha256 = "efefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefef"

[tool.incamera]
target = "armv7hf-cp311"
inputs = "00"
[[tool.incamera.distributions]]
name = "lamp"
version = "2.0"
source = "sdist"
why = "because"
recipe = "11"
requires = ["bulb"]
[[tool.incamera.distributions]]
name = "bulb"
version = "1.0"
source = "wheel"
why = "because"
[[tool.incamera.debs]]
package = "python3-numpy"
version = "1:1.24.2-1"
architecture = "armhf"
archive = "main"
filename = "pool/main/n/numpy/python3-numpy_1.24.2-1_armhf.deb"
size = 4092932
sha256 = "abababababababababababababababababababababababababababababababab"
"""
DOCUMENT = tomllib.loads(LOCK.decode())


def check(text: str) -> None:
    with suppress(ConfigError):
        lock = parse_lock(text, "pylock.toml")
        files = [item.file for item in lock.distributions if item.file is not None]
        for file in files:
            assert isinstance(file.sha256, Sha256)
            assert "/" not in file.filename
            assert file.size is None or file.size >= 0
        for deb in lock.debs:
            assert isinstance(deb.sha256, Sha256)
            assert deb.archive in ("main", "security")
            assert ".." not in deb.filename.split("/")
            assert deb.size >= 0
        assert len(lock.digest) == 64


def test_the_lock_that_is_damaged_is_valid() -> None:
    assert len(parse_lock(LOCK.decode(), "pylock.toml").distributions) == 2


@settings(max_examples=60, deadline=None, derandomize=True)
@given(damaged_bytes(LOCK), damaged_values(DOCUMENT))
def test_a_damaged_lock_is_only_a_config_error(data: bytes, document: dict[str, Any]) -> None:
    check(data.decode("utf-8", "replace"))
    check(tomli_w.dumps(document))


@pytest.mark.matrix
@settings(max_examples=2000, deadline=None, derandomize=True)
@given(damaged_bytes(LOCK) | st.binary(max_size=200), damaged_values(DOCUMENT))
def test_many_damaged_locks_are_only_config_errors(data: bytes, document: dict[str, Any]) -> None:
    check(data.decode("utf-8", "replace"))
    check(tomli_w.dumps(document))
