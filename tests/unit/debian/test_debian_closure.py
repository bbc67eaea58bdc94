from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from incamera.debian.closure import ClosureRules, load_closure_rules, resolve_closure
from incamera.debian.index import PackageIndex
from incamera.errors import ConfigError, ResolveError

if TYPE_CHECKING:
    from tests.unit.debian.conftest import Archive

NO_RULES = ClosureRules()


def resolve(archive: Archive, *roots: str, rules: ClosureRules = NO_RULES) -> list[str]:
    index = PackageIndex({name: archive.index(name) for name in ("main", "security")})
    return [str(deb) for deb in resolve_closure(index, roots, rules)]


def test_depends_and_pre_depends_are_followed_in_circles_too(archive: Archive) -> None:
    archive.add("app", Depends="b (>= 1), c", Pre_Depends="libc6")
    archive.add("b", Depends="app")
    archive.add("c", Depends="d")
    archive.add("d")
    archive.add("libc6", Depends="libgcc-s1")
    archive.add("libgcc-s1", Depends="libc6")
    archive.add("unrelated")
    assert resolve(archive, "app") == ["app 1.0", "b 1.0", "c 1.0", "d 1.0", "libc6 1.0", "libgcc-s1 1.0"]


def test_the_newest_version_that_fits_is_taken(archive: Archive) -> None:
    for version in ("1", "2", "3~rc1"):
        archive.add("a", version, archive="security" if version == "2" else "main")
    assert resolve(archive, "a") == ["a 3~rc1"]
    assert resolve(archive, "a (<< 3~)") == ["a 2"]
    assert resolve(archive, "a (= 1)") == ["a 1"]


def test_the_first_alternative_that_can_be_had(archive: Archive) -> None:
    archive.add("app", Depends="gone | old (>= 5) | second | third")
    archive.add("old", "4")
    archive.add("second")
    archive.add("third")
    assert resolve(archive, "app") == ["app 1.0", "second 1.0"]


def test_what_is_chosen_anyway_is_preferred_to_the_first_alternative(archive: Archive) -> None:
    archive.add("app", Depends="first | second, other")
    archive.add("first")
    archive.add("second")
    archive.add("other", Depends="second")
    assert resolve(archive, "app") == ["app 1.0", "other 1.0", "second 1.0"]


def test_virtual_packages_and_preferences(archive: Archive) -> None:
    archive.add("numpy", Depends="libblas3 | libblas.so.3")
    archive.add("scipy", Depends="libblas.so.3")
    archive.add("libblas3", Provides="libblas.so.3")
    archive.add("libopenblas0", Provides="libblas.so.3")
    assert resolve(archive, "scipy") == ["libblas3 1.0", "scipy 1.0"]
    prefer = ClosureRules(prefer={"libblas.so.3": "libopenblas0"})
    assert resolve(archive, "numpy", "scipy", rules=prefer) == ["libopenblas0 1.0", "numpy 1.0", "scipy 1.0"]
    # A preference for what does not do, or is not there, changes nothing.
    assert resolve(archive, "scipy", rules=ClosureRules(prefer={"libblas.so.3": "numpy"})) == [
        "libblas3 1.0",
        "scipy 1.0",
    ]


def test_only_a_versioned_provides_satisfies_a_versioned_dependency(archive: Archive) -> None:
    archive.add("app", Depends="api (>= 2)")
    archive.add("plain", Provides="api")
    archive.add("older", Provides="api (= 1)")
    with pytest.raises(ResolveError, match=r"no package api \(>= 2\) \(needed by app\)"):
        resolve(archive, "app")
    archive.add("newer", Provides="api (= 2.1)")
    assert resolve(archive, "app") == ["app 1.0", "newer 1.0"]


