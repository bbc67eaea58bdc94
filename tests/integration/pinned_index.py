"""The package index that all integration tests use: it has the files that `pins.toml` names, and no others.

So a test builds with the same files on every day and on every machine. INCAMERA_TEST_INDEX chooses another index:

- `record` (`make test-pins`) passes on to the user's indexes, and writes what was fetched to `pins.toml`;
- `add` does so too, and keeps what `pins.toml` has;
- `latest` (`make test-latest`) leaves the user's indexes as they are.

A second index, beside it, has what incamera itself requires: the files whose hashes are in requirements/run.txt.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import threading
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from packaging.utils import canonicalize_name

from incamera.http import Http
from incamera.simple_index import find_index_urls
from incamera.store import Store
from incamera.wheels.index import IndexFile, PackageIndexes
from incamera.wheels.tags import split_tags

from .paths import REPOSITORY, STORE

PINS = Path(__file__).parent / "pins.toml"
OWN_REQUIREMENTS = REPOSITORY / "requirements/run.txt"
_JSON = "application/vnd.pypi.simple.v1+json"
_FOREVER = 1e10
# The computers that tests run on. What is pinned for one of them is pinned for the others, too.
_HOSTS = ("x86_64", "aarch64")
_LINUX = ("linux", "manylinux")
# Other places that pip would take files from, or what it would do with them.
_OTHER_SETTINGS = ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_CONSTRAINT", "PIP_PRE")
_HEADER = """\
# What the integration tests fetch from the package index: by project, file and sha256.
# Written by `make test-pins`. *missing*: projects that tests ask for and no index has.
"""

Pins = dict[str, dict[str, str]]
"""The sha256 of each file, by the normalised name of its project."""


def load_pins(path: Path) -> tuple[Pins, set[str]]:
    """Return the pinned files, and the projects that no index has."""
    document = tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
    return document.get("projects", {}), set(document.get("missing", ()))


def save_pins(path: Path, pins: Pins, missing: set[str]) -> None:
    lines = [_HEADER, f"missing = {json.dumps(sorted(missing))}\n"]
    for name, files in sorted(pins.items()):
        lines.append(f"\n[projects.{name}]\n")
        lines += [f"{json.dumps(file)} = {json.dumps(sha256)}\n" for file, sha256 in sorted(files.items())]
    path.write_text("".join(lines), "utf-8")


class PinnedIndex:
    """Answers for the indexes of *environment*. `problems` holds what was asked for and is not pinned."""

    def __init__(self, environment: Mapping[str, str], store: Store, pins: Path, *, records: bool) -> None:
        urls, self._http = find_index_urls(environment), Http(environment)
        # Files never change: a page that has all that is pinned will do, however old it is.
        self._kept = PackageIndexes(urls, self._http, store, max_age=_FOREVER)
        self._fresh = PackageIndexes(urls, self._http, store, max_age=0)
        self.pins, self.missing = load_pins(pins)
        self._records = records
        self._lock = threading.Lock()
        self._folder = tempfile.TemporaryDirectory(prefix="incamera-index-")
        self.recorded: Pins = {}
        self.recorded_missing: set[str] = set()
        self.problems: set[str] = set()

    def page(self, name: str) -> bytes | None:
        """Return the page of the project *name*; None if there is none."""
        files = self._recorded_page(name) if self._records else self._pinned_page(name)
        if files is None:
            return None
        return json.dumps({"meta": {"api-version": "1.1"}, "name": name, "files": files}).encode()

    def _pinned_page(self, name: str) -> list[dict[str, Any]] | None:
        if name not in self.pins:
            if name not in self.missing:
                self.problems.add(f"{name} is not pinned")
            return None
        pinned = self.pins[name]
        known = _by_filename(self._kept, name)
        if not pinned.keys() <= known.keys():
            known = _by_filename(self._fresh, name)
        self.problems |= {f"{file} is gone from the index" for file in pinned.keys() - known.keys()}
        # With the address that the user's index gives: a lock, and so a key of the store, has it in it.
        return [_entry(known[file], known[file].url, sha256) for file, sha256 in pinned.items() if file in known]

    def _recorded_page(self, name: str) -> list[dict[str, Any]] | None:
        files = _by_filename(self._fresh, name).values()
        with self._lock:
            if not files:
                self.recorded_missing.add(name)
                return None
            self.recorded.setdefault(name, {})
        # Through here, so that we see which files are fetched.
        return [_entry(file, f"/files/{name}/{file.filename}", file.sha256) for file in files]

    def own_page(self, name: str) -> bytes | None:
        """Return the page of the project *name*, with the files that incamera itself is installed from."""
        hashes = required_hashes(OWN_REQUIREMENTS).get(name, set())
        files = [file for file in _by_filename(self._kept, name).values() if file.sha256 in hashes]
        if not files:
            files = [file for file in _by_filename(self._fresh, name).values() if file.sha256 in hashes]
        entries = [_entry(file, file.url, file.sha256) for file in files]
        return json.dumps({"meta": {"api-version": "1.1"}, "name": name, "files": entries}).encode()

    def file(self, name: str, filename: str) -> bytes | None:
        """Return a file, or its metadata, from the user's index, and record it."""
        wanted = filename.removesuffix(".metadata")
        files = _by_filename(self._fresh, name)
        if wanted not in files:
            return None
        with self._lock:
            for file in (files[wanted], *_related(files[wanted], files)):
                self.recorded.setdefault(name, {})[file.filename] = file.sha256
        path = Path(self._folder.name) / filename
        if not path.exists():
            partial = path.with_name(f"{threading.get_ident()}.partial")
            partial.write_bytes(self._http.get(files[wanted].url + filename.removeprefix(wanted)))
            partial.replace(path)
        return path.read_bytes()

    def close(self) -> None:
        self._folder.cleanup()


