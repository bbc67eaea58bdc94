"""Release files: the signed list of a suite's package indexes. The chain of trust begins here."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from importlib import resources

import pysequoia

from incamera.debian.stanza import parse_size, parse_stanza
from incamera.digest import Sha256
from incamera.errors import FetchError, IntegrityError
from incamera.http import Http, NotFound

_LIMIT = 8 * 1024 * 1024
# A release file that is newer than now by more than that shows that this computer's clock is wrong.
_CLOCK_TOLERANCE = timedelta(hours=12)
_OTHER_MIRROR = "the mirror, or a proxy on the way, changes files: set INCAMERA_DEBIAN_MIRROR to another mirror"


@dataclass(frozen=True, slots=True)
class IndexFile:
    """A package index in a release file's list; *size* is in bytes."""

    sha256: Sha256
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """The contents of a suite's release file. *files* are the package indexes, by their paths below the suite."""

    codename: str
    date: datetime
    valid_until: datetime | None
    by_hash: bool
    files: Mapping[str, IndexFile]


def fetch_release(
    base: str, suite: str, http: Http, *, allow_expired: bool = False, now: datetime | None = None
) -> Release:
    """Return the release file of *suite* in the archive at the URL *base*, after checking signature, name and date.

    Raises IntegrityError when a check fails, or another FetchError.
    """
    url = f"{base}/dists/{suite}/InRelease"
    try:
        # A cache on the way may have an older one, which does not fit the indexes.
        signed = http.get(url, limit=_LIMIT, headers={"Cache-Control": "max-age=0"})
    except NotFound as error:
        raise FetchError(
            str(error),
            hint="check the URL of the mirror. Debian moves old suites to http://archive.debian.org/debian: "
            "set INCAMERA_DEBIAN_MIRROR and INCAMERA_DEBIAN_SECURITY_MIRROR",
        ) from error
    release = parse_release(verify_cleartext(signed, name=url), name=url)
    check_release(release, suite, name=url, allow_expired=allow_expired, now=now or datetime.now(UTC))
    return release


def verify_cleartext(signed: bytes, *, name: str) -> str:
    """Return the part of *signed* that is signed by one of the archive's keys; messages call the file *name*.

    Text before and after that part is dropped. One valid signature of several is enough.
    Raises IntegrityError when there is none.
    """
    keys = load_archive_keys()
    try:
        # Only signatures by the certificates that the callback returns count.
        verified = pysequoia.verify(bytes=signed, store=lambda _: list(keys.values()))
        content = verified.bytes
        signed_by = {signature.certificate for signature in verified.valid_sigs}
    except Exception as error:  # RuntimeError and others; below the first line are pysequoia's own calls
        reason = str(error).partition("\n")[0].rstrip(".")
        raise IntegrityError(
            f"{name} is not signed by Debian's archive keys: {reason[:1].lower()}{reason[1:]}", hint=_OTHER_MIRROR
        ) from None
    if content is None or not signed_by & keys.keys():
        raise IntegrityError(f"{name} is not signed by Debian's archive keys", hint=_OTHER_MIRROR)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise IntegrityError(f"{name} is signed but is not valid text", hint=_OTHER_MIRROR) from error


def parse_release(text: str, *, name: str) -> Release:
    """Return the contents of the release file *text*. Raises IntegrityError when a field is missing or malformed."""
    try:
        fields = parse_stanza(text)
        files = {}
        for line in fields["SHA256"].split("\n"):
            if line.strip():
                sha256, size, path = line.split()
                files[path] = IndexFile(Sha256(sha256.lower()), parse_size(size))
        return Release(
            codename=fields["Codename"],
            date=_parse_date(fields["Date"]),
            valid_until=_parse_date(fields["Valid-Until"]) if "Valid-Until" in fields else None,
            by_hash=fields.get("Acquire-By-Hash") == "yes",
            files=files,
        )
    except (KeyError, ValueError) as error:
        what = f"has no field {error}" if isinstance(error, KeyError) else str(error)
        raise IntegrityError(f"{name}: {what}", hint=_OTHER_MIRROR) from error


def check_release(release: Release, suite: str, *, name: str, allow_expired: bool, now: datetime) -> None:
    """Raises IntegrityError when *release* is of another suite than *suite*, or is not valid at *now*.

    It may be correctly signed all the same: a mirror could send an old one to hide security updates.
    """
    if release.codename != suite:
        raise IntegrityError(f"{name} is the release file of {release.codename}, not of {suite}", hint=_OTHER_MIRROR)
    if release.date > now + _CLOCK_TOLERANCE:
        raise IntegrityError(
            f"{name} is from {release.date:%Y-%m-%d %H:%M} UTC, but your clock says {now:%Y-%m-%d %H:%M} UTC",
            hint="set this computer's clock: `date` shows it. Where it is right, try another mirror",
        )
    if release.valid_until is not None and release.valid_until < now and not allow_expired:
        raise IntegrityError(
            f"{name} was valid until {release.valid_until:%Y-%m-%d %H:%M} UTC, and your clock says "
            f"{now:%Y-%m-%d %H:%M} UTC",
            hint="check this computer's clock, and try another mirror. "
            "For a snapshot of the past, set INCAMERA_DEBIAN_ALLOW_EXPIRED=1",
        )


@cache
def load_archive_keys() -> Mapping[str, pysequoia.Cert]:
    """Return the archive's certificates in `data/keys/`, by their fingerprints."""
    folder = resources.files("incamera.debian").joinpath("data/keys")
    certificates = {}
    for entry in tomllib.loads(folder.joinpath("keys.toml").read_text("utf-8"))["key"]:
        certificate = pysequoia.Cert.from_bytes(folder.joinpath(entry["file"]).read_bytes())
        if certificate.fingerprint != entry["fingerprint"]:
            raise AssertionError(f"{entry['file']} holds {certificate.fingerprint}, not {entry['fingerprint']}")
        certificates[certificate.fingerprint] = certificate
    return certificates


def _parse_date(text: str) -> datetime:
    try:
        date = parsedate_to_datetime(text)
        return date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError(f'"{text[:40]}" is not a date') from None
