"""Resolving for a target: which version of each distribution is chosen, and from which source."""

from __future__ import annotations

from pathlib import Path

import pytest

from incamera.errors import ResolveError
from incamera.project.settings_parsing import parse_project
from incamera.resolver.explain import explain_choice, explain_passed_over
from incamera.resolver.extras import describe_unknown_extras
from incamera.resolver.misnomers import describe_misnomers
from incamera.resolver.solve import resolve

from .world import AARCH64, ARMV7, World, chosen, solve


@pytest.fixture
def world() -> World:
    return World()


# Wheels and folders of the user's own


def test_a_folder_of_the_users_own_is_the_only_candidate(world: World, tmp_path: Path) -> None:
    world.add_own("lamp-1.0.tar.gz", "bulb")
    world.wheel("lamp", "2.0")
    world.wheel("bulb", "3.0")
    world.deb("python3-lamp", "4.0-1")
    world.recipes["lamp"] = {"sdist": {"versions": ">=2"}}
    resolved = solve(world, tmp_path, "lamp")
    assert chosen(resolved) == {"bulb": "3.0 wheel", "lamp": "1.0 sdist"}
    assert chosen(solve(world, tmp_path, "lamp", sources={"lamp": "emulated"}))["lamp"] == "1.0 emulated"
    with pytest.raises(ResolveError, match="lamp"):
        solve(world, tmp_path, "lamp>=2")
    with pytest.raises(ResolveError, match="lamp"):
        solve(world, tmp_path, "lamp", sources={"lamp": "deb"})


def test_a_strangers_package_with_a_name_of_ours_is_never_taken(world: World, tmp_path: Path) -> None:
    world.wheel("acap", "9.0")
    world.wheel("lamp", "1.0", "acap")
    with pytest.raises(ResolveError, match="acap comes with incamera"):
        solve(world, tmp_path, "lamp")


def test_an_address_in_the_metadata_of_a_package_is_never_ignored(world: World, tmp_path: Path) -> None:
    world.wheel("lamp", "1.0", "bulb @ https://example.com/bulb-1.0.tar.gz")
    world.wheel("bulb", "3.0")
    with pytest.raises(ResolveError, match="lamp"):
        solve(world, tmp_path, "lamp")
    world.add_own("bulb-1.0-py3-none-any.whl")
    assert chosen(solve(world, tmp_path, "lamp"))["bulb"] == "1.0 wheel"


# The order of sources


def test_a_wheel_for_the_target_is_preferred_to_debs_and_sdists(world: World, tmp_path: Path) -> None:
    world.wheel("lxml", "6.1", platform="manylinux_2_31_armv7l")
    world.wheel("lxml", "6.2", platform="manylinux_2_28_x86_64")
    world.sdist("lxml", "6.2")
    world.deb("python3-lxml", "4.9.2-1")
    assert chosen(solve(world, tmp_path, "lxml")) == {"lxml": "6.1 wheel"}


def test_a_wheel_for_a_newer_glibc_than_the_bundle_has_is_not_taken(world: World, tmp_path: Path) -> None:
    world.wheel("lxml", "6.1", platform="manylinux_2_38_armv7l")
    world.deb("python3-lxml", "4.9.2-1")
    assert chosen(solve(world, tmp_path, "lxml")) == {"lxml": "4.9.2 deb"}


def test_architectures_may_take_different_versions_and_sources(tmp_path: Path) -> None:
    answers = []
    for target in (ARMV7, AARCH64):
        world = World(target)
        world.wheel("numpy", "2.4", platform="manylinux_2_27_aarch64")
        world.deb("python3-numpy", "1:1.24.2-1")
        answers.append(chosen(solve(world, tmp_path, "numpy")))
    assert answers == [{"numpy": "1.24.2 deb"}, {"numpy": "2.4 wheel"}]


def test_an_sdist_is_taken_where_debians_version_is_too_old(world: World, tmp_path: Path) -> None:
    world.sdist("pyzmq", "27.3")
    world.deb("python3-zmq", "24.0.1-4")
    world.recipes["pyzmq"] = {"deb": {"package": "python3-zmq"}}
    assert chosen(solve(world, tmp_path, "pyzmq>=24")) == {"pyzmq": "24.0.1 deb"}
    assert chosen(solve(world, tmp_path, "pyzmq>=25")) == {"pyzmq": "27.3 sdist"}


