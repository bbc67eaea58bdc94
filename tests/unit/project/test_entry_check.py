"""Entries are checked by reading files, before anything is built."""

from pathlib import Path

import pytest

from incamera.errors import ConfigError
from incamera.project.entry_check import check_in_bundle, checked_entry
from incamera.project.loading import load_project
from incamera.project.settings import Project

SETUPTOOLS = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
FILES = {
    "app.py": "",
    "bell/__init__.py": "from bell.main import ring as rung\n",
    "bell/main.py": """\
import asyncio
def ring(loud=False): ...
async def wait(): ...
def needy(argv, *, loud): ...
if True:
    def conditional(): ...
try:
    from fast import quick
except ImportError:
    quick = ring
class Main: ...
""",
    "bell/star.py": "from bell.main import *\n",
    "bell/lazy.py": "def __getattr__(name): ...\n",
    "bell/broken.py": "def (\n",
    "bell/cli.py": "def main(): ...\nif __name__ == '__main__':\n    main()\n",
    "bell/fast.pyx": "",
    "chime/__init__.py": "",
    "chime/__main__.py": "",
    "build/made.py": "",
    "tests/test_bell.py": "",
}


def make(folder: Path, entry: str, *, project: str = "", build: str = "", source: str = "") -> Project:
    for name, text in FILES.items():
        outside = name.startswith(("app.py", "build/", "tests/"))
        path = folder / name if outside else folder / source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    settings = f'[project]\nname = "bell"\nversion = "1"\n{project}\n{build}\n[tool.incamera]\nentry = "{entry}"\n'
    (folder / "pyproject.toml").write_text(settings)
    return load_project(folder)


@pytest.mark.parametrize(
    "entry",
    [
        *("app.py", "bell/main.py", "bell.main", "bell.cli", "chime", "bell:rung", "bell.main:ring", "http.server"),
        *("bell.main:conditional", "bell.main:quick", "bell.main:Main", "bell.star:any", "bell.lazy:any"),
        *("bell.broken:any", "bell.fast:any"),
    ],
)
@pytest.mark.parametrize(("build", "source"), [("", ""), (SETUPTOOLS, ""), (SETUPTOOLS, "src")])
def test_entries_that_exist_pass(tmp_path: Path, entry: str, build: str, source: str) -> None:
    if source and entry == "bell/main.py":
        entry = "src/bell/main.py"
    assert str(checked_entry(make(tmp_path, entry, build=build, source=source))) == entry


@pytest.mark.parametrize(
    ("entry", "message", "hint"),
    [
        ("ap.py", 'there is no file "ap.py"', 'did you mean "app.py"?'),
        ("bell/mian.py", 'there is no file "bell/mian.py"', '"bell/main.py"'),
        ("build/made.py", '"build/made.py" is not sent to the camera', "move it"),
        ("bell.mian", 'there is no module "bell.mian"', 'did you mean "bell.main"?'),
        ("bel.main", 'there is no module "bel.main"', 'did you mean "bell.main"?'),
        ("elsewhere", 'there is no module "elsewhere"', "bell.main"),
        ("bell", '"bell" has no __main__.py', '"bell.cli"'),
        ("bell:mian", 'module "bell" has no "mian"', "there is no function in that module"),
        ("bell.main:rnig", 'module "bell.main" has no "rnig"', 'did you mean "ring"?'),
        ("bell.main:xyz", 'module "bell.main" has no "xyz"', "functions there: ring, needy, conditional"),
        ("bell.main:wait", "is a coroutine function", "asyncio.run(wait())"),
        ("bell.main:needy", "needs arguments (argv, loud)", "default values"),
    ],
)
def test_entries_that_cannot_start_are_refused_with_the_names_that_exist(
    tmp_path: Path, entry: str, message: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        checked_entry(make(tmp_path, entry))
    assert str(caught.value).startswith("tool.incamera.entry: ")
    assert message in str(caught.value)
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize("source", ["", "src"])
def test_module_that_the_wheel_will_not_have_is_refused(tmp_path: Path, source: str) -> None:
    project = make(tmp_path, "tests.test_bell", build=SETUPTOOLS, source=source)
    with pytest.raises(ConfigError, match=r'the wheel of the project will not have .*"tests\.test_bell"') as caught:
        checked_entry(project)
    assert "bell.main" in (caught.value.hint or "")


def test_module_that_a_dependency_may_have_is_looked_for_in_the_bundle(tmp_path: Path) -> None:
    project = make(tmp_path, "uvicorn.main", project='dependencies = ["uvicorn"]')
    checked_entry(project)
    packages = "lib/python3/dist-packages/uvicorn"
    check_in_bundle(project, [f"{packages}/__init__.pyc", f"{packages}/main.pyc"], tmp_path)
    byte_code = "app/bell/__pycache__/main.cpython-311.pyc"
    with pytest.raises(ConfigError, match=r'no module "uvicorn\.main" in what is sent') as caught:
        check_in_bundle(project, ["app/bell/main.py", byte_code, f"{packages}/__init__.pyc"], tmp_path)
    assert caught.value.hint is not None
    assert "bell.main" in caught.value.hint
    assert "__pycache__" not in caught.value.hint


def test_functions_of_a_module_that_was_built_are_read_in_the_bundle(tmp_path: Path) -> None:
    project = make(tmp_path, "made.main:rnig", build=SETUPTOOLS, source="src")
    checked_entry(project)
    (tmp_path / "app" / "made").mkdir(parents=True)
    (tmp_path / "app" / "made" / "main.py").write_text("def ring(): ...\n")
    with pytest.raises(ConfigError, match='has no "rnig"'):
        check_in_bundle(project, ["app/made/main.py"], tmp_path)
    check_in_bundle(project, ["app/made/main.cpython-311-arm-linux-gnueabihf.so"], tmp_path)
