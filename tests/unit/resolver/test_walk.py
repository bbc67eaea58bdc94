"""Choosing without a search gives what resolvelib's search gives, or nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incamera.errors import ResolveError
from incamera.resolver import solve
from incamera.resolver.solve import Resolved, resolve_requirements

from .world import World

NAMES = "abcdef"
VERSIONS = ["1", "2", "3"]


def requirements(limits: list[str]) -> st.SearchStrategy[str]:
    """Names, some with an extra, half of them without a limit."""
    extras, limited = st.sampled_from(["", "", "[x]"]), st.one_of(st.just(""), st.sampled_from(limits))
    return st.builds("{}{}{}".format, st.sampled_from(NAMES), extras, limited)


@st.composite
def worlds(draw: st.DrawFn, limits: list[str], versions: list[str]) -> tuple[World, list[str], dict[str, Any]]:
    """A world, what is wanted of it, and what an earlier lock has."""
    world = World()
    for name in NAMES:
        for version in draw(st.lists(st.sampled_from(versions), unique=True, min_size=1)):
            needs = draw(st.lists(requirements(limits), max_size=2))
            optional = draw(st.lists(requirements(limits).map('{}; extra == "x"'.format), max_size=1))
            world.wheel(name, version, *needs, *optional)
    locked = st.tuples(st.sampled_from(versions), st.just("wheel"))
    preferred = draw(st.dictionaries(st.sampled_from(NAMES), locked))
    return world, draw(st.lists(requirements(limits), min_size=1, max_size=4)), preferred


def resolved(world: World, wanted: list[str], preferred: dict[str, Any]) -> list[Resolved] | str:
    try:
        return resolve_requirements(wanted, (), world.finder(preferred=preferred))
    except ResolveError as error:
        return str(error)


@given(worlds([">=2", "<3", "==2", "!=3"], VERSIONS))
@settings(deadline=None)
def test_what_is_chosen_without_a_search_is_what_the_search_finds(
    world_and_wish: tuple[World, list[str], dict[str, Any]],
) -> None:
    chosen = resolved(*world_and_wish)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solve, "walk", lambda *_: None)
        assert chosen == resolved(*world_and_wish)


@given(worlds([">=2", "<3", "==2", "!=3", ">=3b1"], [*VERSIONS, "3b1"]))
@settings(deadline=None)
def test_what_is_chosen_satisfies_all_that_is_asked_for(
    world_and_wish: tuple[World, list[str], dict[str, Any]],
) -> None:
    _, wanted, _ = world_and_wish
    chosen = resolved(*world_and_wish)
    if isinstance(chosen, str):
        return
    versions = {item.candidate.name: item.candidate for item in chosen}
    assert {text[0] for text in wanted} <= versions.keys()
    for item in chosen:
        assert set(item.requires) <= versions.keys()
        assert item.requirements
        for requirement, parent in item.requirements:
            assert requirement.specifier.contains(item.candidate.version, prereleases=True)
            assert parent is None or versions[parent.name].version == parent.version


def test_packages_that_require_each_other_may_be_left_behind_by_a_search() -> None:
    world = World()
    for package in ("b", "c"):
        world.wheel(package, "1", "b", "c")
    world.wheel("a", "2", "b", "d==2")
    world.wheel("a", "1", "d")
    world.wheel("d", "2", "a<2")
    world.wheel("d", "1")
    found = resolve_requirements(["a", "d"], (), world.finder())
    assert [str(item.candidate) for item in found] == ["a 1", "d 2"]


def test_versions_that_fit_are_chosen_without_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    def search(*_: Any) -> Any:
        pytest.fail("a search was begun")

    monkeypatch.setattr(solve, "_search", search)
    world = World()
    world.wheel("a", "2", "b>=1", 'c; extra == "x"')
    world.wheel("b", "3", "a")
    world.wheel("c", "1")
    found = resolve_requirements(["a[x]", "b"], (), world.finder())
    assert [str(item.candidate) for item in found] == ["a 2", "b 3", "c 1"]
    assert [[str(asker or "") for _, asker in item.requirements] for item in found] == [
        ["", "b 3"],
        ["", "a 2"],
        ["a 2"],
    ]
