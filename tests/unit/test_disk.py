"""Writing files atomically, removing and measuring folders."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from incamera.disk import disk_usage, find_by_end, remove_tree, write_cache, write_output
from incamera.errors import StoreError


def test_remove_tree_removes_read_only_folders(tmp_path: Path) -> None:
    folder = tmp_path / "tree"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "file").touch()
    (folder / "sub").chmod(0o555)
    folder.chmod(0o555)
    remove_tree(folder)
    assert not folder.exists()


@pytest.mark.parametrize("others", [["make"], ["remove", "make"]])
def test_remove_tree_copes_with_another_process_in_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: list[str]
) -> None:
    folder = tmp_path / "tree"
    folder.mkdir()
    real = os.rmdir

    def rmdir(path: Any, **options: Any) -> None:
        if others:
            if others.pop(0) == "remove":
                raise FileNotFoundError(path)
            (folder / "file").touch()  # another process makes a file after all others were removed
        real(path, **options)

    monkeypatch.setattr("os.rmdir", rmdir)
    remove_tree(folder)
    assert not folder.exists()


def test_write_cache_ignores_errors_of_the_disk(tmp_path: Path) -> None:
    write_cache(tmp_path / "caches" / "kept", b"x")
    assert (tmp_path / "caches" / "kept").read_bytes() == b"x"
    (tmp_path / "file").touch()
    write_cache(tmp_path / "file" / "kept", b"x")


def test_disk_usage_counts_a_file_with_two_hard_links_once(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x" * 100)
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    assert disk_usage(tmp_path) == 100


def test_file_of_the_user_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=re.escape(f"cannot write {tmp_path}/nowhere/out.html: No such file")):
        write_output(tmp_path / "nowhere" / "out.html", b"")


def test_path_of_a_device_leads_to_no_file_outside_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app/own.py").touch()
    (tmp_path / "secret").touch()
    place = (tmp_path / "app").joinpath
    assert find_by_end("/usr/app/x/own.py", place) == tmp_path / "app/own.py"
    for path in (f"/{tmp_path}/secret", f"x/{tmp_path}/secret", "/app/../secret", f"/{'x' * 5000}/own", "/own\0.py"):
        assert find_by_end(path, place) is None


def test_folder_that_is_nested_too_deep_for_recursion_is_removed(tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "other/inner").mkdir(parents=True)
    (top / "other/link").symlink_to(tmp_path)
    (top / "deep").mkdir()
    for _ in range(3000):
        (outer := tmp_path / "outer").mkdir()
        (top / "deep").rename(outer / "deep")
        outer.rename(top / "deep")
    remove_tree(top)
    assert not list(tmp_path.iterdir())
