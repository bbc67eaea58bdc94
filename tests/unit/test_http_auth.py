"""Logins that send no password: digests."""

from __future__ import annotations

import pytest

from incamera.http_auth import Login, answer_challenges

MUFASA = Login("Mufasa", "Circle of Life")
RFC = (
    'realm="http-auth@example.org", qop="auth, auth-int", nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", '
    'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [  # RFC 7616, 3.9.1
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
    ],
)
def test_digest_is_that_of_the_rfc(algorithm: str, response: str) -> None:
    header = answer_challenges(
        [f"Digest {RFC}, algorithm={algorithm}"],
        MUFASA,
        method="GET",
        uri="/dir/index.html",
        encrypted=False,
        nonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )
    assert header is not None
    assert f'response="{response}"' in header


def test_the_strongest_digest_is_taken_and_basic_only_where_nobody_listens() -> None:
    words = {"login": MUFASA, "method": "GET", "uri": "/"}
    both = [f"Digest {RFC}, algorithm=MD5", f"Digest {RFC}, algorithm=SHA-256", 'Basic realm="x"']
    assert "algorithm=SHA-256" in str(answer_challenges(both, encrypted=False, **words))  # type: ignore[arg-type]
    assert answer_challenges(['Basic realm="x"'], encrypted=False, **words) is None  # type: ignore[arg-type]
    basic = answer_challenges(['Basic realm="x"'], MUFASA, method="GET", uri="/", encrypted=True)
    assert basic == "Basic TXVmYXNhOkNpcmNsZSBvZiBMaWZl"


@pytest.mark.parametrize(
    "challenge",
    [
        "Digest " + "a" * 60_000,
        'Digest realm="r", nonce="n\r\n x"',
        'Digest realm="\x85", nonce="n"',
        "Digest",
        "",
        'Digest nonce="n"',
    ],
)
def test_odd_challenge_is_not_answered(challenge: str) -> None:
    """Soon: a long word would take the search for parameters minutes."""
    assert answer_challenges([challenge], Login("u", "p"), method="GET", uri="/", encrypted=False) is None
