"""Package indexes: which ones the user has set, and how to parse their pages (PEP 503, 691, 700)."""

from __future__ import annotations

import codecs
import configparser
import html.parser
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from incamera.digest import Sha256
from incamera.errors import ConfigError, FetchError, IntegrityError

PYPI = "https://pypi.org/simple"
_TOO_LARGE = 1 << 63  # bytes: no file has so many, and no TOML file can hold the number
# Comparing versions with a longer one takes seconds.
_LONGEST_REQUIREMENT = 1000
ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"


class PageFile(NamedTuple):
    """One file on a project's page.

    *sha256* is empty where the index gives none. *size* is in bytes. *yanked* is the reason, or None when the file is
    not yanked. *metadata* is the sha256 of its metadata file (PEP 658): empty where the index gives no hash, None where
    there is no such file.
    """

    filename: str
    url: str
    sha256: Sha256 | Literal[""]
    size: int | None = None
    requires_python: str | None = None
    yanked: str | None = None
    metadata: Sha256 | Literal[""] | None = None
    upload_time: str | None = None


def find_index_urls(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the URLs of the user's package indexes, without a final slash, in the order in which to ask them.

    They are found as pip does: PIP_INDEX_URL and PIP_EXTRA_INDEX_URL, pip.conf, else PyPI. Extra indexes come first:
    the first index that has a project is the only one asked for it, so nobody can replace a company's own project by
    registering its name on PyPI. The URLs may contain names and passwords. Folders (file://) are left out. Raises
    ConfigError when the user's only index is one: PyPI in its place could have other projects under the same names.
    """
    settings = [_load_pip_conf(path) for path in _pip_conf_paths(environment)]

    def find(variable: str, key: str) -> list[str]:
        if words := environment.get(variable, "").split():
            return words
        return next((words for setting in settings if (words := setting.get(key, []))), [])

    main = (find("PIP_INDEX_URL", "index-url") or [PYPI])[0]
    urls = [*find("PIP_EXTRA_INDEX_URL", "extra-index-url"), main]
    usable = [url.rstrip("/") for url in urls if _is_web_address(url)]
    if not usable:
        raise ConfigError(
            f"the package index {main} is a folder, and incamera takes packages from http and https only",
            hint=f"set PIP_INDEX_URL to such an index, or to {PYPI}",
        )
    return tuple(dict.fromkeys(usable))


def _is_web_address(url: str) -> bool:
    try:
        scheme = urlsplit(url).scheme
        if not scheme and not Path(url).is_dir():
            raise ValueError("it is neither a URL nor a folder")
        return scheme in ("http", "https")
    except ValueError as error:  # a host such as `[::`
        raise ConfigError(
            f"the package index {url.rpartition('@')[2]} cannot be one: {error}",
            hint="check PIP_INDEX_URL, PIP_EXTRA_INDEX_URL and pip.conf",
        ) from error


def without_login(url: str) -> str:
    """Return *url* without its name and password, so that it can be shown."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def parse_project_page(page: bytes, url: str) -> Iterator[PageFile]:
    """Yield the files on a project's *page*, JSON or HTML, that was fetched from *url*.

    Raises FetchError when the page is not that of a package index, IntegrityError for a hash that is none. Entries that
    are malformed in another way are left out.
    """
    text = _decode(page)
    if text.lstrip()[:1] == "{":
        return _parse_json(text, url)
    return _parse_html(text, url)


def _pip_conf_paths(environment: Mapping[str, str]) -> list[Path]:
    """Return the paths of pip's settings files, the one with the highest priority first."""
    home = Path(environment.get("HOME", "/nonexistent"))
    config_home = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    paths = [
        config_home / "pip/pip.conf",
        home / ".pip/pip.conf",
        Path("/etc/xdg/pip/pip.conf"),
        Path("/etc/pip.conf"),
    ]
    if named := environment.get("PIP_CONFIG_FILE"):
        # Set to the null device, it means: read no settings files.
        return [] if named == "/dev/null" else [Path(named), *paths]
    return paths


def _load_pip_conf(path: Path) -> dict[str, list[str]]:
    """Return the index URLs in a pip.conf, by key; nothing when the file is missing or cannot be read."""
    parser = configparser.RawConfigParser()
    try:
        parser.read(path, "utf-8")
    except (configparser.Error, OSError, UnicodeError):
        return {}
    found: dict[str, list[str]] = {}
    for section in ("install", "global"):
        for key in ("index-url", "extra-index-url"):
            words = parser.get(section, key, fallback="").split()
            if words and key not in found:
                found[key] = words
    return found


def _decode(page: bytes) -> str:
    """Return the text of *page*: UTF-8, unless a byte order mark at its beginning says UTF-16."""
    is_utf16 = page.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return page.decode("utf-16" if is_utf16 else "utf-8-sig", "replace")


def _parse_json(page: str, url: str) -> Iterator[PageFile]:
    try:
        document = json.loads(page)
        _check_version(str(document.get("meta", {}).get("api-version", "1.0")), url)
        entries = document["files"]
        if not isinstance(entries, list):
            raise TypeError("files is not a list")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _not_an_index(url) from error
    for entry in entries:
        try:
            yield _json_file(entry, url)
        except (KeyError, TypeError, AttributeError, ValueError):
            continue  # a malformed entry does not make the others unusable


def _json_file(entry: Mapping[str, Any], base: str) -> PageFile:
    find = entry.get
    address, size, yanked = str(entry["url"]), find("size"), find("yanked")
    metadata = find("core-metadata") or find("dist-info-metadata")
    filename = str(entry["filename"])
    if not address.isprintable():  # no request could have it, and no lockfile
        raise ValueError("it has control characters")
    if not address.startswith("https://") or "@" in address or "[" in address:
        # Most URLs are absolute, and joining takes as long as all the rest of parsing.
        address = without_login(urljoin(base, address))
    # In the order of the fields, because names would take longer.
    return PageFile(
        filename,
        address,
        _parse_hash(entry["hashes"].get("sha256"), filename, base),
        size if type(size) is int and 0 <= size < _TOO_LARGE else None,
        _requires_python(find("requires-python")),
        (yanked if isinstance(yanked, str) else "") if yanked else None,
        _metadata_hash(metadata, filename, base) if metadata else None,
        _text(find("upload-time")),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _requires_python(value: object) -> str | None:
    text = _text(value)
    return text if text is None or len(text) <= _LONGEST_REQUIREMENT else None


def _metadata_hash(value: object, filename: str, page: str) -> Sha256 | Literal[""] | None:
    if isinstance(value, dict):
        return _parse_hash(value.get("sha256"), f"{filename}.metadata", page)
    return "" if value else None


def _parse_hash(value: object, filename: str, page: str) -> Sha256 | Literal[""]:
    """Return the hash that *page* gives for *filename*; empty where it gives none. Raises IntegrityError."""
    if not value:
        return ""
    try:
        return Sha256(value if type(value) is str and value.islower() else str(value).lower())
    except ValueError as error:
        raise IntegrityError(
            f"{without_login(page)} gives a wrong hash for {filename}: {error}",
            hint="ask those who run the index, or set PIP_INDEX_URL to another one",
        ) from error


def _parse_html(page: str, url: str) -> Iterator[PageFile]:
    links: list[dict[str, str | None]] = []
    base: str | None = None

    class Links(html.parser.HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            nonlocal base
            values = dict(attrs)
            if tag == "a" and values.get("href"):
                links.append(values)
            elif tag == "base" and values.get("href") and base is None:  # HTML: the first one counts
                base = urljoin(url, values["href"] or "")
            elif tag == "meta" and values.get("name") == "pypi:repository-version":
                _check_version(values.get("content") or "1.0", url)

    if not re.search(r"<(!doctype|html|a|body|head)\b", page, re.IGNORECASE):
        raise _not_an_index(url)
    try:
        Links().feed(page)
    except (ValueError, AssertionError) as error:  # a base that is no address; a declaration such as <![x[
        raise _not_an_index(url) from error
    for values in links:
        try:
            address = urljoin(base or url, (values["href"] or "").strip())
            parts = urlsplit(address)
        except ValueError:
            continue
        if not address.isprintable():  # as in _json_file
            continue
        filename = unquote(parts.path.rpartition("/")[2])
        yield PageFile(
            filename=filename,
            url=without_login(urlunsplit(parts._replace(fragment=""))),
            sha256=_fragment_hash(parts.fragment, filename, url),
            requires_python=_requires_python(values.get("data-requires-python")),
            yanked=(values["data-yanked"] or "") if "data-yanked" in values else None,
            metadata=_html_metadata(values, filename, url),
        )


def _html_metadata(values: Mapping[str, str | None], filename: str, page: str) -> Sha256 | Literal[""] | None:
    for key in ("data-core-metadata", "data-dist-info-metadata"):
        if key in values:
            text = values[key] or ""
            return None if text == "false" else _fragment_hash(text, f"{filename}.metadata", page)
    return None


def _fragment_hash(text: str, filename: str, page: str) -> Sha256 | Literal[""]:
    """Return the hash in `sha256=…`; empty where there is none. Raises IntegrityError."""
    found = next((word.removeprefix("sha256=") for word in text.split("&") if word.startswith("sha256=")), None)
    return _parse_hash(found, filename, page)


def _check_version(version: str, url: str) -> None:
    # PEP 629: a client must refuse a major version that it doesn't know.
    if version.partition(".")[0] != "1":
        raise FetchError(
            f"{without_login(url)} uses version {version} of the index protocol, which incamera does not support",
            hint="set PIP_INDEX_URL to another index, or use a newer incamera",
        )


def _not_an_index(url: str) -> FetchError:
    return FetchError(
        f"{without_login(url)} is not a page of a package index",
        hint="check PIP_INDEX_URL and pip.conf; does the index need a name and a password?",
    )
