"""Release files: signature, suite and date are checked."""

from __future__ import annotations

import lzma
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pysequoia
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incamera.debian.release import (
    check_release,
    fetch_release,
    load_archive_keys,
    parse_release,
    verify_cleartext,
)
from incamera.errors import FetchError, IntegrityError

if TYPE_CHECKING:
    from tests.unit.conftest import Web
    from tests.unit.debian.conftest import Archive

    from incamera.http import Http

DATA = Path(__file__).parents[2] / "data" / "debian"
SECURITY = (DATA / "bookworm-security.InRelease").read_bytes()
MAIN = lzma.decompress((DATA / "bookworm.InRelease.xz").read_bytes())


@pytest.mark.parametrize(("signed", "codename"), [(MAIN, "bookworm"), (SECURITY, "bookworm-security")])
def test_release_files_signed_by_debian_are_accepted(signed: bytes, codename: str) -> None:
    release = parse_release(verify_cleartext(signed, name="InRelease"), name="InRelease")
    assert release.codename == codename
    assert release.by_hash
    assert release.files["main/binary-armhf/Packages.xz"].size > 100_000


def test_the_included_keys_are_those_of_three_suites() -> None:
    users = [str(key.user_ids[0]) for key in load_archive_keys().values()]
    assert len(users) == 9
    for suite in ("11/bullseye", "12/bookworm", "13/trixie"):
        assert sum(suite in user for user in users) == 3


def test_text_outside_of_the_signed_part_is_dropped() -> None:
    honest = verify_cleartext(SECURITY, name="InRelease")
    surrounded = b"Codename: evil\n\n" + SECURITY + b"\nCodename: evil\n"
    assert verify_cleartext(surrounded, name="InRelease") == honest
    assert "evil" not in honest


