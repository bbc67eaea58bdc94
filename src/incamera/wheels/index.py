"""Ask the user's package indexes which files a project has. Their pages are cached in the store."""

from __future__ import annotations

import copy
import hashlib
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from packaging.utils import canonicalize_name

from incamera.disk import write_atomic
from incamera.errors import FetchError, IntegrityError
from incamera.http import CONNECTIONS, NotFound, Unreachable
from incamera.simple_index import ACCEPT, parse_project_page
from incamera.waiting import await_result
from incamera.wheels.page import FORMAT, DamagedPage, IndexFile, NewestWheels, Page, group_files, load_page, make_page

if TYPE_CHECKING:
    from pathlib import Path

    from packaging.tags import Tag
    from packaging.version import Version

    from incamera.http import Http
    from incamera.store import Store

__all__ = ["IndexFile", "PackageIndexes"]

T = TypeVar("T")
_MAX_AGE_SECONDS = 600  # what PyPI allows for its pages (Cache-Control)
_PROJECT = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class PackageIndexes:
    """Several package indexes as one: the first that has a project is used, and the others are not asked for it.

    So nobody can replace a project of the first index by registering its name on another ("dependency confusion").
    Safe to use from several threads.
    """

    def __init__(
        self,
        urls: Sequence[str],
        http: Http,
        store: Store,
        *,
        max_age: float = _MAX_AGE_SECONDS,
        fresh: bool | Collection[str] = False,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        """A cached page that is younger than *max_age* seconds is not fetched again.

        With *fresh*, it is: every page, or those of the projects in *fresh*.
        *warn* is called with a message when an index is down, so that older pages are used.
        """
        self.urls = tuple(http.remember_login(url.rstrip("/")) for url in urls)
        self._http = http
        self._max_age = max_age
        self._fresh = fresh
        self._warn = warn
        self._folder = store.root / "caches" / "index"
        self._store = store
        self._lock = threading.Lock()
        self._pages: dict[str, Future[Page]] = {}
        self._down: dict[str, Unreachable] = {}
        self._own: dict[str, IndexFile] = {}
        self._warned: set[str] = set()
        self._waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._threads = 0
        with suppress(OSError):  # `store clean` removes cache folders by their age
            os.utime(self._folder)

    def find(
        self, project: str, tags: Collection[Tag] | None = None, *, version: Version | None = None
    ) -> tuple[IndexFile, ...]:
        """Return the files of *project*, the newest version first; none when no index has it.

        With *tags*, only sdists, and wheels that have one of them; with *version*, only files of that version. Both are
        much faster for a project with many files.
        Raises FetchError when an index cannot be asked, and its page is not cached.
        """
        name = canonicalize_name(project)
        if (own := self._own.get(name)) is not None:
            return (own,) if version in (None, own.version) else ()
        return self._read(name, lambda page: page.files(name, tags, version))

    def find_newest_wheels(self, project: str) -> NewestWheels | None:
        """Return of which version the newest wheels of *project* are, and for which platforms; None without wheels."""
        return self._read(canonicalize_name(project), lambda page: page.newest_wheels)

    def _read(self, name: str, read: Callable[[Page], T]) -> T:
        """Return what *read* finds in the page of *name*; fetch it again when the cached page proves to be damaged."""
        future = self._claim(name)
        if future is not None:
            self._settle(name, future)
        try:
            return read(await_result(self._pages[name]))
        except DamagedPage:
            with suppress(OSError):
                for url in self.urls:
                    self._path(url, name).unlink(missing_ok=True)
            page = self._load(name)
            self._pages[name] = Future()
            self._pages[name].set_result(page)
            return read(page)

    def for_target(self) -> PackageIndexes:
        """Return the same indexes, with the same pages, for files of the user's own that are another target's."""
        shared = copy.copy(self)
        shared._own = {}
        shared._waiting, shared._threads = queue.SimpleQueue(), 0
        return shared

    def add_own(self, file: IndexFile) -> None:
        """Let *file*, a wheel or folder of the user's own, be the only file of its project: no index is asked."""
        self._own[file.project] = file

    def find_own(self, project: str) -> IndexFile | None:
        """Return the file of *project* that was added with `add_own`; None where the indexes are asked."""
        return self._own.get(canonicalize_name(project))

    def prefetch(self, projects: Iterable[str]) -> None:
        """Begin to fetch the pages of *projects*, a few at a time, without waiting. `find` raises the errors."""
        for project in projects:
            name = canonicalize_name(project)
            if name not in self._pages and name not in self._own and not self._take_kept(name):
                self._waiting.put(name)
        with self._lock:
            wanted = min(CONNECTIONS - self._threads, self._waiting.qsize())
            self._threads += max(0, wanted)
        for _ in range(wanted):
            # Not an executor: the interpreter waits for its threads when it exits, however long they take.
            threading.Thread(target=self._serve, name="index", daemon=True).start()

    def _take_kept(self, name: str) -> bool:
        """Use the page that the store has of *name*. Returns whether it is young enough; a thread would cost more."""
        kept = load_page(self._path(self.urls[0], name)) if _PROJECT.fullmatch(name) else None
        if kept is None or kept.is_missing or not self._is_young(kept, name):
            return False
        future = self._claim(name)
        if future is not None:
            future.set_result(kept)
        return True

    def _serve(self) -> None:
        while True:
            with self._lock:
                try:
                    name = self._waiting.get_nowait()
                except queue.Empty:
                    self._threads -= 1
                    return
            future = self._claim(name)
            if future is not None:
                self._settle(name, future)

    def _claim(self, name: str) -> Future[Page] | None:
        """Return a future that the caller must settle; None when another thread does that."""
        with self._lock:
            if name in self._pages:
                return None
            return self._pages.setdefault(name, Future())

    def _settle(self, name: str, future: Future[Page]) -> None:
        try:
            future.set_result(self._load(name))
        except BaseException as error:
            future.set_exception(error)

    def _load(self, name: str) -> Page:
        for url in self.urls if _PROJECT.fullmatch(name) else ():
            page = self._load_from(url, name)
            if not page.is_missing:
                return page
        return make_page({"missing": True}, {})

    def _path(self, url: str, name: str) -> Path:
        return self._folder / hashlib.sha256(url.encode()).hexdigest()[:16] / f"{name}.page"

    def _is_young(self, page: Page, name: str) -> bool:
        """Return whether *page*, from the store, need not be fetched again."""
        is_fresh = self._fresh if isinstance(self._fresh, bool) else name in self._fresh
        return not is_fresh and 0 <= time.time() - page.asked < self._max_age

    def _load_from(self, url: str, name: str) -> Page:
        path = self._path(url, name)
        known = load_page(path)
        if known is not None and self._is_young(known, name):
            return known
        try:
            page = self._ask(url, name, known)
        except NotFound:
            page = make_page({"missing": True}, {})
        except FetchError as error:
            if known is not None and not isinstance(error, IntegrityError):
                self._warn_once(url, error)
                return known
            hint = error.hint or "set PIP_INDEX_URL to use another index"
            kind = IntegrityError if isinstance(error, IntegrityError) else FetchError
            raise kind(f"cannot ask the package index for {name}: {error}", hint=hint) from error
        page.header |= {"format": FORMAT, "asked": time.time()}
        with self._store.reporting_disk_errors():
            write_atomic(path, page.dump())
        return page

    def _ask(self, url: str, name: str, known: Page | None) -> Page:
        """Return the page that the index has now. Raises FetchError; an index that was down is not asked again."""
        if url in self._down:
            raise self._down[url]
        try:
            return self._answer(url, name, known)
        except Unreachable as error:
            self._down.setdefault(url, error)
            raise

    def _warn_once(self, url: str, error: FetchError) -> None:
        with self._lock:
            is_news = url not in self._warned
            self._warned.add(url)
        if is_news:
            self._warn(f"using cached pages of the package index: {error}")

    def _answer(self, url: str, name: str, known: Page | None) -> Page:
        headers = {"Accept": ACCEPT}
        if known is not None and known.header.get("etag"):
            headers["If-None-Match"] = known.header["etag"]
        elif known is not None and known.header.get("modified"):
            headers["If-Modified-Since"] = known.header["modified"]
        answer = self._http.get_response(f"{url}/{name}/", headers=headers)
        if answer.status == 304 and known is not None:
            return known
        header = {"etag": answer.headers.get("ETag", ""), "modified": answer.headers.get("Last-Modified", "")}
        # Some indexes send the same page again, whatever is asked for. Parsing it takes far longer than this.
        header["digest"] = hashlib.sha256(f"{answer.url}\n".encode() + answer.body).hexdigest()
        if known is not None and known.header.get("digest") == header["digest"]:
            known.header |= header
            return known
        return make_page(header, group_files(name, parse_project_page(answer.body, answer.url)))