def test_a_wheel_older_than_debians_package_is_tried_after_it(world: World, tmp_path: Path) -> None:
    world.wheel("lz4", "0.8", platform="linux_armv7l")
    world.deb("python3-lz4", "4.0.2-1")
    assert chosen(solve(world, tmp_path, "lz4")) == {"lz4": "4.0.2 deb"}
    assert chosen(solve(world, tmp_path, "lz4<1")) == {"lz4": "0.8 wheel"}


def test_the_source_that_the_user_names_is_taken(world: World, tmp_path: Path) -> None:
    world.wheel("pillow", "12", platform="manylinux_2_28_armv7l")
    world.sdist("pillow", "12")
    world.deb("python3-pillow", "9.4-1")
    for source, version in (("deb", "9.4"), ("sdist", "12"), ("emulated", "12"), ("wheel", "12")):
        assert chosen(solve(world, tmp_path, "Pillow", sources={"Pillow": source})) == {"pillow": f"{version} {source}"}


def test_a_source_refused_by_the_recipe_is_taken_only_when_the_user_names_it(world: World, tmp_path: Path) -> None:
    world.sdist("opencv-python", "4.10")
    world.deb("python3-opencv", "4.6-1")
    world.recipes["opencv-python"] = {"deb": {"package": "python3-opencv", "refuse": "brings a desktop"}}
    (item,) = solve(world, tmp_path, "opencv-python")
    assert item.candidate.source == "sdist"
    assert (
        chosen(solve(world, tmp_path, "opencv-python", sources={"opencv-python": "deb"}))["opencv-python"] == "4.6 deb"
    )


def test_only_sdists_of_the_versions_in_the_recipe_are_taken(world: World, tmp_path: Path) -> None:
    world.sdist("shapely", "3.0")
    world.sdist("shapely", "2.1")
    world.recipes["shapely"] = {"sdist": {"versions": ">=2,<3"}}
    assert chosen(solve(world, tmp_path, "shapely")) == {"shapely": "2.1 sdist"}
    world.recipes["shapely"]["sdist"]["versions"] = "<1"
    with pytest.raises(ResolveError, match="the recipe was tried with"):
        solve(world, tmp_path, "shapely")


# Debian's packages


def test_python_dependencies_of_a_debian_package_come_from_debian_too(world: World, tmp_path: Path) -> None:
    world.deb("python3-scipy", "1.10.1-2", "python3-numpy (>= 1:1.19), python3-cffi-backend, libc6")
    world.deb("python3-numpy", "1:1.24.2-1")
    world.deb("python3-cffi-backend", "1.15-1")
    world.wheel("numpy", "2.4", platform="manylinux_2_17_armv7l")
    assert chosen(solve(world, tmp_path, "scipy", "numpy")) == {"numpy": "1.24.2 deb", "scipy": "1.10.1 deb"}


def test_versions_of_wheels_are_chosen_to_fit_debians_packages(world: World, tmp_path: Path) -> None:
    world.deb("python3-numpy", "1:1.24.2-1")
    world.wheel("imageio", "3", "numpy>=2")
    world.wheel("imageio", "2", "numpy")
    assert chosen(solve(world, tmp_path, "imageio")) == {"imageio": "2 wheel", "numpy": "1.24.2 deb"}


def test_a_conflict_names_who_asks_for_what_and_the_versions_there_are(world: World, tmp_path: Path) -> None:
    world.deb("python3-numpy", "1:1.24.2-1")
    world.wheel("imageio", "3", "numpy>=2")
    with pytest.raises(ResolveError) as caught:
        solve(world, tmp_path, "imageio")
    message = str(caught.value)
    assert "imageio 3 asks for numpy>=2" in message
    assert "there is" in message
    assert "deb 1.24.2" in message
    assert "armv7hf-cp311" in message


