"""Which wheels fit a target, and which of them is best."""

from __future__ import annotations

import pytest
from packaging.tags import Tag

from incamera.targets.target import Target
from incamera.wheels.tags import split_tags, supported_tags, wheel_rank

ARMV7 = supported_tags(Target.parse("armv7hf-cp311"))
ARM64 = supported_tags(Target.parse("aarch64-cp313"))


@pytest.mark.parametrize(
    "tag",
    [
        "cp311-cp311-manylinux_2_36_armv7l",
        "cp311-cp311-manylinux_2_17_armv7l",
        "cp311-cp311-manylinux2014_armv7l",
        "cp311-cp311-linux_armv7l",
        "cp311-abi3-manylinux_2_31_armv7l",
        "cp37-abi3-linux_armv7l",
        "py3-none-manylinux_2_17_armv7l",
        "cp311-none-any",
        "py3-none-any",
        "py2.py3-none-any",
        "py311-none-any",
    ],
)
def test_tags_that_fit_the_target_are_supported(tag: str) -> None:
    assert split_tags(tag) & ARMV7.keys()


@pytest.mark.parametrize(
    "tag",
    [
        "cp311-cp311-manylinux_2_37_armv7l",  # bookworm has glibc 2.36
        "cp311-cp311-manylinux_2_16_armv7l",  # no such policy on ARM
        "cp311-cp311-manylinux2010_armv7l",
        "cp311-cp311-musllinux_1_2_armv7l",
        "cp311-cp311-linux_armv6l",
        "cp311-cp311-manylinux_2_17_aarch64",
        "cp311-cp311-manylinux_2_17_x86_64",
        "cp310-cp310-linux_armv7l",
        "cp312-abi3-linux_armv7l",
        "cp311-cp311d-linux_armv7l",
        "pp310-pypy310_pp73-linux_armv7l",
        "py2-none-any",
        "cp313-cp313t-linux_armv7l",
    ],
)
def test_tags_that_do_not_fit_the_target_are_not_supported(tag: str) -> None:
    assert not split_tags(tag) & ARMV7.keys()


def test_each_target_has_its_own_tags() -> None:
    assert Tag("cp313", "cp313", "manylinux_2_41_aarch64") in ARM64
    assert Tag("cp311", "cp311", "manylinux_2_17_aarch64") not in ARM64


def test_more_specific_tags_rank_before_more_general_ones() -> None:
    best_first = [
        "own-1-cp311-cp311-manylinux_2_31_armv7l.whl",
        "own-1-cp311-cp311-manylinux2014_armv7l.manylinux_2_17_armv7l.whl",
        "own-1-cp311-cp311-linux_armv7l.whl",
        "own-1-cp311-abi3-manylinux_2_17_armv7l.whl",
        "own-1-cp39-abi3-manylinux_2_17_armv7l.whl",
        "own-1-py3-none-linux_armv7l.whl",
        "own-1-py3-none-any.whl",
    ]
    ranks = [wheel_rank(name, ARMV7) for name in best_first]
    assert None not in ranks
    assert sorted(ranks) == ranks  # type: ignore[type-var]


def test_of_equal_tags_the_higher_build_number_ranks_first() -> None:
    plain, build_2, build_10 = (wheel_rank(f"own-1{build}-py3-none-any.whl", ARMV7) for build in ("", "-2", "-10local"))
    assert plain is not None
    assert build_2 is not None
    assert build_10 is not None
    assert build_10 < build_2 < plain


@pytest.mark.parametrize("name", ["own-1-py36+-none-any.whl", "own.whl", "own-1-cp311-cp311-win32.whl", ""])
def test_a_wheel_that_does_not_fit_has_no_rank(name: str) -> None:
    assert wheel_rank(name, ARMV7) is None


def test_name_that_stands_for_too_many_tags_stands_for_none() -> None:
    python, abi, platform = (".".join(f"{letter}{number}" for number in range(5000)) for letter in "abc")
    assert split_tags(f"{python}-{abi}-{platform}") == frozenset()
