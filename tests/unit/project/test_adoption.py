"""`incamera init`: what it adds to folders of other tools, and what it refuses."""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incamera.errors import ConfigError, UsageError
from incamera.project.adoption.constraints import convert_constraint, python_marker
from incamera.project.adoption.entry import EntryChoice, find_entries
from incamera.project.adoption.plan import plan_adoption
from incamera.project.adoption.requirements_txt import load_requirements
from incamera.project.changes import FileChange, apply_changes, describe

if TYPE_CHECKING:
    from incamera.project.adoption.project_tables import Adoption

MAIN = 'if __name__ == "__main__":\n    print(1)\n'


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__dot__", ".").replace("__in__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return folder


def plan(folder: Path, entry: str | None = None, **environment: str) -> Adoption:
    return plan_adoption(folder, entry=entry, choose=lambda choices: None, environment=environment)


def adopted(folder: Path, entry: str | None = None) -> dict[str, Any]:
    """Plan and write, and return the new pyproject.toml."""
    apply_changes(plan(folder, entry).changes)
    assert plan(folder).changes == [], "the second time there is something to do"
    return tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))


# What each tool makes


def test_uv_project_gets_an_entry_and_a_python_that_it_allows(tmp_path: Path) -> None:
    before = '[project]\nname = "lamp"\nversion = "0.1.0"\nrequires-python = ">=3.12"\ndependencies = []\n'
    write(tmp_path, pyproject__dot__toml=before, main__dot__py=MAIN)
    assert adopted(tmp_path)["tool"]["incamera"] == {"entry": "main.py", "python": "3.13"}
    assert (tmp_path / "pyproject.toml").read_text().startswith(before)


def test_a_python_that_no_camera_gets_is_refused(tmp_path: Path) -> None:
    write(tmp_path, pyproject__dot__toml='[project]\nname = "a"\nrequires-python = ">=3.99"\n', app__dot__py=MAIN)
    with pytest.raises(ConfigError, match="requires-python"):
        plan(tmp_path)


POETRY = """\
[tool.poetry]
name = "lamp"
version = "0.2.0"
description = "A lamp"
authors = ["Ada <ada@example.com>"]

[tool.poetry.dependencies]
python = "^3.11"
numpy = "^1.24"  # pinned
requests = { version = "~2.28", extras = ["socks"] }
pillow = { version = ">=9,<12", optional = true }
tomli = { version = "*", python = "<3.11", markers = "sys_platform == 'linux' or os_name == 'posix'" }
multi = [{ version = "1.*", platform = "linux" }, { version = "2.0", platform = "win32" }]

[tool.poetry.extras]
view = ["pillow"]

[tool.poetry.group.dev.dependencies]
pytest = "^8"

[tool.poetry.scripts]
lamp = "lamp.cli:main"

[build-system]
requires = ["poetry-core"]
build-backend = "poetry.core.masonry.api"
"""


def test_poetry_tables_are_converted_and_stay(tmp_path: Path) -> None:
    write(tmp_path, pyproject__dot__toml=POETRY, lamp__in__cli__dot__py="def main(): ...\n")
    table = adopted(tmp_path)
    assert table["project"] == {
        "name": "lamp",
        "version": "0.2.0",
        "description": "A lamp",
        "authors": [{"name": "Ada", "email": "ada@example.com"}],
        "requires-python": ">=3.11,<4.0",
        "dependencies": [
            "numpy>=1.24,<2.0",
            "requests[socks]>=2.28,<2.29",
            'tomli ; python_version < "3.11" and (sys_platform == "linux" or os_name == "posix")',
            'multi==1.* ; sys_platform == "linux"',
            'multi==2.0 ; sys_platform == "win32"',
        ],
        "optional-dependencies": {"view": ["pillow>=9,<12"]},
        "scripts": {"lamp": "lamp.cli:main"},
    }
    assert table["dependency-groups"] == {"dev": ["pytest>=8,<9"]}
    assert table["tool"]["incamera"] == {"entry": "lamp.cli:main"}
    assert POETRY in (tmp_path / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ('a = "^1.0 || ^2.0"', "tool.poetry.dependencies.a: .*alternatives"),
        ('a = { git = "https://example.com/a.git", branch = "main" }', "dependencies.a: branch"),
        ('a = { url = "https://example.com/a.whl" }', "dependencies.a: url"),
        ('a = { version = "1", source = "private" }', "dependencies.a: source"),
        ('a = { version = "1", allow-prereleases = true }', "dependencies.a: allow-prereleases"),
        ('a = { version = "1", surprising = true }', "dependencies.a: surprising"),
        ('a = "not a version!"', "dependencies.a"),
    ],
)
def test_what_poetry_says_and_project_cannot_is_named_and_nothing_is_added(
    tmp_path: Path, line: str, named: str
) -> None:
    text = f'[tool.poetry]\nname = "lamp"\nversion = "1"\n[tool.poetry.dependencies]\nnumpy = "^1"\n{line}\n'
    write(tmp_path, pyproject__dot__toml=text, app__dot__py=MAIN)
    with pytest.raises(ConfigError, match=named):
        plan(tmp_path)