def required_hashes(path: Path) -> dict[str, set[str]]:
    """Return the sha256 of each project's files in *path*, a file of requirements for pip."""
    found: dict[str, set[str]] = {}
    name = ""
    for line in path.read_text("utf-8").splitlines():
        if line and not line.startswith((" ", "#")):
            name = canonicalize_name(line.partition("==")[0])
        elif "--hash=sha256:" in line:
            found.setdefault(name, set()).add(line.partition("--hash=sha256:")[2].split()[0])
    return found


def _by_filename(indexes: PackageIndexes, name: str) -> dict[str, IndexFile]:
    return {file.filename: file for file in indexes.find(name)}


def _entry(file: IndexFile, url: str, sha256: str) -> dict[str, Any]:
    metadata: object = {"sha256": file.metadata} if file.metadata else file.metadata is not None
    return {
        "filename": file.filename,
        "url": url,
        "hashes": {"sha256": sha256},
        "size": file.size,
        "requires-python": file.requires_python,
        "upload-time": file.upload_time,
        "core-metadata": metadata,
    }


def _related(file: IndexFile, files: Mapping[str, IndexFile]) -> Iterator[IndexFile]:
    """Yield what another run of the same tests may fetch in place of *file*, or after it."""
    release = [other for other in files.values() if other.version == file.version]
    platforms = _platforms(file)
    if any(map(_is_for_hosts, platforms)):
        # A wheel for the computer that tests run on.
        for other in release:
            if _python_and_abi(other) == _python_and_abi(file) and any(map(_is_for_hosts, _platforms(other))):
                yield other
    elif not any(platform.startswith((*_LINUX, "any")) for platform in platforms):
        # A wheel for macOS or Windows is read for the metadata of the sdist only.
        yield from (other for other in release if other.kind == "sdist")


def _is_for_hosts(platform: str) -> bool:
    return platform.startswith(_LINUX) and platform.endswith(_HOSTS)


def _platforms(file: IndexFile) -> list[str]:
    tags = split_tags("-".join(file.filename.removesuffix(".whl").split("-")[-3:]))
    return [tag.platform for tag in tags] if file.kind == "wheel" else ["any"]


def _python_and_abi(file: IndexFile) -> tuple[object, ...]:
    return file.version, *file.filename.split("-")[-3:-1]


@contextmanager
def serving(index: PinnedIndex) -> Iterator[str]:
    """Let *index* answer on loopback, and close it afterwards; yields the address for PIP_INDEX_URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            place, _, rest = unquote(self.path).strip("/").partition("/")
            if place == "simple":
                body, kind = index.page(canonicalize_name(rest)), _JSON
            elif place == "own":
                body, kind = index.own_page(canonicalize_name(rest)), _JSON
            else:
                body, kind = index.file(*rest.split("/", 1)), "application/octet-stream"
            if body is None:
                self.send_error(404)
                return
            status, first, last = 200, 0, len(body) - 1
            if asked := self.headers.get("Range"):
                start, _, end = asked.removeprefix("bytes=").partition("-")
                first = int(start) if start else max(0, len(body) - int(end))
                last = min(int(end), last) if start and end else last
                status = 206
            self.send_response(status)
            if status == 206:
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(body)}")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(last - first + 1))
            self.end_headers()
            self.wfile.write(body[first : last + 1])

        def log_message(self, *args: object) -> None: ...

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, *args: object) -> None: ...

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/simple"
        finally:
            server.shutdown()
            index.close()


@pytest.fixture(scope="session")
def own_index(package_index: None) -> str:
    """The address of the index that has what incamera itself requires."""
    return os.environ["PIP_INDEX_URL"].removesuffix("/simple") + "/own"


@pytest.fixture(scope="session", autouse=True)
def package_index() -> Iterator[None]:
    """Lets incamera and its pip see this index alone. Fails at the end if what they asked for is not pinned."""
    mode = os.environ.get("INCAMERA_TEST_INDEX", "pinned")
    if mode == "latest":
        yield
        return
    before = dict(os.environ)
    index = PinnedIndex(before, Store(STORE), PINS, records=mode in ("record", "add"))
    with serving(index) as url:
        no_proxy = ",".join(filter(None, (before.get("no_proxy") or before.get("NO_PROXY"), "127.0.0.1")))
        for name in _OTHER_SETTINGS:
            os.environ.pop(name, None)
        os.environ.update(PIP_INDEX_URL=url, PIP_CONFIG_FILE=os.devnull, no_proxy=no_proxy, NO_PROXY=no_proxy)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)
            # Pages that incamera has kept are kept by address, and this one never comes again.
            shutil.rmtree(STORE / "caches/index" / hashlib.sha256(url.encode()).hexdigest()[:16], ignore_errors=True)
    if mode == "pinned":
        assert not index.problems, f"{'; '.join(sorted(index.problems))}: run `make test-pins`"
        return
    pins, missing = (index.pins, index.missing) if mode == "add" else ({}, set())
    for name, files in index.recorded.items():
        pins[name] = {**pins.get(name, {}), **files}
    save_pins(PINS, pins, (missing | index.recorded_missing) - pins.keys())
