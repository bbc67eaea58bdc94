"""Fetch debs into the store: several at a time, each verified, each handed over as it arrives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.debian.kept_release import forget_releases
from incamera.errors import FetchError
from incamera.fetching import Transfer, fetch_all
from incamera.http import Http, NotFound, Progress

if TYPE_CHECKING:
    from incamera.debian.index import Deb
    from incamera.debian.mirror import Mirror
    from incamera.store import Store

OnReady = Callable[["Deb", Path], None]


def fetch_debs(
    debs: Iterable[Deb],
    mirror: Mirror,
    http: Http,
    store: Store,
    *,
    progress: Progress | None = None,
    on_ready: OnReady | None = None,
    on_all_fetched: Callable[[], None] = lambda: None,
) -> dict[Deb, Path]:
    """Return the path of each deb in the store; fetch those that it does not have, the largest first.

    *on_ready* is called with each deb as it is there, in threads of its own, so that unpacking overlaps with
    downloading. *progress* is called by one thread at a time, for what is fetched. *on_all_fetched* is called when
    nothing is left to fetch but calls of *on_ready* go on. The first error, KeyboardInterrupt included, stops all
    others. Raises FetchError, or IntegrityError for a deb whose size or sha256 is wrong, or StoreError.
    """

    def ensure(deb: Deb, transfer: Transfer) -> Path:
        return _ensure(deb, mirror, http, store, transfer)

    wanted = sorted(debs, key=lambda deb: (-deb.size, deb.filename))
    return fetch_all(wanted, ensure, http, progress=progress, on_ready=on_ready, on_all_fetched=on_all_fetched)


def _ensure(deb: Deb, mirror: Mirror, http: Http, store: Store, transfer: Transfer) -> Path:
    found = store.find_blob(deb.sha256)
    if found is not None and found.stat().st_size == deb.size:
        return found
    url = f"{mirror.base(deb.archive)}/{deb.filename}"
    try:
        with store.writing_blob(deb.sha256, name=url) as blob:
            http.download(url, transfer.sink(blob), size=deb.size, progress=transfer.progress)
    except NotFound as error:
        forget_releases(store)  # so that the next lock asks the mirror what it has now
        raise FetchError(
            f"the mirror no longer has {deb}: {error}",
            hint="a newer version has replaced it: choose that with `incamera lock`, "
            "or set INCAMERA_DEBIAN_MIRROR to a snapshot of the archive that has this one",
        ) from error
    return store.blob_path(deb.sha256)