@pytest.mark.parametrize(
    "signed",
    [
        SECURITY.replace(b"Label: Debian", b"Label: Debiam"),
        SECURITY[: len(SECURITY) // 2],
        SECURITY.replace(b"-----BEGIN PGP SIGNATURE", b"-----BEGIN PGP SIGNATUR"),
        b"",
        b"<html>please log in to this network</html>",
        SECURITY.partition(b"-----BEGIN PGP SIGNATURE")[0],
    ],
    ids=["changed", "cut", "no signature", "empty", "portal", "text only"],
)
def test_an_unsigned_or_changed_file_is_refused(signed: bytes) -> None:
    with pytest.raises(IntegrityError, match="InRelease is not signed by Debian's archive keys") as caught:
        verify_cleartext(signed, name="InRelease")
    assert caught.value.exit_code == 5
    assert "mirror" in str(caught.value.hint)
    assert "\n" not in str(caught.value)


def test_a_valid_signature_by_another_key_is_refused() -> None:
    stranger = pysequoia.Tsk.generate("Debian Archive Automatic Signing Key (12/bookworm) <ftpmaster@debian.org>")
    signed = pysequoia.sign(stranger.signer(), b"Codename: bookworm\n", mode=pysequoia.SignatureMode.CLEAR)
    with pytest.raises(IntegrityError):
        verify_cleartext(bytes(signed), name="InRelease")


@settings(deadline=None, max_examples=25)
@given(st.binary(max_size=200), st.integers(0, len(SECURITY) - 1))
def test_inserted_bytes_are_refused_or_dropped(noise: bytes, place: int) -> None:
    honest = verify_cleartext(SECURITY, name="InRelease")
    with suppress(IntegrityError):
        assert verify_cleartext(SECURITY[:place] + noise + SECURITY[place:], name="InRelease") == honest


def test_a_release_file_of_another_suite_is_refused(archive: Archive, http: Http) -> None:
    archive.publish("main")
    release = fetch_release(archive.mirror.main, "testing", http)
    assert release.codename == "testing"
    path = f"{archive.suite_path('main')}/InRelease"
    archive.web.pages[path] = archive.sign(archive.release_text("main", {}, Codename="stable"))
    with pytest.raises(IntegrityError, match="release file of stable, not of testing"):
        fetch_release(archive.mirror.main, "testing", http)


def test_a_file_with_a_wrong_signature_is_not_fetched_again(archive: Archive, http: Http) -> None:
    archive.publish("main")
    archive.key = pysequoia.Tsk.generate("Other <other@example.org>")
    with pytest.raises(IntegrityError):
        fetch_release(archive.mirror.main, "testing", http)
    assert len(archive.web.requests) == 1


def test_an_expired_release_file_is_refused_unless_allowed() -> None:
    release = parse_release(verify_cleartext(SECURITY, name="InRelease"), name="InRelease")
    assert release.valid_until == datetime(2026, 11, 28, 0, 53, 2, tzinfo=UTC)
    late = release.valid_until + timedelta(seconds=1)

    def check(now: datetime, allow_expired: bool) -> None:
        check_release(release, "bookworm-security", name="InRelease", allow_expired=allow_expired, now=now)

    check(release.valid_until - timedelta(seconds=1), allow_expired=False)
    check(late, allow_expired=True)
    with pytest.raises(IntegrityError, match="was valid until 2026-11-28 00:53 UTC") as caught:
        check(late, allow_expired=False)
    assert "clock" in str(caught.value.hint)
    assert "INCAMERA_DEBIAN_ALLOW_EXPIRED=1" in str(caught.value.hint)


@pytest.mark.parametrize("allow_expired", [False, True])
def test_a_release_file_from_the_future_says_what_the_clock_says(allow_expired: bool) -> None:
    release = parse_release(verify_cleartext(SECURITY, name="InRelease"), name="InRelease")

    def check(now: datetime) -> None:
        check_release(release, "bookworm-security", name="InRelease", allow_expired=allow_expired, now=now)

    check(release.date - timedelta(hours=2))  # a clock that is a little slow, or in another time zone
    with pytest.raises(IntegrityError, match=r"is from 2026-.* but your clock says 2020-01-01 00:00 UTC") as caught:
        check(datetime(2020, 1, 1, tzinfo=UTC))
    assert "set this computer's clock" in str(caught.value.hint)


def test_date_with_an_offset_is_shown_as_utc() -> None:
    text = f"Codename: testing\nDate: Sat, 11 Jul 2026 10:16:37 +0200\nSHA256:\n {'a' * 64} 12 main/x\n"
    release = parse_release(text, name="InRelease")
    with pytest.raises(IntegrityError, match="is from 2026-07-11 08:16 UTC"):
        check_release(release, "testing", name="x", allow_expired=False, now=datetime(2020, 1, 1, tzinfo=UTC))


def test_a_missing_suite_is_an_error_that_names_the_archive_of_old_suites(web: Web, http: Http) -> None:
    with pytest.raises(FetchError, match="does not exist") as caught:
        fetch_release(f"{web.url}/debian", "buzz", http)
    assert "archive.debian.org" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Codename:", "Code:"),
        ("Date:", "Day:"),
        ("SHA256:", "SHA1:"),
        ("Date: ", "Date: never "),
        ("10:16:37 UTC", f"10:16:37 +{'9' * 30}"),
        ("11 Jul 2026", f"11 Jul {'9' * 30}"),
        ("11 Jul 2026 10:16:37 UTC", "31 Dec 9999 23:59:59 -2300"),
        ("a" * 64, "a" * 63),
        ("a" * 64, "../" * 21 + "a"),
        ("a" * 64, "z" * 64),
        (" 12 ", " twelve "),
        (" 12 ", " -12 "),
        (" main/x", ""),
    ],
)
def test_a_signed_file_that_is_malformed_is_refused(old: str, new: str) -> None:
    text = f"Codename: testing\nDate: Sat, 11 Jul 2026 10:16:37 UTC\nSHA256:\n {'a' * 64} 12 main/x\n"
    assert parse_release(text, name="InRelease").files["main/x"].size == 12
    with pytest.raises(IntegrityError, match="InRelease"):
        parse_release(text.replace(old, new), name="InRelease")
