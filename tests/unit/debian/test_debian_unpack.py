"""Unpacking debs: merged /usr, no write outside of the folder, damage is an error."""

from __future__ import annotations

import os
import stat
import tarfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incamera.debian.unpack import merged_path, unpack_deb
from incamera.errors import BuildError, IntegrityError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "outer" / "tree"
    folder.mkdir(parents=True)
    return folder


def write(tree: Path, data: bytes, name: str = "thing.deb") -> Path:
    path = tree.parent / name
    path.write_bytes(data)
    return path


def listing(tree: Path) -> dict[str, str]:
    found = {}
    for folder, folders, files in os.walk(tree):
        for name in files + [name for name in folders if (Path(folder) / name).is_symlink()]:
            path = Path(folder) / name
            found[str(path.relative_to(tree))] = f"-> {path.readlink()}" if path.is_symlink() else path.read_text()
    return found


@pytest.mark.parametrize("ending", [".xz", ".gz", ""])
def test_files_and_links_are_unpacked_with_plain_modes(make: Any, tree: Path, ending: str) -> None:
    big = "0123456789" * 200_000
    deb = make.deb(
        ("./usr/bin/tool", b"tool", 0o4755),
        ("./usr/share/data", b"data", 0o600),
        ("./usr/share/big", big.encode()),
        ("usr/share/" + "long/" * 60 + "name", b"long"),
        make.link("./usr/bin/alias", "tool"),
        make.link("./usr/share/hard", "./usr/share/data", tarfile.LNKTYPE),
        make.link("./usr/share/device", "", tarfile.CHRTYPE),
        make.link("./usr/share/pipe", "", tarfile.FIFOTYPE),
        make.link("./usr/share/empty", "", tarfile.DIRTYPE),
        ending=ending,
    )
    written = unpack_deb(write(tree, deb), tree)
    assert listing(tree) == {
        "usr/bin/tool": "tool",
        "usr/bin/alias": "-> tool",
        "usr/share/data": "data",
        "usr/share/hard": "data",
        "usr/share/big": big,
        "usr/share/" + "long/" * 60 + "name": "long",
    }
    assert written == sorted(listing(tree))
    assert stat.S_IMODE((tree / "usr/bin/tool").stat().st_mode) == 0o755
    assert stat.S_IMODE((tree / "usr/share/data").stat().st_mode) == 0o644


def test_bin_sbin_and_lib_are_unpacked_below_usr(make: Any, tree: Path) -> None:
    deb = make.deb(
        ("./lib/arm-linux-gnueabihf/libc.so.6", b"libc"),
        make.link("./lib/ld-linux.so.3", "arm-linux-gnueabihf/ld.so"),
        make.link("./lib/systemd/up", "../../usr/lib/over"),
        make.link("./usr/lib/x/down", "../../../lib/libz.so.1"),
        make.link("./usr/lib/arm-linux-gnueabihf/libz.so", "/lib/arm-linux-gnueabihf/libz.so.1"),
        make.link("./bin", "usr/bin"),
        make.link("./lib64", "/usr/lib64"),
        ("./etc/conf", b"conf"),
        ("./library/x", b"x"),
    )
    seen: list[str] = []

    def select(path: str) -> str:
        seen.append(path)
        return path

    unpack_deb(write(tree, deb), tree, select)
    assert listing(tree) == {
        "usr/lib/arm-linux-gnueabihf/libc.so.6": "libc",
        "usr/lib/ld-linux.so.3": "-> arm-linux-gnueabihf/ld.so",
        "usr/lib/systemd/up": "-> ../over",
        "usr/lib/x/down": "-> ../libz.so.1",
        "usr/lib/arm-linux-gnueabihf/libz.so": "-> libz.so.1",
        "etc/conf": "conf",
        "library/x": "x",
    }
    assert not any(path.startswith(("lib/", "./", "/")) for path in seen)
    assert merged_path("sbin/init") == "usr/sbin/init"


def test_links_never_lead_outside_of_the_folder(make: Any, tree: Path) -> None:
    deb = make.deb(
        make.link("./usr/lib/a", "/etc/passwd"),
        make.link("./usr/lib/b", "../../../../../../etc/passwd"),
        make.link("./usr/lib/c", "/"),
        make.link("./usr/lib/d", "/dev/null"),
    )
    unpack_deb(write(tree, deb), tree)
    assert listing(tree) == {
        "usr/lib/a": "-> ../../etc/passwd",
        "usr/lib/b": "-> ../../etc/passwd",
        "usr/lib/c": "-> ../..",
        "usr/lib/d": "-> ../../dev/null",
    }
    for path in (tree / "usr/lib").iterdir():
        assert Path(os.path.normpath(path.parent / path.readlink())).is_relative_to(tree)


