"""Packages from a git repository, at one commit: `[tool.uv.sources] lamp = { git = "https://…", rev = "…" }`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from incamera.errors import ConfigError
from incamera.project.tables import find_string

if TYPE_CHECKING:
    from packaging.requirements import Requirement

# Others, such as `ext::`, would start programs; http and git are neither encrypted nor do they say who answers.
_SCHEMES = ("https", "ssh", "file")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_HOST = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9.:\[\]_-]*")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+-]*")
_SUBDIRECTORY = re.compile(r"[\w.-]+(/[\w.-]+)*")
_KEYS = ("git", "rev", "subdirectory", "marker", "extra", "group")


@dataclass(frozen=True, kw_only=True, slots=True)
class GitSource:
    """A folder of the repository at *url* in the state of *commit*: the *subdirectory*, or all of it."""

    url: str
    commit: str
    subdirectory: str = ""

    def __str__(self) -> str:
        return f"git+{self.url}@{self.commit}" + (f"#subdirectory={self.subdirectory}" if self.subdirectory else "")

    def to_table(self) -> dict[str, str]:
        """Return its entry of [tool.uv.sources]."""
        subdirectory = {"subdirectory": self.subdirectory} if self.subdirectory else {}
        return {"git": self.url, "rev": self.commit, **subdirectory}


@dataclass(frozen=True, kw_only=True, slots=True)
class GitAddress:
    """A git URL as it is typed. *revision* is a commit, a branch or a tag; None for the newest commit.

    *name* is the package's, where the URL says it.
    """

    url: str
    revision: str | None
    subdirectory: str
    name: str | None

    @property
    def commit(self) -> str | None:
        """The revision, where it is a full commit."""
        return self.revision if self.revision and is_commit(self.revision) else None


def is_commit(text: str) -> bool:
    """Whether *text* is the whole id of a commit."""
    return _COMMIT.fullmatch(text) is not None


def parse_git_address(text: str) -> GitAddress:
    """Return the parts of `git+URL[@REVISION][#egg=NAME&subdirectory=FOLDER]`. Raises ConfigError."""
    address, _, fragment = text.removeprefix("git+").partition("#")
    head, separator, revision = address.rpartition("@")
    # An @ before the path belongs to the user's name: ssh://git@example.com/lamp.git
    if not separator or "/" not in head.partition("://")[2]:
        head, revision = address, ""
    options = dict(part.partition("=")[::2] for part in fragment.split("&") if part)
    for key in options:
        if key not in ("egg", "subdirectory"):
            raise ConfigError(f'"#{key}" of a git URL is not supported', hint="write egg and subdirectory only")
    if revision and not _REVISION.fullmatch(revision):
        raise ConfigError("what follows @ in the git URL is no commit, branch or tag", hint="name the full commit")
    subdirectory = unquote(options.get("subdirectory", ""))
    return GitAddress(
        url=check_url(head),
        revision=revision or None,
        subdirectory=_check_subdirectory(subdirectory),
        name=options.get("egg") or None,
    )


def parse_git_reference(requirement: Requirement, where: str) -> GitSource:
    """Return the source that *requirement* names: `lamp @ git+https://…@COMMIT`. *where* is its name in messages.

    Raises ConfigError, also where no full commit is named.
    """
    address = parse_git_address(requirement.url or "")
    if address.commit is None:
        named = f"{address.revision} may be another commit tomorrow" if address.revision else "it names no commit"
        raise ConfigError(
            f"{where}: {named}",
            hint=f"write the commit after @: {_how_to_find(address.url, address.revision)}",
        )
    return GitSource(url=address.url, commit=address.commit, subdirectory=address.subdirectory)


def parse_git_source(entry: Mapping[str, Any], where: str) -> GitSource:
    """Return the source that *entry*, of [tool.uv.sources], names. *where* is its name in messages.

    Raises ConfigError, also where no full commit is named.
    """
    for key in ("branch", "tag"):
        if key in entry:
            raise ConfigError(
                f"{where}.{key} may be another commit tomorrow",
                hint=f"name the commit with rev: {_how_to_find(entry.get('git'), entry[key])}",
            )
    for key in entry:
        if key not in _KEYS:
            raise ConfigError(f"{where}.{key} is not supported", hint="use git, rev and subdirectory")
    commit = find_string(entry, "rev", f"{where}.rev") or ""
    if not is_commit(commit):
        raise ConfigError(
            f"{where}.rev must be a full commit, 40 hexadecimal digits",
            hint=_how_to_find(entry.get("git"), commit or None),
        )
    return GitSource(
        url=check_url(find_string(entry, "git", f"{where}.git") or ""),
        commit=commit,
        subdirectory=_check_subdirectory(find_string(entry, "subdirectory", f"{where}.subdirectory") or ""),
    )


def _how_to_find(url: object, revision: object) -> str:
    return f"`git ls-remote {check_url(str(url or ''))} {revision or 'HEAD'}` shows it"


def check_url(url: str) -> str:
    """Return *url*. Raises ConfigError, without naming it, for one that git must not be given, or with a password."""
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigError("a git URL has characters that a URL cannot have", hint="write them as %XX")
    try:
        split = urlsplit(url)
        split.port  # noqa: B018 - raises ValueError
    except ValueError as error:
        raise ConfigError(
            f"a git URL is faulty: {error}", hint="write, for example, https://example.com/lamp.git"
        ) from None
    if split.scheme not in _SCHEMES:
        raise ConfigError(
            "a git repository must be named by an https, ssh or file URL",
            hint="write https://HOST/PATH, ssh://git@HOST/PATH or file:///PATH",
        )
    if split.password is not None or (split.scheme == "https" and split.username is not None):
        raise ConfigError(
            f"the git URL of {split.hostname} has a login in it, which others could read",
            hint="remove it: git asks its credential helper",
        )
    if split.scheme == "file":
        if split.netloc not in ("", "localhost") or not split.path.startswith("/"):
            raise ConfigError("a git file URL must have an absolute path", hint="write file:///ABSOLUTE/PATH")
    elif not split.hostname or not _HOST.fullmatch(split.netloc.rpartition("@")[2]):
        raise ConfigError("a git URL has no valid host", hint="write https://HOST/PATH")
    if split.username is not None and not _USER.fullmatch(split.username):
        raise ConfigError("the user in a git URL is not valid", hint="write ssh://git@HOST/PATH")
    if split.query or split.fragment:
        raise ConfigError("a git URL cannot have a query", hint="remove what follows ? or #")
    return url


def _check_subdirectory(text: str) -> str:
    if text and (not _SUBDIRECTORY.fullmatch(text) or ".." in text.split("/")):
        raise ConfigError("the subdirectory of a git source lies outside of it", hint="write a path without ..")
    return text
