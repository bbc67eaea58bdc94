"""`incamera lock` and `build` with a package index on loopback, sound and with faults."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.pylock import Pylock

from .command import assert_error
from .local_index import LocalIndex, local_index
from .paths import STORE
from .project import write_project

if TYPE_CHECKING:
    from .command import Finished, Run


@dataclass(frozen=True)
class Place:
    """A project whose packages come from an index on loopback; the store is the tests' own."""

    folder: Path
    index: LocalIndex
    run: Run
    environment: Mapping[str, str]

    def write(self, *dependencies: str, settings: str = "") -> None:
        write_project(self.folder, dependencies=json.dumps(dependencies), settings=settings)

    def __call__(self, command: str, *arguments: str, **options: Any) -> Finished:
        env = {**self.environment, **options.pop("env", {})}
        return self.run(command, *arguments, cwd=self.folder, env=env, **options)

    @property
    def lock(self) -> dict[str, Any]:
        return tomllib.loads((self.folder / "pylock.armv7hf-cp311.toml").read_text())

    @property
    def sources(self) -> dict[str, str]:
        return {
            item["name"]: f"{item['version']} {item['source']}"
            for item in self.lock["tool"]["incamera"]["distributions"]
        }

    def tree(self) -> Path:
        done = self("build", "--json")
        assert done.code == 0, done.err
        return Path(json.loads(done.out)["path"])


@pytest.fixture
def place(tmp_path: Path, incamera: Run) -> Iterator[Place]:
    with local_index() as index:
        place = Place(tmp_path / "plain", index, incamera, index.environment)
        place.write()
        yield place


# A sound index


def test_lock_explains_the_source_of_each_package(place: Place) -> None:
    place.index.add_wheel("lamp", "2.0", "bulb>=1", 'intel; platform_machine == "x86_64"')
    place.index.add_wheel("bulb", "1.5")
    place.write("lamp", "pyyaml")
    done = place("lock")
    assert done.code == 0, done.err
    assert place.sources == {"lamp": "2.0 wheel", "bulb": "1.5 wheel", "pyyaml": "6.0 deb"}
    explained = place("lock", "--explain", "PyYAML")
    assert "python3-yaml of Debian bookworm" in explained.out
    assert "not wheel: no package index has it" in explained.out
    tree = place.tree()
    for file in ("lamp.py", "bulb.py", "yaml/__init__.py"):
        assert (tree / "lib/python3/dist-packages" / file).is_file()
        assert list((tree / "lib/python3/dist-packages" / file).parent.glob(f"__pycache__/{Path(file).stem}.*.pyc"))