def test_select_renames_and_leaves_out_files(make: Any, tree: Path) -> None:
    deb = make.deb(
        ("./usr/lib/python3/x.py", b"x"),
        ("./usr/share/doc/x/copyright", b"no"),
        make.link("./usr/bin/x", "../lib/python3/x.py"),
        make.link("./usr/bin/doc", "../share/doc/x"),
    )

    def select(path: str) -> str | None:
        if path.startswith("usr/share/doc"):
            return None
        return path.removeprefix("usr/").replace("lib/python3/", "site/")

    assert unpack_deb(write(tree, deb), tree, select) == ["bin/doc", "bin/x", "site/x.py"]
    assert (tree / "bin/x").read_text() == "x"  # the link leads to the new place of its target
    assert str((tree / "bin/doc").readlink()) == "../share/doc/x"


def test_a_hard_link_to_a_file_left_out_has_its_contents(make: Any, tree: Path) -> None:
    deb = make.deb(
        ("./usr/bin/perl", b"interpreter", 0o755),
        make.link("./usr/bin/perl5.36", "./usr/bin/perl", tarfile.LNKTYPE),
        make.link("./usr/bin/perl5", "./usr/bin/perl", tarfile.LNKTYPE),
    )
    written = unpack_deb(write(tree, deb), tree, lambda path: None if path == "usr/bin/perl" else path)
    assert written == ["usr/bin/perl5", "usr/bin/perl5.36"]
    assert listing(tree) == {"usr/bin/perl5": "interpreter", "usr/bin/perl5.36": "interpreter"}


def test_a_hard_link_to_a_hard_link_has_the_contents_of_the_file(make: Any, tree: Path) -> None:
    deb = make.deb(
        ("./usr/bin/perl", b"interpreter", 0o755),
        make.link("./usr/bin/perl5.36", "./usr/bin/perl", tarfile.LNKTYPE),
        make.link("./usr/bin/perl5", "./usr/bin/perl5.36", tarfile.LNKTYPE),
    )
    unpack_deb(write(tree, deb), tree, lambda path: path if path == "usr/bin/perl5" else None)
    assert listing(tree) == {"usr/bin/perl5": "interpreter"}


def test_a_hard_link_to_a_missing_file_is_an_error(make: Any, tree: Path) -> None:
    deb = make.deb(make.link("./usr/bin/a", "./usr/bin/gone", tarfile.LNKTYPE))
    with pytest.raises(IntegrityError, match="usr/bin/gone"):
        unpack_deb(write(tree, deb), tree)


@pytest.mark.parametrize("name", ["../evil", "./usr/../../evil", "/etc/evil", "usr/..", "."])
def test_a_member_outside_of_the_folder_is_refused(make: Any, tree: Path, name: str) -> None:
    with pytest.raises(IntegrityError, match="cannot be called"):
        unpack_deb(write(tree, make.deb((name, b"evil"))), tree)
    assert not listing(tree)
    assert [path.name for path in tree.parent.iterdir()] != ["evil"]


@pytest.mark.parametrize("target", ["/tmp", "../../..", "."])
def test_no_file_is_written_through_a_link_to_a_folder(make: Any, tree: Path, target: str) -> None:
    deb = make.deb(make.link("./usr/lib/way", target), ("./usr/lib/way/evil", b"evil"))
    with pytest.raises(BuildError, match="usr/lib/way is not a folder"):
        unpack_deb(write(tree, deb), tree)
    assert not list(tree.parent.rglob("evil"))


def test_no_file_is_written_through_a_link_to_a_file(make: Any, tree: Path) -> None:
    outside = tree.parent / "outside"
    outside.write_text("precious")
    (tree / "usr").mkdir()
    (tree / "usr/file").symlink_to(outside)
    with pytest.raises(BuildError, match="another package"):
        unpack_deb(write(tree, make.deb(("./usr/file", b"evil"))), tree)
    assert outside.read_text() == "precious"
    # Within one package the later member wins, and still nothing is followed.
    deb = make.deb(make.link("./usr/other", str(outside)), ("./usr/other", b"plain"))
    unpack_deb(write(tree, deb), tree)
    assert outside.read_text() == "precious"
    assert (tree / "usr/other").read_text() == "plain"
    assert not (tree / "usr/other").is_symlink()


