"""Byte-compiling with real interpreters: the byte-code works and is reproducible, and failures are errors."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from incamera.errors import BuildError
from incamera.runtime.bytecode import byte_compiler

pytestmark = pytest.mark.starts_processes

SOURCES = {
    "lib/one.py": "NAMES = {'alpha', 'beta', 'gamma'}\n\ndef f(x):\n    return x in {'alpha', 'beta'}, 'shared', 1.5\n",
    "lib/two.py": "import os\n\ndef f(x):\n    return os.path.join('alpha', 'shared', x)\n",
    "lib/three.py": "class C:\n    alpha = 'shared'\n\n    def beta(self):\n        return self.alpha\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in SOURCES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def compile_all(tree: Path, names: list[str], *, keep_source: bool = True, workers: int = 1) -> None:
    with byte_compiler([sys.executable], {}, workers=workers) as compiler:
        for name in names:
            compiler.submit(tree, [name], keep_source=lambda _: keep_source)


def pyc(tree: Path, name: str) -> Path:
    return Path(importlib.util.cache_from_source(str(tree / name)))


def test_order_of_the_calls_does_not_change_the_bytecode(tree: Path) -> None:
    names = list(SOURCES)
    compile_all(tree, names)
    first = {name: pyc(tree, name).read_bytes() for name in names}
    compile_all(tree, names[::-1], workers=2)
    assert {name: pyc(tree, name).read_bytes() for name in names} == first


def test_bytecode_is_used_without_checking_the_source(tree: Path) -> None:
    """The files are unchecked hash-based ones (PEP 552), so a changed source is not noticed."""
    compile_all(tree, ["lib/two.py"])
    (tree / "lib/two.py").write_text("raise SystemExit('compiled again')\n")
    os.utime(tree / "lib/two.py", (1, 1))
    done = subprocess.run(
        [sys.executable, "-c", "import two; print(two.f('x'))"],
        cwd=tree / "lib",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == os.path.join("alpha", "shared", "x"), done.stderr  # noqa: PTH118


def test_bytecode_replaces_the_source_that_is_not_kept(tree: Path) -> None:
    compile_all(tree, ["lib/three.py"], keep_source=False)
    assert sorted(path.name for path in (tree / "lib").iterdir()) == ["one.py", "three.pyc", "two.py"]
    done = subprocess.run(
        [sys.executable, "-c", "import three; print(three.C().beta())"],
        cwd=tree / "lib",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "shared\n", done.stderr


def test_small_bytecode_has_no_docstrings_and_the_source_is_kept(tree: Path) -> None:
    source = 'def f():\n    """Explain at length."""\n    assert False\n    return f.__doc__\n'
    (tree / "lib" / "four.py").write_text(source)
    with byte_compiler([sys.executable], {}) as compiler:
        compiler.submit(tree, ["lib/four.py"], small=True)
    command = [sys.executable, "-c", "import four; print(four.f())"]
    done = subprocess.run(command, cwd=tree / "lib", capture_output=True, text=True, check=False)
    assert done.stdout == "None\n", done.stderr
    assert (tree / "lib" / "four.py").read_text() == source


def test_bytecode_has_no_path_of_the_host(tree: Path) -> None:
    compile_all(tree, ["lib/one.py"])
    assert str(tree).encode() not in pyc(tree, "lib/one.py").read_bytes()


def test_file_that_is_not_valid_python_stays_as_it_is(tree: Path) -> None:
    (tree / "lib/old.py").write_text("print 'Python 2'\n")
    compile_all(tree, ["lib/old.py", "lib/one.py"], keep_source=False)
    assert (tree / "lib/old.py").exists()
    assert not (tree / "lib/old.pyc").exists()
    assert (tree / "lib/one.pyc").exists()


def test_missing_file_is_an_error(tree: Path) -> None:
    with pytest.raises(BuildError, match=r"lib/missing\.py"):
        compile_all(tree, ["lib/missing.py"])


def test_interpreter_that_fails_is_an_error(tree: Path) -> None:
    with pytest.raises(BuildError), byte_compiler(["false"], {}, workers=1) as compiler:
        compiler.submit(tree, ["lib/" + "x" * 100_000])  # more than a pipe holds


@pytest.mark.parametrize(
    "source", ["-" * 100_000 + "1", "x" + ".a" * 100_000, "def :"], ids=["minus", "dots", "syntax"]
)
def test_module_that_cannot_be_compiled_stays_as_it_is(tree: Path, source: str) -> None:
    (tree / "lib/one.py").write_text(source)
    compile_all(tree, ["lib/one.py", "lib/two.py"])
    assert (tree / "lib/one.py").read_text() == source
    assert [path.name.partition(".")[0] for path in (tree / "lib/__pycache__").iterdir()] == ["two"]
