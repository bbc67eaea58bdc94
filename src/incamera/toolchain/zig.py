"""zig, taken from the package index as a wheel, into the store."""

from __future__ import annotations

import configparser
import json
import os
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit, urlunsplit

from incamera.errors import BuildError, FetchError, IntegrityError
from incamera.toolchain.plan import ZigWheel, load_compilers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from incamera.http import Http, Progress
    from incamera.store import Store
    from incamera.targets.host import Host

KIND = "zig"
_SIMPLE_JSON = "application/vnd.pypi.simple.v1+json"
_SIMPLE = f"{_SIMPLE_JSON}, text/html;q=0.5"


def ensure_zig(
    store: Store,
    http: Http,
    host: Host,
    *,
    environment: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> tuple[Path, bool]:
    """Return the tree that holds `ziglang/zig`, and whether it was there already. Raises FetchError."""
    wheel = load_compilers().zig_wheels[host.machine]

    def build(tree: Path) -> None:
        blob = store.find_blob(wheel.sha256) or _fetch(
            store, http, wheel, os.environ if environment is None else environment, progress
        )
        _unpack(blob, tree)

    return store.ensure_tree(KIND, wheel.sha256, build)


def zig_cache(store: Store) -> Path:
    """Where zig keeps the C run times that it makes: it writes there at every build, so it's no tree."""
    path = store.root / "caches" / "zig"
    path.mkdir(parents=True, exist_ok=True)
    return path


def _fetch(
    store: Store, http: Http, wheel: ZigWheel, environment: Mapping[str, str], progress: Progress | None
) -> Path:
    index = find_index_url(environment)
    url = find_wheel_url(index, http.get(f"{index}/ziglang/", headers={"Accept": _SIMPLE}), wheel.file)
    if url is None:
        raise FetchError(
            f"{_without_password(index)} has no {wheel.file}",
            hint="set PIP_INDEX_URL to an index that mirrors PyPI, or choose the other compiler: "
            'tool.incamera.compiler = "gcc"',
        )
    with store.writing_blob(wheel.sha256, name=wheel.file) as blob:
        http.download(url, blob, size=wheel.size, progress=progress)
    return store.blob_path(wheel.sha256)


def find_index_url(environment: Mapping[str, str]) -> str:
    """Return the user's package index, without a final slash: as pip finds it (PIP_INDEX_URL, pip.conf), else PyPI."""
    if url := environment.get("PIP_INDEX_URL"):
        return url.rstrip("/")
    home = Path(environment.get("HOME", "/nonexistent"))
    config_home = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    # pip's order of precedence, the strongest first.
    places = [
        config_home / "pip/pip.conf",
        home / ".pip/pip.conf",
        Path("/etc/xdg/pip/pip.conf"),
        Path("/etc/pip.conf"),
    ]
    if named := environment.get("PIP_CONFIG_FILE"):
        places.insert(0, Path(named))
    for place in places:
        parser = configparser.RawConfigParser()
        try:
            parser.read(place, "utf-8")
        except (configparser.Error, OSError, UnicodeError):
            continue
        for section in ("install", "global"):
            if url := parser.get(section, "index-url", fallback="").strip():
                return url.rstrip("/")
    return "https://pypi.org/simple"


def find_wheel_url(index: str, page: bytes, file: str) -> str | None:
    """Return the address of *file* on a project's *page* of the index: JSON (PEP 691) or HTML (PEP 503)."""
    base = f"{index}/ziglang/"
    if page.lstrip().startswith(b"{"):
        try:
            files = json.loads(page)["files"]
            return next((urljoin(base, str(entry["url"])) for entry in files if entry["filename"] == file), None)
        except (ValueError, KeyError, TypeError) as error:
            raise FetchError(f"{_without_password(index)} answers with something that is no package index") from error
    import html.parser

    found: list[str] = []

    class Links(html.parser.HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            href = dict(attrs).get("href") or ""
            if tag == "a" and urlsplit(href).path.rpartition("/")[2] == file:
                found.append(urljoin(base, href))

    Links().feed(page.decode("utf-8", "replace"))
    return urlunsplit(urlsplit(found[0])._replace(fragment="")) if found else None


def _unpack(wheel: Path, tree: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            for info in archive.infolist():
                # The hash vouches for the bytes, and this for our own mistakes.
                if PurePosixPath(info.filename).is_absolute() or ".." in PurePosixPath(info.filename).parts:
                    raise IntegrityError(f"{wheel.name} holds a file outside its folder: {info.filename}")
            archive.extractall(tree)
    except zipfile.BadZipFile as error:
        raise IntegrityError(f"{wheel.name} is not a wheel") from error
    program = tree / "ziglang/zig"
    if not program.exists():
        raise BuildError("the ziglang wheel holds no zig")
    program.chmod(0o755)


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
