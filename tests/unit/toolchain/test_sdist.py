"""Unpacking an sdist: no file is written outside of its folder."""

from __future__ import annotations

import io
import subprocess
import tarfile
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incamera.errors import BuildError
from incamera.toolchain.sdist import unpack_sdist


def tar_member(name: str, data: bytes = b"x", *, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.mtime = kind, link, 0o755, 1_600_000_000
    info.size = len(data) if kind == tarfile.REGTYPE else 0
    return info


def make_tar(path: Path, members: Sequence[tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for info in members:
            archive.addfile(info, io.BytesIO(b"x" * info.size))
    return path


def make_zip(path: Path, names: Sequence[str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return path


def test_files_links_modes_and_times_are_kept(tmp_path: Path) -> None:
    plain = tar_member("own-1/setup.py")
    plain.mode = 0o640
    archive = make_tar(
        tmp_path / "own-1.tar.gz",
        [
            tar_member("own-1", kind=tarfile.DIRTYPE),
            plain,
            tar_member("own-1/configure"),
            tar_member("own-1/src/link", kind=tarfile.SYMTYPE, link="../setup.py"),
            tar_member("own-1/hard", kind=tarfile.LNKTYPE, link="own-1/configure"),
        ],
    )
    project = unpack_sdist(archive, tmp_path / "out")
    assert project == tmp_path / "out/own-1"
    assert (project / "src/link").resolve() == project / "setup.py"
    assert (project / "hard").read_bytes() == b"x"
    assert [(project / name).stat().st_mode & 0o777 for name in ("setup.py", "configure")] == [0o644, 0o755]
    assert (project / "configure").stat().st_mtime == 1_600_000_000


def test_only_the_files_of_the_projects_folder_itself_are_unpacked_on_request(tmp_path: Path) -> None:
    members = [tar_member("own-1/pyproject.toml"), tar_member("own-1/src/lamp.c")]
    archive = make_tar(tmp_path / "own-1.tar.gz", members)
    project = unpack_sdist(archive, tmp_path / "out", only_top=True)
    assert [path.name for path in project.iterdir()] == ["pyproject.toml"]
    # A link may lead to a file further down, so all of them are needed.
    linked = [*members, tar_member("own-1/setup.cfg", kind=tarfile.SYMTYPE, link="src/lamp.c")]
    project = unpack_sdist(make_tar(tmp_path / "linked.tar.gz", linked), tmp_path / "all", only_top=True)
    assert (project / "setup.cfg").read_bytes() == b"x"


def test_damage_further_down_is_found_though_only_the_top_is_unpacked(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "own-1.tar.gz", [tar_member("own-1/setup.py"), tar_member("own-1/../../x")])
    with pytest.raises(BuildError):
        unpack_sdist(archive, tmp_path / "out", only_top=True)
    assert not (tmp_path / "out").exists()


def test_zip_is_recognised_by_its_content(tmp_path: Path) -> None:
    project = unpack_sdist(make_zip(tmp_path / "5f3a", ["own-1/pyproject.toml"]), tmp_path / "out")
    assert (project / "pyproject.toml").read_text() == "x"


@pytest.mark.parametrize("name", ["../evil", "/evil", "own-1/../../evil", "own-1/a/../../../evil"])
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_file_outside_the_folder_is_refused(tmp_path: Path, kind: str, name: str) -> None:
    archive = tmp_path / "deep/own-1"
    archive.parent.mkdir()
    made = make_zip(archive, [name]) if kind == "zip" else make_tar(archive, [tar_member(name)])
    with pytest.raises(BuildError, match="own-1"):
        unpack_sdist(made, tmp_path / "deep/out")
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize(
    "members",
    [
        [tar_member("own-1/out", kind=tarfile.SYMTYPE, link="../..")],
        [tar_member("own-1/out", kind=tarfile.SYMTYPE, link="/etc")],
        # Each link alone stays inside; together they lead out.
        [
            tar_member("own-1/a/out", kind=tarfile.SYMTYPE, link="b/../../x"),
            tar_member("own-1/a/b", kind=tarfile.SYMTYPE, link="../.."),
        ],
        [
            tar_member("own-1/out", kind=tarfile.SYMTYPE, link=".."),
            tar_member("own-1/out/../evil", kind=tarfile.SYMTYPE, link="own-1"),
        ],
        # A file through a link.
        [tar_member("own-1/out", kind=tarfile.SYMTYPE, link="/tmp"), tar_member("own-1/out/evil")],
        [tar_member("own-1/hard", kind=tarfile.LNKTYPE, link="/etc/passwd")],
        [tar_member("own-1/device", kind=tarfile.CHRTYPE)],
        [tar_member("own-1/pipe", kind=tarfile.FIFOTYPE)],
        [tar_member("own-1/PKG-INFO"), tar_member("own-1/PKG-INFO")],
        [tar_member("own-1/nothing", kind=tarfile.SYMTYPE, link="")],
        [tar_member("own-1/itself", kind=tarfile.LNKTYPE, link="own-1/itself")],
        [tar_member("own-1/file"), tar_member("own-1/file", kind=tarfile.SYMTYPE, link="../..")],
        [tar_member("own-1/file"), tar_member("own-1/file/below")],
        [tar_member("own-1/circle", kind=tarfile.SYMTYPE, link="circle")],
        [tar_member("own-1/" + "long" * 100)],
    ],
)
def test_unsafe_or_contradictory_members_are_refused(tmp_path: Path, members: list[tarfile.TarInfo]) -> None:
    archive = make_tar(tmp_path / "own-1.tar.gz", members)
    with pytest.raises(BuildError, match=r"own-1.tar.gz"):
        unpack_sdist(archive, tmp_path / "a/b/out")
    assert {path for path in tmp_path.rglob("evil") if not path.is_relative_to(tmp_path / "a/b/out")} == set()
    assert not Path("/tmp/evil").exists()


def test_last_of_members_with_one_name_counts(tmp_path: Path) -> None:
    """`tar -r` appends a newer file, and tar unpacks both, one after the other."""
    members = [
        tar_member("own-1/file"),
        tar_member("own-1/hard", kind=tarfile.LNKTYPE, link="own-1/file"),
        tar_member("own-1/file", b"xxx"),
        tar_member("own-1/became-file", kind=tarfile.SYMTYPE, link="file"),
        tar_member("own-1/became-file", b"xx"),
        tar_member("own-1/became-link"),
        tar_member("own-1/became-link", kind=tarfile.SYMTYPE, link="file"),
    ]
    project = unpack_sdist(make_tar(tmp_path / "own-1.tar.gz", members), tmp_path / "out")
    assert (project / "file").read_text() == (project / "became-link").read_text() == "xxx"
    assert (project / "hard").read_text() == "x"
    assert (project / "became-file").read_text() == "xx"
    assert (project / "became-link").is_symlink()


def test_hard_link_to_a_link_becomes_a_link(tmp_path: Path) -> None:
    members = [
        tar_member("own-1/a/file"),
        tar_member("own-1/a/link", kind=tarfile.SYMTYPE, link="file"),
        tar_member("own-1/a/hard", kind=tarfile.LNKTYPE, link="own-1/a/link"),
    ]
    project = unpack_sdist(make_tar(tmp_path / "own-1.tar.gz", members), tmp_path / "out")
    assert str((project / "a/hard").readlink()) == "file"


@pytest.mark.starts_processes
@pytest.mark.parametrize("options", [["--label=own"], ["--incremental"], ["--format=v7"], ["--xattrs"]])
def test_archive_that_gnu_tar_makes_with_unusual_options_is_unpacked(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "own-1").mkdir()
    (tmp_path / "own-1/setup.py").write_text("x")
    archive = tmp_path / "own-1.tar.gz"
    subprocess.run(["tar", *options, "-czf", archive, "own-1"], cwd=tmp_path, check=True)
    project = unpack_sdist(archive, tmp_path / "out")
    assert [path.name for path in project.iterdir()] == ["setup.py"]


def test_archive_without_exactly_one_folder_is_refused(tmp_path: Path) -> None:
    for name, members in {"two": ["a/x", "b/x"], "none": [], "file": ["setup.py"]}.items():
        archive = make_tar(tmp_path / name, [tar_member(member) for member in members])
        with pytest.raises(BuildError, match="is not an sdist"):
            unpack_sdist(archive, tmp_path / "out" / name)


def test_truncated_archive_is_reported_as_damaged(tmp_path: Path) -> None:
    whole = make_tar(tmp_path / "own-1.tar.gz", [tar_member(f"own-1/{number}", b"y" * 5000) for number in range(9)])
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) // 2])
    with pytest.raises(BuildError, match=r"own-1.tar.gz is damaged"):
        unpack_sdist(whole, tmp_path / "out")


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("archives")
    members = [
        tar_member("own-1/a"),
        tar_member("own-1/l", kind=tarfile.SYMTYPE, link="a"),
        tar_member("own-1/h", kind=tarfile.LNKTYPE, link="own-1/a"),
    ]
    plain = folder / "plain.tar"
    with tarfile.open(plain, "w") as archive:
        for info in members:
            archive.addfile(info, io.BytesIO(b"x" * info.size))
    return [
        plain.read_bytes(),
        make_tar(folder / "z", members).read_bytes(),
        make_zip(folder / "y", ["a/b"]).read_bytes(),
    ]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_archive_raises_only_build_error(
    archives: list[bytes], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    changed = bytearray(data.draw(st.sampled_from(archives)))
    for place in data.draw(st.lists(st.integers(0, len(changed) - 1), min_size=1, max_size=6)):
        changed[place] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "own-1").write_bytes(changed)
    with suppress(BuildError):
        unpack_sdist(folder / "own-1", folder / "out")
    for path in folder.rglob("*"):
        assert path.resolve().is_relative_to(folder.resolve())
