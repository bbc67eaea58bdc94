"""Installing wheels: what is unpacked, and every fault of a wheel is refused."""

from __future__ import annotations

import base64
import hashlib
import io
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.errors import BuildError
from incamera.wheels import archive
from incamera.wheels.install import Places, install_wheel
from incamera.wheels.scripts import write_scripts

if TYPE_CHECKING:
    from tests.unit.wheels.conftest import Make

Write = Callable[..., Path]
INFO = "own-1.0.dist-info"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "site"
    path.mkdir()
    return path


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


EVERY_SCHEME = {
    "own/__init__.py": b"a",
    "own-1.0.data/purelib/pure.py": b"b",
    "own-1.0.data/platlib/own/fast.so": b"c",
    "own-1.0.data/scripts/run": b"#!python -E\nprint(1)\n",
    "own-1.0.data/scripts/tool.sh": b"#!/bin/sh\n",
    "own-1.0.data/headers/own.h": b"e",
    "own-1.0.data/data/share/x": b"f",
    "other.data/x.py": b"g",
}
FOLDERS = {"purelib": "site", "platlib": "site", "data": "", "scripts": "bin", "headers": "include/python3.11"}


@pytest.mark.parametrize("top", ["Own-1.0.data", "own-1.data", "OWN-1.0.0.data"])
def test_data_folder_may_spell_name_and_version_in_another_way(
    make: Make, write: Write, folder: Path, top: str
) -> None:
    written = install_wheel(write(make.wheel({f"{top}/data/share/x": b"f"})), folder, Places(folders=FOLDERS))
    assert "share/x" in written


@pytest.mark.parametrize("path", ["own-1.0.data/lib64/x.py", "own-1.0.data/x.py", "own-1.0.data/Data/x"])
def test_file_of_an_unknown_scheme_is_not_dropped_in_silence(make: Make, write: Write, folder: Path, path: str) -> None:
    with pytest.raises(BuildError, match="is of no known kind"):
        install_wheel(write(make.wheel({path: b"x"})), folder)


@pytest.mark.parametrize(("version", "words"), [("2.0", "of format 2.0"), ("10", "of format 10"), ("", "of format ,")])
def test_wheel_of_a_newer_format_is_refused(write: Write, folder: Path, make: Make, version: str, words: str) -> None:
    content = {
        f"{INFO}/METADATA": b"Metadata-Version: 2.1\nName: own\nVersion: 1.0\n",
        f"{INFO}/WHEEL": f"Wheel-Version: {version}\n".encode(),
    }
    content[f"{INFO}/RECORD"] = make.record(content) + f"{INFO}/RECORD,,\n".encode()
    with pytest.raises(BuildError, match=words):
        install_wheel(write(make.zip(content)), folder)


def test_importable_files_are_unpacked_and_returned(make: Make, write: Write, folder: Path) -> None:
    written = install_wheel(write(make.wheel(EVERY_SCHEME)), folder)
    about = {f"{INFO}/{name}" for name in ("METADATA", "RECORD", "WHEEL")}
    assert set(written) == {"own/__init__.py", "pure.py", "own/fast.so", "other.data/x.py"} | about
    assert files_in(folder) == set(written)
    assert (folder / "own/fast.so").read_bytes() == b"c"


def test_data_scripts_and_headers_go_where_their_scheme_says(make: Make, write: Write, folder: Path) -> None:
    written = install_wheel(write(make.wheel(EVERY_SCHEME)), folder, Places(folders=FOLDERS))
    assert files_in(folder) == set(written)
    assert {path for path in written if not path.startswith("site/")} == {
        *("bin/run", "bin/tool.sh", "include/python3.11/own/own.h", "share/x")
    }
    assert (folder / "share/x").read_bytes() == b"f"


