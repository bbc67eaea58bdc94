from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.archives.hostile import zip_of, zip_with_size

from incamera.errors import BuildError, ConfigError
from incamera.store import Store
from incamera.targets.host import Host
from incamera.toolchain.build_env import install_wheels, normalise_requirements
from incamera.toolchain.interpreter import BuildInterpreter, HostTree, write_script

HOST = Host("x86_64", "amd64", "x86_64-linux-gnu", "ld-linux-x86-64.so.2")


def test_equal_requirements_have_one_normal_form() -> None:
    assert normalise_requirements(["setuptools >= 77", "cython>=3.1,<4"]) == normalise_requirements(
        ["cython<4,>=3.1", "setuptools>=77", "setuptools >=77"]
    )


def test_invalid_requirement_is_quoted_in_the_error() -> None:
    with pytest.raises(ConfigError, match=r'"cython =! 3" is not a requirement'):
        normalise_requirements(["cython =! 3"])


def test_nothing_to_install_needs_no_pip(tmp_path: Path) -> None:
    interpreter = BuildInterpreter(HostTree(tmp_path / "missing", HOST), "3.11")
    (tmp_path / "tree").mkdir()
    install_wheels(Store(tmp_path / "store"), interpreter, {}, tmp_path / "tree")
    assert list((tmp_path / "tree").iterdir()) == []


@pytest.mark.starts_processes
def test_pip_reads_no_settings_of_the_user_and_asks_no_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = tmp_path / "host/usr/lib/x86_64-linux-gnu"
    host.mkdir(parents=True)
    write_script(host / HOST.loader, f'env > {tmp_path}/environment; echo "$@" > {tmp_path}/arguments')
    monkeypatch.setenv("PIP_INDEX_URL", "https://user:secret@index.example/simple")
    monkeypatch.setenv("PIP_TARGET", "/elsewhere")
    (tmp_path / "blob").touch()
    interpreter = BuildInterpreter(HostTree(tmp_path / "host", HOST), "3.11")
    name = "own-1.0-py3-none-any.whl"
    install_wheels(Store(tmp_path / "store"), interpreter, {name: tmp_path / "blob"}, tmp_path)
    environment = (tmp_path / "environment").read_text()
    assert "index.example" not in environment
    assert "PIP_TARGET" not in environment
    assert "PIP_NO_INDEX=1\n" in environment
    assert (tmp_path / "arguments").read_text().endswith(f"/wheels/{name}\n")


def test_wheel_that_unpacks_to_too_much_is_not_given_to_pip(tmp_path: Path) -> None:
    interpreter = BuildInterpreter(HostTree(tmp_path / "missing", HOST), "3.11")
    (tmp_path / "tree").mkdir()
    for name, data in {
        "large-1-py3-none-any.whl": zip_with_size("large/x", b"x", 0xFFFFFFF0),
        "bomb-1-py3-none-any.whl": zip_of([(f"bomb/{number}", bytes(30_000_000)) for number in range(4)]),
    }.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(BuildError, match=name):
            install_wheels(Store(tmp_path / "store"), interpreter, {name: tmp_path / name}, tmp_path / "tree")
    assert list((tmp_path / "tree").iterdir()) == []
