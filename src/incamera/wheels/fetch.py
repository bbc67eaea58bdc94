"""Fetching wheels and sdists into the store: several at a time, each verified."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from incamera.errors import FetchError, IntegrityError
from incamera.fetching import Transfer, fetch_all
from incamera.http import CONNECTIONS, NotFound

if TYPE_CHECKING:
    from incamera.http import Http, Progress
    from incamera.store import Store
    from incamera.wheels.index import PackageIndexes


class Fetchable(Hashable, Protocol):
    """A file known by its hash: `IndexFile`, or what a lock remembers of one."""

    @property
    def filename(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def sha256(self) -> str: ...
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
    connections: int = CONNECTIONS,
) -> dict[F, Path]:
    """Return the path in the store of each file, fetching those that are not there, the biggest first.

    The path has no suffix: its name is the hash. A file that its address no longer gives is looked for by name and
    hash in *indexes*: a lock made elsewhere may name another mirror. *on_ready* is called as each is there, in threads
    of its own; *progress* by one thread at a time, with the bytes that came. The first error stops all the rest.
    """

    def ensure(file: F, transfer: Transfer) -> Path:
        return _ensure(file, http, store, indexes, transfer)

    wanted = sorted(files, key=lambda file: (-(file.size or 0), file.filename))
    return fetch_all(wanted, ensure, http, progress=progress, on_ready=on_ready, connections=connections)


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
            f"{file.filename} is not the file that was chosen: {error}",
            hint="the index, or something between it and you, has changed the file: ask the package's maker before you "
            "trust it, then choose anew with `incamera lock --upgrade`",
        ) from error


def _find_elsewhere(file: Fetchable, indexes: PackageIndexes | None) -> str | None:
    """Return where the user's own indexes have the very same file."""
    if indexes is None:
        return None
    try:
        known = indexes.find(project_of(file.filename))
    except FetchError:
        return None  # what went wrong first tells more
    return next((found.url for found in known if found.sha256 == file.sha256 and found.url != file.url), None)


def project_of(filename: str) -> str:
    """Return the project that *filename*, a wheel's or an sdist's, is named for."""
    separate = filename.partition if filename.endswith(".whl") else filename.rpartition
    return separate("-")[0]


def _explain(file: Fetchable, error: FetchError) -> FetchError:
    if isinstance(error, NotFound):
        name = project_of(file.filename)
        return FetchError(
            f"{file.filename} is gone from the index: {error}",
            hint=f"`incamera lock --upgrade {name}` chooses another version",
        )
    return FetchError(f"cannot fetch {file.filename}: {error}", hint=error.hint)