def test_what_is_excluded_or_provided_is_not_followed(archive: Archive) -> None:
    archive.add("app", Depends="debconf (>= 0.5) | debconf-2.0, python3 (>= 3.11~), python3 (<< 3.12), certs")
    archive.add("certs", Depends="openssl")
    archive.add("other", Depends="openssl")
    archive.add("openssl")
    archive.add("debconf")
    rules = ClosureRules(excluded={"debconf": "scripts", "certs/openssl": "scripts"}, provided={"python3": "3.11.2-1"})
    assert resolve(archive, "app", rules=rules) == ["app 1.0", "certs 1.0"]
    assert resolve(archive, "other", rules=rules) == ["openssl 1.0", "other 1.0"]
    assert resolve(archive, "debconf", rules=rules) == ["debconf 1.0"]  # the user asked for it
    with pytest.raises(ResolveError, match=r"python3 \(<< 3.12\)"):
        resolve(archive, "app", rules=rules.extended(provided={"python3": "3.13"}))
    assert resolve(archive, "app", rules=rules.extended(provided={"python3": ""})) == ["app 1.0", "certs 1.0"]


def test_an_excluded_second_alternative_is_not_taken(archive: Archive) -> None:
    archive.add("app", Depends="gone | dpkg | good")
    archive.add("dpkg")
    archive.add("good")
    assert resolve(archive, "app", rules=ClosureRules(excluded={"dpkg": "x"})) == ["app 1.0", "good 1.0"]


def test_what_was_chosen_too_new_is_chosen_again(archive: Archive) -> None:
    # The security archive has a newer libfoo, but not yet the libfoo-data that goes with it.
    archive.add("app", Depends="libfoo, libfoo-data")
    archive.add("libfoo", "1")
    archive.add("libfoo", "2", archive="security")
    archive.add("libfoo-data", "1", Depends="libfoo (= 1)")
    assert resolve(archive, "app") == ["app 1.0", "libfoo 1", "libfoo-data 1"]


def test_versions_that_exclude_each_other_are_an_error(archive: Archive) -> None:
    archive.add("app", Depends="a, b")
    archive.add("a", Depends="lib (= 1)")
    archive.add("b", Depends="lib (= 2)")
    archive.add("lib", "1")
    archive.add("lib", "2")
    with pytest.raises(ResolveError, match=r"no version of lib \(= [12]\) fits \(needed by [ab], needed by app\)"):
        resolve(archive, "app")


def test_an_unknown_package_is_named_with_its_likes(archive: Archive) -> None:
    archive.add("python3-numpy")
    with pytest.raises(ResolveError, match="there is no package python3-nunpy") as caught:
        resolve(archive, "python3-nunpy")
    assert "python3-numpy" in str(caught.value.hint)


def test_a_version_that_is_not_there_is_said_in_words(archive: Archive) -> None:
    archive.add("app", Depends="lib (>= 2)")
    archive.add("lib", "1.5")
    with pytest.raises(ResolveError, match=r"no version of lib \(>= 2\) fits \(needed by app\): there is lib 1\.5"):
        resolve(archive, "app")


@pytest.mark.parametrize("root", ["", "a b", "a, b", "a (1)"])
def test_a_root_that_is_no_package_is_a_mistake_of_the_user(archive: Archive, root: str) -> None:
    archive.add("a")
    with pytest.raises(ConfigError):
        resolve(archive, root)


def test_the_order_of_the_index_and_of_the_roots_does_not_matter(archive: Archive) -> None:
    archive.add("app", Depends="v | w, x")
    archive.add("x", Depends="w")
    for name in "wv":
        archive.add(name)
    expected = resolve(archive, "app", "x")
    archive.packages["main"].reverse()
    assert resolve(archive, "x", "app") == expected


def test_each_rule_that_is_shipped_has_its_reason() -> None:
    rules = load_closure_rules()
    assert {"debconf", "dpkg", "adduser", "init-system-helpers"} <= rules.excluded.keys()
    assert all(len(reason) > 10 for reason in rules.excluded.values())