@pytest.mark.parametrize(
    ("constraint", "specifier"),
    [
        ("^1.2.3", ">=1.2.3,<2.0.0"),
        ("^0.2.3", ">=0.2.3,<0.3.0"),
        ("^0.0.3", ">=0.0.3,<0.0.4"),
        ("^0.0", ">=0.0,<0.1"),
        ("^0", ">=0,<1"),
        ("^1!2.0", ">=1!2.0,<1!3.0"),
        ("~1.2.3", ">=1.2.3,<1.3.0"),
        ("~1", ">=1,<2"),
        ("~=1.4", "~=1.4"),
        ("1.2.3", "==1.2.3"),
        ("1.2.*", "==1.2.*"),
        ("*", ""),
        (">=1.0 <2.0", ">=1.0,<2.0"),
        (">= 1.0, != 1.5", ">=1.0,!=1.5"),
    ],
)
def test_poetry_constraints(constraint: str, specifier: str) -> None:
    assert convert_constraint(constraint) == specifier


def test_python_constraints_become_markers() -> None:
    assert python_marker("^3.11") == 'python_version >= "3.11" and python_version < "4.0"'
    assert python_marker(">=3.8.1") == 'python_full_version >= "3.8.1"'


@pytest.mark.parametrize("back_end", ["pdm.backend", "hatchling.build", "flit_core.buildapi", "setuptools.build_meta"])
def test_projects_with_standard_tables_get_only_settings(tmp_path: Path, back_end: str) -> None:
    package = back_end.partition(".")[0].replace("_", "-")
    text = (
        '[project]\nname = "lamp"\nversion = "1"\ndependencies = ["numpy"]\n\n'
        f'[build-system]\nrequires = ["{package}"]\n'
        f'build-backend = "{back_end}"\n'
    )
    write(tmp_path, pyproject__dot__toml=text, src__in__lamp__in____main____dot__py="")
    assert adopted(tmp_path)["tool"]["incamera"] == {"entry": "lamp"}
    assert (tmp_path / "pyproject.toml").read_text() == f'{text}\n[tool.incamera]\nentry = "lamp"\n'


def test_setup_py_keeps_what_it_says(tmp_path: Path) -> None:
    setup = """
from setuptools import setup, Extension
from Cython.Build import cythonize
import helper
setup(name="lamp", version=helper.version(), install_requires=["numpy"], packages=["lamp"],
      entry_points={"console_scripts": ["lamp = lamp.cli:main"]},
      ext_modules=cythonize([Extension("lamp._c", ["c.pyx"])]))
"""
    write(tmp_path, setup__dot__py=setup, helper__dot__py="", lamp__in__cli__dot__py="def main(): ...\n")
    table = adopted(tmp_path)
    assert table["project"] == {"name": "lamp", "dynamic": ["dependencies", "scripts", "version"]}
    assert table["build-system"] == {
        "requires": ["setuptools", "cython"],
        "build-backend": "setuptools.build_meta:__legacy__",  # lets setup.py import its helper
    }
    assert table["tool"] == {"incamera": {"entry": "lamp.cli:main"}}


