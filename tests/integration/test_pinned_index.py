"""The index that pins what tests fetch, in front of an index on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from incamera.errors import IntegrityError
from incamera.http import Http
from incamera.store import Store
from incamera.wheels.fetch import fetch_files
from incamera.wheels.index import PackageIndexes

from .local_index import LocalIndex, local_index
from .pinned_index import PinnedIndex, load_pins, save_pins, serving

NO_PROXY = {"no_proxy": "127.0.0.1"}


@pytest.fixture
def upstream() -> Iterator[LocalIndex]:
    with local_index() as index:
        yield index


def ask(url: str, folder: Path) -> PackageIndexes:
    return PackageIndexes([url], Http(NO_PROXY), Store(folder))


def test_only_what_is_pinned_is_there(upstream: LocalIndex, tmp_path: Path) -> None:
    old = upstream.add_wheel("lamp", "1.0")
    upstream.add_wheel("lamp", "2.0")
    upstream.add_wheel("bulb", "1.0")
    save_pins(tmp_path / "pins", {"lamp": {old.filename: old.sha256}}, {"socket"})
    index = PinnedIndex(upstream.environment, Store(tmp_path / "store"), tmp_path / "pins", records=False)
    with serving(index) as url:
        indexes = ask(url, tmp_path / "other")
        [file] = indexes.find("Lamp")
        assert (file.filename, file.url) == (
            old.filename,
            f"{upstream.url.removesuffix('/simple')}/files/{old.filename}",
        )
        assert indexes.find("socket") == ()
        assert not index.problems
        assert indexes.find("bulb") == ()
        assert index.problems == {"bulb is not pinned"}


def test_a_file_with_other_bytes_than_those_pinned_is_refused(upstream: LocalIndex, tmp_path: Path) -> None:
    lamp = upstream.add_wheel("lamp", "1.0")
    save_pins(tmp_path / "pins", {"lamp": {lamp.filename: "0" * 64}}, set())
    index = PinnedIndex(upstream.environment, Store(tmp_path / "store"), tmp_path / "pins", records=False)
    with serving(index) as url:
        files = ask(url, tmp_path / "other").find("lamp")
        with pytest.raises(IntegrityError, match=r"the sha256 is .*, but must be 0000"):
            fetch_files(files, Http(NO_PROXY), Store(tmp_path / "other"))


def test_a_pinned_file_that_is_gone_is_named(upstream: LocalIndex, tmp_path: Path) -> None:
    upstream.add_wheel("lamp", "2.0")
    save_pins(tmp_path / "pins", {"lamp": {"lamp-1.0-py3-none-any.whl": "0" * 64}}, set())
    index = PinnedIndex(upstream.environment, Store(tmp_path / "store"), tmp_path / "pins", records=False)
    with serving(index) as url:
        assert ask(url, tmp_path / "other").find("lamp") == ()
    assert index.problems == {"lamp-1.0-py3-none-any.whl is gone from the index"}


def test_what_is_fetched_is_recorded_for_each_kind_of_host(upstream: LocalIndex, tmp_path: Path) -> None:
    upstream.add_wheel("lamp", "1.0", tag="cp311-cp311-manylinux_2_17_x86_64")
    here = upstream.add_wheel("lamp", "2.0", tag="cp311-cp311-manylinux_2_17_x86_64")
    there = upstream.add_wheel("lamp", "2.0", tag="cp311-cp311-manylinux_2_28_aarch64")
    upstream.add_wheel("lamp", "2.0", tag="cp312-cp312-manylinux_2_28_aarch64")
    upstream.add_wheel("bulb", "1.0")
    index = PinnedIndex(upstream.environment, Store(tmp_path / "store"), tmp_path / "none", records=True)
    with serving(index) as url:
        indexes = ask(url, tmp_path / "other")
        assert len(indexes.find("lamp")) == 4
        fetch_files(
            [file for file in indexes.find("lamp") if file.filename == here.filename], Http(NO_PROXY), Store(tmp_path)
        )
        assert len(indexes.find("bulb")) == 1
        assert indexes.find("socket") == ()
    assert index.recorded == {
        "lamp": {here.filename: here.sha256, there.filename: there.sha256},
        "bulb": {},
    }
    assert index.recorded_missing == {"socket"}
    save_pins(tmp_path / "pins", index.recorded, index.recorded_missing)
    assert load_pins(tmp_path / "pins") == (index.recorded, index.recorded_missing)


def test_sdist_is_recorded_with_the_wheel_that_its_metadata_come_from(upstream: LocalIndex, tmp_path: Path) -> None:
    sdist = upstream.add_sdist("lamp", "2.0", files={})
    wheel = upstream.add_wheel("lamp", "2.0", tag="cp311-cp311-macosx_11_0_arm64")
    index = PinnedIndex(upstream.environment, Store(tmp_path / "store"), tmp_path / "none", records=True)
    with serving(index) as url:
        Http(NO_PROXY).get(f"{url.removesuffix('/simple')}/files/lamp/{wheel.filename}.metadata")
    assert index.recorded == {"lamp": {sdist.filename: sdist.sha256, wheel.filename: wheel.sha256}}
