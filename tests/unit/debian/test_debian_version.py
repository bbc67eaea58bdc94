"""The order of Debian version numbers."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incamera.debian.version import compare_versions, version_key

# Each is older than the next.
ASCENDING = [
    "~~",
    "~~a",
    "~",
    "0",
    "0a",
    "1~rc1-1",
    "1",
    "1+b1",
    "1.0~beta1",
    "1.0~rc1",
    "1.0",
    "1.0-0+deb12u1",
    "1.0-1~bpo12+1",
    "1.0-1",
    "1.0-1+b1",
    "1.0-1+deb12u1",
    "1.0-1.1",
    "1.0-2",
    "1.0-10",
    "1.0a-1",
    "1.0+dfsg-1",
    "1.0.1",
    "1.2",
    "1.10",
    "2.36-9+deb12u4",
    "2.36-9+deb12u10",
    "20230311+deb12u1",
    "1:0.1",
    "2:1~",
    "10:0",
]
EQUAL = [("1.0", "0:1.0"), ("1.0", "1.0-0"), ("1.0", "1.00"), ("1.", "1.0"), ("0", ""), ("1-01", "1-1"), ("a", "a0")]

versions = st.from_regex(r"([0-9]:)?[0-9][a-z0-9.+~]{0,8}(-[a-z0-9.+~]{1,4})?", fullmatch=True)


def test_known_versions_are_ordered() -> None:
    for (i, left), (j, right) in itertools.product(enumerate(ASCENDING), repeat=2):
        order = compare_versions(left, right)
        assert (order > 0) - (order < 0) == (i > j) - (i < j), (left, right)


@pytest.mark.parametrize(("left", "right"), EQUAL)
def test_two_spellings_of_one_version_are_equal(left: str, right: str) -> None:
    assert compare_versions(left, right) == 0
    assert version_key(left) == version_key(right)


def reference(left: str, right: str) -> int:
    """The comparison as the policy manual describes it, step by step."""

    def split(version: str) -> tuple[int, str, str]:
        epoch, colon, rest = version.partition(":")
        if not colon:
            epoch, rest = "0", version
        upstream, dash, revision = rest.rpartition("-")
        return int(epoch), upstream if dash else rest, revision if dash else ""

    def weight(text: str, place: int) -> int:
        if place >= len(text) or text[place].isdigit():
            return 0
        return -1 if text[place] == "~" else ord(text[place]) + (0 if text[place].isalpha() else 256)

    def compare(a: str, b: str) -> int:
        i = j = 0
        while i < len(a) or j < len(b):
            while (i < len(a) and not a[i].isdigit()) or (j < len(b) and not b[j].isdigit()):
                if difference := weight(a, i) - weight(b, j):
                    return difference
                i, j = i + 1, j + 1
            begin_i, begin_j = i, j
            while i < len(a) and a[i].isdigit():
                i += 1
            while j < len(b) and b[j].isdigit():
                j += 1
            if difference := int(a[begin_i:i] or 0) - int(b[begin_j:j] or 0):
                return difference
        return 0

    (e1, u1, r1), (e2, u2, r2) = split(left), split(right)
    return (e1 - e2) or compare(u1, u2) or compare(r1, r2)


@settings(deadline=None)
@given(versions, versions)
def test_the_order_is_that_of_the_policy_manual(left: str, right: str) -> None:
    expected, got = reference(left, right), compare_versions(left, right)
    assert (got > 0) - (got < 0) == (expected > 0) - (expected < 0)


@settings(deadline=None)
@given(versions)
def test_a_tilde_is_older_and_a_plus_newer(version: str) -> None:
    assert compare_versions(version + "~", version) < 0 < compare_versions(version + "+x", version)


@settings(deadline=None)
@given(st.lists(versions, max_size=6))
def test_versions_have_a_total_order(items: list[str]) -> None:
    ordered = sorted(items, key=version_key)
    for i, j in itertools.combinations(range(len(ordered)), 2):
        assert compare_versions(ordered[i], ordered[j]) <= 0 <= compare_versions(ordered[j], ordered[i])


@settings(deadline=None)
@given(st.text(max_size=12), st.text(max_size=12))
def test_any_text_can_be_compared(left: str, right: str) -> None:
    assert compare_versions(left, right) == -compare_versions(right, left)