def test_setup_cfg_keeps_what_it_says(tmp_path: Path) -> None:
    cfg = "[metadata]\nname = lamp\nversion = 1\n\n[options]\npackages = find:\ninstall_requires =\n  numpy\n"
    write(tmp_path, setup__dot__cfg=cfg, lamp__in____main____dot__py="")
    table = adopted(tmp_path)
    assert table["project"] == {"name": "lamp", "dynamic": ["dependencies", "version"]}
    assert table["tool"]["incamera"] == {"entry": "lamp"}


@pytest.mark.parametrize(
    "setup",
    ["from setuptools import setup\nsetup(**read())\n", "name = 1\n", "from setuptools import setup\nsetup(name=n)\n"],
)
def test_a_setup_py_that_computes_what_is_needed_is_refused(tmp_path: Path, setup: str) -> None:
    write(tmp_path, setup__dot__py=setup, app__dot__py=MAIN)
    with pytest.raises(ConfigError, match=r"setup\.py"):
        plan(tmp_path)


def test_a_setup_py_for_c_modules_alone_gets_dependencies_that_can_be_added_to(tmp_path: Path) -> None:
    """The layout of the container-based prototypes: setup.py in app/, requirements.txt above it."""
    (tmp_path / ".git").mkdir()
    setup = 'from setuptools import *\nsetup(name="hello", ext_modules=[Extension("fast", ["src/fast.c"])])\n'
    write(tmp_path, requirements__dot__txt="tqdm\n", copy_files__dot__py=MAIN)
    app = write(
        tmp_path / "app",
        setup__dot__py=setup,
        app__dot__py="import fast\nimport numpy as np\n",
        src__in__fast__dot__c="#include <stdio.h>\n",
        wrappers__in__fast__dot__pyx="cimport cpython\ncimport numpy as np\n",
    )
    table = adopted(app)
    # The sources name numpy's headers, which setup.py does not.
    assert table["build-system"]["requires"] == ["setuptools", "numpy"]
    assert table["project"] == {"name": "hello", "version": "0.0.0", "dependencies": ["tqdm", "numpy"]}
    assert table["tool"] == {"setuptools": {"py-modules": ["app"]}, "incamera": {"entry": "app.py"}}
    with pytest.raises(UsageError, match="in the folder app"):
        plan(tmp_path)


def test_requirements_txt_above_that_may_be_of_another_project_is_named(tmp_path: Path) -> None:
    """A prototype that was downloaded as an archive has no .git, which would show the repository's top folder."""
    write(tmp_path, requirements__dot__txt="tqdm\n")
    found = plan(write(tmp_path / "app", app__dot__py="import tqdm\n"))
    assert f"not read: {tmp_path / 'requirements.txt'}. If it is of this project, copy it here first" in found.notes


def test_project_without_dependencies_gets_those_of_requirements_txt_and_what_setup_py_imports(tmp_path: Path) -> None:
    write(
        tmp_path,
        pyproject__dot__toml='[project]\nname = "lamp"\nversion = "1"\n\n# the end\n[tool.other]\n',
        requirements__dot__txt="tqdm\n",
        setup__dot__py="from Cython.Build import *\nfrom setuptools import *\nsetup(ext_modules=cythonize('a.pyx'))\n",
        app__dot__py=MAIN,
    )
    table = adopted(tmp_path)
    assert table["project"] == {"name": "lamp", "version": "1", "dependencies": ["tqdm"]}
    assert table["build-system"]["requires"] == ["setuptools", "cython"]


def test_a_lone_script_gets_the_packages_whose_names_are_certain(tmp_path: Path) -> None:
    script = "import cv2, yaml, json\nimport own_thing\ntry:\n    import scipy\nexcept ImportError: ...\n"
    write(tmp_path, blink__dot__py=script)
    found = plan(tmp_path)
    apply_changes(found.changes)
    table = tomllib.loads((tmp_path / "pyproject.toml").read_text())
    assert table["project"]["dependencies"] == ["opencv-python-headless", "pyyaml"]
    assert table["tool"]["incamera"] == {"entry": "blink.py"}
    assert any("own_thing" in note for note in found.notes)


