"""Find the Debian mirror: the user's setting, else the host's own apt sources, else a public mirror."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from incamera.errors import ConfigError

# Used when neither the user nor the host's apt names a mirror. Documented in docs/explanation/debian.md.
_PUBLIC_MAIN = "http://ftp.debian.org/debian"
_PUBLIC_SECURITY = "http://security.debian.org/debian-security"

_MAIN_VARIABLE = "INCAMERA_DEBIAN_MIRROR"
_SECURITY_VARIABLE = "INCAMERA_DEBIAN_SECURITY_MIRROR"
_EXPIRED_VARIABLE = "INCAMERA_DEBIAN_ALLOW_EXPIRED"

_ONE_LINE = re.compile(r"deb\s+(?:\[[^\]]*\]\s*)?(?P<uri>\S+)\s+\S")
_NO = ("no", "false", "without", "off", "disable", "0")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mirror:
    """The URLs of the two archives, without a final slash.

    With *allow_expired*, release files are accepted after their Valid-Until, as a snapshot of the past needs.
    """

    main: str
    security: str
    allow_expired: bool = False

    def base(self, archive: str) -> str:
        """Return the URL of *archive*, "main" or "security"."""
        return {"main": self.main, "security": self.security}[archive]


def find_mirror(environment: Mapping[str, str], apt_root: Path = Path("/etc/apt")) -> Mirror:
    """Return the mirror to use. Raises ConfigError when a variable in *environment* is not the URL of a mirror."""
    main = _read_url(environment, _MAIN_VARIABLE)
    security = _read_url(environment, _SECURITY_VARIABLE)
    allow_expired = environment.get(_EXPIRED_VARIABLE, "") not in ("", *_NO)
    if main and not security:
        head, slash, tail = main.rpartition("/")
        if tail != "debian":
            raise ConfigError(
                f"{_MAIN_VARIABLE} is {main}, which does not end in /debian, so the security archive is not known",
                hint=f"set {_SECURITY_VARIABLE}, too",
            )
        security = f"{head}{slash}debian-security"
    if not main:
        found = [uri for uri in _apt_uris(apt_root) if urlsplit(uri).scheme in ("http", "https")]
        main = next((uri for uri in found if _last_part(uri) == "debian"), "")
        if main and not security:
            security = next((uri for uri in found if _last_part(uri) == "debian-security"), "")
    return Mirror(main=main or _PUBLIC_MAIN, security=security or _PUBLIC_SECURITY, allow_expired=allow_expired)


def _read_url(environment: Mapping[str, str], variable: str) -> str:
    text = environment.get(variable, "").strip().rstrip("/")
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(
            f"{variable} is {text}, which is not an http or https URL",
            hint="write, for example, http://ftp.debian.org/debian",
        )
    return text


def _last_part(uri: str) -> str:
    return urlsplit(uri).path.rpartition("/")[2]


def _apt_uris(root: Path) -> Iterator[str]:
    """Yield the URLs in the host's apt sources, in the order in which apt reads the files."""
    files = [root / "sources.list"]
    folder = root / "sources.list.d"
    if folder.is_dir():
        files += sorted(path for path in folder.iterdir() if path.suffix in (".list", ".sources"))
    for path in files:
        try:
            text = path.read_text("utf-8", "replace")
        except OSError:
            continue  # missing or unreadable
        uris = _deb822_uris(text) if path.suffix == ".sources" else _one_line_uris(text)
        for uri in uris:
            try:
                urlsplit(uri)
            except ValueError:
                continue
            yield uri.rstrip("/")


def _one_line_uris(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if match := _ONE_LINE.match(line.strip()):
            yield match["uri"]


def _deb822_uris(text: str) -> Iterator[str]:
    without_comments = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", without_comments):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line[:1].isspace():
                fields[name] = f"{fields.get(name, '')} {line.strip()}"
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").lower() not in _NO:
            yield from fields.get("uris", "").split()