def test_conflict_of_a_hundred_releases_is_told_in_a_few_lines(world: World, tmp_path: Path) -> None:
    for number in range(100):
        world.wheel("sight", f"8.{number}", f"torch>=1.{number}", "numpy", *(f"part{n}<{number}" for n in range(6)))
    for version in range(1, 90):
        world.wheel("numpy", f"1.{version}")
        world.wheel("torch", f"1.{version}", platform="manylinux_2_28_x86_64")
    with pytest.raises(ResolveError) as caught:
        solve(world, tmp_path, "sight")
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("cannot resolve ")
    assert "torch" in lines[0]
    assert len(lines) <= 10
    assert len(str(caught.value)) < 80 * 20
    assert "those of 1.89 for Linux are for x86_64" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("sqlite3", "sqlite3 is in Python's standard library: remove it from the dependencies"),
        ("concurrent_futures", "check the name in the dependencies, and that the package index is the right one"),
        ("ConfigParser", "configparser is in Python's standard library: remove it from the dependencies"),
        ("cv2", "the package is called opencv-python-headless"),
        ("PIL", "the package is called pillow"),
        ("nunpy", "did you mean numpy?"),
        ("cvp", "check the name in the dependencies, and that the package index is the right one"),
        ("urllib2", "urllib2 is a module of Python 2: Python 3 has urllib.request in its standard library"),
        ("StringIO", "stringio is a module of Python 2: Python 3 has io in its standard library"),
        ("cPickle", "cpickle is a module of Python 2: Python 3 has pickle in its standard library"),
        ("python", "the Python that a project needs is requires-python in [project], no dependency"),
        ("gi", "the package is called pygobject"),
        ("cairo", "the package is called pycairo"),
        ("vdo", "the package is called acap"),
        ("opencv2", "the package is called opencv-python-headless"),
        ("scikitlearn", "did you mean scikit-learn?"),
        ("py-yaml", "did you mean pyyaml?"),
        ("pillw", "did you mean pillow?"),
        ("opencv-pyhton-headless", "did you mean opencv-python-headless?"),
        ("python3-numpy", "python3-numpy is a Debian package: the package is called numpy"),
        ("python-numpy", "python-numpy is a Debian package: the package is called numpy"),
        ("libzbar0", 'if you mean the Debian package, add "libzbar0" to debs in [tool.incamera]'),
    ],
)
def test_unknown_name_gets_the_hint_that_fits(world: World, tmp_path: Path, name: str, hint: str) -> None:
    world.deb("python3-numpy", "1:1.24.2-1")
    world.deb("python3-cups", "2-1")
    world.deb("python3-cairo", "1.20.1-5")
    world.deb("libzbar0", "0.23-1")
    with pytest.raises(ResolveError) as caught:
        solve(world, tmp_path, name)
    assert caught.value.hint == hint


def test_endless_words_of_a_package_do_not_make_an_endless_message(world: World, tmp_path: Path) -> None:
    wheels = [f"sight{number}{'x' * 1000}" for number in range(20)]
    for name in wheels:
        world.wheel(name, "1+" + "local" * 200, "numpy>=2" + "".join(f",!=2.{number}" for number in range(300)))
    world.wheel("numpy", "1.0")
    with pytest.raises(ResolveError) as caught:
        solve(world, tmp_path, *wheels)
    assert "numpy" in str(caught.value).partition(":")[0]
    assert len(str(caught.value)) < 80 * 20


@pytest.mark.parametrize(
    ("name", "other"), [("sklearn", "scikit-learn"), ("pytorch", "torch"), ("beautifulsoup", "beautifulsoup4")]
)
def test_deprecated_name_is_refused_without_a_build(world: World, tmp_path: Path, name: str, other: str) -> None:
    for version in range(9):
        world.sdist(name, f"0.{version}", "broken")
    with pytest.raises(ResolveError, match=f"no sdist: {name} is a deprecated name of {other}") as caught:
        solve(world, tmp_path, name)
    assert caught.value.hint == f"the package is called {other}"


def test_own_package_with_a_deprecated_name_is_taken(world: World, tmp_path: Path) -> None:
    world.wheel("sklearn", "1.0")
    assert chosen(solve(world, tmp_path, "sklearn")) == {"sklearn": "1.0 wheel"}


def test_name_of_a_module_gets_a_warning_when_it_is_another_package(world: World, tmp_path: Path) -> None:
    world.wheel("serial", "0.1")
    world.wheel("bs4", "0.2", "beautifulsoup4")
    world.wheel("beautifulsoup4", "4.12")
    world.wheel("asks", "1", "jwt")
    world.wheel("jwt", "1")
    assert list(describe_misnomers(solve(world, tmp_path, "serial", "bs4", "asks"))) == [
        "serial 0.1 is not the package that serial usually means: that is called pyserial"
    ]


def test_extra_that_does_not_exist_gets_a_warning(world: World, tmp_path: Path) -> None:
    world.wheel("server", "1", 'fast; extra == "speed"')  # not declared, but used
    world.wheel("fast", "1")
    world.wheel("asks", "1", "server[odd]")
    world.deb("python3-lamp", "2.0-1")
    world.add_own("own-1.0.tar.gz")
    wanted = ("server[speed, Un_Known]", "asks", "lamp[light]", "own[view]")
    finder = world.finder()
    (tmp_path / "app.py").touch()
    table = {"project": {"name": "bell", "dependencies": list(wanted)}}
    resolved = resolve(parse_project(table, tmp_path), finder)
    assert sorted(describe_unknown_extras(resolved, finder)) == [
        'asks 1 asks for server[odd], but server 1 has no extra "odd"',
        'the project asks for lamp[light], but lamp 2.0 has no extra "light": '
        "it comes from Debian, whose packages have none",
        'the project asks for own[view], but own 1.0 has no extra "view"',
        'the project asks for server[Un_Known,speed], but server 1 has no extra "un-known"',
    ]