def test_the_block_of_a_script_is_taken_over(tmp_path: Path) -> None:
    block = (
        '# /// script\n# dependencies = ["lamp", "numpy<2"]\n# requires-python = ">=3.13"\n'
        '# [tool.incamera]\n# debs = ["libzbar0"]\n# [tool.uv.sources]\n# lamp = { path = "lib" }\n# ///\n'
    )
    write(tmp_path, blink__dot__py=f"{block}import lamp\nimport numpy\n", lib__in__setup__dot__py="")
    table = adopted(tmp_path, "blink.py")
    assert table["project"]["dependencies"] == ["lamp", "numpy<2"]
    assert table["project"]["requires-python"] == ">=3.13"
    assert table["tool"] == {
        "incamera": {"debs": ["libzbar0"], "entry": "blink.py", "python": "3.13"},
        "uv": {"sources": {"lamp": {"path": "lib"}}},
    }


@pytest.mark.parametrize(
    ("line", "named"),
    [('dependencies = ["numpy = 1"]', "numpy = 1"), ('tool.uv.exclude-newer = "2026-01-01"', "exclude")],
)
def test_what_is_wrong_in_the_block_of_a_script_is_named(tmp_path: Path, line: str, named: str) -> None:
    write(tmp_path, blink__dot__py=f"# /// script\n# {line}\n# ///\n")
    with pytest.raises(ConfigError, match=named):
        plan(tmp_path)


# The entry


@pytest.mark.parametrize(
    ("files", "entries"),
    [
        (["main.py", "util.py"], ["main.py"]),
        (["app.py", "main.py"], ["app.py"]),
        (["one.py"], ["one.py"]),
        (["lamp/__main__.py", "main.py"], ["lamp"]),
        (["setup.py", "test_x.py", "conftest.py"], []),
        (["main.py", "cli.py"], ["cli.py", "main.py"]),
    ],
)
def test_entries_of_a_folder(tmp_path: Path, files: Sequence[str], entries: Sequence[str]) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("" if name == "util.py" else MAIN)
    assert [choice.entry for choice in find_entries(tmp_path, {}, has_build_system=False)] == entries


def test_one_script_is_the_entry_and_two_are_a_question(tmp_path: Path) -> None:
    text = '[project]\nname = "lamp"\n[project.scripts]\na = "lamp:main"\nb = "lamp:other"\n'
    write(tmp_path, pyproject__dot__toml=text, lamp__dot__py="def main(): ...\ndef other(): ...\n")
    with pytest.raises(UsageError, match=r"(?s)lamp:main.*lamp:other") as error:
        plan(tmp_path)
    assert error.value.hint is not None
    assert "--entry lamp:main" in error.value.hint
    assert plan(tmp_path, "lamp:other").entry == "lamp:other"
    asked: list[EntryChoice] = []

    def choose(choices: Sequence[EntryChoice]) -> str:
        asked.extend(choices)
        return choices[1].entry

    assert plan_adoption(tmp_path, entry=None, choose=choose, environment={}).entry == "lamp:other"
    assert [choice.entry for choice in asked] == ["lamp:main", "lamp:other"]


def test_scripts_of_a_package_that_nothing_installs_are_named_as_such(tmp_path: Path) -> None:
    text = '[project]\nname = "lamp"\n[project.scripts]\na = "lamp.cli:main"\n'
    write(tmp_path, pyproject__dot__toml=text, src__in__lamp__in__cli__dot__py="def main(): ...\n")
    with pytest.raises(UsageError, match=r"no \[build-system\]"):
        plan(tmp_path)


# requirements.txt


