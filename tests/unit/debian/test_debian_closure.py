"""The closure of packages: which debs are chosen, and what is said when that is not possible."""

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


def test_depends_and_pre_depends_are_followed_even_in_circles(archive: Archive) -> None:
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


def test_the_first_alternative_that_exists_in_a_fitting_version_is_taken(archive: Archive) -> None:
    archive.add("app", Depends="gone | old (>= 5) | second | third")
    archive.add("old", "4")
    archive.add("second")
    archive.add("third")
    assert resolve(archive, "app") == ["app 1.0", "second 1.0"]


def test_a_package_chosen_already_goes_before_the_first_alternative(archive: Archive) -> None:
    archive.add("app", Depends="first | second, other")
    archive.add("first")
    archive.add("second")
    archive.add("other", Depends="second")
    assert resolve(archive, "app") == ["app 1.0", "other 1.0", "second 1.0"]


def test_a_virtual_package_is_satisfied_by_the_preferred_or_first_provider(archive: Archive) -> None:
    archive.add("numpy", Depends="libblas3 | libblas.so.3")
    archive.add("scipy", Depends="libblas.so.3")
    archive.add("libblas3", Provides="libblas.so.3")
    archive.add("libopenblas0", Provides="libblas.so.3")
    assert resolve(archive, "scipy") == ["libblas3 1.0", "scipy 1.0"]
    prefer = ClosureRules(prefer={"libblas.so.3": "libopenblas0"})
    assert resolve(archive, "numpy", "scipy", rules=prefer) == ["libopenblas0 1.0", "numpy 1.0", "scipy 1.0"]
    # A preference that does not satisfy the relation, or does not exist, changes nothing.
    assert resolve(archive, "scipy", rules=ClosureRules(prefer={"libblas.so.3": "numpy"})) == [
        "libblas3 1.0",
        "scipy 1.0",
    ]


def test_only_a_versioned_provides_satisfies_a_versioned_dependency(archive: Archive) -> None:
    archive.add("app", Depends="api (>= 2)")
    archive.add("plain", Provides="api")
    archive.add("older", Provides="api (= 1)")
    with pytest.raises(ResolveError, match=r"no Debian package api \(>= 2\) \(needed by app\)"):
        resolve(archive, "app")
    archive.add("newer", Provides="api (= 2.1)")
    assert resolve(archive, "app") == ["app 1.0", "newer 1.0"]


def test_excluded_and_provided_packages_are_not_followed(archive: Archive) -> None:
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


def test_a_package_chosen_too_new_is_replaced_by_an_older_version(archive: Archive) -> None:
    # The security archive has a newer libfoo, but not yet the libfoo-data that goes with it.
    archive.add("app", Depends="libfoo, libfoo-data")
    archive.add("libfoo", "1")
    archive.add("libfoo", "2", archive="security")
    archive.add("libfoo-data", "1", Depends="libfoo (= 1)")
    assert resolve(archive, "app") == ["app 1.0", "libfoo 1", "libfoo-data 1"]


def test_contradicting_versions_are_an_error_that_names_the_parents(archive: Archive) -> None:
    archive.add("app", Depends="a, b")
    archive.add("a", Depends="lib (= 1)")
    archive.add("b", Depends="lib (= 2)")
    archive.add("lib", "1")
    archive.add("lib", "2")
    with pytest.raises(ResolveError, match=r"no version of lib \(= [12]\) fits \(needed by [ab], needed by app\)"):
        resolve(archive, "app")


def test_an_unknown_package_is_answered_with_similar_names(archive: Archive) -> None:
    archive.add("python3-numpy")
    with pytest.raises(ResolveError, match="there is no Debian package python3-nunpy") as caught:
        resolve(archive, "python3-nunpy")
    assert "python3-numpy" in str(caught.value.hint)


def test_a_missing_version_is_an_error_that_names_the_versions_there_are(archive: Archive) -> None:
    archive.add("app", Depends="lib (>= 2)")
    archive.add("lib", "1.5")
    with pytest.raises(ResolveError, match=r"no version of lib \(>= 2\) fits \(needed by app\): there is lib 1\.5"):
        resolve(archive, "app")


@pytest.mark.parametrize("root", ["", "a b", "a, b", "a (1)"])
def test_a_root_that_is_not_one_package_is_a_config_error(archive: Archive, root: str) -> None:
    archive.add("a")
    with pytest.raises(ConfigError):
        resolve(archive, root)


def test_the_order_of_index_and_roots_does_not_change_the_result(archive: Archive) -> None:
    archive.add("app", Depends="v | w, x")
    archive.add("x", Depends="w")
    for name in "wv":
        archive.add(name)
    expected = resolve(archive, "app", "x")
    archive.packages["main"].reverse()
    assert resolve(archive, "x", "app") == expected


def test_each_exclusion_in_closure_toml_has_a_reason() -> None:
    rules = load_closure_rules()
    assert {"debconf", "dpkg", "adduser", "init-system-helpers"} <= rules.excluded.keys()
    assert all(len(reason) > 10 for reason in rules.excluded.values())
