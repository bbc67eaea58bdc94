"""What a wheel says of itself is read, or refused with a BuildError, in bounded time; nothing is written outside."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.markers import default_environment
from packaging.requirements import Requirement
from tests.unit.fuzz.documents import NASTY_TEXTS, damaged_bytes
from tests.unit.wheels.conftest import Make

from incamera.digest import Sha256
from incamera.errors import BuildError
from incamera.resolver.candidates import evaluate, evaluated
from incamera.simple_index import PageFile
from incamera.targets.target import Target
from incamera.wheels.archive import open_wheel
from incamera.wheels.install import Places, install_wheel
from incamera.wheels.metadata import parse_metadata
from incamera.wheels.page import group_files, make_page
from incamera.wheels.remote import read_wheel_metadata
from incamera.wheels.scripts import write_scripts
from incamera.wheels.tags import supported_tags, wheel_rank
from incamera.wheels.write import write_wheel

NAME = "own-1.0-py3-none-any.whl"
INFO = "own-1.0.dist-info"
TAGS = supported_tags(Target.parse("armv7hf-cp311"))
FOLDERS = {"purelib": "site", "platlib": "site", "data": "", "scripts": "bin", "headers": "include/python3.11"}
# As on a target, where the variables that nobody knows beforehand are empty.
ENVIRONMENT = dict.fromkeys(default_environment(), "") | {
    "os_name": "posix",
    "python_version": "3.11",
    "python_full_version": "3.11.2",
    "sys_platform": "linux",
}
MARKERS = ('os_name == "posix"', 'extra == "fast"', 'python_version < "4"', 'platform_release > "5"', "extra ~= '1'")
METADATA = "\n".join(
    [
        *("Metadata-Version: 2.2", "Name: Own", "Version: 1.0", "Requires-Python: >=3.9, <4", "Provides-Extra: fast"),
        *("Requires-Dist: numpy (>=1.2)", "Requires-Dist: other[x,y] >= 1.dev0 ; (extra == 'fast' or"),
        "  os_name < 'x')",
        *("Requires-Dist: far @ https://index.example/far-1.zip", "Dynamic: License", "", "The description."),
    ]
)
ENTRIES = """\
[console_scripts]
own = own.cli:main
own-2=own.cli : Group.main [fast]
[gui_scripts]
own.window = own:show
# a comment
[own.plugins]
one = own
"""
WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
FILES = {"own/__init__.py": b"", "own-1.0.data/scripts/run": b"#!python\n", "own-1.0.data/data/share/x": b"x"}
nasty = st.sampled_from(NASTY_TEXTS) | st.text(max_size=8)


def lines(*known: str) -> st.SearchStrategy[bytes]:
    """Texts of *known* lines, and of others with what stands before their first sign replaced, or behind it."""
    written = st.sampled_from([line for text in known for line in text.splitlines()])
    signs = st.sampled_from(":=,;")
    begun = st.builds(lambda line, sign, end: line.partition(sign)[0] + sign + end, written, signs, nasty)
    ended = st.builds(lambda line, sign, start: start + sign + line.partition(sign)[2], written, signs, nasty)
    several = st.lists(written | begun | ended | nasty, max_size=8)
    return several.map(lambda some: "\n".join(some).encode("utf-8", "replace")) | damaged_bytes(known[0].encode())


markers = st.recursive(
    st.sampled_from(MARKERS)
    | st.builds(
        lambda first, sign, second, quote: f"{quote}{first}{quote} {sign} '{second}'",
        st.sampled_from(("os_name", "python_version", "extra", "extras", "platform_version", "implementation_version")),
        st.sampled_from(("==", "===", "~=", "<", ">=", "in", "not in", "!=")),
        st.sampled_from(("1", "3.11", "posix", "", "1.*", "a b", "1" * 50)),
        st.sampled_from(("", "'")),
    ),
    lambda inner: st.builds("({}) {} {}".format, inner, st.sampled_from(("and", "or")), inner),
    max_leaves=5,
)
requirements = st.builds("x{} ; {}".format, st.sampled_from(("", "==1", ">=2,<3", "[fast]")), markers)
metadata_texts = lines(METADATA) | st.lists(requirements, max_size=4).map(
    lambda some: "\n".join(
        ["Name: own", "Version: 1", *(f"Requires-Dist: {requirement}" for requirement in some)]
    ).encode()
)
RECORD = Make.record(FILES).decode() + f"{INFO}/METADATA,sha256=x,1\n{INFO}/RECORD,,\n"
words = st.sampled_from(("own", "Own", "1.0", "2rc1", "1", "py3", "none", "any", "cp311", "linux_armv7l", "py2.py3"))
filenames = (
    st.lists(words | nasty, min_size=1, max_size=7)
    .map("-".join)
    .flatmap(lambda stem: st.sampled_from((".whl", ".tar.gz", ".zip", "", ".WHL")).map(lambda ending: stem + ending))
)


def check_metadata(text: bytes) -> None:
    try:
        metadata = parse_metadata(text, NAME)
        for extras in (frozenset[str](), metadata.extras):
            for requirement in evaluated(metadata.requires, ENVIRONMENT, extras):
                assert requirement.name
                requirement.specifier.contains("1.0")
        if metadata.requires_python is not None:
            metadata.requires_python.contains("3.11.2")
    except BuildError:
        return


def check_record(record: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        wheel = Path(name, NAME)
        wheel.write_bytes(Make().wheel(FILES, record=record))
        with suppress(BuildError), open_wheel(wheel) as archive:
            for member in archive.members:
                with suppress(BuildError):
                    archive.read(member)


def check_entry_points(text: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name, "tree")
        (tree / "site" / INFO).mkdir(parents=True)
        (tree / "site" / INFO / "entry_points.txt").write_bytes(text)
        with suppress(BuildError):
            write_scripts(tree, "site", lambda path: path == "bin/python3")
        assert {path.name for path in Path(name).iterdir()} == {"tree"}
        assert {path.name for path in tree.iterdir()} <= {"bin", "site"}
        assert all(path.read_text("utf-8").startswith("#!/bin/sh\n") for path in tree.glob("bin/*"))
        assert not (tree / "bin/python3").exists()


def check_wheel_file(text: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / INFO).mkdir()
        (Path(name) / INFO / "WHEEL").write_bytes(text)
        with suppress(BuildError):
            write_wheel(Path(name), NAME, INFO, Path(name, "out"), "py3-none-linux_armv7l")
            assert b"Tag: py3-none-linux_armv7l" in (Path(name) / INFO / "WHEEL").read_bytes().splitlines()


def check_filename(filename: str) -> None:
    file = PageFile(filename=filename, url="https://index.example/x", sha256=Sha256("ab" * 32))
    for found in make_page({}, group_files("own", [file])).files("own", None, None):
        assert found.filename == filename
        assert "/" not in filename
        assert found.project == "own"
        if found.kind == "wheel":
            wheel_rank(filename, TAGS)


def check_member(path: str) -> None:
    """Check a wheel in which a file is called *path*."""
    with tempfile.TemporaryDirectory() as name:
        wheel, root = Path(name, NAME), Path(name, "root")
        root.mkdir()
        wheel.write_bytes(Make().wheel({path: b"x", "own.py": b""}))
        with suppress(BuildError):
            install_wheel(wheel, root, Places(folders=FOLDERS))
        assert {found.name for found in Path(name).iterdir()} == {NAME, "root"}
        with suppress(BuildError):
            assert b"Name: own" in read_wheel_metadata(wheel, NAME)


members = st.builds(
    str.__add__,
    st.sampled_from(("", "own/", "own-1.0.data/", "own-1.0.data/data/", "own-1.0.data/scripts/", f"{INFO}/", "x/")),
    # The zipfile module of the test cannot write every name.
    nasty.map(lambda text: text.encode("utf-8", "replace").decode()) | st.just("METADATA"),
)

TARGETS: dict[str, tuple[st.SearchStrategy[str] | st.SearchStrategy[bytes], Callable[..., None], int]] = {
    "METADATA": (metadata_texts, check_metadata, 100),
    "RECORD": (lines(RECORD), check_record, 30),
    "entry points": (lines(ENTRIES), check_entry_points, 40),
    "WHEEL": (lines(WHEEL), check_wheel_file, 20),
    "name of a file on an index": (filenames, check_filename, 60),
    "name of a file in a wheel": (members, check_member, 30),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("times", [1, pytest.param(20, marks=pytest.mark.matrix)])
def test_wheel_is_read_or_refused(target: str, times: int) -> None:
    texts, check, examples = TARGETS[target]
    fixed = settings(derandomize=True, database=None, deadline=None, max_examples=examples * times)
    fixed(given(texts)(check))()


def test_the_texts_that_are_damaged_are_valid(tmp_path: Path) -> None:
    metadata = parse_metadata(METADATA.encode(), NAME)
    assert [requirement.name for requirement in metadata.requires] == ["numpy", "other", "far"]
    wheel = tmp_path / NAME
    wheel.write_bytes(Make().wheel({**FILES, f"{INFO}/entry_points.txt": ENTRIES.encode()}))
    install_wheel(wheel, tmp_path / "tree", Places(folders=FOLDERS))
    write_scripts(tmp_path / "tree", "site", lambda path: False)
    assert {path.name for path in (tmp_path / "tree/bin").iterdir()} == {"run", "own", "own-2", "own.window"}


@pytest.mark.parametrize(
    "marker",
    ['os_name ~= "posix"', 'extra ~= "1"', 'python_version ~= "x"', '"a" < "b"', '"a" in extras', "'b' in extras"],
)
def test_marker_without_a_meaning_is_a_build_error(marker: str) -> None:
    with pytest.raises(BuildError, match="has a marker without a meaning"):
        evaluate(Requirement(f"x ; {marker}"), ENVIRONMENT, frozenset())


@pytest.mark.parametrize(
    "text",
    ["a" * 400_000 + "! = own:main", "a" + " " * 400_000 + "b", "a = " + "b." * 200_000 + "!", "[" + "x" * 400_000],
)
def test_long_line_in_entry_points_takes_no_time(tmp_path: Path, text: str) -> None:
    (tmp_path / "site" / INFO).mkdir(parents=True)
    (tmp_path / "site" / INFO / "entry_points.txt").write_text(f"[console_scripts]\n{text}\n")
    began = time.process_time()
    write_scripts(tmp_path, "site", lambda path: False)
    assert time.process_time() - began < 1


@pytest.mark.parametrize("name", ["a" * 256, "ü" * 128])
def test_name_of_a_script_that_no_file_system_can_have_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "site" / INFO).mkdir(parents=True)
    (tmp_path / "site" / INFO / "entry_points.txt").write_text(f"[console_scripts]\n{name} = own:main\n", "utf-8")
    with pytest.raises(BuildError, match="a script cannot be called"):
        write_scripts(tmp_path, "site", lambda path: False)
