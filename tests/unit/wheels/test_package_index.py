"""Package indexes: which files of a project are found, and when an index is asked."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest
from packaging.version import Version

from incamera.errors import FetchError, IntegrityError
from incamera.targets.target import Target
from incamera.wheels.index import PackageIndexes
from incamera.wheels.tags import supported_tags

if TYPE_CHECKING:
    from tests.unit.conftest import Web
    from tests.unit.wheels.conftest import Index

    from incamera.http import Http
    from incamera.store import Store

TAGS = supported_tags(Target.parse("armv7hf-cp311"))


def names(files: Any) -> list[str]:
    return [file.filename for file in files]


def test_files_are_found_newest_version_first_and_filtered_by_tags(index: Index) -> None:
    for filename in (
        "own-1.9.tar.gz",
        "own-1.9-cp311-cp311-linux_armv7l.whl",
        "own-1.9-cp311-cp311-win32.whl",
        "own-1.10-py3-none-any.whl",
        "own-1.10-py36+-none-any.whl",
        "own-1.10rc1-1-py3-none-any.whl",
    ):
        index.add(filename)
    indexes = index.open(max_age=0)
    best_first = ["own-1.10-py3-none-any.whl", "own-1.10rc1-1-py3-none-any.whl"]
    old = ["own-1.9-cp311-cp311-linux_armv7l.whl", "own-1.9-cp311-cp311-win32.whl", "own-1.9.tar.gz"]
    assert names(indexes.find("Own")) == best_first + old
    assert names(indexes.find("own", TAGS)) == [*best_first, old[0], old[2]]
    assert names(indexes.find("own", version=Version("1.9.0"))) == old
    assert [file.kind for file in indexes.find("own", version=Version("1.9"))] == ["wheel", "wheel", "sdist"]
    assert indexes.find("own", version=Version("2")) == ()
    assert len(index.web.requests) == 1


def test_files_of_a_version_are_found_however_their_names_spell_it(index: Index) -> None:
    for filename in (
        "own-1.0-py3-none-any.whl",
        "own-1.0.0-py3-none-any.whl",
        "own-1.0.tar.gz",
        "own-1.0.1.tar.gz",
        "own-0.0.tar.gz",
        "own-2.0RC1.tar.gz",
    ):
        index.add(filename)
    wanted = ["own-1.0-py3-none-any.whl", "own-1.0.0-py3-none-any.whl", "own-1.0.tar.gz"]
    for _ in range(2):  # once from the index, once from the store
        assert names(index.open().find("own", TAGS, version=Version("1"))) == wanted
        assert names(index.open().find("own", version=Version("1.0.1.0"))) == ["own-1.0.1.tar.gz"]
        assert names(index.open().find("own", version=Version("0"))) == ["own-0.0.tar.gz"]
        assert names(index.open().find("own", version=Version("2rc1"))) == ["own-2.0RC1.tar.gz"]


def test_all_fields_of_a_file_are_cached(index: Index) -> None:
    more: dict[str, Any] = {"requires-python": ">=3.9", "yanked": "", "core-metadata": True, "upload-time": "2024"}
    index.add("own-1.0-py3-none-any.whl", b"12", **more)
    for _ in range(2):  # once from the index, once from the store
        [file] = index.open().find("own")
        assert (file.project, file.version, file.url) == (
            "own",
            Version("1"),
            f"{index.web.url}/files/own-1.0-py3-none-any.whl",
        )
        assert (file.size, file.requires_python, file.yanked, file.metadata, file.upload_time) == (
            2,
            ">=3.9",
            None,
            "",
            "2024",
        )


@pytest.mark.parametrize(
    "filename",
    [
        "own-1.0-py2.7.egg",
        "own-1.0.exe",
        "own-1.0.tar.bz2",
        "own.tar.gz",
        "-.whl",
        "own-1.0.whl",
        "other-1.0.tar.gz",
        "other-1.0-py3-none-any.whl",
        "own-latest.tar.gz",
        "own-1.0-py3-none any-any.whl",
        "own-1.0-py3-\nnone-any.whl",
        f"own-{'9' * 5000}-py3-none-any.whl",
        "own-1.0-py3-none-any\t.whl",
        "",
    ],
)
def test_files_that_are_no_wheel_or_sdist_of_the_project_are_left_out(index: Index, filename: str) -> None:
    index.add(filename)
    index.add("own-2.0.zip")
    assert names(index.open().find("own")) == ["own-2.0.zip"]
    assert names(index.open().find("own", TAGS)) == ["own-2.0.zip"]


@pytest.mark.parametrize(
    ("project", "filename", "version"),
    [
        ("ruamel-yaml", "ruamel.yaml-0.18.tar.gz", "0.18"),
        ("ruamel-yaml", "ruamel_yaml-0.18-py3-none-any.whl", "0.18"),
        ("scikit-image", "scikit-image-0.20.0.tar.gz", "0.20"),
        ("own", "own-1.0-1.tar.gz", "1.0.post1"),
        ("own-2", "own-2-3.zip", "3"),
    ],
)
def test_names_of_old_files_are_parsed(index: Index, project: str, filename: str, version: str) -> None:
    assert index.add(filename, project=project).version == Version(version)


def test_a_file_without_a_sha256_is_left_out(index: Index) -> None:
    index.add("own-1.0.tar.gz", hashes={"md5": "0" * 32})
    assert index.open().find("own") == ()


@pytest.mark.parametrize("value", [5, ["x"], {"x": 1}, ""])
def test_a_text_of_another_type_counts_as_missing(index: Index, value: object) -> None:
    more: dict[str, Any] = {"requires-python": value, "upload-time": value}
    file = index.add("own-1.0.tar.gz", **more)
    assert (file.requires_python, file.upload_time) == (None, None)


@pytest.mark.parametrize(
    "digest", ["../" * 21 + "x", "/etc/passwd" + "x" * 53, "g" * 64, "0" * 63, "0" * 65, "٣" * 64, 7]
)
@pytest.mark.parametrize("where", ["hashes", "core-metadata"])
def test_a_hash_that_is_none_is_refused_and_names_its_index(index: Index, digest: object, where: str) -> None:
    index.add("own-1.0.tar.gz")
    indexes = index.open(max_age=0)
    entry = {"filename": "own-2.0.tar.gz", "url": "own-2.0.tar.gz", "hashes": {"sha256": "0" * 64}}
    page = {"files": [{**entry, where: {"sha256": digest}}]}
    index.web.pages["/simple/own/"] = json.dumps(page).encode()
    with pytest.raises(
        IntegrityError, match=r"/simple/own/ gives a wrong hash for own-2\.0\.tar\.gz.* is not a sha256"
    ):
        indexes.find("own")


@pytest.mark.parametrize(
    "link", ['own-1.0.tar.gz#sha256=../../x" data-x="', 'own-1.0.tar.gz" data-core-metadata="sha256=/etc/x']
)
def test_a_hash_in_html_that_is_none_is_refused(index: Index, link: str) -> None:
    index.web.pages["/simple/own/"] = f'<html><a href="{link}">own</a></html>'.encode()
    with pytest.raises(IntegrityError, match=r"gives a wrong hash for own-1\.0\.tar\.gz"):
        index.open().find("own")


def test_an_unknown_project_has_no_files(index: Index) -> None:
    assert index.open().find("nothing") == ()
    assert index.open().find("nothing", TAGS) == ()
    assert len(index.web.requests) == 1  # a missing project is cached, too


def test_only_the_first_index_that_has_a_project_is_used(index: Index, web: Web) -> None:
    index.add("own-1.0.tar.gz")
    index.add("both-1.0.tar.gz", project="both")
    page = {"files": [{"filename": "both-9.tar.gz", "url": "both-9.tar.gz", "hashes": {"sha256": "0" * 64}}]}
    web.pages["/company/both/"] = json.dumps(page).encode()
    indexes = index.open(f"{web.url}/company/", index.url, max_age=0)
    assert names(indexes.find("both")) == ["both-9.tar.gz"]
    assert names(indexes.find("own")) == ["own-1.0.tar.gz"]
    assert web.requests == ["/company/both/", "/company/own/", "/simple/own/"]


def test_an_index_that_is_down_is_an_error_and_not_skipped(index: Index, web: Web) -> None:
    index.add("own-1.0.tar.gz")
    web.pages["/company/own/"] = web.status(503)
    with pytest.raises(FetchError, match=r"cannot ask the package index for own: .*503") as caught:
        index.open(f"{web.url}/company", index.url).find("own")
    assert caught.value.hint


def test_an_old_page_is_requested_with_its_etag(index: Index, web: Web) -> None:
    index.add("own-1.0.tar.gz")
    index.publish("own", ETag='"1"')
    assert len(index.open(max_age=0).find("own")) == 1
    web.pages["/simple/own/"] = web.status(304)
    assert len(index.open(max_age=0).find("own")) == 1
    assert web.headers[1]["if-none-match"] == '"1"'
    index.open().find("own")  # fetched a moment ago
    assert len(web.requests) == 2


def test_an_old_page_without_etag_is_requested_with_its_last_modified(index: Index, web: Web) -> None:
    index.add("own-1.0.tar.gz")
    index.publish("own", Last_Modified="Sat, 01 Jan 2022 00:00:00 GMT")
    index.open(max_age=0).find("own")
    index.open(max_age=0).find("own")
    assert web.headers[1]["if-modified-since"] == "Sat, 01 Jan 2022 00:00:00 GMT"


def test_a_page_that_is_sent_again_unchanged_is_not_parsed_again(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    index.add("own-1.0-py3-none-any.whl")
    before = index.open().find("own")
    with monkeypatch.context() as patch:
        patch.setattr("incamera.wheels.index.parse_project_page", lambda *_: pytest.fail("it is parsed"))
        assert index.open(max_age=0).find("own") == before
    assert index.open().find("own") == before
    assert len(index.web.requests) == 1  # it counts as new
    index.add("own-1.1-py3-none-any.whl")
    assert len(index.open(max_age=0).find("own")) == 2


def test_when_an_index_is_down_cached_pages_are_used_with_one_warning(index: Index, web: Web) -> None:
    for project in ("own", "other"):
        index.add(f"{project}-1.0.tar.gz", project=project)
        web.pages[f"/simple/{project}/"] = web.status(503)
    warnings: list[str] = []
    address = index.url.replace("://", "://me:secret@")
    indexes = index.open(address, max_age=0, warn=warnings.append)
    assert len(indexes.find("own")) == 1
    asked = len(web.requests)
    assert len(indexes.find("other")) == 1
    with pytest.raises(FetchError, match=r"for new: .*503"):
        indexes.find("new")
    assert len(web.requests) == asked  # an index that is down is not requested again
    [warning] = warnings
    assert "503" in warning
    assert "secret" not in warning


def test_a_page_that_is_not_of_an_index_does_not_replace_the_cached_one(index: Index, web: Web) -> None:
    index.add("own-1.0.tar.gz")
    web.pages["/simple/own/"] = b"log in, please"
    warnings: list[str] = []
    for _ in range(2):
        assert len(index.open(max_age=0, warn=warnings.append).find("own")) == 1
    assert len(warnings) == 2
    assert "not a page of a package index" in warnings[0]


def test_an_index_that_refuses_one_page_is_still_asked_for_others(index: Index, web: Web) -> None:
    index.add("own-1.0.tar.gz")
    web.pages["/simple/secret/"] = web.status(403)
    indexes = index.open(max_age=0)
    with pytest.raises(FetchError, match="403"):
        indexes.find("secret")
    assert len(indexes.find("own")) == 1


def test_a_damaged_page_in_the_store_is_fetched_again(index: Index) -> None:
    index.add("own-1.0.tar.gz")
    [kept] = (index.store.root / "caches/index").glob("*/own.page")
    for damage in (b"", b"\x00\xff", b'{"format": 1}', b"[]", b'{"format": -1, "asked": 1}'):
        kept.write_bytes(damage)
        assert len(index.open().find("own")) == 1
    assert len(index.web.requests) == 5


def test_a_cached_page_from_the_future_is_fetched_again(index: Index) -> None:
    index.add("own-1.0.tar.gz")
    [kept] = (index.store.root / "caches/index").glob("*/own.page")
    header, newline, rest = kept.read_bytes().partition(b"\n")
    kept.write_bytes(json.dumps({**json.loads(header), "asked": 9e12}).encode() + newline + rest)
    index.open().find("own")
    assert len(index.web.requests) == 1


def test_no_password_is_written_to_the_store(index: Index) -> None:
    index.add("own-1.0.tar.gz")
    address = index.url.replace("://", "://me:secret@")
    [file] = index.open(address, max_age=0).find("own")
    assert index.web.headers[0]["authorization"]
    assert "secret" not in file.url
    written = [path for path in index.store.root.rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if b"secret" in path.read_bytes() or "secret" in str(path)]


@pytest.mark.parametrize("name", ["../../../x", "/x", "a/b", "", "-", "x y", "x?y", "x%2e"])
def test_an_invalid_project_name_is_not_requested(index: Index, name: str) -> None:
    assert index.open().find(name) == ()
    assert not index.web.requests


def test_prefetching_requests_several_pages_at_once_and_each_only_once(index: Index, web: Web) -> None:
    projects = [f"p{number}" for number in range(12)]
    for project in projects:
        index.add(f"{project}-1.tar.gz", project=project)
    both = threading.Barrier(2, timeout=10)

    def meeting(answer: Any) -> Any:
        def wait(handler: Any) -> None:
            both.wait()  # breaks unless two are asked for at the same time
            answer(handler)

        return wait

    for project in projects[:2]:
        web.pages[f"/simple/{project}/"] = meeting(web.pages[f"/simple/{project}/"])
    indexes = index.open(max_age=0)
    indexes.prefetch(projects)
    indexes.prefetch(projects)
    assert [len(indexes.find(project)) for project in projects] == [1] * 12
    assert sorted(web.requests) == sorted(f"/simple/{project}/" for project in projects)


def test_find_raises_an_error_of_prefetching(index: Index, web: Web) -> None:
    web.pages["/simple/own/"] = web.status(200, b"log in, please")
    indexes = index.open()
    indexes.prefetch(["own"])
    with pytest.raises(FetchError, match="not a page of a package index"):
        indexes.find("own")


def test_several_threads_request_a_page_only_once(index: Index, web: Web) -> None:
    index.add("own-1.0.tar.gz")
    indexes = index.open(max_age=0)
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(len(indexes.find("own")))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1] * 10
    assert web.requests == ["/simple/own/"]


def test_html_indexes_are_supported(index: Index, web: Web) -> None:
    link = f'<a href="/f/own-1.0-py3-none-any.whl#sha256={"1" * 64}" data-yanked="">own</a>'
    web.pages["/simple/own/"] = f"<!DOCTYPE html><body>{link}</body>".encode()
    [file] = index.open().find("own", TAGS)
    assert (file.url, file.sha256, file.yanked) == (f"{web.url}/f/own-1.0-py3-none-any.whl", "1" * 64, "")


def test_opening_indexes_marks_their_cache_as_used(http: Http, store: Store) -> None:
    folder = store.root / "caches/index"
    folder.mkdir(parents=True)
    os.utime(folder, (1, 1))
    PackageIndexes(["http://127.0.0.1:1/simple"], http, store)
    assert folder.stat().st_mtime > 1


def test_a_damaged_cached_page_is_fetched_again(index: Index) -> None:
    index.add("own-1.0.tar.gz")
    assert names(index.open().find("own")) == ["own-1.0.tar.gz"]
    [path] = (index.store.root / "caches/index").glob("*/own.page")
    whole = path.read_bytes()
    for damaged in (whole[:-5], whole.replace(b"own-1.0", b"own-1.1"), whole.replace(b"sdist", b"sdi\xff"), b"", b"{}"):
        path.write_bytes(damaged)
        assert names(index.open().find("own")) == ["own-1.0.tar.gz"]
        assert path.read_bytes().partition(b"\n")[2] == whole.partition(b"\n")[2]


def test_damage_that_is_found_while_reading_is_repaired_for_all_who_ask(index: Index) -> None:
    index.add("own-1.0.tar.gz")
    index.add("own-1.0-py3-none-any.whl")
    [path] = (index.store.root / "caches/index").glob("*/own.page")
    path.write_bytes(path.read_bytes().replace(b"own-1.0-py3", b"own-1.9-py3"))
    indexes = index.open()
    for _ in range(2):
        assert names(indexes.find("own", TAGS)) == ["own-1.0-py3-none-any.whl", "own-1.0.tar.gz"]
    assert names(index.open().find("own")) == ["own-1.0-py3-none-any.whl", "own-1.0.tar.gz"]
    assert len(index.web.requests) == 1


def test_only_the_named_projects_are_asked_for_again(index: Index) -> None:
    for project in ("own", "other"):
        index.add(f"{project}-1.0.tar.gz", project=project)
    indexes = index.open(fresh={"other"})
    assert [len(indexes.find(project)) for project in ("own", "other")] == [1, 1]
    assert index.web.requests == ["/simple/other/"]


def test_targets_share_pages_but_not_files_of_the_users_own(index: Index) -> None:
    file = index.add("own-1.0.tar.gz")
    indexes = index.open(max_age=0)
    one, other = indexes.for_target(), indexes.for_target()
    one.add_own(file)
    assert (one.find_own("own"), other.find_own("own"), indexes.find_own("own")) == (file, None, None)
    other.prefetch(["own"])
    assert names(other.find("own")) == names(indexes.for_target().find("own")) == ["own-1.0.tar.gz"]
    assert len(index.web.requests) == 1


def test_platforms_of_the_newest_wheels_are_known(index: Index) -> None:
    assert index.open().find_newest_wheels("own") is None
    index.add("own-3.tar.gz")
    assert index.open().find_newest_wheels("own") is None
    for filename in (
        "own-1.10-cp311-cp311-win32.whl",
        "own-1.10.0-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        "own-1.9-py3-none-any.whl",
        "own-junk-py3-none-any.whl",
    ):
        index.add(filename)
    for _ in range(2):
        newest = index.open().find_newest_wheels("own")
        assert newest is not None
        assert newest.version.removesuffix(".0") == "1.10"
        assert newest.platforms == ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "win32")