def test_two_packages_may_contain_equal_files_but_not_different_ones(make: Any, tree: Path) -> None:
    unpack_deb(write(tree, make.deb(("usr/doc", b"same"), make.link("usr/link", "doc"))), tree)
    unpack_deb(write(tree, make.deb(("usr/doc", b"same"), make.link("usr/link", "doc"))), tree)
    with pytest.raises(BuildError, match="usr/doc, and so does another package"):
        unpack_deb(write(tree, make.deb(("usr/doc", b"else"))), tree)
    with pytest.raises(BuildError, match="the link usr/link"):
        unpack_deb(write(tree, make.deb(make.link("usr/link", "elsewhere"))), tree)
    with pytest.raises(BuildError, match="folder"):
        unpack_deb(write(tree, make.deb(("usr", b"file"))), tree)
    assert listing(tree) == {"usr/doc": "same", "usr/link": "-> doc"}


def test_several_threads_can_unpack_into_one_folder(make: Any, tree: Path) -> None:
    debs = [
        write(tree, make.deb(*((f"usr/lib/{i % 7}/{number}/{i}", b"x") for i in range(50))), f"{number}.deb")
        for number in range(8)
    ]
    threads = [threading.Thread(target=unpack_deb, args=(deb, tree)) for deb in debs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(listing(tree)) == 400


def test_a_damaged_header_is_not_taken_for_the_end(make: Any, tree: Path) -> None:
    tar = bytearray(make.tar(("usr/a", b"a"), ("usr/b", b"b")))
    tar[1024 + 150] ^= 1  # in the checksum of the second
    with pytest.raises(IntegrityError, match="no file begins at byte 1024"):
        unpack_deb(write(tree, make.deb(tar=bytes(tar))), tree)


def test_a_select_that_leads_outside_is_an_assertion_error(make: Any, tree: Path) -> None:
    deb = write(tree, make.deb(("usr/a", b"a")))
    with pytest.raises(AssertionError):
        unpack_deb(deb, tree, lambda path: "../" + path)
    with pytest.raises(KeyError):
        unpack_deb(deb, tree, {"x": "y"}.__getitem__)


def test_an_unknown_compression_is_refused_with_a_hint(make: Any, tree: Path) -> None:
    with pytest.raises(BuildError, match=r"thing\.deb is compressed as \.zst") as caught:
        unpack_deb(write(tree, make.deb(("usr/x", b"x"), ending=".zst")), tree)
    assert caught.value.hint


def test_a_deb_without_data_tar_is_an_error(make: Any, tree: Path) -> None:
    with pytest.raises(IntegrityError, match=r"has no data\.tar"):
        unpack_deb(write(tree, make.ar({"debian-binary": b"2.0\n"})), tree)


@pytest.mark.parametrize("ending", [".xz", ".gz", ""])
def test_a_deb_cut_off_anywhere_is_an_error(make: Any, tree: Path, ending: str) -> None:
    deb = make.deb(("usr/a", b"a" * 3000), ("usr/b", os.urandom(5000)), ending=ending)
    for length in (*range(0, 300, 7), *range(300, len(deb) - 1, 211), len(deb) - 2):
        folder = tree / str(length)
        folder.mkdir()
        with pytest.raises(IntegrityError):
            unpack_deb(write(tree, deb[:length]), folder)


@pytest.mark.parametrize("ending", [".xz", ".gz"])
def test_a_deb_whose_tar_is_cut_off_is_an_error(make: Any, tree: Path, ending: str) -> None:
    whole = make.tar(("usr/a", b"a" * 3000), ("usr/b", b"b" * 5000))
    for length in (100, 600, 3000, 3584, 4700, 9216):
        with pytest.raises(IntegrityError):
            unpack_deb(write(tree, make.deb(tar=whole[:length], ending=ending)), tree)
        assert not any(len(content) not in (3000, 5000) for content in listing(tree).values())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(
    place=st.integers(0, 10_000),
    noise=st.binary(min_size=1, max_size=40),
    ending=st.sampled_from([".xz", ".gz", ""]),
    in_tar=st.booleans(),
)
def test_overwritten_bytes_are_an_error_or_harmless(
    make: Any, tree: Path, place: int, noise: bytes, ending: str, in_tar: bool
) -> None:
    tar = make.tar(("usr/a", b"a" * 600), make.link("usr/l", "a"), ("usr/b", b"b"))

    def spoil(data: bytes) -> bytes:
        at = place % len(data)
        return data[:at] + noise + data[at + len(noise) :]

    deb = make.deb(tar=spoil(tar), ending=ending) if in_tar else spoil(make.deb(tar=tar, ending=ending))
    folder = tree / "fuzz"
    folder.mkdir(exist_ok=True)
    with suppress(IntegrityError, BuildError):
        unpack_deb(write(tree, deb), folder)
    assert {path.name for path in tree.parent.iterdir()} == {"tree", "thing.deb"}
    assert [path.name for path in tree.iterdir()] == ["fuzz"]
