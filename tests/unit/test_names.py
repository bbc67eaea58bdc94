"""Suggestions for a mistyped name: only names that are similar to it."""

import pytest

from incamera.names import closest, did_you_mean

DEVICES = ["axis-os-10-armv7hf", "axis-os-11-armv7hf", "axis-os-11-aarch64", "lobby"]


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("axis-os-11-armv7", DEVICES, ["axis-os-11-armv7hf", "axis-os-10-armv7hf"]),
        ("axis-os-12", DEVICES, []),
        ("loby", DEVICES, ["lobby"]),
        ("target", ["targets", "test"], ["targets"]),
        ("dve", ["dev", "drop"], ["dev"]),
        ("cv2", ["cv1", "cups", "six"], ["cv1"]),
        ("rum", ["rm", "ps", "run", "ls"], ["rm", "run"]),
        ("lgos", ["ls", "logs"], ["logs"]),
        ("axis-os-11-amrv7hf", DEVICES, ["axis-os-11-armv7hf"]),
        ("runn", ["run", "rm"], ["run"]),
        ("tset", ["test", "set", "reset"], ["set", "test"]),
        ("zzz-no-such-package", ["click-package", "ament-package"], []),
        ("x", [], []),
    ],
)
def test_only_similar_names_are_suggested(name: str, known: list[str], expected: list[str]) -> None:
    assert closest(name, known) == expected


def test_hint_is_none_when_no_name_is_similar() -> None:
    assert did_you_mean("moon", ["ram", "share"]) is None
    assert did_you_mean("shar", ["ram", "share"]) == 'did you mean "share"?'


def test_several_names_are_listed_as_a_choice() -> None:
    assert did_you_mean("axis-os-11-armv7", DEVICES) == 'did you mean "axis-os-11-armv7hf" or "axis-os-10-armv7hf"?'
    assert did_you_mean("bal", ["ball", "bale", "bald"]) == 'did you mean "ball", "bale" or "bald"?'


def test_short_name_is_similar_to_none_of_thousands_by_one_letter_alone() -> None:
    assert closest("cv2", ["cvp", "cups", "six"], among_many=True) == []
    assert closest("nunpy", ["numpy", "nunit"], among_many=True) == ["numpy"]


def test_a_name_that_is_known_twice_is_suggested_once() -> None:
    assert did_you_mean("bel", ["bell", "bell"]) == 'did you mean "bell"?'
