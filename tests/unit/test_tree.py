"""Listing, hashing and comparing the contents of folders."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incamera.digest import Sha256
from incamera.tree import Entry, dump_entries, list_tree, parse_entries, tree_digest

PATHS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
ENTRIES = st.builds(
    Entry,
    PATHS,
    st.just("") | st.binary().map(Sha256.of),
    st.integers(0, 1 << 40),
    st.booleans(),
    st.just("") | PATHS,
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "file").write_bytes(b"abc")
    (tmp_path / "b.txt").write_bytes(b"")
    (tmp_path / "run").write_bytes(b"#!")
    (tmp_path / "run").chmod(0o755)
    (tmp_path / "to-folder").symlink_to("b")
    (tmp_path / "to-nowhere").symlink_to("/nowhere")
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_list_tree_has_all_files_and_links_sorted_by_bytes(tree: Path) -> None:
    assert list_tree(tree) == [
        Entry("b.txt", Sha256("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"), 0),
        Entry("b/file", Sha256("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"), 3),
        Entry("run", Sha256("3612ddaf46e149a4f583faf0face846585148f59e0ce2645594df83b5dc807e8"), 2, executable=True),
        Entry("to-folder", link="b"),
        Entry("to-nowhere", link="/nowhere"),
    ]


def test_known_entries_are_not_read_again(tree: Path) -> None:
    known = {"b/file": Entry("b/file", Sha256("0" * 64), 3)}
    assert known["b/file"] in list_tree(tree, known)


def test_times_and_write_permissions_do_not_change_the_digest(tree: Path) -> None:
    before = tree_digest(list_tree(tree))
    (tree / "b.txt").chmod(0o400)
    (tree / "b" / "file").touch()
    assert tree_digest(list_tree(tree)) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: (tree / "b" / "file").write_bytes(b"abd"),
        lambda tree: (tree / "b" / "file").rename(tree / "b" / "other"),
        lambda tree: (tree / "run").chmod(0o644),
        lambda tree: (tree / "more").write_bytes(b""),
        lambda tree: ((tree / "to-folder").unlink(), (tree / "to-folder").symlink_to("empty")),
        lambda tree: ((tree / "to-folder").unlink(), (tree / "to-folder").write_bytes(b"b")),
    ],
)
def test_contents_names_modes_and_links_change_the_digest(tree: Path, change: object) -> None:
    before = tree_digest(list_tree(tree))
    assert callable(change)
    change(tree)
    assert tree_digest(list_tree(tree)) != before


def test_the_order_of_entries_does_not_change_the_digest(tree: Path) -> None:
    entries = list_tree(tree)
    assert tree_digest(reversed(entries)) == tree_digest(entries)


@settings(deadline=None)
@given(st.lists(ENTRIES, max_size=5))
def test_parse_entries_returns_what_was_dumped(entries: list[Entry]) -> None:
    assert parse_entries(dump_entries(entries)) == entries


@pytest.mark.parametrize(
    "text", ["", "[", "{}x", "[1]", "[[1, 2]]", '[["a", "b", "many", 0, ""]]', '[["a", "../b", 1, 0, ""]]', "3"]
)
def test_text_that_is_no_list_of_entries_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_entries(text)


def test_names_that_are_not_utf_8_are_listed_hashed_and_dumped(tmp_path: Path) -> None:
    names = [b"caf\xe9.py", b"\xff", b"esc\x1b[2J", "ü".encode()]
    for name in names:
        Path(os.fsdecode(tmp_path / os.fsdecode(name))).write_bytes(name)
    entries = list_tree(tmp_path)
    assert [entry.raw_path for entry in entries] == sorted(names)
    assert parse_entries(dump_entries(entries)) == entries
    assert tree_digest(entries) != tree_digest(entries[1:])