def test_lock_is_a_valid_pylock_that_pip_installs(place: Place, tmp_path: Path) -> None:
    lamp = place.index.add_wheel("lamp", "2.0", "bulb")
    place.index.add_wheel("bulb", "1.5")
    place.write("lamp", "pyyaml")
    assert place("lock").code == 0
    lock = Pylock.from_dict(place.lock)
    lock.validate()
    assert {package.name: str(package.version) for package in lock.packages} == {"lamp": "2.0", "bulb": "1.5"}
    assert place.lock["packages"][1]["wheels"][0]["hashes"] == {"sha256": lamp.sha256}
    taken = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--target", tmp_path / "taken", "--no-deps"),
            *("-r", place.folder / "pylock.armv7hf-cp311.toml"),
        ],
        env={**os.environ, **place.index.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert taken.returncode == 0, taken.stderr
    assert (tmp_path / "taken/lamp.py").is_file()


def test_lockfile_of_another_tool_is_not_overwritten(place: Place) -> None:
    place.write("six")
    path = place.folder / "pylock.armv7hf-cp311.toml"
    path.write_text('lock-version = "1.0"\ncreated-by = "uv"\npackages = []\n')
    for command in ("lock", "build"):
        assert_error(place(command), 3, "pylock.armv7hf-cp311.toml was made by uv", "rename or remove that file")
    assert 'created-by = "uv"' in path.read_text()


def test_lock_of_the_same_dependencies_has_the_same_bytes(place: Place) -> None:
    place.index.add_wheel("lamp", "2.0", "bulb")
    place.index.add_wheel("bulb", "1.5")
    texts = set()
    for dependencies in (("lamp", "pyyaml"), ("pyyaml", "lamp")):
        place.write(*dependencies)
        (place.folder / "pylock.armv7hf-cp311.toml").unlink(missing_ok=True)
        assert place("lock").code == 0
        texts.add((place.folder / "pylock.armv7hf-cp311.toml").read_text())
    assert len(texts) == 1


def test_lock_does_not_depend_on_what_the_store_has(place: Place, tmp_path: Path) -> None:
    place.index.add_wheel("lamp", "2.0", "bulb", 'fast; extra == "speed"')
    place.index.add_wheel("bulb", "1.5")
    place.write("lamp[tempo]", "pyyaml")
    store = tmp_path / "store"
    caches = store / "caches"
    texts = []
    for damage in (b"", b"", b"lamp", b"Package: libc6"):
        for path in [*caches.glob("index/*/*.page"), *caches.glob("debian-indexes/*")] if damage else []:
            path.write_bytes(path.read_bytes().replace(damage, damage.swapcase()))
        (place.folder / "pylock.armv7hf-cp311.toml").unlink(missing_ok=True)
        done = place("lock", env={"INCAMERA_STORE": str(store)})
        assert done.code == 0, done.err
        assert 'lamp 2.0 has no extra "tempo"' in done.err
        texts.append((place.folder / "pylock.armv7hf-cp311.toml").read_text())
    assert len(set(texts)) == 1


def test_upgrade_changes_only_what_is_named(place: Place) -> None:
    for name in ("lamp", "bulb"):
        place.index.add_wheel(name, "1.0")
    place.write("lamp", "bulb")
    assert place("lock").code == 0
    for name in ("lamp", "bulb"):
        place.index.add_wheel(name, "2.0")
    lockfile = place.folder / "pylock.armv7hf-cp311.toml"
    reviewed = f"# reviewed\n{lockfile.read_text()}"
    lockfile.write_text(reviewed)
    assert "none changed" in place("lock").out
    assert lockfile.read_text() == reviewed
    one = place("lock", "--upgrade", "lamp")
    assert "updated lamp 1.0 (wheel) → 2.0 (wheel)" in one.out
    assert place.sources == {"lamp": "2.0 wheel", "bulb": "1.0 wheel"}
    assert "bulb 1.0 (wheel) → 2.0 (wheel)" in place("lock", "--upgrade").out
    place.write("bulb")
    changed = json.loads(place("lock", "--json").out)["locks"][0]["changed"]
    assert changed == [{"name": "lamp", "before": "2.0 (wheel)", "after": None}]
    place.write("lamp", "bulb")
    assert "added lamp 2.0 (wheel)" in place("lock").out
    assert_error(place("lock", "--upgrade", "lmap"), 2, "lmap is not in the lock", 'did you mean "lamp"?')


def test_lock_follows_groups_extras_and_constraints(place: Place) -> None:
    for name, version in (("lamp", "1"), ("lamp", "2"), ("tester", "1"), ("viewer", "1"), ("unwanted", "1")):
        place.index.add_wheel(name, version)
    place.write("lamp", settings='groups = ["test"]\nextras = ["view"]\nconstraints = ["lamp<2"]')
    with (place.folder / "pyproject.toml").open("a") as stream:
        stream.write('[project.optional-dependencies]\nview = ["viewer"]\n')
        stream.write(
            '[dependency-groups]\nbase = ["tester"]\ntest = [{include-group = "base"}]\nother = ["unwanted"]\n'
        )
    assert place("lock").code == 0
    assert place.sources == {"lamp": "1 wheel", "tester": "1 wheel", "viewer": "1 wheel"}


# Faults


def test_error_explains_a_conflict(place: Place) -> None:
    place.index.add_wheel("lamp", "2.0", "bulb>=2")
    place.index.add_wheel("bulb", "1.5")
    place.write("lamp")
    done = place("lock")
    assert_error(done, 5, "lamp 2.0 asks for bulb>=2", "wheel 1.5", "hint:")
    assert not (place.folder / "pylock.armv7hf-cp311.toml").exists()


def test_build_refuses_a_stale_lock_and_lock_renews_it(place: Place) -> None:
    place.index.add_wheel("lamp", "2.0")
    place.write("lamp")
    assert place("build").code == 0
    before = (place.folder / "pylock.armv7hf-cp311.toml").read_text()
    place.write("lamp", "pyyaml")
    assert_error(place("build"), 3, "pylock.armv7hf-cp311.toml is stale", "incamera lock")
    assert (place.folder / "pylock.armv7hf-cp311.toml").read_text() == before
    assert place("lock").code == 0
    assert place("build").code == 0


def test_build_needs_neither_index_nor_mirror_when_all_is_fetched(place: Place) -> None:
    place.index.add_wheel("lamp", "2.0")
    place.write("lamp")
    first = place.tree()
    place.index.is_down = True
    nowhere = {"INCAMERA_DEBIAN_MIRROR": "http://127.0.0.1:9/debian", "PIP_INDEX_URL": "http://127.0.0.1:9/simple"}
    write_project(place.folder, dependencies='["lamp"]', app='print("another")\n')
    done = place("build", "--json", env=nowhere)
    assert done.code == 0, done.err
    assert json.loads(done.out)["path"] != str(first)


def test_error_when_the_index_is_down(place: Place) -> None:
    place.index.is_down = True
    place.write("lamp")
    assert_error(place("lock"), 5, "cannot ask the package index for lamp", "hint:")


def test_wheel_with_another_hash_is_refused(place: Place) -> None:
    lamp = place.index.add_wheel("lamp", "2.0")
    place.write("lamp")
    assert place("lock").code == 0
    lamp.content = lamp.content[:-1] + b"!"
    assert_error(place("build"), 5, lamp.filename, "sha256")


def test_error_for_a_file_that_the_index_no_longer_has(place: Place) -> None:
    place.index.add_wheel("lamp", "2.0")
    place.write("lamp")
    assert place("lock").code == 0
    place.index.projects["lamp"].clear()
    assert_error(place("build"), 5, "lamp-2.0-py3-none-any.whl", "incamera lock --upgrade lamp")


def test_release_yanked_after_locking_still_builds(place: Place) -> None:
    lamp = place.index.add_wheel("lamp", "2.0")
    place.index.add_wheel("lamp", "1.0")
    place.write("lamp")
    assert place("lock").code == 0
    lamp.yanked = "it leaks"
    place.tree()
    place("lock", "--upgrade")
    assert place.sources == {"lamp": "1.0 wheel"}


def test_error_for_a_damaged_wheel_names_it(place: Place) -> None:
    lamp = place.index.add_wheel("lamp", "2.0")
    # Unique, so that the store cannot have it: `lock` would then read the wheel itself.
    lamp.content = b"PK\x03\x04 but no more" + os.urandom(8)
    lamp.sha256 = hashlib.sha256(lamp.content).hexdigest()
    place.write("lamp")
    assert place("lock").code == 0
    assert_error(place("build"), 5, lamp.filename)


# Sdists

_SETUPTOOLS = '[build-system]\nrequires = ["setuptools>=77"]\nbuild-backend = "setuptools.build_meta"\n'
_EXTENSION = {
    "pyproject.toml": _SETUPTOOLS + '[project]\nname = "lamp"\nversion = "2.0"\n',
    "setup.py": "from setuptools import Extension, setup\nsetup(ext_modules=[Extension('lamp', ['lamp.c'])])\n",
    "lamp.c": '#include <Python.h>\nstatic struct PyModuleDef m = {PyModuleDef_HEAD_INIT, "lamp", 0, -1};\n'
    "PyMODINIT_FUNC PyInit_lamp(void) { return PyModule_Create(&m); }\n",
}


@pytest.fixture
def both(place: Place) -> Place:
    """The index on loopback goes first, and the user's own has what builds need."""
    return replace(place, environment={"PIP_EXTRA_INDEX_URL": place.index.url, "no_proxy": "127.0.0.1"})


def test_sdist_is_built_once_for_all_projects(both: Place) -> None:
    both.index.add_sdist("lamp", "2.0", files=_EXTENSION)
    both.write("lamp")
    tree = both.tree()
    assert (tree / "lib/python3/dist-packages/lamp.cpython-311-arm-linux-gnueabihf.so").is_file()
    assert both.sources == {"lamp": "2.0 sdist"}
    write_project(both.folder, name="second", dependencies='["lamp"]')
    done = both("build", "--json")
    assert done.code == 0, done.err
    assert {step["name"]: step["cached"] for step in json.loads(done.out)["steps"]}["runtime"]


@pytest.mark.matrix
def test_setting_asks_for_an_emulated_build(both: Place) -> None:
    # Also where the metadata are known only after a build. Perl is there for autoconf and its like.
    setup = "import os, subprocess\nassert os.getcwd() == '/build/project'\n"
    setup += "subprocess.run(['perl', '-MGetopt::Long', '-e', '1'], check=True)\n"
    files = {**_EXTENSION, "setup.py": setup + _EXTENSION["setup.py"]}
    both.index.add_sdist("lamp", "2.0", files=files, metadata_version="2.1")
    both.write("lamp", settings='sources = { lamp = "emulated" }')
    locked = both("lock")
    assert locked.code == 0, locked.err
    assert "warning: lamp is built under emulation" in locked.err
    assert both.sources == {"lamp": "2.0 emulated"}
    done = both("build", "--json")
    assert done.code == 0, done.err
    tree = Path(json.loads(done.out)["path"])
    assert (tree / "lib/python3/dist-packages/lamp.cpython-311-arm-linux-gnueabihf.so").is_file()


def test_failed_build_shows_the_compilers_lines_and_the_remedies(both: Place) -> None:
    broken = {**_EXTENSION, "lamp.c": "#error this camera has no lamp\n"}
    both.index.add_sdist("lamp", "2.0", files=broken)
    both.write("lamp")
    assert both("lock").code == 0
    done = both("build")
    assert_error(done, 5, "lamp cannot be built", "this camera has no lamp", '"emulated"', ".log")
    log = next(word for word in done.err.replace(";", " ").split() if word.endswith(".log"))
    assert Path(log).is_relative_to(STORE)
    assert "this camera has no lamp" in Path(log).read_text()


def test_sdist_in_rust_is_refused_with_a_hint(both: Place) -> None:
    files = {"pyproject.toml": '[build-system]\nrequires = ["maturin>=1"]\nbuild-backend = "maturin"\n'}
    both.index.add_sdist("rusty-bulb-of-mine", "2.0", files=files)
    both.write("rusty-bulb-of-mine")
    assert_error(both("lock"), 5, "rusty-bulb-of-mine", "Rust", "hint:")


def test_error_names_an_unknown_key_of_a_recipe(place: Place) -> None:
    place.write("pyyaml", settings='recipes = "recipes"')
    (place.folder / "recipes").mkdir()
    (place.folder / "recipes/pyyaml.toml").write_text('[sdist]\nbulid-requires = ["cython"]\n')
    assert_error(place("lock"), 3, 'pyyaml.toml: unknown key "sdist.bulid-requires"', 'did you mean "build-requires"')


def test_lock_finds_wrong_names_in_recipes(place: Place) -> None:
    files = {"pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "flit_core.buildapi"\n'}
    place.index.add_sdist("bulb-of-mine", "2.0", files=files)
    place.write("bulb-of-mine", settings='recipes = "recipes"')
    (place.folder / "recipes").mkdir()
    recipe = place.folder / "recipes/blub-of-mine.toml"
    recipe.write_text('[sdist]\ndev = ["libzbar-dve"]\n')
    done = place("lock")
    assert done.code == 0
    assert "warning: recipe blub-of-mine.toml is for no package of the project: rename it if bulb-of-mine" in done.err
    recipe.rename(recipe.with_name("bulb-of-mine.toml"))
    wrong = r"recipe bulb-of-mine\.toml: sdist\.dev: there is no Debian package libzbar-dve"
    assert_error(place("lock"), 3, wrong, "libzbar-dev")


def test_error_names_an_unknown_source(place: Place) -> None:
    place.write("pyyaml", settings='sources = { pyyaml = "whel" }')
    assert_error(place("lock"), 3, "tool.incamera.sources.pyyaml", 'did you mean "wheel"?')


# What only the project's build back end knows

_DYNAMIC = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "porch"
dynamic = ["version", "dependencies", "optional-dependencies"]

[tool.setuptools]
py-modules = ["porch"]

[tool.setuptools.dynamic]
version = { attr = "porch.__version__" }
dependencies = { file = "requirements.txt" }
optional-dependencies.night = { file = "requirements-night.txt" }

[tool.incamera]
entry = "porch"
"""


def test_dependencies_come_from_the_back_end_where_they_are_dynamic(both: Place) -> None:
    both.index.add_wheel("lamp", "2.0")
    both.index.add_wheel("bulb", "1.5")
    (both.folder / "app.py").unlink()
    (both.folder / "porch.py").write_text('__version__ = "7.1"\n')
    (both.folder / "requirements.txt").write_text("# what we need\nlamp; platform_machine == 'armv7l'\n")
    (both.folder / "requirements-night.txt").write_text("bulb\n")
    pyproject = both.folder / "pyproject.toml"
    pyproject.write_text(_DYNAMIC)
    tree = both.tree()
    assert both.sources == {"lamp": "2.0 wheel"}
    assert json.loads((tree / "bundle.json").read_text())["version"] == "7.1"
    pyproject.write_text(_DYNAMIC + 'extras = ["night"]\n')
    assert both("lock").code == 0
    assert both.sources == {"lamp": "2.0 wheel", "bulb": "1.5 wheel"}
    pyproject.write_text(_DYNAMIC + 'extras = ["nihgt"]\n')
    assert_error(both("lock"), 3, 'the project has no extra "nihgt"', "night")
    # A changed list of requirements makes the lock stale, an edit of the app does not.
    pyproject.write_text(_DYNAMIC)
    assert both("lock").code == 0
    (both.folder / "porch.py").write_text('__version__ = "7.2"\n')
    assert both("build").code == 0
    (both.folder / "requirements.txt").write_text("bulb\n")
    assert_error(both("build"), 3, "is stale", "incamera lock")


def test_setup_py_without_a_build_system_is_built_with_setuptools(both: Place) -> None:
    (both.folder / "lamp.c").write_text(_EXTENSION["lamp.c"])
    (both.folder / "setup.py").write_text(_EXTENSION["setup.py"])
    tree = both.tree()
    assert (tree / "app/lamp.cpython-311-arm-linux-gnueabihf.so").is_file()
    assert (tree / "app/app.py").is_file()


# Wheels and folders of the user's own


def test_folder_with_c_code_and_wheel_of_the_users_own_are_locked_and_built(both: Place) -> None:
    beside = both.folder.parent
    files = dict(_EXTENSION)
    # Its version and dependencies come from the back end, and its own source from its own pyproject.toml.
    files["pyproject.toml"] = (
        _SETUPTOOLS + '[project]\nname = "lamp"\ndynamic = ["version"]\ndependencies = ["bulb"]\n'
        '[tool.setuptools.dynamic]\nversion = { file = "VERSION" }\n'
        '[tool.uv.sources]\nbulb = { path = "../bulb-2.0-py3-none-any.whl" }\n'
    )
    files["VERSION"] = "3.0\n"
    (beside / "lamp").mkdir()
    for name, content in files.items():
        (beside / "lamp" / name).write_text(content)
    bulb = both.index.add_wheel("bulb", "2.0", files={"bulb.py": "WATT = 2\n"})
    both.index.projects.clear()
    (beside / bulb.filename).write_bytes(bulb.content)
    both.index.add_wheel("lamp", "9.0")
    both.write(f"lamp @ {(beside / 'lamp').as_uri()}")
    packages = both.tree() / "lib/python3/dist-packages"
    assert (packages / "lamp.cpython-311-arm-linux-gnueabihf.so").is_file()
    assert (packages / "bulb.py").read_text() == "WATT = 2\n"
    assert both.sources == {"bulb": "2.0 wheel", "lamp": "3.0 sdist"}
    locked = {item["name"]: item for item in both.lock["packages"]}
    assert locked["lamp"]["directory"]["path"] == "../lamp"
    assert locked["bulb"]["wheels"][0]["path"] == "../bulb-2.0-py3-none-any.whl"
    assert str(beside) not in (both.folder / "pylock.armv7hf-cp311.toml").read_text()
    done = both("build", "--json")
    assert all(step["cached"] for step in json.loads(done.out)["steps"])

    (beside / "lamp/VERSION").write_text("3.1\n")
    assert_error(both("build"), 3, "stale", "incamera lock")
    assert both("lock").code == 0
    assert both.sources["lamp"] == "3.1 sdist"


def test_wheel_of_the_users_own_that_does_not_fit_the_target_is_refused(place: Place) -> None:
    name = "bulb-2.0-cp311-cp311-manylinux_2_17_x86_64.whl"
    (place.folder.parent / name).write_bytes(b"never read")
    place.write(f"bulb @ {(place.folder.parent / name).as_uri()}")
    assert_error(place("lock"), 5, f"{name} does not fit armv7hf-cp311", "armv7l and Python 3.11")


# What builds see


def test_lock_shows_nothing_of_the_user_to_an_sdist(both: Place, tmp_path: Path) -> None:
    (tmp_path / "home/.ssh").mkdir(parents=True)
    secret = tmp_path / "home/.ssh/id_ed25519"
    secret.write_text("s3cret")
    spy = (
        "import glob, os, sys\n"
        f"places = [{str(secret)!r}, {str(both.folder)!r}, '/proc/' + str({os.getpid()}), *glob.glob('/home/*')]\n"
        "seen = [place for place in places if os.path.exists(place)]\n"
        "for path in glob.glob('/proc/*/environ'):\n"
        "    try:\n        seen += [path] if 's3cret' in open(path).read() else []\n"
        "    except OSError: pass\n"
        "if seen: sys.exit(f'sees {seen}')\n"
    )
    files = {**_EXTENSION, "setup.py": spy + _EXTENSION["setup.py"]}
    both.index.add_sdist("lamp", "2.0", files=files, metadata_version="2.1")
    both.write("lamp", settings='build-isolation = "require"')
    done = both("lock", env={"HOME": str(tmp_path / "home"), "INCAMERA_TOKEN": "s3cret"})
    assert done.code == 0, done.err
    assert both.sources == {"lamp": "2.0 sdist"}


# What builds require

_TOOL = """
import base64, hashlib, os, zipfile
VERSION = {version!r}

def get_requires_for_build_wheel(settings=None):
    return ["more-tool"]

def build_wheel(folder, settings=None, metadata=None):
    import more_tool
    name = os.path.join(folder, "lamp-2.0-py3-none-any.whl")
    info = "lamp-2.0.dist-info/"
    files = {{
        "lamp.py": f"BUILT_WITH = {{VERSION!r}}, {{more_tool.VERSION!r}}\\n",
        info + "METADATA": "Metadata-Version: 2.1\\nName: lamp\\nVersion: 2.0\\n",
        info + "WHEEL": "Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }}
    digests = {{name: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
               for name, text in files.items()}}
    record = [f"{{name}},sha256={{digest}}," for name, digest in digests.items()]
    files[info + "RECORD"] = "\\n".join([*record, info + "RECORD,,\\n"])
    with zipfile.ZipFile(name, "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return os.path.basename(name)
"""
_BUILT_BY_TOOL = {
    "pyproject.toml": '[build-system]\nrequires = ["own-tool>=1"]\nbuild-backend = "own_tool"\n',
}


def add_tool(index: LocalIndex, version: str) -> None:
    index.add_wheel("own-tool", version, files={"own_tool.py": _TOOL.format(version=version)})
    index.add_wheel("more-tool", version)


@pytest.fixture
def two(tmp_path: Path, incamera: Run) -> Iterator[tuple[Place, LocalIndex]]:
    """A company's index, which is asked first, and a public one."""
    with local_index() as company, local_index() as public:
        environment = {**public.environment, "PIP_EXTRA_INDEX_URL": company.url}
        yield Place(tmp_path / "plain", company, incamera, environment), public


def test_build_requirements_come_from_the_first_index_that_has_them(two: tuple[Place, LocalIndex]) -> None:
    place, public = two
    add_tool(place.index, "1.0")
    add_tool(public, "9.0")  # somebody has registered the company's names
    public.add_sdist("lamp", "2.0", files=_BUILT_BY_TOOL)
    place.write("lamp")
    tree = place.tree()
    assert (tree / "lib/python3/dist-packages/lamp.py").read_text() == "BUILT_WITH = '1.0', '1.0'\n"
    (build,) = place.lock["tool"]["incamera"]["builds"]
    assert (build["name"], build["requires"]) == ("lamp", ["more-tool", "own-tool>=1"])
    assert [file["name"] for file in build["files"]] == [
        "more_tool-1.0-py3-none-any.whl",
        "own_tool-1.0-py3-none-any.whl",
    ]
    assert not [path for path in public.requests if "tool" in path]


def test_project_is_built_with_what_its_lock_names_by_hash(two: tuple[Place, LocalIndex]) -> None:
    place, _ = two
    add_tool(place.index, "1.0")
    place.write(settings='entry = "lamp"')
    text = (place.folder / "pyproject.toml").read_text()
    (place.folder / "pyproject.toml").write_text(_BUILT_BY_TOOL["pyproject.toml"] + text)
    assert place("lock").code == 0
    add_tool(place.index, "1.5")
    tree = place.tree()
    assert next(tree.rglob("lamp.py")).read_text() == "BUILT_WITH = '1.0', '1.0'\n"
    for file in place.index.projects["own-tool"]:
        file.content += b"changed"
    assert_error(place("lock", "--upgrade"), 5, "own_tool-1.5-py3-none-any.whl is not the file that was locked")


def test_build_that_requires_more_than_its_lock_has_is_refused(two: tuple[Place, LocalIndex]) -> None:
    place, _ = two
    add_tool(place.index, "1.0")
    place.write(settings='entry = "lamp"')
    text = (place.folder / "pyproject.toml").read_text()
    system = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (place.folder / "pyproject.toml").write_text(system + text)
    (place.folder / "backend.py").write_text(_TOOL.format(version="0").replace('["more-tool"]', "[]"))
    assert place("lock").code == 0
    (place.folder / "backend.py").write_text(_TOOL.format(version="0"))
    assert_error(place("build"), 3, "requires more-tool, which the lockfile does not have", "incamera lock")


def test_error_for_an_unknown_build_requirement_is_short(two: tuple[Place, LocalIndex]) -> None:
    place, _ = two
    for minor in range(170):
        place.index.add_wheel("own-tool", f"0.{minor}")
    place.index.add_sdist("lamp", "2.0", files=_BUILT_BY_TOOL)
    place.write("lamp")
    done = place("lock")
    assert_error(done, 5, "cannot resolve own-tool for the build of lamp", "asks for own-tool>=1", "0.169")
    assert len(done.err) < 1000
