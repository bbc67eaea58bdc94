"""Fetching wheels and sdists: verified, and found elsewhere when their URL no longer works."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.digest import Sha256
from incamera.errors import FetchError, IntegrityError
from incamera.wheels.fetch import fetch_files

if TYPE_CHECKING:
    from tests.unit.conftest import Web
    from tests.unit.wheels.conftest import Index

    from incamera.wheels.index import IndexFile

NAME = "own-1.0-py3-none-any.whl"


def test_all_files_are_fetched_once_and_then_found_in_the_store(index: Index) -> None:
    bodies = {f"own-{number}-py3-none-any.whl": os.urandom(1000 + number) for number in range(12)}
    files = [index.add(name, data) for name, data in bodies.items()]
    progress = list[int]()
    ready = list[str]()
    paths = fetch_files(
        [*files, files[0]],
        index.http,
        index.store,
        progress=progress.append,
        on_ready=lambda file, path: ready.append(file.filename),
    )
    assert {file.filename: path.read_bytes() for file, path in paths.items()} == bodies
    assert sorted(ready) == sorted(bodies)
    assert sum(progress) == sum(map(len, bodies.values()))
    assert fetch_files(files, index.http, index.store) == paths
    assert len(index.web.requests) == 12


def test_the_largest_files_are_fetched_first(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("incamera.fetching.CONNECTIONS", 1)
    files = [index.add(f"own-{size}.tar.gz", os.urandom(size)) for size in (2000, 3000, 1000)]
    fetch_files(files, index.http, index.store)
    assert [path.rpartition("-")[2] for path in index.web.requests] == ["3000.tar.gz", "2000.tar.gz", "1000.tar.gz"]


@pytest.mark.parametrize("size", [4, None])
def test_a_file_with_another_hash_is_refused_and_not_kept(index: Index, web: Web, size: int | None) -> None:
    file = replace(index.add(NAME, b"good"), size=size)
    web.pages[f"/files/{NAME}"] = b"evil" if size else b"something longer"
    with pytest.raises(IntegrityError, match=f"{NAME} is not the file that was locked") as caught:
        fetch_files([file], index.http, index.store, indexes=index.open())
    assert "index" in str(caught.value.hint)
    assert index.store.find_blob(file.sha256) is None
    assert len(web.requests) == 1


def test_a_file_of_another_size_is_refused(index: Index, web: Web) -> None:
    file = index.add(NAME, b"good")
    web.pages[f"/files/{NAME}"] = b"longer"
    with pytest.raises(IntegrityError, match=NAME) as caught:
        fetch_files([file], index.http, index.store)
    assert "lock --upgrade" in str(caught.value.hint)


@pytest.mark.parametrize(("filename", "project"), [(NAME, "own"), ("scikit-image-1.0.tar.gz", "scikit-image")])
def test_a_file_that_the_index_no_longer_has_is_an_error_with_a_hint(
    index: Index, web: Web, filename: str, project: str
) -> None:
    file = index.add(filename, b"data", project=project)
    del web.pages[f"/files/{filename}"]
    with pytest.raises(FetchError, match=f"no longer has {filename}") as caught:
        fetch_files([file], index.http, index.store, indexes=index.open())
    assert f"incamera lock --upgrade {project}" in str(caught.value.hint)


@pytest.mark.parametrize("trouble", [404, 403, 500])
def test_a_file_whose_url_no_longer_works_is_found_by_hash_in_the_users_indexes(
    index: Index, web: Web, trouble: int
) -> None:
    file = index.add(NAME, b"data")
    web.pages["/other"] = web.status(trouble)
    elsewhere = replace(file, url=f"{web.url}/other")
    paths = fetch_files([elsewhere], index.http, index.store, indexes=index.open())
    assert paths[elsewhere].read_bytes() == b"data"


def test_a_file_of_the_same_name_with_another_hash_is_not_taken(index: Index, web: Web) -> None:
    file = index.add(NAME, b"data")
    elsewhere = replace(file, url=f"{web.url}/other", sha256=Sha256("0" * 64))
    with pytest.raises(FetchError, match="no longer has"):
        fetch_files([elsewhere], index.http, index.store, indexes=index.open())


def test_when_the_index_is_down_too_the_first_error_is_raised(index: Index, web: Web) -> None:
    file = replace(index.add("new-1.0.tar.gz", b"data", project="new"), url=f"{web.url}/other")
    web.pages["/other"] = web.status(503)
    web.pages["/company/new/"] = web.status(500)
    with pytest.raises(FetchError, match=r"cannot fetch new-1\.0\.tar\.gz: .*503"):
        fetch_files([file], index.http, index.store, indexes=index.open(f"{web.url}/company"))


def test_an_empty_blob_in_the_store_is_fetched_again(index: Index) -> None:
    file = index.add(NAME, b"data")
    path = index.store.blob_path(file.sha256)
    path.parent.mkdir(parents=True)
    path.touch()
    assert fetch_files([file], index.http, index.store)[file].read_bytes() == b"data"


def test_urls_other_than_http_are_refused(index: Index, tmp_path: Path) -> None:
    file: IndexFile = index.add(NAME, b"data")
    (tmp_path / "data").write_bytes(b"data")
    for url in (f"file://{tmp_path}/data", "ftp://127.0.0.1/x", "//x", "x"):
        with pytest.raises(FetchError, match=NAME):
            fetch_files([replace(file, url=url)], index.http, index.store)
