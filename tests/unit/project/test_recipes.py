"""Recipes: those of incamera are valid, a project's own replace them, and each mistake is refused with its key."""

import re
from pathlib import Path
from typing import Any

import pytest

from incamera.errors import ConfigError
from incamera.project.recipes import load_recipes, parse_recipe
from incamera.targets.architecture import Architecture

# docs/reference/packages.md shows the result of each.
PACKAGES = (
    *("numpy", "scipy", "pillow", "opencv-python-headless", "pyyaml", "psutil", "cffi", "msgspec", "ujson", "lz4"),
    *("zstandard", "lxml", "cryptography", "pydantic", "aiohttp", "websockets", "pyzmq", "paho-mqtt", "protobuf"),
    *("grpcio", "shapely", "scikit-image", "tflite-runtime", "ai-edge-litert", "onnxruntime", "debugpy", "ipykernel"),
    *("tqdm", "attrs", "jinja2"),
)


def parse(table: dict[str, Any], architecture: Architecture = Architecture.armv7hf) -> Any:
    return parse_recipe(table, "bell", architecture)


def write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, "utf-8")
    return folder


@pytest.mark.parametrize("architecture", Architecture)
@pytest.mark.parametrize("name", PACKAGES)
def test_each_promised_package_has_a_test(name: str, architecture: Architecture) -> None:
    test = load_recipes(architecture).find(name).test
    assert test.imports
    compile(test.code, name, "exec")
    assert "assert" in test.code or "raise AssertionError" in test.code


def test_packages_page_shows_each_to_work_or_says_why_not() -> None:
    page = (Path(__file__).parents[3] / "docs/reference/packages.md").read_text("utf-8")
    for architecture in Architecture:
        table = page.partition(f"\n## {architecture}\n")[2].partition("\n## ")[0]
        for name in PACKAGES:
            last = re.findall(rf"^\| {name} \|.*\| (.*) \|$", table, re.MULTILINE)
            assert last in (["yes"], ["no, see below"]), f"{name}, {architecture}: run bench/packages.py"
            assert last == ["yes"] or f"- **{name}**: " in table


@pytest.mark.parametrize("architecture", Architecture)
def test_a_recipe_that_refuses_the_sdist_says_what_to_use_instead(architecture: Architecture) -> None:
    recipes = load_recipes(architecture)
    for name in recipes.names():
        refusal = recipes.find(name).sdist.refuse
        assert refusal is None or re.search(r"\buse ", refusal), f"{name}: {refusal}"


def test_a_package_without_a_recipe_gets_the_defaults() -> None:
    recipe = load_recipes(Architecture.armv7hf).find("no-such-package")
    assert (recipe.name, recipe.why, recipe.deb.package, recipe.sdist.builder) == ("no-such-package", "", None, "cross")


def test_every_key_is_read() -> None:
    sdist = {
        "versions": ">=11,<13",
        "dev": ["libjpeg-dev"],
        "debs": ["libgl1"],
        "requires": ["numpy<2"],
        "settings": {"platform-guessing": "disable", "setup-args": ["-Dx=y", "-Dz=1"]},
        "environment": {"K": "V"},
        "build-requires": ["setuptools>=77"],
        "drop": ["*/tests/*"],
        "builder": "emulated",
        "edits": [{"file": "setup.py", "old": "-march=native", "new": ""}],
    }
    deb = {"package": "python3-pil", "without": ["python3-tk"], "requires": ["imageio"], "refuse": "too old"}
    wheel = {"debs": ["libgl1"], "requires": ["numpy<2"]}
    recipe = parse({"why": "it is awkward", "wheel": wheel, "deb": deb, "sdist": sdist})
    assert recipe.sdist.settings == {"platform-guessing": "disable", "setup-args": ("-Dx=y", "-Dz=1")}
    assert recipe.sdist.build_requires == ("setuptools>=77",)
    assert (recipe.sdist.builder, recipe.sdist.dev, recipe.sdist.drop) == ("emulated", ("libjpeg-dev",), ("*/tests/*",))
    assert [(edit.file, edit.old, edit.new) for edit in recipe.sdist.edits] == [("setup.py", "-march=native", "")]
    assert (recipe.deb.package, recipe.deb.without, recipe.deb.refuse) == ("python3-pil", ("python3-tk",), "too old")
    assert (recipe.wheel.debs, recipe.wheel.requires, recipe.why) == (("libgl1",), ("numpy<2",), "it is awkward")


