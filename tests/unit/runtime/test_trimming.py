"""What trimming drops, and which of it the code that stays imports."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from incamera.errors import StoreError
from incamera.runtime.layout import MISSING, PACKAGES, plan_layout, plan_wheel
from incamera.runtime.missing import load_missing
from incamera.runtime.trimming import TRIMMED, Dropped, Unit, find_imported, load_trimmed, select_units, write_trimmed
from incamera.targets.target import Target

TARGET = Target.parse("armv7hf")
SITE = f"usr/{PACKAGES}"
TESTS = Unit(path=f"{PACKAGES}/h5py/tests", module="h5py.tests", is_checked=False, packages=frozenset({"h5py.whl"}))
DISTUTILS = Unit(path=f"{PACKAGES}/numpy/distutils", module="numpy.distutils", is_checked=True)
LIB2TO3 = Unit(path="lib/python3.11/lib2to3", module="lib2to3", is_checked=True)


def imported(root: Path, file: str, source: str, *units: Unit) -> list[str]:
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(source, "utf-8")
    return [unit.module for unit in find_imported(root, [file], units or (TESTS, DISTUTILS, LIB2TO3))]


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("app.py", "import h5py.tests"),
        ("app.py", "import os, h5py.tests.common as common"),
        ("app.py", "from h5py import tests"),
        ("app.py", "from h5py.tests import run"),
        ("app.py", "from h5py.tests.common import (\n    a,\n    b,\n)"),
        ("app.py", "from h5py import (\n    File,  # a file\n    tests,\n)"),
        ("app.py", "from h5py import File, \\\n    tests"),
        ("app.py", "try: import h5py.tests\nexcept ImportError: pass"),
        ("app.py", "def run():\n    from h5py.tests import run_tests\n    run_tests()"),
        ("app.py", "importlib.import_module('h5py.tests')"),
        ("app.py", "import_module(\n    'h5py.tests.common',\n)"),
        ("app.py", "x = __import__('h5py.tests')"),
        ("app.py", "runpy.run_module('h5py.tests')"),
        ("app.py", "pkgutil.resolve_name('h5py.tests:run')"),
        ("app.py", "if not TYPE_CHECKING:\n    import h5py.tests"),
        ("h5py/__init__.py", "from . import tests"),
        ("h5py/__init__.py", "from .tests import run_tests"),
        ("h5py/__init__.py", "from .tests import *"),
        ("h5py/_hl/files.py", "from .. import tests"),
        ("h5py/_hl/files.py", "from ..tests.common import x"),
        ("h5py/_hl/__init__.py", "from ..tests import x"),
        ("h5py/version.py", "importlib.import_module('.tests', __package__)"),
        ("h5py/version.py", "importlib.import_module('.tests', package='h5py')"),
        # A text that is imported later: a table of plugins, a lazy module.
        ("app.py", "importlib.util.find_spec('h5py.tests')"),
        ("app.py", "PLUGINS = {'tests': 'h5py.tests.common:Common'}"),
        ("app.py", "tests = LazyLoader('tests', globals(), 'h5py.tests')"),
        ("app.py", "for name in ('h5py', 'h5py.tests'):\n    import_module(name)"),
        ("h5py/__init__.py", "import_module(f'{__name__}.tests')"),
        ("h5py/_hl/base.py", "import_module(__name__.split('.')[0] + '.tests')"),
        ("h5py/_hl/base.py", "import_module('%s.tests' % package)"),
        ("h5py/__init__.py", "__all__ = ['File']\n__all__ += ['tests']"),
        ("h5py/__init__.py", "__all__ = []\n__all__.append('tests')"),
        ("h5py/__init__.py", "def __getattr__(name):\n    if name == 'tests':\n        return load(name)"),
        ("h5py/__init__.py", "LAZY = {'tests'}\ndef __getattr__(name):\n    if name in LAZY:\n        load(name)"),
        ("h5py/__init__.py", "__getattr__, __dir__, __all__ = lazy.attach(__name__, submodules=['tests'])"),
        # Data files in the folder.
        ("h5py/_hl/files.py", "resources.files('h5py.tests').joinpath('x.json')"),
        ("app.py", "resources.files('h5py') / 'tests' / 'x.json'"),
        ("app.py", "resources.files('h5py').joinpath('tests', 'data', 'x.json')"),
        ("app.py", "pkg_resources.resource_filename('h5py', 'tests/x.json')"),
        ("app.py", "pkgutil.get_data('h5py.tests', 'x.json')"),
        ("h5py/_hl/files.py", "open(os.path.join(os.path.dirname(__file__), '..', 'tests', 'x.h5'))"),
        ("h5py/version.py", "Path(__file__).parent / 'tests' / 'x.h5'"),
        ("h5py/version.py", "FILE = 'tests/data/x.h5'"),
    ],
)
def test_dropped_package_that_something_imports_is_found(tmp_path: Path, file: str, source: str) -> None:
    assert imported(tmp_path, file, source + "\n") == ["h5py.tests"]


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("app.py", "import h5py.testsuite, tests"),
        ("app.py", "from h5py import File  # see h5py.tests"),
        ("app.py", "'''import h5py.tests'''"),
        ("app.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import h5py.tests"),
        ("app.py", "import typing\nif typing.TYPE_CHECKING:\n    import h5py.tests"),
        ("app.py", "import h5py.tests ("),  # not Python
        ("other/__init__.py", "from . import tests"),
        ("h5py/a.py", "from ... import tests"),
        ("h5py/conftest.py", "from . import tests"),
        ("h5py/setup.py", "import h5py.tests"),
        # A text that is none of its names, and what no program reads.
        ("app.py", "print('run the h5py.tests now')"),
        ("app.py", "KIND = 'tests'"),
        ("h5py/__init__.py", "def test():\n    pytest.main([os.path.join(HERE, 'tests')])"),
        ("h5py/__init__.py", "def __dir__():\n    return set(globals()) - {'tests'}"),
        ("h5py/_hl/base.py", "KNOWN = ['tests']"),
        ("h5py/version.py", '"""\ntests/data/x.h5\n"""'),
        ("other/version.py", "FILE = 'tests/data/x.h5'"),
        # Of these, somebody has looked: only an import counts.
        ("other/version.py", "NAMES = ['lib2to3', 'numpy.distutils']"),
    ],
)
def test_what_imports_nothing_that_was_dropped_has_no_findings(tmp_path: Path, file: str, source: str) -> None:
    assert imported(tmp_path, file, source + "\n") == []


def test_entry_points_of_a_distribution_are_imported(tmp_path: Path) -> None:
    points = "[console_scripts]\nh5py-test = h5py.tests.run:main [extra]\n\n[pytest11]\nother=other.plugin\n"
    assert imported(tmp_path, "h5py-3.0.dist-info/entry_points.txt", points) == ["h5py.tests"]


def test_module_that_the_app_is_started_with_is_imported(tmp_path: Path) -> None:
    assert [unit.module for unit in find_imported(tmp_path, [], [TESTS], modules=["h5py.tests.run"])] == ["h5py.tests"]


def test_stub_of_a_lazy_package_is_read(tmp_path: Path) -> None:
    (tmp_path / "h5py").mkdir()
    (tmp_path / "h5py/__init__.pyi").write_text("from . import tests\n")
    source = "import lazy_loader\n__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)\n"
    assert imported(tmp_path, "h5py/__init__.py", source) == ["h5py.tests"]


def test_checked_package_stays_dropped_for_its_own_package_only(tmp_path: Path) -> None:
    source = "from numpy.distutils.misc_util import x\n"
    assert imported(tmp_path, "numpy/ctypeslib.py", source) == []
    assert imported(tmp_path, "scipy/_build.py", source) == ["numpy.distutils"]
    assert imported(tmp_path, "past/translation.py", "import lib2to3.pgen2\n") == ["lib2to3"]


# What was dropped


def dropped_units(*paths: str, owners: dict[str, str] | None = None) -> list[Unit]:
    dropped = Dropped()
    select, select_wheel = plan_layout(TARGET, (), dropped.add), plan_wheel((), dropped.add)
    for path in paths:
        assert (select if path.startswith("usr/") else select_wheel)(path) is None
    return dropped.units(TARGET, owners or {})


@pytest.mark.parametrize(
    ("files", "path", "module", "is_checked"),
    [
        (["h5py/tests/__init__.py", "h5py/tests/data/x.py"], f"{PACKAGES}/h5py/tests", "h5py.tests", False),
        (["numpy/distutils/core.py"], f"{PACKAGES}/numpy/distutils", "numpy.distutils", True),
    ],
)
def test_dropped_modules_of_a_package_are_one_unit(files: list[str], path: str, module: str, is_checked: bool) -> None:
    owners = {f"{PACKAGES}/{files[0].split('/')[0]}/__init__.py": "Debian's python3-x"}
    wanted = [Unit(path=path, module=module, is_checked=is_checked, packages=frozenset({"Debian's python3-x"}))]
    assert dropped_units(*(f"{SITE}/{file}" for file in files), owners=owners) == wanted
    assert dropped_units(*(f"{PACKAGES}/{file}" for file in files), owners=owners) == wanted


def test_dropped_modules_of_the_standard_library_are_units() -> None:
    paths = ["lib2to3/main.py", "turtle.py", "lib-dynload/_dbm.cpython-311-arm-linux-gnueabihf.so"]
    owners = {"lib/python3.11/os.py": "Debian's libpython3.11-minimal"}
    units = dropped_units(*(f"usr/lib/python3.11/{path}" for path in paths), owners=owners)
    assert {unit.module: unit.path for unit in units} == {
        "lib2to3": "lib/python3.11/lib2to3",
        "turtle": "lib/python3.11/turtle.py",
        "_dbm": "lib/python3.11/lib-dynload/_dbm.cpython-311-arm-linux-gnueabihf.so",
    }


def test_modules_that_the_runtime_replaces_are_not_put_back() -> None:
    assert not dropped_units("usr/lib/python3.11/venv/__init__.py", "usr/lib/python3.11/ensurepip/__main__.py")
    assert not dropped_units("usr/lib/python3.11/sitecustomize.py")


def test_folder_of_data_files_that_is_a_guess_is_a_unit() -> None:
    units = dropped_units(f"{PACKAGES}/lamp/tests/data/x.json", owners={f"{PACKAGES}/lamp/__init__.py": "lamp.whl"})
    assert [(unit.path, unit.module, unit.packages) for unit in units] == [
        (f"{PACKAGES}/lamp/tests", "lamp.tests", frozenset({"lamp.whl"}))
    ]


def test_files_that_cannot_be_imported_are_no_units() -> None:
    assert not dropped_units(f"{SITE}/numpy/core/include/x.h", f"{SITE}/numpy/__init__.pyi", f"{SITE}/own/x.c")


def test_selecting_units_takes_their_files_alone() -> None:
    select = select_units(plan_layout(TARGET, [f"{TESTS.path}/*"]), [TESTS])
    assert select(f"{SITE}/h5py/tests/__init__.py") == f"{PACKAGES}/h5py/tests/__init__.py"
    assert select(f"{SITE}/h5py/__init__.py") is None
    assert select(f"{SITE}/h5py/tests_of/__init__.py") is None


def test_list_of_what_was_dropped_is_read_as_written(tmp_path: Path) -> None:
    write_trimmed(tmp_path, [TESTS, DISTUTILS])
    assert load_trimmed(tmp_path) == [TESTS, DISTUTILS]


@pytest.mark.parametrize("damage", [None, b"", b"\0" * 40, b"[1]", b"[[1, 2, 3, 4]]", b"{"])
def test_damaged_lists_of_a_runtime_are_an_error_with_the_remedy(tmp_path: Path, damage: bytes | None) -> None:
    for name, load in ((TRIMMED, load_trimmed), (MISSING, load_missing)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        if damage is not None:
            (tmp_path / name).write_bytes(damage)
        with pytest.raises(StoreError, match=re.escape(f"the runtime {tmp_path} is damaged")) as caught:
            load(tmp_path)
        assert "incamera store verify" in (caught.value.hint or "")
