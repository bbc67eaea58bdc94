"""Package indexes: which debs a suite has, from a mirror that may be wrong or in the middle of an update."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from incamera.debian.index import PackageIndex, load_indexes
from incamera.debian.kept_release import Releases, forget_releases
from incamera.debian.rejected import forget_rejected
from incamera.errors import FetchError, IntegrityError
from incamera.store import Store

if TYPE_CHECKING:
    from tests.unit.debian.conftest import Archive

    from incamera.http import Http


def load(archive: Archive, http: Http, store: Store, pauses: list[float] | None = None) -> PackageIndex:
    return load_indexes(
        archive.suite,
        archive.architecture,
        archive.mirror,
        http,
        store,
        pause=(pauses if pauses is not None else []).append,
    )


def fetched_indexes(archive: Archive) -> list[str]:
    return [path for path in archive.web.requests if "binary-" in path]


@pytest.mark.parametrize("ending", [".gz", ".xz"])
def test_packages_of_both_archives_are_found_the_newest_first(
    archive: Archive, http: Http, store: Store, ending: str
) -> None:
    archive.add("libc6", "2.36-9", Depends="libgcc-s1 (>= 3.0)", Pre_Depends="dpkg")
    archive.add("libc6", "2.36-9+deb12u1", archive="security")
    archive.add("libgcc-s1", "12.2")
    archive.publish(ending=ending)
    index = load(archive, http, store)
    new, old = index.find("libc6")
    assert (new.version, new.archive, old.version, old.archive) == ("2.36-9+deb12u1", "security", "2.36-9", "main")
    assert [str(relation[0]) for relation in old.requirements] == ["dpkg", "libgcc-s1 (>= 3.0)"]
    [libgcc] = index.find("libgcc-s1")
    assert libgcc.filename == "pool/main/libgcc-s1_12.2_armhf.deb"
    assert index.find("libc") == []
    assert index.warnings == ()
    assert len(index) == 2


def test_a_release_file_older_than_one_before_is_refused(archive: Archive, http: Http, store: Store) -> None:
    archive.add("a", "1")
    archive.publish()
    load(archive, http, store)
    load(archive, http, store)  # the same once more
    for name in ("security", "main"):
        newest = dict(archive.web.pages)
        archive.age(seconds=1)
        archive.publish(name)
        with pytest.raises(IntegrityError, match=r"testing(-security)? from .* but before that a newer one") as caught:
            load(archive, http, store)
        assert "INCAMERA_DEBIAN_MIRROR" in str(caught.value.hint)
        assert "INCAMERA_DEBIAN_ALLOW_EXPIRED=1" in str(caught.value.hint)
        archive.web.pages.update(newest)
        archive.age(seconds=-1)
    archive.age(hours=-1)
    archive.publish()
    assert len(load(archive, http, store)) == 1


def test_cleaning_the_store_does_not_make_it_accept_older_release_files(
    archive: Archive, http: Http, store: Store
) -> None:
    archive.publish()
    load(archive, http, store)
    store.clean(unused_for_seconds=-1)
    archive.age(days=1)
    archive.publish()
    with pytest.raises(IntegrityError, match="but before that a newer one"):
        load(archive, http, store)


def test_a_snapshot_may_be_older_and_does_not_hide_what_is_newer(archive: Archive, http: Http, store: Store) -> None:
    archive.publish()
    load(archive, http, store)
    now, snapshot = archive.mirror, replace(archive.mirror, allow_expired=True)
    archive.age(days=30)
    archive.publish()
    archive.mirror = snapshot
    load(archive, http, store)
    archive.mirror = now
    with pytest.raises(IntegrityError, match="but before that a newer one"):
        load(archive, http, store)


def test_each_mirror_and_suite_has_a_newest_release_file_of_its_own(archive: Archive, http: Http, store: Store) -> None:
    archive.publish()
    load(archive, http, store)
    archive.age(days=30)
    archive.publish()
    for path, page in list(archive.web.pages.items()):
        archive.web.pages[f"/other{path}"] = page
    archive.mirror = replace(
        archive.mirror,
        main=archive.mirror.main.replace("/debian", "/other/debian"),
        security=archive.mirror.security.replace("/debian-", "/other/debian-"),
    )
    load(archive, http, store)


def test_of_two_processes_that_learn_dates_at_once_the_newest_stays(
    archive: Archive, http: Http, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.age(days=2)
    archive.publish()
    load(archive, http, store)
    records = {path: path.read_bytes() for path in (store.root / "releases").iterdir()}
    archive.age(days=-2)
    archive.publish()
    load(archive, http, store)
    newest = {path: path.read_bytes() for path in records}
    for path, data in records.items():
        path.write_bytes(data)
    archive.age(days=1)
    archive.publish()
    lock = Store.lock

    @contextmanager
    def lock_after_another(self: Store, name: str) -> Iterator[None]:
        with lock(self, name):
            for path, data in newest.items():
                if name == f"release-{path.stem}":
                    path.write_bytes(data)
            yield

    monkeypatch.setattr(Store, "lock", lock_after_another)
    load(archive, http, store)
    assert {path: path.read_bytes() for path in records} == newest


def test_a_damaged_record_of_the_newest_release_file_is_written_again(
    archive: Archive, http: Http, store: Store
) -> None:
    archive.publish()
    for damage in (b"", b"[]", b"{}", b'{"date": 7}', b'{"date": "2020-01-01"}'):
        load(archive, http, store)
        records = list((store.root / "releases").iterdir())
        assert len(records) == 2
        for record in records:
            record.write_bytes(damage)
    load(archive, http, store)
    assert b"T" in records[0].read_bytes()


def test_a_deb_in_both_archives_is_found_once(archive: Archive, http: Http, store: Store) -> None:
    body = archive.add("a", "1")
    archive.add("a", "1", archive="security", body=body)
    archive.publish()
    [deb] = load(archive, http, store).find("a")
    assert deb.archive == "main"


def test_providers_of_a_virtual_package_and_similar_names_are_found(archive: Archive, http: Http, store: Store) -> None:
    archive.add("libblas3", "3", Provides="libblas.so.3 (= 3), blas")
    archive.add("libopenblas0", "0.3", Provides="libblas.so.3")
    archive.add("libopenblas0", "0.2", Provides="other,\n libblas.so.3 (= 2)", archive="security")
    archive.add("unrelated", "1")
    archive.publish()
    index = load(archive, http, store)
    providers = index.providers("libblas.so.3")
    assert [(deb.package, deb.provided_version("libblas.so.3")) for deb in providers] == [
        ("libblas3", "3"),
        ("libopenblas0", ""),
        ("libopenblas0", "2"),
    ]
    assert index.providers("nothing") == []
    assert index.closest("libopenblass0")[0] == "libopenblas0"


def test_an_unchanged_index_is_fetched_only_once_and_by_hash(archive: Archive, http: Http, store: Store) -> None:
    archive.add("a")
    archive.publish(plain=False)
    load(archive, http, store)
    assert len(fetched_indexes(archive)) == 2
    assert all("/by-hash/SHA256/" in path for path in fetched_indexes(archive))
    load(archive, http, store)
    assert len(fetched_indexes(archive)) == 2


def test_from_a_mirror_without_by_hash_the_plain_name_is_fetched(archive: Archive, http: Http, store: Store) -> None:
    archive.add("a")
    archive.publish(by_hash=False)
    assert load(archive, http, store).find("a")


def test_a_mirror_in_the_middle_of_an_update_is_tried_again(archive: Archive, http: Http, store: Store) -> None:
    archive.add("a", "1")
    archive.publish(by_hash=False)
    path = f"{archive.suite_path('main')}/InRelease"
    stale = archive.web.pages[path]
    archive.add("a", "2")
    archive.publish(by_hash=False)  # now the indexes are newer than the release file
    fresh = archive.web.pages[path]
    assert isinstance(stale, bytes)
    assert isinstance(fresh, bytes)
    archive.web.pages[path] = [stale, stale, fresh]
    pauses: list[float] = []
    assert load(archive, http, store, pauses).find("a")[0].version == "2"
    assert len(pauses) == 2


@pytest.mark.parametrize("kind", ["missing", "other", "changed"])
def test_a_mirror_that_stays_inconsistent_is_an_error(archive: Archive, http: Http, store: Store, kind: str) -> None:
    archive.add("a", "1")
    archive.publish(by_hash=False)
    path = f"{archive.suite_path('main')}/main/binary-armhf/Packages.gz"
    page = archive.web.pages[path]
    assert isinstance(page, bytes)
    if kind == "missing":
        del archive.web.pages[path]
    else:
        archive.web.pages[path] = page + b"x" if kind == "other" else page[:-1] + b"x"
    pauses: list[float] = []
    with pytest.raises(FetchError, match="is inconsistent") as caught:
        load(archive, http, store, pauses)
    assert "try again" in str(caught.value.hint)
    assert len(pauses) == 3
    # Nothing of it is in the store: once the mirror is consistent, its index is loaded.
    archive.publish()
    assert load(archive, http, store).find("a")


def test_an_inconsistent_mirror_with_an_old_release_file_is_not_tried_again(
    archive: Archive, http: Http, store: Store
) -> None:
    archive.add("a", "1")
    archive.age(days=2)
    archive.publish(by_hash=False, plain=False)
    pauses: list[float] = []
    with pytest.raises(FetchError, match="is inconsistent"):
        load(archive, http, store, pauses)
    assert pauses == []


def test_a_security_archive_without_its_index_is_left_out_with_a_warning(
    archive: Archive, http: Http, store: Store
) -> None:
    archive.add("a", "1")
    archive.add("a", "2", archive="security")
    archive.publish()
    del archive.web.pages[f"{archive.suite_path('security')}/main/binary-armhf/Packages.gz"]
    for path in [path for path in archive.web.pages if "security" in path and "by-hash" in path]:
        del archive.web.pages[path]
    index = load(archive, http, store)
    assert [deb.version for deb in index.find("a")] == ["1"]
    [warning] = index.warnings
    assert "security updates for testing are left out" in warning


def without_security_index(archive: Archive) -> str:
    """Publish *archive* with an older security index than its release file names. Returns the path of that index."""
    archive.add("a", "1")
    archive.age(days=2)
    archive.publish(by_hash=False)
    path = f"{archive.suite_path('security')}/main/binary-armhf/Packages.gz"
    old = archive.web.pages[path]
    archive.add("a", "2", archive="security")
    archive.publish(by_hash=False)
    archive.web.pages[path] = old
    return path


def test_a_security_index_that_was_rejected_is_not_fetched_again_until_that_is_wanted(
    archive: Archive, http: Http, store: Store
) -> None:
    path = without_security_index(archive)
    [first] = load(archive, http, store).warnings
    assert "must have" in first
    asked = archive.web.requests.count(path)
    assert asked == 1
    [again] = load(archive, http, store).warnings
    assert "security updates for testing are left out" in again
    assert "incamera lock --upgrade" in again
    assert archive.web.requests.count(path) == asked
    forget_rejected(store)
    archive.publish()
    index = load(archive, http, store)
    assert index.warnings == ()
    assert index.find("a")[0].version == "2"


def test_a_new_release_file_has_a_rejected_security_index_fetched(archive: Archive, http: Http, store: Store) -> None:
    without_security_index(archive)
    load(archive, http, store)
    archive.add("a", "3", archive="security")
    archive.age(days=-1)
    archive.publish()
    assert load(archive, http, store).find("a")[0].version == "3"


def test_a_main_index_that_is_missing_is_fetched_each_time(archive: Archive, http: Http, store: Store) -> None:
    archive.add("a", "1")
    archive.age(days=2)
    archive.publish(by_hash=False, plain=False)
    with pytest.raises(FetchError, match="is inconsistent"):
        load(archive, http, store)
    archive.publish()
    assert load(archive, http, store).find("a")


def test_a_security_index_with_another_hash_is_refused(archive: Archive, http: Http, store: Store) -> None:
    archive.add("a", "1")
    archive.add("a", "2", archive="security")
    archive.publish()
    for path in [path for path in archive.web.pages if "security" in path and "by-hash" in path]:
        archive.web.pages[path] = b"not the index"
    with pytest.raises(IntegrityError, match="is inconsistent"):
        load(archive, http, store)


def test_an_unsigned_security_archive_is_refused(archive: Archive, http: Http, store: Store) -> None:
    archive.add("a", "1")
    archive.publish()
    archive.web.pages[f"{archive.suite_path('security')}/InRelease"] = b"nonsense"
    with pytest.raises(IntegrityError, match="not signed"):
        load(archive, http, store)


def test_an_architecture_that_the_suite_lacks_is_an_error_that_names_the_others(
    archive: Archive, http: Http, store: Store
) -> None:
    archive.add("a", "1")
    archive.publish()
    with pytest.raises(FetchError, match="no packages for mips") as caught:
        load_indexes(archive.suite, "mips", archive.mirror, http, store)
    assert "armhf" in str(caught.value.hint)


@pytest.mark.parametrize(
    "change",
    [
        ("Version: 1", "Verzion: 1"),
        ("Size: ", "Size: many "),
        ("Size: ", "Size: -"),
        ("SHA256: ", "SHA256: ../"),
        ("SHA256: ", "SHA256: z"),
        ("Filename: pool/", "Filename: ../../"),
        ("Depends: b", "Depends: b c"),
        ("Depends: b", "Depends"),
    ],
)
def test_a_malformed_stanza_is_an_error_that_names_the_package(archive: Archive, change: tuple[str, str]) -> None:
    archive.add("a", "1", Depends="b")
    archive.add("b", "1")
    text = archive.index("main").replace(change[0].encode(), change[1].encode(), 1)
    index = PackageIndex({"main": text})
    with pytest.raises(IntegrityError, match='malformed at "Package: a"'):
        index.find("a")


def test_only_a_line_feed_ends_a_line_of_a_stanza(archive: Archive) -> None:
    archive.add("a", "1", Description="one\x0ctwo\x85three\u2028four\r")
    [deb] = PackageIndex({"main": archive.index("main")}).find("a")
    assert deb.version == "1"


@pytest.mark.parametrize("text", [b"", b"\n", b"Package: a", b"junk\n\nPackage: a\nVersion: 1\n\n\nPackage: b\n\n"])
def test_an_index_with_incomplete_stanzas_can_be_scanned(text: bytes) -> None:
    index = PackageIndex({"main": text})
    assert len(index) == text.count(b"Package: ")
    assert index.providers("x") == []


def asked(archive: Archive) -> int:
    return sum(path.endswith("/InRelease") for path in archive.web.requests)


def load_again(archive: Archive, http: Http, store: Store, max_age: float = 600) -> PackageIndex:
    """As another process does: what it fetches itself is not known yet."""
    return load_indexes(
        archive.suite,
        archive.architecture,
        archive.mirror,
        http,
        store,
        releases=Releases(max_age),
        pause=lambda _: None,
    )


def test_a_release_file_is_asked_for_once_in_some_minutes(archive: Archive, http: Http, store: Store) -> None:
    archive.add("a", "1")
    archive.publish()
    load_again(archive, http, store)
    before = asked(archive)
    assert before == 2  # main and security
    archive.age(seconds=-1)
    archive.add("a", "2")
    archive.publish()
    assert [deb.version for deb in load_again(archive, http, store).find("a")] == ["1"]
    assert asked(archive) == before
    forget_releases(store)
    assert load_again(archive, http, store).find("a")[0].version == "2"
    assert asked(archive) == before + 2


def test_a_kept_release_file_is_not_used_when_it_is_old_or_damaged_or_its_index_is_gone(
    archive: Archive, http: Http, store: Store
) -> None:
    archive.add("a", "1")
    archive.publish()
    load_again(archive, http, store)
    files = sorted((store.root / "caches/debian-releases").iterdir())
    whole = {file: file.read_text() for file in files}

    def is_asked() -> bool:
        before = asked(archive)
        assert len(load_again(archive, http, store)) == 1
        return asked(archive) == before + 2

    assert not is_asked()
    for old, new in (
        ('"asked": ', '"asked": 1'),  # after now
        ('"asked": 1', '"asked": 0'),
        ('"date": "', '"date": "9'),
        ("+00:00", ""),
        ('"codename": "', '"codename": "x'),
        ('"main/binary-', '"other/binary-'),
        ("[", "{"),
    ):
        for file, text in whole.items():
            assert old in text
            file.write_text(text.replace(old, new))
        assert is_asked(), (old, new)
        assert not is_asked()
    for folder in ("caches/debian-indexes", "blobs"):
        for file in (store.root / folder).rglob("*"):
            if file.is_file():
                file.unlink()
    assert is_asked()


def test_a_release_file_that_is_expired_by_now_is_asked_for_again(archive: Archive, http: Http, store: Store) -> None:
    archive.add("a", "1")
    archive.publish()
    load_again(archive, http, store)
    for file in (store.root / "caches/debian-releases").iterdir():
        file.write_text(re.sub(r'"valid-until": [^,]*', '"valid-until": "2020-01-01T00:00:00+00:00"', file.read_text()))
    before = asked(archive)
    load_again(archive, http, store)
    assert asked(archive) == before + 2


def test_a_release_file_taken_from_a_snapshot_of_the_past_is_not_kept(
    archive: Archive, http: Http, store: Store
) -> None:
    archive.add("a", "1")
    archive.publish()
    past = replace(archive.mirror, allow_expired=True)
    for _ in range(2):
        load_indexes(archive.suite, archive.architecture, past, http, store, releases=Releases(600))
    assert asked(archive) == 4
