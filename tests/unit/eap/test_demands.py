"""What each AXIS OS demands of a manifest."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.eap.test_schema import manifest

from incamera.cli.package import GENERATIONS
from incamera.eap.demands import check_demands, claimed_generations, load_generations
from incamera.eap.manifest import Manifest, complete_manifest
from incamera.targets.architecture import Architecture


def complete(version: str, **setup: Any) -> Manifest:
    return complete_manifest(manifest(version, setup=setup), Architecture.armv7hf, origin="manifest.json")


def broken(of: Manifest, generation: str) -> list[str]:
    return [
        f"{demand.key.rpartition('.')[2]}: {demand.text}"
        for demand in check_demands(of, generation)
        if demand.is_broken
    ]


def test_the_default_package_is_accepted_everywhere() -> None:
    assert tuple(load_generations()) == GENERATIONS
    default = complete("2.0.0", runMode="respawn")
    assert claimed_generations(default) == ["11", "12", "13"]
    assert [broken(default, generation) for generation in GENERATIONS] == [[], [], []]


@pytest.mark.parametrize(
    ("version", "setup", "refused"),
    [
        ("1.7.0", {}, {"13": "schemaVersion: it takes only the second schema, not 1.7.0"}),
        ("2.0.0", {"runMode": "respawnOnFailure"}, {"11": "runMode: it does not know respawnOnFailure"}),
        (
            "2.0.0",
            {"compatibleOsVersions": [{"min": "11.11", "max": "12"}]},
            {"13": "compatibleOsVersions: it is not named, so that it refuses the package"},
        ),
        (
            "2.0.0",
            {"compatibleOsVersions": [{"min": "13.0", "max": "13"}]},
            {"12": "compatibleOsVersions: it is not named, so that it refuses the package from 12.10 on"},
        ),
        (
            "2.0.0",
            {"appId": "x1"},
            dict.fromkeys(GENERATIONS, 'appId: "x1" is no number, so that the camera refuses the package'),
        ),
        (
            "1.7.0",
            {"user": {"username": "root", "group": "root"}},
            {"12": "username: no app runs as root", "13": "schemaVersion: it takes only the second schema, not 1.7.0"},
        ),
    ],
)
def test_demand_that_is_not_met_is_named(version: str, setup: dict[str, Any], refused: dict[str, str]) -> None:
    checked = complete(version, **setup)
    found = {
        generation: first for generation in GENERATIONS if (first := next(iter(broken(checked, generation)), None))
    }
    assert found == refused


def test_ranges_of_versions_include_their_ends() -> None:
    for one, claimed in [
        ({"max": "13"}, ["11", "12", "13"]),
        ({"min": "12.11.72", "max": "13"}, ["12", "13"]),
        ({"min": "12", "max": "12"}, ["12"]),
        ({"min": "11.11", "max": "12.3"}, ["11"]),
        ({"min": "14.0"}, []),
    ]:
        assert claimed_generations(complete("2.0.0", compatibleOsVersions=[one])) == claimed
    assert claimed_generations(complete("1.7.0")) == ["11", "12"]


def test_what_is_to_be_known_comes_after_what_is_broken() -> None:
    demands = check_demands(complete("1.7.0"), "13")
    assert [demand.is_broken for demand in demands] == [True, False]
    assert "unsigned" in demands[1].text
    assert all(demand.remedy for demand in demands)


def test_rules_of_the_proxy_that_older_cameras_lack_or_mix_up_are_told() -> None:
    rules = [
        {"apiPath": "a", "target": "http://localhost:2001/", "access": "viewer"},
        {"apiPath": "b", "target": "http://localhost:2001/mcp", "access": "viewer"},
        {"apiPath": "c", "target": "/tmp/1", "access": "viewer", "apiType": "http"},
        {"apiPath": "d", "target": "/tmp/2", "access": "viewer", "apiType": "ws"},
    ]

    def told(generation: str, count: int) -> list[str]:
        document = manifest("2.0.0", configuration={"reverseProxy": rules[:count]})
        made = complete_manifest(document, Architecture.armv7hf, origin="manifest.json")
        return [demand.text for demand in check_demands(made, generation) if demand.key.endswith("reverseProxy")]

    assert told("12", 1) == []
    assert told("11", 1) == ["it has such rules from 11.8 on"]
    assert told("12", 4) == ["no public document tells what path the app gets for the target http://localhost:2001/mcp"]
    assert [text for text in told("11", 4) if "Unix socket" in text]
    assert not [text for text in told("11", 3) if "Unix socket" in text]
