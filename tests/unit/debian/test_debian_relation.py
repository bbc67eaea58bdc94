"""Dependency fields of Debian packages."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incamera.debian.relation import Alternative, parse_relations


def test_alternatives_and_versions_are_parsed_and_qualifiers_left_out() -> None:
    assert parse_relations("libc6 (>= 2.36), python3:any | python3.11 (<< 3.12) , perl,") == (
        (Alternative("libc6", ">=", "2.36"),),
        (Alternative("python3"), Alternative("python3.11", "<<", "3.12")),
        (Alternative("perl"),),
    )
    assert parse_relations("") == ()
    assert parse_relations("a(>=1)|b\n(= 2)") == ((Alternative("a", ">=", "1"), Alternative("b", "=", "2")),)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a [armhf]", True),
        ("a [amd64 armhf]", True),
        ("a [amd64]", False),
        ("a [!armhf]", False),
        ("a [!amd64 !i386]", True),
        ("a [linux-any]", True),
        ("a <!nocheck>", True),
        ("a <stage1>", False),
        ("a <!nocheck !stage1> <cross>", True),
        ("a <!nocheck cross>", False),
        ("a (>= 1) [armhf] <!nodoc>", True),
    ],
)
def test_relations_of_other_architectures_and_profiles_are_left_out(text: str, kept: bool) -> None:
    assert bool(parse_relations(text, "armhf")) is kept


def test_an_alternative_for_another_architecture_is_left_out() -> None:
    assert parse_relations("a [amd64] | b", "armhf") == ((Alternative("b"),),)


@pytest.mark.parametrize("text", ["a b", "(>= 1)", "a (1)", "a (>= )", "a |", "a (>= 1", "|", "a, -b", "a [armhf"])
def test_a_malformed_relation_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a relation"):
        parse_relations(text)


@settings(deadline=None)
@given(st.text(alphabet="ab:()<>=!|, [] 1~\n", max_size=20))
def test_any_text_is_parsed_or_refused_with_a_value_error(text: str) -> None:
    try:
        relations = parse_relations(text, "armhf")
    except ValueError:
        return
    # What was parsed can be formatted and parsed again.
    again = ", ".join(" | ".join(str(alternative) for alternative in relation) for relation in relations)
    assert [[str(a) for a in r] for r in parse_relations(again)] == [[str(a) for a in r] for r in relations]


@pytest.mark.parametrize(
    ("relation", "allowed", "refused"),
    [
        ("a (<< 2)", ["1", "2~"], ["2", "3"]),
        ("a (<= 2)", ["1", "2", "2-0"], ["2.1"]),
        ("a (< 2)", ["2"], ["2.1"]),
        ("a (= 2)", ["2", "0:2"], ["2.0", "1"]),
        ("a (>= 2)", ["2", "1:0"], ["2~rc1"]),
        ("a (> 2)", ["2"], ["1"]),
        ("a (>> 2)", ["2+b1"], ["2"]),
        ("a", ["0", "9"], []),
    ],
)
def test_an_operator_allows_certain_versions(relation: str, allowed: list[str], refused: list[str]) -> None:
    [[alternative]] = parse_relations(relation)
    assert [version for version in allowed + refused if alternative.allows(version)] == allowed