def test_a_recipe_replaces_dependencies_of_a_debian_package(world: World, tmp_path: Path) -> None:
    world.deb("python3-skimage", "0.19.3-8", "python3-numpy, python3-matplotlib")
    world.deb("python3-matplotlib", "3.6-1")
    world.deb("python3-numpy", "1:1.24.2-1")
    world.wheel("imageio", "2")
    world.recipes["scikit-image"] = {
        "deb": {"package": "python3-skimage", "without": ["python3-matplotlib"], "requires": ["imageio"]}
    }
    found = chosen(solve(world, tmp_path, "scikit-image"))
    assert found == {"scikit-image": "0.19.3 deb", "numpy": "1.24.2 deb", "imageio": "2 wheel"}


# The target decides, not the host


def test_markers_are_evaluated_for_the_target(world: World, tmp_path: Path) -> None:
    for name in ("arm", "intel", "windows", "young", "exact"):
        world.wheel(name, "1")
    found = solve(
        world,
        tmp_path,
        'arm; platform_machine == "armv7l"',
        'intel; platform_machine == "x86_64"',
        'windows; sys_platform == "win32"',
        'young; python_version >= "3.12"',
        'exact; python_full_version == "3.11.2"',
    )
    assert set(chosen(found)) == {"arm", "exact"}


def test_requires_python_is_checked_against_the_targets_python(world: World, tmp_path: Path) -> None:
    world.wheel("tool", "2", requires_python=">=3.12")
    world.wheel("tool", "1", requires_python=">=3.9")
    assert chosen(solve(world, tmp_path, "tool")) == {"tool": "1 wheel"}


def test_an_extra_adds_its_requirements(world: World, tmp_path: Path) -> None:
    world.wheel("server", "1", "core", 'fast; extra == "speed"', 'slow; extra == "comfort"')
    for name in ("core", "fast", "slow"):
        world.wheel(name, "1")
    assert set(chosen(solve(world, tmp_path, "server[speed]"))) == {"server", "core", "fast"}


def test_a_distribution_with_and_without_extras_has_one_version(world: World, tmp_path: Path) -> None:
    for version in ("1", "2"):
        world.wheel("server", version, 'fast; extra == "speed"')
    world.wheel("fast", "1")
    assert chosen(solve(world, tmp_path, "server[speed]", "server<2"))["server"] == "1 wheel"


# Which version


def test_a_yanked_release_is_taken_only_when_pinned(world: World, tmp_path: Path) -> None:
    world.wheel("tool", "2", yanked="broken")
    world.wheel("tool", "1")
    assert chosen(solve(world, tmp_path, "tool")) == {"tool": "1 wheel"}
    assert chosen(solve(world, tmp_path, "tool==2")) == {"tool": "2 wheel"}


def test_prereleases_are_taken_only_when_asked_for_or_alone(world: World, tmp_path: Path) -> None:
    world.wheel("tool", "2rc1")
    world.wheel("tool", "1")
    world.wheel("young", "1b2")
    assert chosen(solve(world, tmp_path, "tool", "young")) == {"tool": "1 wheel", "young": "1b2 wheel"}
    assert chosen(solve(world, tmp_path, "tool>=2rc1")) == {"tool": "2rc1 wheel"}


def test_constraints_limit_versions_without_adding_distributions(world: World, tmp_path: Path) -> None:
    world.wheel("tool", "2", "part")
    world.wheel("tool", "1")
    world.wheel("part", "1")
    found = chosen(solve(world, tmp_path, "tool", constraints=["tool<2", "part<1"]))
    assert found == {"tool": "1 wheel"}


def test_the_locked_version_stays_while_it_fits(world: World, tmp_path: Path) -> None:
    for version in ("3", "2", "1"):
        world.wheel("tool", version)
    locked = {"tool": ("2", "wheel")}
    assert chosen(solve(world, tmp_path, "tool", preferred=locked)) == {"tool": "2 wheel"}
    assert chosen(solve(world, tmp_path, "tool>2", preferred=locked)) == {"tool": "3 wheel"}