def test_requirements_files(tmp_path: Path) -> None:
    write(
        tmp_path,
        requirements__dot__txt="# head\nnumpy==1.26.4 --hash=sha256:aa \\\n  --hash=sha256:bb\n"
        "-r more/web.txt\n-c limits.txt\n"
        "-e ./lamp[view]\n-e .\npillow ; sys_platform == 'linux'  # why\n--require-hashes\n"
        f"git+https://example.com/gong.git@{'01' * 20}#egg=gong\n"
        f"bell @ git+https://example.com/bell.git@{'01' * 20}#subdirectory=py\n"
        "--index-url https://index.example/simple/\n",
        more__in__web__dot__txt="requests[socks]>=2\n-r ../requirements.txt\n",
        limits__dot__txt="urllib3<3\n",
        lamp__in__pyproject__dot__toml='[project]\nname = "Lamp_Lib"\n',
    )
    found = load_requirements(
        tmp_path / "requirements.txt", tmp_path, {"PIP_INDEX_URL": "https://index.example/simple"}
    )
    assert found.refused == []
    assert found.requirements == [
        "numpy==1.26.4",
        "requests[socks]>=2",
        "Lamp_Lib[view]",
        "pillow ; sys_platform == 'linux'",
        "gong",
        "bell",
    ]
    assert found.constraints == ["urllib3<3"]
    assert found.sources == {
        "lamp-lib": {"path": "lamp"},
        "gong": {"git": "https://example.com/gong.git", "rev": "01" * 20},
        "bell": {"git": "https://example.com/bell.git", "rev": "01" * 20, "subdirectory": "py"},
    }
    assert any("hashes" in note for note in found.notes)


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("--index-url https://me:secret@index.example/simple", "--index-url"),
        ("--extra-index-url=https://index.example", "--extra-index-url"),
        ("-f wheels", "-f"),
        ("--pre", "--pre"),
        ("--no-binary=:all:", "--no-binary"),
        ("git+https://example.com/a.git@main#egg=a", "a is in a git repository, and the line names no full commit"),
        ("a @ https://example.com/a-1-py3-none-any.whl", "a is a URL"),
        ("https://example.com/a.zip", "a URL of a file"),
        ("./nowhere", "there is no"),
        ("-e ../nowhere", "there is no"),
        ("numpy = 1", "numpy = 1"),
        ("a==${VERSION}", "variables"),
        ("a --config-settings=x", "--config-settings"),
        ("/\0", "this is neither"),
        ("~no-such-user/a", "this is neither"),
        ("--surprise", "--surprise: the option is not known"),
        ("-c gone.txt", "there is no file gone.txt"),
        ("--requirement=gone.txt", "there is no file gone.txt"),
    ],
)
def test_refused_lines_of_a_requirements_file_are_named_without_passwords(
    tmp_path: Path, line: str, named: str
) -> None:
    write(tmp_path, requirements__dot__txt=f"numpy\n\n{line}\n", app__dot__py=MAIN)
    with pytest.raises(ConfigError) as error:
        plan(tmp_path)
    assert f"requirements.txt:3: {named}" in str(error.value).replace('"', "")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("entry", "named"),
    [(None, 'the script lamp: module "lamp" has no "mian"'), ("lamp:mani", '--entry: module "lamp"')],
)
def test_entry_that_is_wrong_is_named_where_it_stands(tmp_path: Path, entry: str | None, named: str) -> None:
    pyproject = (
        '[project]\nname = "lamp"\n[project.scripts]\nlamp = "lamp:mian"\n[build-system]\nrequires = ["uv_build"]\n'
    )
    write(tmp_path, pyproject__dot__toml=pyproject, lamp__dot__py="def main():\n    pass\n")
    with pytest.raises(ConfigError) as error:
        plan(tmp_path, entry) if entry else plan(tmp_path)
    assert named in str(error.value)


def test_the_source_of_a_compiled_requirements_file_is_preferred(tmp_path: Path) -> None:
    write(
        tmp_path, requirements__dot__in="numpy\n", requirements__dot__txt="numpy==1.26.4\nlib==1\n", app__dot__py=MAIN
    )
    assert adopted(tmp_path)["project"]["dependencies"] == ["numpy"]


def test_lists_of_other_tools_are_named_as_not_read(tmp_path: Path) -> None:
    write(tmp_path, Pipfile="", environment__dot__yml="", pixi__dot__toml="", app__dot__py=MAIN)
    (note,) = [note for note in plan(tmp_path).notes if note.startswith("not read: ")]
    assert note.startswith("not read: Pipfile, environment.yml, pixi.toml. `incamera add NAME`")


