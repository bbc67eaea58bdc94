"""Manifests are checked against the version of the schema that they name."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.unit.eap.vendor import VERSIONS, generate_manifest

from incamera.eap.manifest import complete_manifest, default_app_name, make_manifest, semantic_version
from incamera.eap.schema import Problem, check_manifest, load_schemas
from incamera.errors import ConfigError
from incamera.project.package_settings import PackageSettings
from incamera.targets.architecture import Architecture

SECOND: dict[str, Any] = {
    "vendorId": "1234567890",
    "compatibleOsVersions": [{"min": "11.11", "max": "13"}],
}


def manifest(version: str, *, setup: dict[str, Any] | None = None, **conf: Any) -> dict[str, Any]:
    base: dict[str, Any] = {"appName": "hello", "vendor": "Acme", "version": "1.0.0", "runMode": "never"}
    base |= SECOND if version.startswith("2.") else {}
    base |= {"user": {"username": "sdk", "group": "sdk"}} if version == "1.0" else {}
    base |= setup or {}
    return {"schemaVersion": version, "acapPackageConf": {"setup": base, **conf}}


def only(document: object) -> Problem:
    (problem,) = check_manifest(document)
    return problem


def test_manifests_of_all_versions_are_valid() -> None:
    assert load_schemas().versions == VERSIONS
    for version in VERSIONS:
        assert check_manifest(manifest(version)) == []
    for seed in range(10 * len(VERSIONS)):
        assert check_manifest(generate_manifest(seed)) == [], seed


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            manifest("1.7.3", setup={"appName": "x" * 27}),
            f'acapPackageConf.setup.appName: "{"x" * 27}" is longer than 26 characters (schema 1.7.3)',
        ),
        (manifest("1.7.1", setup={"appName": "1x"}), 'setup.appName: "1x" must be a letter first (schema 1.7.1)'),
        (manifest("1.7.1", setup={"runMode": "respawnOnFailure"}), "is not one of respawn, once, never"),
        (manifest("1.7.1", setup={"vendro": "x"}), 'setup.vendro: the schema has no such key; did you mean "vendor"?'),
        (manifest("1.2", setup={"architecture": "all"}), "only schema 1.3.0 and later have it (schema 1.2)"),
        (manifest("2.0.0", setup={"embeddedSdkVersion": "3.0"}), "this version of the schema no longer has it"),
        (manifest("2.0.0", setup={"vendorId": "12"}), 'vendorId: "12" must be 10 hexadecimal digits (schema 2.0.0)'),
        (manifest("2.2.0", setup={"compatibleOsVersions": []}), "compatibleOsVersions: must not be empty"),
        (manifest("1.4.0", setup={"version": "1.0"}), "three numbers, as in 1.0.0"),
        (manifest("1.3", setup={"vendor": "Acme (US)"}), "must not have `(` or `)` (schema 1.3)"),
        (manifest("1.7.2", setup={"friendlyName": "a\nb"}), "must not have a line break"),
        (manifest("1.5.0", setup={"runMode": True}), "runMode: must be a string, not true or false"),
        (
            manifest("1.6.0", configuration={"httpConfig": [{"type": "fastCgi", "access": "admin"}]}),
            "acapPackageConf.configuration.httpConfig[0].name: is required (schema 1.6.0)",
        ),
        (
            manifest(
                "1.7.0",
                configuration={"reverseProxy": [{"apiPath": "ab", "target": "unix:/tmp/s", "access": "admin"}]},
            ),
            "acapPackageConf.configuration.reverseProxy[0].apiType: is required",
        ),
        (
            {**manifest("2.0.0"), "resources": {"linux": {"user": {"groups": ["video", "wheel"]}}}},
            'resources.linux.user.groups[1]: "wheel" is not one of admin, audiod',
        ),
        ({**manifest("2.0.0"), "resources": {}}, "resources: must not be empty; leave it out"),
        ({"acapPackageConf": {}}, "schemaVersion: is missing"),
        ({"schemaVersion": "2"}, 'schemaVersion: must be two or three numbers, not "2"'),
        ([], "must be an object, not an array"),
    ],
)
def test_message_names_key_rule_and_version(document: object, message: str) -> None:
    problem = only(document)
    assert message in str(problem)
    assert not problem.is_unknown


def test_required_keys_are_named() -> None:
    document = manifest("2.0.0")
    del document["acapPackageConf"]["setup"]["vendorId"]
    assert str(only(document)) == "acapPackageConf.setup.vendorId: is required (schema 2.0.0)"
    document = manifest("1.0")
    del document["acapPackageConf"]["setup"]["user"]
    assert only(document).key == "acapPackageConf.setup.user"


@pytest.mark.parametrize("version", ["1.9.0", "2.1.0", "2.7.0", "1.12.3"])
def test_what_no_source_tells_of_a_version_is_let_through_and_said(version: str) -> None:
    document = manifest(version, setup={"novelty": 1})
    problems = check_manifest(document)
    assert problems
    assert all(problem.is_unknown for problem in problems)
    assert any(problem.key == "acapPackageConf.setup.novelty" for problem in problems)
    assert complete_manifest(document, Architecture.armv7hf, origin="manifest.json").unknown == tuple(problems)


def test_error_of_a_manifest_names_its_first_problem_and_how_many_there_are() -> None:
    document = manifest("1.7.3", setup={"appName": "x" * 30, "vendorr": "", "runMode": "?"})
    with pytest.raises(ConfigError, match=r"^manifest\.json: .*appName.*\(and 2 more\).*vendorr"):
        complete_manifest(document, Architecture.armv7hf, origin="manifest.json")


def test_manifest_for_another_architecture_is_refused() -> None:
    document = manifest("1.7.3", setup={"architecture": "aarch64"})
    with pytest.raises(ConfigError, match="architecture is aarch64, but the package is for armv7hf"):
        complete_manifest(document, Architecture.armv7hf, origin="manifest.json")


WILD: list[Any] = [None, 1, [], {}, "x", [[[]]], {"setup": 3}, {"setup": {"appName": {}}}]


def test_manifest_of_wild_values_raises_nothing_else() -> None:
    for seed in range(60):
        document = generate_manifest(seed)
        for path in ("schemaVersion", "acapPackageConf", "resources"):
            for value in WILD:
                wild = copy.deepcopy(document)
                wild[path] = value
                assert isinstance(check_manifest(wild), list)


@pytest.mark.parametrize(
    ("project", "app"),
    [
        ("doorbell", "doorbell"),
        ("numbers-demo", "numbers_demo"),
        ("7up", "app_7up"),
        ("a", "a_app"),
        ("x" * 40, "x" * 26),
    ],
)
def test_name_of_the_app_follows_from_that_of_the_project(project: str, app: str) -> None:
    assert default_app_name(project) == app
    made = make_manifest(PackageSettings(), project=project, version="1")
    assert check_manifest(made) == []


@pytest.mark.parametrize(
    ("version", "semantic"),
    [
        ("1", "1.0.0"),
        ("1.2", "1.2.0"),
        ("1.2.3rc1", "1.2.3-rc.1"),
        ("2.0a1.dev3", "2.0.0-alpha.1.dev.3"),
        ("1.0.post2", "1.0.0+post.2"),
        ("1.0+local.7", "1.0.0+local.7"),
    ],
)
def test_version_of_the_project_becomes_a_semantic_one(version: str, semantic: str) -> None:
    assert semantic_version(version) == semantic
    assert check_manifest(manifest("2.0.0", setup={"version": semantic})) == []


def test_version_with_four_numbers_is_refused() -> None:
    with pytest.raises(ConfigError, match=r'"1\.2\.3\.4" cannot be that of a package'):
        semantic_version("1.2.3.4")