@pytest.mark.parametrize(
    ("dependency", "version", "expected"),
    [
        ("tool", "2", "2 wheel"),
        ("tool", "2.0", "3 wheel"),  # the index spells it differently now
        ("tool", "1", "3 wheel"),  # yanked since it was locked
        ("tool==1", "1", "1 wheel"),
        ("tool", "4rc1", "3 wheel"),  # only taken when it is asked for
        ("tool>=4rc1", "4rc1", "4rc1 wheel"),
        ("tool", "9", "3 wheel"),  # no longer in the index
        ("tool", "broken", "3 wheel"),
        ("tool!=2", "2", "3 wheel"),
    ],
)
def test_a_locked_wheel_that_cannot_stay_is_replaced_by_the_best(
    world: World, tmp_path: Path, dependency: str, version: str, expected: str
) -> None:
    for other in ("4rc1", "3", "2"):
        world.wheel("tool", other)
    world.wheel("tool", "1", yanked="broken")
    locked = {"tool": (version, "wheel")}
    assert chosen(solve(world, tmp_path, dependency, preferred=locked)) == {"tool": expected}


def test_a_locked_wheel_is_not_kept_where_another_source_is_wanted(world: World, tmp_path: Path) -> None:
    locked = {"tool": ("1", "wheel")}
    world.wheel("tool", "1")
    world.deb("python3-tool", "2-1")
    assert chosen(solve(world, tmp_path, "tool", preferred=locked)) == {"tool": "1 wheel"}
    assert chosen(solve(world, tmp_path, "tool", preferred=locked, sources={"tool": "deb"})) == {"tool": "2 deb"}
    world.recipes["tool"] = {"wheel": {"refuse": "it crashes"}}
    assert chosen(solve(world, tmp_path, "tool", preferred=locked)) == {"tool": "2 deb"}
    assert chosen(solve(world, tmp_path, "tool", preferred=locked, sources={"tool": "wheel"})) == {"tool": "1 wheel"}


def test_a_conflict_names_all_versions_though_one_is_locked(world: World, tmp_path: Path) -> None:
    for version in ("3", "2"):
        world.wheel("tool", version)
    messages = []
    for preferred in (None, {"tool": ("2", "wheel")}):
        with pytest.raises(ResolveError) as caught:
            solve(world, tmp_path, "tool<2", preferred=preferred)
        messages.append(str(caught.value).replace("2, 3", "3, 2"))
    assert messages[0] == messages[1]
    assert "wheel 3, 2; no deb" in messages[0]


def test_a_release_with_malformed_metadata_is_skipped(world: World, tmp_path: Path) -> None:
    world.wheel("tool", "2", "broken")
    world.wheel("tool", "1")
    assert chosen(solve(world, tmp_path, "tool")) == {"tool": "1 wheel"}


def test_the_order_of_the_dependencies_does_not_change_the_result(world: World, tmp_path: Path) -> None:
    for version in ("1", "2"):
        world.wheel("one", version, f"other<={version}")
        world.wheel("other", version, f"one<={version}")
    assert chosen(solve(world, tmp_path, "one", "other")) == chosen(solve(world, tmp_path, "other", "one"))


# Messages


def test_an_unknown_name_is_answered_with_similar_names(world: World, tmp_path: Path) -> None:
    world.deb("python3-numpy", "1:1.24.2-1")
    with pytest.raises(ResolveError) as caught:
        solve(world, tmp_path, "numpi")
    assert "no package index has it" in str(caught.value)
    assert "numpy" in (caught.value.hint or "")


def test_the_explanation_names_the_requirement_and_why_earlier_sources_were_passed_over(
    world: World, tmp_path: Path
) -> None:
    world.wheel("pyzmq", "27.3", platform="manylinux_2_28_x86_64")
    world.sdist("pyzmq", "27.3")
    world.deb("python3-pyzmq", "24.0.1-4")
    (tmp_path / "app.py").touch()
    project = parse_project({"project": {"name": "bell", "dependencies": ["pyzmq>=25"]}}, tmp_path)
    finder = world.finder()
    (item,) = resolve(project, finder)
    assert "cross-built from its sdist" in explain_choice(item, finder, project)
    assert "pyzmq>=25 (the project)" in explain_choice(item, finder, project)
    wheel, deb = explain_passed_over(item, finder, project)
    assert "x86_64" in wheel
    assert "armv7l" in wheel
    assert "24.0.1" in deb


def test_no_package_index_is_asked_when_the_user_names_deb(world: World, tmp_path: Path) -> None:
    world.deb("python3-numpy", "1:1.24.2-1")
    solve(world, tmp_path, "numpy", sources={"numpy": "deb"})
    assert world.asked == []