@pytest.mark.starts_processes
def test_script_runs_the_python_beside_it_wherever_the_folder_is(make: Make, write: Write, folder: Path) -> None:
    entry_points = b"[console_scripts]\nhello = own.x:main.run [fast]\n"
    wheel = make.wheel(EVERY_SCHEME | {"own/__init__.py": b"", f"{INFO}/entry_points.txt": entry_points})
    install_wheel(write(wheel), folder, Places(folders=FOLDERS))
    (folder / "site/own/x.py").write_text("class main:\n    @staticmethod\n    def run(): print('called'); return 3\n")
    write_scripts(folder, "site", lambda path: False)
    moved = folder.rename(folder.parent / "moved to")
    (moved / "bin/python3").symlink_to(sys.executable)
    (folder.parent / "link").symlink_to(moved / "bin/run")
    done = subprocess.run([folder.parent / "link"], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"1\n"), done.stderr
    done = subprocess.run([moved / "bin/hello"], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (3, b"called\n"), done.stderr
    assert (moved / "bin/tool.sh").read_bytes() == b"#!/bin/sh\n"


@pytest.mark.parametrize("name", ["../evil", "/evil", "..", "a/b", "python3"])
def test_entry_point_that_leads_out_of_bin_or_replaces_python_is_refused(folder: Path, name: str) -> None:
    (folder / "own-1.0.dist-info").mkdir()
    (folder / "own-1.0.dist-info/entry_points.txt").write_text(f"[console_scripts]\n{name} = own:main\n")
    with pytest.raises(BuildError, match="a script cannot be called"):
        write_scripts(folder, "", lambda path: path == "bin/python3")
    assert not (folder / "bin").exists()


@pytest.mark.parametrize("text", ["[console_scripts]\na = os; evil:x\n", "no section", "[a]\nb = c:d\n", "\xff"])
def test_entry_points_that_name_no_object_make_no_script(folder: Path, text: str) -> None:
    (folder / "own-1.0.dist-info").mkdir()
    (folder / "own-1.0.dist-info/entry_points.txt").write_text(text, "latin-1")
    write_scripts(folder, "", lambda path: False)
    assert not (folder / "bin").exists()


@pytest.mark.parametrize("scheme", ["data", "scripts", "headers"])
def test_data_file_with_a_path_out_of_the_folder_is_refused(
    make: Make, write: Write, folder: Path, scheme: str
) -> None:
    with pytest.raises(BuildError, match="leads outside of the folder"):
        install_wheel(write(make.wheel({f"own-1.0.data/{scheme}/../../x": b""})), folder, Places(folders=FOLDERS))
    assert not files_in(folder)


def test_file_of_the_runtime_is_not_replaced(make: Make, write: Write, folder: Path) -> None:
    wheel = write(make.wheel({"own-1.0.data/data/etc/launcher": b"program evil"}))
    places = Places(folders=FOLDERS, is_reserved=lambda path: path == "etc/launcher")
    with pytest.raises(BuildError, match="etc/launcher would replace a file of the runtime"):
        install_wheel(wheel, folder, places)


# Two packages with one file


def install_two(make: Make, write: Write, folder: Path, path: str, first: bytes, second: bytes) -> list[str]:
    """Install two wheels that both have *path*, and return the warnings."""
    warnings: list[str] = []
    places = Places(folders=FOLDERS, warn=warnings.append)
    for name, data in (("one", first), ("two", second)):
        wheel = f"{name}-1.0-py3-none-any.whl"
        install_wheel(write(make.wheel({path.replace("NAME", name): data}, name=wheel), wheel), folder, places)
    return warnings


@pytest.mark.parametrize("path", ["pytz/__init__.py", "cv2/cv2.abi3.so", "x.py", "NAME-1.0.data/data/share/x.xml"])
def test_two_packages_with_one_file_are_refused_by_name(make: Make, write: Write, folder: Path, path: str) -> None:
    with pytest.raises(BuildError, match=r"two-1\.0-.* and one-1\.0-.* both have .*, with other contents") as caught:
        install_two(make, write, folder, path, b"a = 1", b"a = 2")
    assert "sources" in str(caught.value.hint)


def test_equal_files_of_two_packages_are_no_conflict(make: Make, write: Write, folder: Path) -> None:
    assert not install_two(make, write, folder, "shared/x.py", b"a = 1", b"a = 1")


@pytest.mark.parametrize(
    "other", [b"", b"# c", b"'text'", b"__path__ = __import__('pkgutil').extend_path(__path__, __name__)\nx = 1"]
)
def test_declarations_of_one_namespace_package_are_no_conflict(
    make: Make, write: Write, folder: Path, other: bytes
) -> None:
    namespace = b"__import__('pkg_resources').declare_namespace(__name__)\n"
    assert not install_two(make, write, folder, "google/__init__.py", namespace, other)
    assert (folder / "site/google/__init__.py").read_bytes() == namespace


@pytest.mark.parametrize("path", ["tests/__init__.py", "docs/conf.py", "LICENSE", "NAME-1.0.data/data/README.md"])
def test_stray_file_of_two_packages_is_a_warning_and_the_first_stays(
    make: Make, write: Write, folder: Path, path: str
) -> None:
    (warning,) = install_two(make, write, folder, path, b"a = 1", b"a = 2")
    assert "one-1.0" in warning
    assert "two-1.0" in warning


def test_select_renames_and_leaves_out_files(make: Make, write: Write, folder: Path) -> None:
    def select(path: str) -> str | None:
        if "/tests/" in path or ".dist-info/" in path:
            return None
        return f"sub/{path}"

    written = install_wheel(write(make.wheel({"own/a.py": b"", "own/tests/b.py": b""})), folder, Places(select=select))
    assert written == ["sub/own/a.py"]
    assert files_in(folder) == {"sub/own/a.py"}


def test_executables_stay_executable_and_all_files_are_readable(make: Make, write: Write, folder: Path) -> None:
    files = {"own/tool": b"#!", "own/data": b"", f"{INFO}/METADATA": b"", f"{INFO}/WHEEL": b""}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        for path, data in {**files, f"{INFO}/RECORD": make.record(files)}.items():
            info = zipfile.ZipInfo(path)
            info.external_attr = (stat.S_IFREG | (0o700 if path == "own/tool" else 0o400)) << 16
            packed.writestr(info, data)
    install_wheel(write(stream.getvalue()), folder)
    assert [(folder / name).stat().st_mode & 0o777 for name in ("own/tool", "own/data")] == [0o755, 0o644]


def test_errors_of_a_blob_name_the_wheel(make: Make, write: Write, folder: Path) -> None:
    with pytest.raises(BuildError, match=r"own-1\.0-py3-none-any\.whl"):
        install_wheel(write(b"x", "0" * 64), folder, name="own-1.0-py3-none-any.whl")


def test_no_file_is_written_through_a_link_to_a_file(make: Make, write: Write, folder: Path) -> None:
    outside = folder.parent / "outside"
    outside.write_text("untouched")
    (folder / "own.py").symlink_to(outside)
    with pytest.raises(BuildError, match=r"both have own\.py"):
        install_wheel(write(make.wheel()), folder)
    assert outside.read_text() == "untouched"


def test_no_file_is_written_through_a_link_to_a_folder(make: Make, write: Write, folder: Path) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    (folder / "own").symlink_to(outside)
    with pytest.raises(BuildError, match="leads outside of the folder"):
        install_wheel(write(make.wheel({"own/a.py": b""})), folder)
    assert not list(outside.iterdir())


def test_a_file_in_place_of_another_packages_folder_is_an_error(make: Make, write: Write, folder: Path) -> None:
    install_wheel(write(make.wheel({"a": b"", "b/c": b""})), folder)
    with pytest.raises(BuildError, match="a/x needs a folder where another package has a file"):
        install_wheel(write(make.wheel({"a/x": b""})), folder)
    with pytest.raises(BuildError, match="another package has a folder where b goes"):
        install_wheel(write(make.wheel({"b": b""})), folder)


@pytest.mark.parametrize(
    "path",
    [
        "../evil",
        "own/../../evil",
        "/evil",
        "own//x",
        "./x",
        "own\\..\\x",
        "own/.",
        "..",
        "own-1.0.data/purelib/../../x",
    ],
)
def test_a_path_that_leads_outside_of_the_folder_is_refused(make: Make, write: Write, folder: Path, path: str) -> None:
    with pytest.raises(BuildError, match="leads outside of the folder"):
        install_wheel(write(make.wheel({path: b"evil"})), folder)
    assert files_in(folder) == set()
    assert not (folder.parent / "evil").exists()


@pytest.mark.parametrize("missing", ["METADATA", "RECORD", "WHEEL"])
def test_a_wheel_without_a_required_file_is_refused(make: Make, write: Write, folder: Path, missing: str) -> None:
    with pytest.raises(BuildError, match=f"has no {missing}"):
        install_wheel(write(make.wheel(without=missing)), folder)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b"", "lacks own.py"),
        (b"own.py,,\n", "no valid hash for own.py"),
        (b"own.py,md5=abc,1\n", "no valid hash for own.py"),
        (b"own.py,sha256=,1\n", "no valid hash for own.py"),
        (b"own.py,sha256\n", "2 fields"),
        (b"\xff\xfe", "codec"),
        (b'"own.py,sha256=x,1\n', "1 field"),
        (
            b"own.py,sha256=" + b"A" * 43 + b",10\n" + b"%b/METADATA,sha256=x,1\n%b/WHEEL,sha256=x,1\n",
            "own.py does not have the hash",
        ),
    ],
)
def test_a_record_that_is_malformed_or_lacks_a_hash_is_refused(
    make: Make, write: Write, folder: Path, record: bytes, message: str
) -> None:
    with pytest.raises(BuildError, match=message):
        install_wheel(write(make.wheel(record=record.replace(b"%b", INFO.encode()))), folder)


