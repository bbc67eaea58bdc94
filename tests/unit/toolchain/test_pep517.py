from __future__ import annotations

from pathlib import Path

import pytest

from incamera.errors import BuildError, ConfigError
from incamera.toolchain.build_system import BuildSystem, load_build_system, requirement_names
from incamera.toolchain.copying import copy_project
from incamera.toolchain.explain import explain_import_error, explain_output
from incamera.toolchain.rust import refuse_rust


def project(folder: Path, text: str) -> Path:
    (folder / "pyproject.toml").write_text(text)
    return folder


def test_build_system_is_read_from_pyproject(tmp_path: Path) -> None:
    text = '[build-system]\nrequires = ["flit-core"]\nbuild-backend = "flit_core.buildapi"\nbackend-path = ["tools"]'
    assert load_build_system(project(tmp_path, text)) == BuildSystem(
        requires=("flit-core",), backend="flit_core.buildapi", backend_path=("tools",)
    )


def test_default_build_system_is_setuptools(tmp_path: Path) -> None:
    system = load_build_system(project(tmp_path, '[project]\nname = "x"'))
    assert system.backend == "setuptools.build_meta:__legacy__"
    assert system.requires[0].startswith("setuptools")


def test_project_with_only_setup_py_uses_setuptools(tmp_path: Path) -> None:
    (tmp_path / "setup.py").touch()
    assert load_build_system(tmp_path) == BuildSystem()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[build-system]", "requires is missing"),
        ('[build-system]\nrequires = "cython"', "requires must be a list"),
        ("[build-system]\nrequires = [1]", "requires must be a list of strings"),
        ('[build-system]\nrequires = []\nbuild-backend = ["x"]', "build-backend must be a string"),
        ("build-system = 3", "must be a table"),
        ("[build-system", "pyproject.toml"),
        pytest.param("x = " + "[" * 100_000, "nested too deep", id="deep"),
        pytest.param("x = " + "9" * 5000, "too many digits", id="digits"),
        pytest.param("#" * 4_000_001, "longer than 4000000 bytes", id="long"),
    ],
)
def test_invalid_build_system_is_explained(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_build_system(project(tmp_path, text))


def test_folder_without_a_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to build"):
        load_build_system(tmp_path)
    (tmp_path / "pyproject.toml").mkdir()
    with pytest.raises(ConfigError, match="cannot read"):
        load_build_system(tmp_path)


def test_copy_has_the_sources_but_no_output_of_builds(tmp_path: Path) -> None:
    kept = {"pyproject.toml", "src/demo/core.c", "src/demo/build/part.py", "src/demo/dist/data.txt", "libs/libown.so"}
    left = {
        ".git/HEAD",
        ".venv/bin/python",
        "build/lib/demo/core.py",
        "dist/demo.whl",
        "src/demo/__pycache__/core.pyc",
        "src/demo.egg-info/PKG-INFO",
        "src/demo/_core.cpython-311-x86_64-linux-gnu.so",
    }
    for file in kept | left:
        path = tmp_path / "project" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "project/dangling").symlink_to("nowhere")
    copy = tmp_path / "copy"
    copy_project(tmp_path / "project", copy)
    assert {str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file()} == kept


def test_compilers_errors_come_first() -> None:
    printed = [
        "running build_ext",
        "core.c: In function 'fill':",
        "core.c:3:5: error: expected ';' before '}' token",
        "    3 |     x = 1",
        "      |     ^~~~~",
        *(f"  File setuptools/{number}.py" for number in range(100)),
        "error: Command '['cc', '-c', 'core.c']' returned non-zero exit status 1.",
    ]
    explained = explain_output(printed, ["-I/usr/include"]).splitlines()
    assert explained[0] == "core.c:3:5: error: expected ';' before '}' token"
    assert "    3 |     x = 1" in explained
    assert not any("setuptools/" in line or "error: Command" in line for line in explained)
    assert explained[-1].startswith("note: left out -I/usr/include")


def test_failed_command_is_left_out_beside_the_error_too() -> None:
    printed = ["ld: cannot find -lzbar", "collect2: error: ld returned 1 exit status", "error: Command '['cc']' failed"]
    assert explain_output(printed, []).splitlines() == printed[:2]


def test_back_end_that_cannot_be_imported_is_told_in_one_line() -> None:
    start = (
        "Traceback (most recent call last):\n"
        '  File "/tmp/hooks.py", line 75, in _build_backend\n    obj = import_module(mod_path)\n'
        '  File "/usr/lib/python3.11/importlib/__init__.py", line 126, in import_module\n'
        '  File "<frozen importlib._bootstrap>", line 1206, in _gcd_import\n'
    )
    missing = "ModuleNotFoundError: No module named 'setuptools.build_mata'\n"
    assert explain_import_error(start + missing, "hooks.py") == missing.strip()
    own = start + '  File "/project/own.py", line 3, in <module>\n    import lamp\n' + missing
    assert explain_import_error(own, "hooks.py").splitlines() == [
        missing.strip(),
        '  | File "/project/own.py", line 3, in <module>',
    ]
    assert explain_import_error("", "hooks.py") == ""


def test_endless_output_of_a_build_is_some_twenty_lines() -> None:
    dropped = [f"-I/opt/{number}" for number in range(100)]
    for printed in (
        [f"core.c:{number}:1: error: expected ';'" for number in range(1000)],
        [f"copying {number}" for number in range(1000)],
        [f"error[E0425]: cannot find value `x{number}` in this scope" for number in range(1000)],
    ):
        lines = explain_output(printed, dropped).splitlines()
        assert len(lines) <= 20
        assert lines[-1].endswith("; and 98 more")
    assert explain_output(["error[E0425]: no x", *map(str, range(100))], []).startswith("error[E0425]")


def test_repeated_error_is_shown_once() -> None:
    assert explain_output(["error: no such file: x.h"] * 9, []) == "error: no such file: x.h"


def test_last_lines_are_shown_without_a_compilers_error() -> None:
    assert explain_output([*"abc", "ModuleNotFoundError: No module named 'numpy'"], []).endswith("named 'numpy'")


def test_sdist_is_copied_completely(tmp_path: Path) -> None:
    files = {"PKG-INFO", "setup.py", "own.egg-info/SOURCES.txt", "build/tables.py", "dist/data"}
    for file in files:
        path = tmp_path / "own-1" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    copy = tmp_path / "copy"
    copy_project(tmp_path / "own-1", copy)
    assert {str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file()} == files


@pytest.mark.parametrize("requirement", ["maturin>=1,<2", "setuptools-rust", "Setuptools_Rust>=1.4"])
def test_rust_is_refused_with_a_hint(requirement: str) -> None:
    with pytest.raises(BuildError, match=r"orjson-3.11 is written in Rust") as caught:
        refuse_rust(["setuptools", requirement], package="orjson-3.11")
    assert '"deb"' in str(caught.value.hint)
    with pytest.raises(BuildError) as caught:
        refuse_rust([requirement], package="orjson-3.11", hint="take ujson")
    assert caught.value.hint == "take ujson"


def test_other_requirements_are_not_refused() -> None:
    refuse_rust(["setuptools", "maturins", "what is this"], package="own")
    assert requirement_names(["Cython >=3", "numpy; python_version>'3'", "???"]) == {"cython", "numpy"}