def test_keys_of_one_architecture_replace_the_general_ones() -> None:
    sdist = {"dev": ["libffi-dev"], "builder": "cross", "armv7hf": {"builder": "emulated"}}
    here, there = (parse({"sdist": sdist}, Architecture(name)).sdist for name in ("armv7hf", "aarch64"))
    assert (here.builder, here.dev) == ("emulated", ("libffi-dev",))
    assert (there.builder, there.dev) == ("cross", ("libffi-dev",))


def test_build_digest_changes_only_with_keys_that_change_the_wheel() -> None:
    plain = parse({"sdist": {"dev": ["libffi-dev"]}})
    assert plain.build_digest != parse({"sdist": {"dev": ["libffi-dev", "libgeos-dev"]}}).build_digest
    assert plain.build_digest == parse({"sdist": {"dev": ["libffi-dev"]}, "test": {"code": "1"}}).build_digest


@pytest.mark.parametrize(
    ("table", "message", "hint"),
    [
        ({"wheels": {}}, 'recipe bell.toml: unknown key "wheels"', 'did you mean "wheel"?'),
        ({"sources": {}}, 'unknown key "sources"', "choose one of: why, wheel, deb, sdist, test"),
        ({"deb": {"packge": "x"}}, 'unknown key "deb.packge"', 'did you mean "package"?'),
        ({"sdist": {"build_requires": []}}, 'unknown key "sdist.build_requires"', 'did you mean "build-requires"?'),
        ({"sdist": {"armv7": {}}}, 'unknown key "sdist.armv7"', 'did you mean "armv7hf"?'),
        ({"sdist": {"armv7hf": {"dve": []}}}, 'unknown key "sdist.armv7hf.dve"', 'did you mean "dev"?'),
        ({"sdist": {"aarch64": {"dve": []}}}, 'unknown key "sdist.aarch64.dve"', 'did you mean "dev"?'),
        ({"sdist": {"builder": "emulate"}}, 'sdist.builder: unknown builder "emulate"', '"emulated"?'),
        ({"sdist": {"versions": "11 to 13"}}, "is not a range of versions", '">=1.2,<2"'),
        ({"sdist": {"dev": "libffi-dev"}}, "sdist.dev must be a list of strings", 'dev = ["…", "…"]'),
        ({"sdist": {"dev": ["-Dx"]}}, '"-Dx" cannot be the name of a Debian package', None),
        ({"sdist": {"settings": {"a": 1}}}, "sdist.settings.a must be a string or a list of strings", None),
        ({"sdist": {"environment": {"A": ["b"]}}}, "sdist.environment.A must be a string", None),
        ({"sdist": {"edits": {"file": "a"}}}, "sdist.edits must be tables", "[[sdist.edits]]"),
        ({"sdist": {"edits": [{"file": "a", "old": "b"}]}}, "sdist.edits must be tables", "[[sdist.edits]]"),
        ({"sdist": {"edits": [{"file": 1, "old": "b", "new": "c"}]}}, "sdist.edits must be tables", None),
        (
            {"sdist": {"edits": [{"file": "../a", "old": "b", "new": "c"}]}},
            '"../a" is not a path inside the sdist',
            None,
        ),
        ({"wheel": {"requires": ["numpy <"]}}, 'wheel.requires: "numpy <"', None),
        ({"deb": ["python3-pil"]}, "deb must be a table", "[deb]"),
        ({"why": ["it is"]}, "why must be a string", None),
    ],
)
def test_each_mistake_is_refused_with_the_key_and_a_hint(table: dict[str, Any], message: str, hint: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(table)
    assert message in str(caught.value)
    assert hint is None or hint in (caught.value.hint or "")


def test_a_recipe_of_the_project_replaces_the_one_of_incamera(tmp_path: Path) -> None:
    folder = write(tmp_path / "recipes", "PyYAML.toml", 'why = "ours"\n[deb]\nrefuse = "too old"\n')
    recipes = load_recipes(Architecture.armv7hf, folder)
    assert (recipes.find("pyyaml").why, recipes.find("pyyaml").deb.refuse) == ("ours", "too old")
    assert recipes.find("pyyaml").deb.package is None  # the whole recipe, not key by key
    assert recipes.find("pillow") == load_recipes(Architecture.armv7hf).find("pillow")


@pytest.mark.parametrize(
    ("text", "message"),
    [(b"[sdist\n", "bell.toml"), (b"why = '\xff'\n", "bell.toml"), (b"[sdist]\ndev = [1]\n", "bell.toml")],
)
def test_a_recipe_file_that_cannot_be_parsed_is_named(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / "bell.toml").write_bytes(text)
    with pytest.raises(ConfigError, match=message):
        load_recipes(Architecture.armv7hf, tmp_path)