def test_sha512_hashes_and_signatures_are_accepted(make: Make, write: Write, folder: Path) -> None:
    files = {"own.py": b"x", f"{INFO}/METADATA": b"", f"{INFO}/WHEEL": b""}
    digest = base64.urlsafe_b64encode(hashlib.sha512(b"x").digest()).decode()  # some tools keep the padding
    record = make.record(files).replace(make.record({"own.py": b"x"}), f"own.py,sha512={digest},1\r\n".encode())
    data = make.zip({**files, f"{INFO}/RECORD": record + f"{INFO}/RECORD,,\n".encode(), f"{INFO}/RECORD.jws": b"{}"})
    assert "own.py" in install_wheel(write(data), folder)


def test_duplicate_paths_and_dist_infos_are_refused(make: Make, write: Write, folder: Path) -> None:
    stream = io.BytesIO(make.wheel())
    with zipfile.ZipFile(stream, "a") as packed, pytest.warns(UserWarning, match="Duplicate"):
        packed.writestr("own.py", "other")
    with pytest.raises(BuildError, match=r"own\.py twice"):
        install_wheel(write(stream.getvalue()), folder)
    with pytest.raises(BuildError, match="a is both a file and a folder"):
        install_wheel(write(make.wheel({"a": b"", "a/b": b""})), folder)
    with pytest.raises(BuildError, match="2 dist-info folders"):
        install_wheel(write(make.wheel({"other-1.dist-info/METADATA": b""})), folder)


