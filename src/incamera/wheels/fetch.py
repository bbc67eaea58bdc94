"""Fetch wheels and sdists into the store: several at a time, each verified."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from incamera.errors import FetchError, IntegrityError
from incamera.fetching import Transfer, fetch_all
from incamera.http import NotFound

if TYPE_CHECKING:
    from incamera.digest import Sha256
    from incamera.http import Http, Progress
    from incamera.store import Store
    from incamera.wheels.index import PackageIndexes


class Fetchable(Hashable, Protocol):
    """A file of a package index: `IndexFile`, or an entry of a lockfile."""

    @property
    def filename(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def sha256(self) -> Sha256: ...
    @property
    def size(self) -> int | None: ...


F = TypeVar("F", bound=Fetchable)


def fetch_files(
    files: Iterable[F],
    http: Http,
    store: Store,
    *,
    indexes: PackageIndexes | None = None,
    progress: Progress | None = None,
    on_ready: Callable[[F, Path], None] | None = None,
) -> dict[F, Path]:
    """Return the path of each file in the store; fetch those that it does not have, the largest first.

    The file names there are hashes, without a suffix. A file that its URL no longer gives is searched by project and
    hash in *indexes*, since a lockfile made elsewhere may name another mirror. *on_ready* is called with each file as
    it is there, in threads of its own. *progress* is called by one thread at a time. The first error stops all others.
    Raises FetchError, or IntegrityError for another size or sha256.
    """

    def ensure(file: F, transfer: Transfer) -> Path:
        return _ensure(file, http, store, indexes, transfer)

    wanted = sorted(files, key=lambda file: (-(file.size or 0), file.filename))
    return fetch_all(wanted, ensure, http, progress=progress, on_ready=on_ready)


def _ensure(file: Fetchable, http: Http, store: Store, indexes: PackageIndexes | None, transfer: Transfer) -> Path:
    found = store.find_blob(file.sha256)
    if found is not None and (file.size is None or found.stat().st_size == file.size):
        transfer.progress(file.size or found.stat().st_size)
        return found
    try:
        _download(file, file.url, http, store, transfer)
    except IntegrityError:
        raise
    except FetchError as error:
        other = _find_elsewhere(file, indexes)
        if other is None:
            raise _explain(file, error) from error
        _download(file, other, http, store, transfer)
    return store.blob_path(file.sha256)


def _download(file: Fetchable, url: str, http: Http, store: Store, transfer: Transfer) -> None:
    try:
        with store.writing_blob(file.sha256, name=file.filename) as blob:
            http.download(url, transfer.sink(blob), size=file.size, progress=transfer.progress)
    except IntegrityError as error:
        raise IntegrityError(
            f"{file.filename} is not the file that was locked: {error}",
            hint="the index, or a proxy on the way, has changed the file: ask the package's authors before you "
            "trust it, then choose again with `incamera lock --upgrade`",
        ) from error


def _find_elsewhere(file: Fetchable, indexes: PackageIndexes | None) -> str | None:
    """Return the URL of a file with the same hash in the user's own indexes; None when they have none."""
    if indexes is None:
        return None
    try:
        known = indexes.find(project_of(file.filename))
    except FetchError:
        return None  # the first error says more
    return next((found.url for found in known if found.sha256 == file.sha256 and found.url != file.url), None)


def project_of(filename: str) -> str:
    """Return the name of the project in *filename*, of a wheel or an sdist."""
    separate = filename.partition if filename.endswith(".whl") else filename.rpartition
    return separate("-")[0]


def _explain(file: Fetchable, error: FetchError) -> FetchError:
    if isinstance(error, NotFound):
        name = project_of(file.filename)
        return FetchError(
            f"the package index no longer has {file.filename}: {error}",
            hint=f"`incamera lock --upgrade {name}` chooses another version",
        )
    return FetchError(f"cannot fetch {file.filename}: {error}", hint=error.hint)
