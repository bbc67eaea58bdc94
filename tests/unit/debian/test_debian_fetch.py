"""Fetching debs: several at a time, verified, stopped by the first error or Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.waiting import wait_until

from incamera import fetching
from incamera.debian.fetch import fetch_debs
from incamera.debian.index import Deb, PackageIndex
from incamera.debian.unpack import unpack_deb
from incamera.errors import BuildError, FetchError, IntegrityError, StoreError

if TYPE_CHECKING:
    from tests.unit.debian.conftest import Archive

    from incamera.http import Http
    from incamera.store import Store


def debs_of(archive: Archive) -> list[Deb]:
    index = PackageIndex({name: archive.index(name) for name in ("main", "security")})
    names = {line.split()[1] for stanzas in archive.packages.values() for line in (s.split("\n")[0] for s in stanzas)}
    return [deb for name in sorted(names) for deb in index.find(name)]


def page(archive: Archive, deb: Deb) -> str:
    return f"{archive.base(deb.archive)}/{deb.filename}"


def temporary_folders(store: Store) -> list[Path]:
    return [path for path in (store.root / "tmp").iterdir() if path.is_dir()]


def test_all_debs_are_fetched_once_and_then_found_in_the_store(archive: Archive, http: Http, store: Store) -> None:
    bodies = [archive.add(f"p{number}") for number in range(20)]
    bodies.append(archive.add("urgent", archive="security"))
    debs = debs_of(archive)
    progress = list[int]()
    paths = fetch_debs([*debs, debs[0]], archive.mirror, http, store, progress=progress.append)
    assert sorted(path.read_bytes() for path in paths.values()) == sorted(bodies)
    assert paths.keys() == set(debs)
    assert sum(progress) == sum(deb.size for deb in debs)
    assert len(archive.web.requests) == 21
    progress.clear()
    assert fetch_debs(debs, archive.mirror, http, store, progress=progress.append) == paths
    assert progress == []  # nothing was fetched
    assert len(archive.web.requests) == 21
    assert fetch_debs([], archive.mirror, http, store) == {}


def test_the_largest_debs_are_fetched_first(
    archive: Archive, http: Http, store: Store, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("incamera.fetching.CONNECTIONS", 1)
    for number in (3, 1, 2):
        archive.add(f"p{number}", body=make.deb(("usr/x", os.urandom(number * 10_000))))
    fetch_debs(debs_of(archive), archive.mirror, http, store)
    assert [path.rpartition("/")[2][:2] for path in archive.web.requests] == ["p3", "p2", "p1"]


def test_unpacking_overlaps_with_downloading(archive: Archive, http: Http, store: Store, tmp_path: Path) -> None:
    for number in range(12):
        archive.add(f"p{number}")
    debs = debs_of(archive)
    unpacked = threading.Event()
    last = page(archive, min(debs, key=lambda deb: (-deb.size, deb.filename)))
    body = archive.web.pages[last]
    assert isinstance(body, bytes)

    def once_something_is_unpacked(handler: Any) -> None:
        assert unpacked.wait(10)
        archive.web.status(200, body)(handler)

    archive.web.pages[last] = once_something_is_unpacked

    def unpack(deb: Deb, path: Path) -> None:
        unpack_deb(path, tmp_path)
        unpacked.set()

    fetch_debs(debs, archive.mirror, http, store, on_ready=unpack)
    assert {path.name for path in (tmp_path / "usr/share").iterdir()} == {deb.package for deb in debs}


@pytest.mark.parametrize("where", ["fetch", "ready"])
def test_the_first_error_stops_all_other_downloads(
    archive: Archive, http: Http, store: Store, where: str, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("incamera.fetching.CONNECTIONS", 2)
    released = threading.Event()
    archive.add("big", body=make.deb(("usr/x", os.urandom(400_000))))
    archive.add("small", body=make.deb(("usr/x", os.urandom(2000))))
    for number in range(30):
        archive.add(f"tiny{number:02}")
    debs = debs_of(archive)
    by_name = {deb.package: deb for deb in debs}
    big = page(archive, by_name["big"])
    body = archive.web.pages[big]
    assert isinstance(body, bytes)
    # A stalled download must be broken off, not waited for. The last ones stall too: a busy computer may take a while
    # to notice the error, and fetch them meanwhile.
    archive.web.pages[big] = archive.web.stalling(body[:300_000], len(body), released)
    for number in range(5, 30):
        tiny = page(archive, by_name[f"tiny{number:02}"])
        begun = archive.web.pages[tiny]
        assert isinstance(begun, bytes)
        archive.web.pages[tiny] = archive.web.stalling(begun[:10], len(begun), released)

    def fail(deb: Deb, path: Path) -> None:
        raise BuildError("cannot unpack")

    if where == "fetch":
        archive.web.pages[page(archive, by_name["small"])] = b"x" * by_name["small"].size
    try:
        with pytest.raises(BuildError, match="sha256" if where == "fetch" else "cannot unpack"):
            fetch_debs(debs, archive.mirror, http, store, on_ready=fail if where == "ready" else None)
        assert not [thread for thread in threading.enumerate() if thread.name.startswith(("fetch-", "ready-"))]
        assert not temporary_folders(store)
        assert len(archive.web.requests) < 10
        assert store.find_blob(by_name["big"].sha256) is None
    finally:
        released.set()


def test_an_error_is_raised_only_after_running_unpacking_has_ended(
    archive: Archive, http: Http, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("incamera.fetching.CONNECTIONS", 2)
    monkeypatch.setattr("incamera.fetching._GRACE_SECONDS", 0.01)
    begun, stopping, ended = threading.Event(), threading.Event(), threading.Event()
    real_join = fetching._Fetching.join

    def join(self: Any, *arguments: Any, **options: Any) -> None:
        stopping.set()  # the error has arrived
        real_join(self, *arguments, **options)

    monkeypatch.setattr(fetching._Fetching, "join", join)
    archive.add("good")
    archive.add("bad")
    bad = next(deb for deb in debs_of(archive) if deb.package == "bad")
    body = b"x" * bad.size

    def answer(handler: Any) -> None:
        begun.wait(60)  # until the good one is being unpacked
        archive.web.status(200, body)(handler)

    archive.web.pages[page(archive, bad)] = answer

    def unpack(deb: Deb, path: Path) -> None:
        begun.set()
        assert stopping.wait(60)
        ended.set()

    with pytest.raises(IntegrityError):
        fetch_debs(debs_of(archive), archive.mirror, http, store, on_ready=unpack)
    assert ended.is_set()


def test_ctrl_c_stops_all_downloads_and_leaves_nothing(archive: Archive, http: Http, store: Store) -> None:
    released = threading.Event()
    archive.add("a")
    deb = debs_of(archive)[0]
    body = archive.web.pages[page(archive, deb)]
    assert isinstance(body, bytes)
    archive.web.pages[page(archive, deb)] = archive.web.stalling(body[:10], len(body), released)
    main = threading.main_thread()

    def interrupt() -> None:
        wait_until(lambda: archive.web.requests, "the deb is requested")
        assert main.ident is not None
        signal.pthread_kill(main.ident, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            fetch_debs([deb], archive.mirror, http, store)
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("fetch-")]
        assert not temporary_folders(store)
        assert store.find_blob(deb.sha256) is None
    finally:
        released.set()


def test_a_deb_with_another_hash_is_refused_and_not_kept(archive: Archive, http: Http, store: Store) -> None:
    archive.add("a")
    [deb] = debs_of(archive)
    archive.web.pages[page(archive, deb)] = b"x" * deb.size
    with pytest.raises(IntegrityError, match="sha256"):
        fetch_debs([deb], archive.mirror, http, store)
    assert len(archive.web.requests) == 1
    assert store.find_blob(deb.sha256) is None


def test_a_broken_download_is_started_again(archive: Archive, http: Http, store: Store) -> None:
    body = archive.add("a")
    [deb] = debs_of(archive)
    archive.web.pages[page(archive, deb)] = [
        archive.web.hanging_up(body[:20], len(body)),
        archive.web.status(503),
        body,
    ]
    progress = list[int]()
    paths = fetch_debs([deb], archive.mirror, http, store, progress=progress.append)
    assert paths[deb].read_bytes() == body
    assert sum(progress) == deb.size


def test_a_deb_that_the_mirror_no_longer_has_is_an_error_with_a_hint(
    archive: Archive, http: Http, store: Store
) -> None:
    archive.add("a")
    [deb] = debs_of(archive)
    del archive.web.pages[page(archive, deb)]
    kept = store.root / "caches/debian-releases/kept.json"
    kept.parent.mkdir(parents=True)
    kept.touch()
    with pytest.raises(FetchError, match=r"no longer has a 1\.0") as caught:
        fetch_debs([deb], archive.mirror, http, store)
    assert "incamera lock" in str(caught.value.hint)
    assert not kept.exists()  # else that lock would choose the same again


def test_an_empty_blob_in_the_store_is_fetched_again(archive: Archive, http: Http, store: Store) -> None:
    body = archive.add("a")
    [deb] = debs_of(archive)
    path = store.blob_path(deb.sha256)
    path.parent.mkdir(parents=True)
    path.touch()
    assert fetch_debs([deb], archive.mirror, http, store)[deb].read_bytes() == body


def test_a_full_disk_is_a_store_error(
    archive: Archive, http: Http, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.add("a")
    real_open = Path.open

    def open_full(self: Path, *args: Any, **kwargs: Any) -> Any:
        return real_open(Path("/dev/full") if self.name == "blob" else self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", open_full)
    with pytest.raises(StoreError, match="no space left"):
        fetch_debs(debs_of(archive), archive.mirror, http, store)
    assert len(archive.web.requests) == 1