def test_a_link_in_a_wheel_is_refused(make: Make, write: Write, folder: Path) -> None:
    stream = io.BytesIO(make.wheel())
    with zipfile.ZipFile(stream, "a") as packed:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        packed.writestr(info, "/etc/passwd")
    with pytest.raises(BuildError, match="link is a link"):
        install_wheel(write(stream.getvalue()), folder)


def test_a_wheel_that_is_too_large_unpacked_is_refused_before_unpacking(
    make: Make, write: Write, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_MAX_BYTES", 1_000_000)
    with pytest.raises(BuildError, match="MB unpacked"):
        install_wheel(write(make.wheel({"zeros": bytes(2_000_000)})), folder)
    assert files_in(folder) == set()


@pytest.mark.parametrize("size", [0xFFFFFFFE, 5])
def test_a_wrong_size_in_the_zip_directory_is_an_error_that_names_the_wheel(
    make: Make, write: Write, folder: Path, size: int
) -> None:
    data = make.wheel({"own.py": b"x" * 100})
    place = data.index(b"PK\x01\x02") + 24  # in the directory
    with pytest.raises(BuildError, match=r"own-1\.0"):
        install_wheel(write(data[:place] + size.to_bytes(4, "little") + data[place + 4 :]), folder)


def test_a_wheel_cut_off_anywhere_is_an_error_that_names_the_wheel(make: Make, write: Write, folder: Path) -> None:
    data = make.wheel()
    for size in range(0, len(data), 7):
        with pytest.raises(BuildError, match=r"own-1\.0"):
            install_wheel(write(data[:size]), folder)


def test_a_changed_byte_is_an_error_or_harmless(make: Make, write: Write, tmp_path: Path) -> None:
    valid = make.wheel()
    refusals = 0
    for place in range(0, len(valid), 3):
        folder = tmp_path / f"site{place}"
        folder.mkdir()
        for change in (0xFF, 0x01):
            data = valid[:place] + bytes([valid[place] ^ change]) + valid[place + 1 :]
            try:
                written = install_wheel(write(data), folder)
            except BuildError as error:
                refusals += 1
                assert str(error).startswith("own-1.0")  # noqa: PT017
            else:
                assert (folder / "own.py").read_bytes() == b"value = 1\n", written
    assert refusals > len(valid) / 3
