"""Trimmed modules that the code imports are unpacked again, from the deb or wheel that has them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.unit.debian.conftest import make_deb
from tests.unit.wheels.conftest import Make

from incamera.build.bundle import install_app
from incamera.build.trimming import DEBIAN, Restoring
from incamera.context import Context
from incamera.digest import Sha256
from incamera.errors import BuildError
from incamera.project.locked import Lock, LockedDeb
from incamera.runtime.layout import APP, PACKAGES
from incamera.runtime.trimming import Unit
from incamera.targets.target import Target

if TYPE_CHECKING:
    from incamera.store import Store

TARGET = Target.parse("armv7hf")
SITE = f"./usr/{PACKAGES}"
OWN_TESTS = Unit(
    path=f"{PACKAGES}/own/tests", module="own.tests", is_checked=False, packages=frozenset({f"{DEBIAN}python3-own"})
)
WHEEL = "wheeled-1.0-py3-none-any.whl"
WHEEL_TESTS = Unit(
    path=f"{PACKAGES}/wheeled/tests", module="wheeled.tests", is_checked=False, packages=frozenset({WHEEL})
)


@pytest.fixture
def context(store: Store) -> Context:
    return Context(store, None, {"INCAMERA_DEBIAN_MIRROR": "http://127.0.0.1:1/debian"})  # type: ignore[arg-type]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A runtime that has `own` and `wheeled` without their tests."""
    root = tmp_path / "tree"
    for package in ("own", "wheeled"):
        (root / PACKAGES / package).mkdir(parents=True)
        (root / PACKAGES / package / "__init__.py").write_text("original = True\n")
    return root


@pytest.fixture
def restoring(context: Context, tree: Path, tmp_path: Path) -> Restoring:
    deb = make_deb(
        (f"{SITE}/own/__init__.py", b"changed = True\n"),
        (f"{SITE}/own/tests/__init__.py", b"import wheeled.tests\n"),
        (f"{SITE}/own/tests/data.bin", b"data"),
        (f"{SITE}/own/more/tests/__init__.py", b""),
    )
    sha256 = Sha256.of(deb)
    with context.store.writing_blob(sha256, name="own") as blob:
        blob.write(deb)
    wheel = tmp_path / WHEEL
    wheel.write_bytes(Make().wheel({"wheeled/__init__.py": b"x", "wheeled/tests/__init__.py": b""}, name=WHEEL))
    locked = LockedDeb(
        package="python3-own",
        version="1",
        architecture="all",
        archive="main",
        filename="pool/own.deb",
        size=len(deb),
        sha256=sha256,
    )
    lock = Lock(target=TARGET, inputs="", distributions=(), debs=(locked,))
    compiled: list[str] = []
    return Restoring(
        context=context, lock=lock, tree=tree, wheels=lambda: {WHEEL: wheel}, compile_files=compiled.extend
    )


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_imported_tests_are_restored_whole_with_what_they_import(restoring: Restoring, tree: Path) -> None:
    (tree / PACKAGES / "own/__init__.py").write_text("from . import tests\n")
    before = files_in(tree)
    left = restoring.restore_imported(PACKAGES, ["own/__init__.py", "wheeled/__init__.py"], [OWN_TESTS, WHEEL_TESTS])
    assert left == []
    tests = {f"{PACKAGES}/own/tests/{name}" for name in ("__init__.py", "data.bin")}
    assert files_in(tree) - before == tests | {f"{PACKAGES}/wheeled/tests/__init__.py"}
    assert (tree / PACKAGES / "own/__init__.py").read_text() == "from . import tests\n"


def test_app_brings_back_what_it_imports_and_no_more(restoring: Restoring, tree: Path) -> None:
    (tree / APP).mkdir()
    (tree / APP / "app.py").write_text("def test():\n    import wheeled.tests\n")
    left = restoring.restore_imported(APP, ["app.py"], [OWN_TESTS, WHEEL_TESTS])
    assert left == [OWN_TESTS]
    assert (tree / PACKAGES / "wheeled/tests/__init__.py").exists()
    assert not (tree / PACKAGES / "own/tests").exists()


def test_nothing_is_unpacked_when_nothing_is_imported(restoring: Restoring, tree: Path) -> None:
    before = files_in(tree)
    left = restoring.restore_imported(PACKAGES, ["own/__init__.py", "wheeled/__init__.py"], [OWN_TESTS, WHEEL_TESTS])
    assert left == [OWN_TESTS, WHEEL_TESTS]
    assert files_in(tree) == before


# The project's own wheel


def test_own_data_files_and_scripts_are_below_the_prefix(tmp_path: Path) -> None:
    wheel = tmp_path / "own-1.0-py3-none-any.whl"
    files = {
        "own/__init__.py": b"",
        "own-1.0.data/data/share/own/door.json": b"{}",
        "own-1.0.data/data/lib/python3.12/site-packages/wsdl/x.wsdl": b"",
        "own-1.0.data/scripts/bell": b"#!python\n",
        "own-1.0.dist-info/entry_points.txt": b"[console_scripts]\nring = own:main\n",
    }
    wheel.write_bytes(Make().wheel(files))
    install_app(wheel, TARGET, tmp_path / "bundle")
    found = {path for path in files_in(tmp_path / "bundle") if ".dist-info/" not in path}
    assert found == {"app/own/__init__.py", "share/own/door.json", "app/wsdl/x.wsdl", "bin/bell", "bin/ring"}
    assert '"app"' in (tmp_path / "bundle/bin/ring").read_text()


@pytest.mark.parametrize("path", ["bin/python3", "etc/launcher", "lib/python3.11/os.py", "bundle.json", "device/x"])
def test_own_data_files_replace_nothing_of_the_runtime(tmp_path: Path, path: str) -> None:
    wheel = tmp_path / "own-1.0-py3-none-any.whl"
    wheel.write_bytes(Make().wheel({f"own-1.0.data/data/{path}": b""}))
    with pytest.raises(BuildError, match="would replace a file of the runtime"):
        install_app(wheel, TARGET, tmp_path / "bundle")