def test_a_list_that_another_names_is_read(tmp_path: Path) -> None:
    write(
        tmp_path,
        requirements__dot__txt="-r requirements/base.txt\n-c requirements/limits.txt\n",
        requirements__in__base__dot__txt="tqdm\n",
        requirements__in__limits__dot__txt="tqdm<5\n",
        requirements__in__dev__dot__txt="ruff\n",
        app__dot__py=MAIN,
    )
    (note,) = [note for note in plan(tmp_path).notes if note.startswith("not read: ")]
    assert note.startswith("not read: requirements/dev.txt. ")
    assert adopted(tmp_path)["project"]["dependencies"] == ["tqdm"]


def test_a_folder_with_the_name_of_a_package_that_it_needs_gets_another_name(tmp_path: Path) -> None:
    folder = tmp_path / "tqdm"
    write(folder, requirements__dot__txt="tqdm\n", app__dot__py=MAIN)
    assert adopted(folder)["project"]["name"] == "tqdm-app"
    assert adopted(folder)["project"]["dependencies"] == ["tqdm"]


# Whatever the files have in them


_WORDS = st.sampled_from(
    [
        "project",
        "tool",
        "poetry",
        "dependencies",
        "name",
        "version",
        "extras",
        "group",
        "dev",
        "scripts",
        "python",
        "numpy",
        "dynamic",
        "authors",
        "urls",
        "plugins",
        "uv",
        "sources",
        "git",
        "path",
        "rev",
        "incamera",
        "entry",
        "markers",
    ]
)
_LEAVES = st.text(max_size=5) | st.integers(0, 9) | st.booleans() | st.sampled_from(["^1", "lamp:main", ">=3", "*"])
_TABLES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_WORDS, inner, max_size=4), max_leaves=20
)


@pytest.mark.parametrize("path", [(), ("project",), ("tool",), ("tool", "poetry"), ("tool", "incamera")])
@given(values=st.dictionaries(_WORDS, _TABLES, max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_any_table_is_taken_over_or_refused(tmp_path: Path, path: tuple[str, ...], values: dict[str, Any]) -> None:
    for key in reversed(path):
        values = {key: values}
    (tmp_path / "pyproject.toml").write_text(tomli_w.dumps(values), "utf-8")
    (tmp_path / "app.py").touch()
    with contextlib.suppress(ConfigError, UsageError):
        plan(tmp_path, "app.py")


@given(
    lines=st.lists(
        st.text(max_size=12) | st.sampled_from(["-r ", "-e ", "a @ git+", "--hash=", "./", "\\", "[", "git+"])
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)
def test_any_requirements_file_is_read_or_refused(tmp_path: Path, lines: list[str]) -> None:
    (tmp_path / "requirements.txt").write_text("\n".join(lines), "utf-8")
    with contextlib.suppress(ConfigError):
        load_requirements(tmp_path / "requirements.txt", tmp_path, {})


# Changes


def test_changes_are_made_all_or_not_at_all(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "no" / "second"
    first.write_bytes(b"before\r\n")
    first.chmod(0o640)
    (tmp_path / "no").write_text("a file where a folder should be")
    changes = [FileChange(first, b"before\r\n", b"after\n"), FileChange(second, None, b"new\n")]
    with pytest.raises(Exception, match="second"):
        apply_changes(changes)
    assert first.read_bytes() == b"before\r\n"
    apply_changes(changes[:1])
    assert first.read_bytes() == b"after\n"
    assert first.stat().st_mode & 0o777 == 0o640


def test_a_file_that_changed_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_bytes(b"newer")
    with pytest.raises(ConfigError, match="meanwhile"):
        apply_changes([FileChange(path, b"older", b"mine")])
    assert path.read_bytes() == b"newer"


def test_the_diff_names_files_relative_to_the_folder(tmp_path: Path) -> None:
    change = FileChange(tmp_path / "pyproject.toml", None, b"a\n")
    assert describe([change], tmp_path) == "--- /dev/null\n+++ pyproject.toml\n@@ -0,0 +1 @@\n+a"
