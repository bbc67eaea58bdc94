"""Which Debian package holds which distribution: the table, guesses, and the metadata inside a package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.debian.conftest import make_deb
from tests.unit.resolver.world import World, chosen, solve
from tools.make_debian_names import convert

from incamera.context import Context
from incamera.debian.index import Deb
from incamera.digest import Sha256
from incamera.errors import ResolveError
from incamera.resolver.deb_contents import DebContents, find_wrong_debs, read_contents
from incamera.resolver.explain import explain_passed_over
from incamera.resolver.solve import resolve

if TYPE_CHECKING:
    from incamera.store import Store

SITE = "./usr/lib/python3/dist-packages"


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("pytz", "python3-tz"),
        ("zope-event", "python3-zope.event"),
        ("zope-interface", "python3-zope.interface"),
        ("beautifulsoup4", "python3-bs4"),
        ("pyserial", "python3-serial"),
        ("python-dateutil", "python3-dateutil"),
        ("attrs", "python3-attr"),
        ("numpy", "python3-numpy"),
        ("opencv-python", "python3-opencv"),  # from the recipe
        ("zope-not-in-the-table", "python3-zope.not-in-the-table"),
        ("unknown-anywhere", "python3-unknown-anywhere"),
    ],
)
def test_each_distribution_has_its_package(world: World, name: str, package: str) -> None:
    world.recipes["opencv-python"] = {"deb": {"package": "python3-opencv"}}
    if name != "unknown-anywhere":
        world.deb(package, "1.0-1")
    names = world.finder().names
    assert names.package_of(name) == package
    assert names.distribution_of(package) == (name if "not-in" not in name else "zope-not-in-the-table")


def test_table_lists_names_and_those_packages_that_are_named_differently() -> None:
    text = "pytz python3-tz\nZope.Event python3-zope.event\nnumpy python3-numpy\n\nodd\nnumpy python3-numpy\n"
    text += "PIL python3-pil\nPillow python3-pil\n"
    assert convert(text) == "numpy\npillow python3-pil\npytz python3-tz\nzope-event python3-zope.event\n"


def test_two_requirements_of_one_distribution_by_two_names_take_one_package(world: World, tmp_path: Path) -> None:
    world.deb("python3-pandas", "1.5.3-2", "python3-tz")
    world.deb("python3-tz", "2022.7.1-4")
    world.wheel("pytz", "2026.1")
    assert chosen(solve(world, tmp_path, "pandas", "pytz")) == {"pandas": "1.5.3 deb", "pytz": "2022.7.1 deb"}
    with pytest.raises(ResolveError, match="asks for pytz as python3-tz of Debian"):
        solve(world, tmp_path, "pandas", "pytz>=2026")


def test_dependency_with_a_dot_in_its_name_comes_from_debian(world: World, tmp_path: Path) -> None:
    world.deb("python3-gevent", "22.10.2-3", "python3-zope.event")
    world.deb("python3-zope.event", "4.4-3")
    world.sdist("gevent", "26.9")
    assert chosen(solve(world, tmp_path, "gevent")) == {"gevent": "22.10.2 deb", "zope-event": "4.4 deb"}


@pytest.mark.parametrize(
    ("name", "package", "holds"),
    [
        ("pil", "python3-pil", "pillow"),
        ("serial", "python3-serial", "pyserial"),
        ("jwt", "python3-jwt", "pyjwt"),
        ("attr", "python3-attr", "attrs"),
    ],
)
def test_package_of_another_distribution_is_not_taken(
    world: World, tmp_path: Path, name: str, package: str, holds: str
) -> None:
    world.deb(package, "3.5-1")
    world.sdist(name, "0.1")
    finder = world.finder()
    (item,) = solve(world, tmp_path, name)
    assert chosen([item]) == {name: "0.1 sdist"}
    assert finder.package_of(name) is None
    assert finder.package_of(holds) == package
    resolved = resolve_with(finder, tmp_path, name)
    assert f"deb: {package} of Debian bookworm holds {holds}, not {name}" in list(
        explain_passed_over(resolved[0], finder, project_of(tmp_path, name))
    )


def project_of(folder: Path, *dependencies: str) -> Any:
    from incamera.project.settings_parsing import parse_project

    return parse_project({"project": {"name": "bell", "dependencies": list(dependencies)}}, folder)


def resolve_with(finder: Any, folder: Path, *dependencies: str) -> Any:
    return resolve(project_of(folder, *dependencies), finder)


# What is inside a package


@pytest.fixture
def context(store: Store) -> Context:
    return Context(store, None, {"INCAMERA_DEBIAN_MIRROR": "http://127.0.0.1:1/debian"})  # type: ignore[arg-type]


def add_deb(store: Store, *files: tuple[str, bytes], package: str = "python3-own") -> Deb:
    """Put a deb with *files* into the store, where the mirror need not be asked for it."""
    data = make_deb(*files)
    sha256 = Sha256.of(data)
    with store.writing_blob(sha256, name=package) as blob:
        blob.write(data)
    return Deb(
        package=package,
        version="1.0",
        architecture="all",
        filename=f"pool/{package}.deb",
        archive="main",
        size=len(data),
        sha256=sha256,
    )


@pytest.mark.parametrize(
    "metadata",
    [
        ("Own_Pkg-1.0.dist-info/METADATA", b"Metadata-Version: 2.1\nName: Own.Pkg\nVersion: 1.0\n\nName: other\n"),
        ("Own_Pkg-1.0.egg-info/PKG-INFO", b"Name: Own_Pkg\n"),
        ("own-1.0.egg-info", b"Metadata-Version: 1.0\nName: own-pkg\n"),
    ],
)
def test_metadata_inside_a_package_names_its_distribution(
    context: Context, store: Store, metadata: tuple[str, bytes]
) -> None:
    files = [(f"{SITE}/{metadata[0]}", metadata[1]), (f"{SITE}/elsewhere/__init__.py", b""), (f"{SITE}/x.py", b"")]
    contents = read_contents(context, add_deb(store, *files, (f"{SITE}/elsewhere/METADATA", b"Name: wrong\n")))
    assert contents == DebContents(frozenset({"own-pkg"}), frozenset({"elsewhere", "x"}))
    assert contents.holds("own-pkg")
    assert not contents.holds("elsewhere")


def test_package_without_metadata_holds_what_its_modules_are_called(context: Context, store: Store) -> None:
    module = f"{SITE}/own_pkg.cpython-311-arm-linux-gnueabihf.so"
    contents = read_contents(context, add_deb(store, (module, b"")))
    assert contents.holds("own-pkg")
    assert not contents.holds("other")


def test_package_without_files_may_stand_for_another_one(context: Context, store: Store) -> None:
    assert read_contents(context, add_deb(store, ("./usr/share/doc/python3-h5py/copyright", b""))).holds("h5py")


def test_guessed_package_that_holds_something_else_is_refused_and_said(
    context: Context, world: World, tmp_path: Path
) -> None:
    deb = add_deb(context.store, (f"{SITE}/other-1.egg-info/PKG-INFO", b"Name: other\n"), package="python3-quux")
    world.deb("python3-quux", "1.0-1")
    # The index names the deb that the store has.
    world.stanzas[-1] = (
        f"Package: python3-quux\nVersion: 1.0-1\nArchitecture: all\nFilename: {deb.filename}\nSize: {deb.size}\n"
        f"SHA256: {deb.sha256}\n"
    )
    world.sdist("quux", "2.0")
    (tmp_path / "app.py").touch()
    finder = world.finder()
    resolved = resolve_with(finder, tmp_path, "quux<3")
    assert chosen(resolved) == {"quux": "1.0 deb"}
    wrong = find_wrong_debs(context, resolved, finder.names)
    assert wrong == {"quux": "python3-quux holds other, not quux"}
    finder.refuse_debs(wrong)
    assert chosen(resolve_with(finder, tmp_path, "quux<3")) == {"quux": "2.0 sdist"}
    assert finder.package_of("quux") is None
    with pytest.raises(ResolveError, match="python3-quux holds other, not quux"):
        resolve_with(finder, tmp_path, "quux<2")


def test_package_of_the_table_is_not_opened(context: Context, world: World, tmp_path: Path) -> None:
    world.deb("python3-tz", "2022.7.1-4")
    (tmp_path / "app.py").touch()
    finder = world.finder()
    assert not find_wrong_debs(context, resolve_with(finder, tmp_path, "pytz"), finder.names)
