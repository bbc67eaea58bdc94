"""What an AXIS OS demands of a package, and what of it a manifest does not meet. data/axis_os.toml has the facts."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.eap.manifest import PLACEHOLDER_VENDOR_ID
from incamera.eap.schema import parse_version

if TYPE_CHECKING:
    from incamera.eap.manifest import Manifest

_SECOND = (2, 0, 0)
_SETUP = "acapPackageConf.setup"
# From this version on, a camera looks at compatibleOsVersions.
_RANGE_SINCE = (12, 10)
_FIRST_WITH_PROXY = "11"
_WEB = re.compile(r"(?:http|ws)s?://")


@dataclass(frozen=True, slots=True)
class Demand:
    """One demand of AXIS OS *generation* on *key* of a manifest, or on the package (key "").

    With *is_broken* the package does not meet it, and is refused or does not work there. Otherwise it is to be known.
    *remedy* says what to change.
    """

    generation: str
    key: str
    text: str
    remedy: str
    is_broken: bool = False

    def __str__(self) -> str:
        return f"AXIS OS {self.generation}: {self.key + ': ' if self.key else ''}{self.text}"


@cache
def load_generations() -> Mapping[str, Mapping[str, Any]]:
    """Return the table of each AXIS OS, by its number: "12"."""
    generations: Mapping[str, Mapping[str, Any]] = tomllib.loads(
        (Path(__file__).parent / "data" / "axis_os.toml").read_text("utf-8")
    )["generations"]
    return generations


def claimed_generations(manifest: Manifest) -> list[str]:
    """Return the AXIS OS that *manifest* is for: those in its compatibleOsVersions, else those that take it."""
    generations = load_generations()
    if manifest.schema >= _SECOND:
        return [name for name, facts in generations.items() if _is_in_range(manifest, name, facts["track"])]
    return [name for name, facts in generations.items() if not facts["needs_second"]]


def check_demands(
    manifest: Manifest, generation: str, *, is_signed: bool = False, version: str | None = None
) -> list[Demand]:
    """Return what AXIS OS *generation* demands of a package with *manifest*; what is broken comes first.

    *version* is that of one camera: "12.9.57". By default, the newest of the generation is meant.
    """
    facts = load_generations()[generation]
    if version is not None:
        needs = facts["needs_range"]
        if needs == "partly":
            needs = "yes" if _numbers(version) >= _RANGE_SINCE else "no"
        facts = {**facts, "track": version, "needs_range": needs}
    demands = list(_find_demands(manifest, generation, facts))
    if not is_signed:
        text = f"an unsigned package {facts['unsigned']}"
        demands.append(Demand(generation, "", text, "docs/how-to/make-a-package.md tells who signs"))
    return sorted(demands, key=lambda demand: not demand.is_broken)


def _find_demands(manifest: Manifest, generation: str, facts: Mapping[str, Any]) -> Iterator[Demand]:
    def broken(key: str, text: str, remedy: str) -> Demand:
        return Demand(generation, key, text, remedy, is_broken=True)

    def known(key: str, text: str, remedy: str) -> Demand:
        return Demand(generation, key, text, remedy)

    setup = manifest.setup
    schema = ".".join(map(str, manifest.schema))
    if manifest.schema < _SECOND:
        if facts["needs_second"]:
            found = schema if manifest.is_file else "a package.conf without a manifest"
            yield broken("schemaVersion", f"it takes only the second schema, not {found}", 'write schema = "2.0.0"')
        elif manifest.schema > parse_version(facts["schema"]):
            yield known(
                "schemaVersion",
                f"its SDKs document schemas up to {facts['schema']}, and this is {schema}",
                "name the oldest version that has the keys you need",
            )
    else:
        yield from _check_range(manifest, generation, facts)
        if setup.get("vendorId") == PLACEHOLDER_VENDOR_ID:
            yield known(
                f"{_SETUP}.vendorId",
                f"{PLACEHOLDER_VENDOR_ID} is that of the vendor's examples; a camera refuses to upgrade an app to a "
                "package with another vendorId",
                "write the vendor-id that Axis assigns before you hand out the package",
            )
    user = setup.get("user", {}).get("username", "")
    if user == "root":
        text = f"it runs apps as root {facts['root']}" if facts["root"] else "no app runs as root"
        remedy = "leave out user: the camera then makes a user for the app"
        yield (known if facts["root"] else broken)(f"{_SETUP}.user.username", text, remedy)
    mode = setup["runMode"]
    if mode not in facts["run_modes"]:
        yield broken(f"{_SETUP}.runMode", f"it does not know {mode}", 'write run-mode = "respawn"')
    app_id = str(setup.get("appId", ""))
    if app_id and not app_id.isdecimal():
        yield broken(
            f"{_SETUP}.appId", f'"{app_id}" is no number, so that the camera refuses the package', "correct it"
        )
    if generation == "13" and manifest.configuration.get("containers"):
        yield broken("acapPackageConf.configuration.containers", "it runs no containers", "leave it out")
    yield from _check_proxy(manifest, generation)
    if manifest.post_install or manifest.pre_uninstall:
        yield known("acapPackageConf.installation", facts["scripts"], "try the package there")


def _check_proxy(manifest: Manifest, generation: str) -> Iterator[Demand]:
    key = "acapPackageConf.configuration.reverseProxy"
    targets = [str(rule.get("target", "")) for rule in manifest.configuration.get("reverseProxy", ())]
    sockets = [target for target in targets if not _WEB.match(target)]
    if targets and generation == _FIRST_WITH_PROXY:
        yield Demand(generation, key, "it has such rules from 11.8 on", "older cameras need the app's own port")
    if len(sockets) > 1 and generation == _FIRST_WITH_PROXY:
        text = "before 11.10, requests for one Unix socket go to another one"
        yield Demand(generation, key, text, "have one socket, and tell requests apart by their paths")
    for target in targets:
        if _WEB.match(target) and _WEB.sub("", target).rstrip("/").partition("/")[2]:
            text = f"no public document tells what path the app gets for the target {target}"
            yield Demand(generation, key, text, "write a target without a path, such as http://localhost:2001")


def _check_range(manifest: Manifest, generation: str, facts: Mapping[str, Any]) -> Iterator[Demand]:
    key = f"{_SETUP}.compatibleOsVersions"
    remedy = f'write a range with it, such as {{ min = "11.11", max = "{max(generation, "13")}" }}'
    if _is_in_range(manifest, generation, facts["track"]):
        return
    if facts["needs_range"] == "no":
        yield Demand(generation, key, "it is not named; this AXIS OS does not look at it", remedy)
    else:
        when = "" if facts["needs_range"] == "yes" else " from 12.10 on"
        yield Demand(generation, key, f"it is not named, so that it refuses the package{when}", remedy, is_broken=True)


def _is_in_range(manifest: Manifest, generation: str, track: str) -> bool:
    """Whether compatibleOsVersions has AXIS OS *generation*, its version *track*. `max` includes its end."""
    wanted = _numbers(track)
    for one in manifest.setup.get("compatibleOsVersions", ()):
        oldest = _numbers(one.get("min", "0"))
        newest = _numbers(one.get("max", generation))
        # A track is the newest version of its generation, of which a minimum may name a build: 12.11.72.
        if oldest[: len(wanted)] <= wanted and wanted[: len(newest)] <= newest:
            return True
    return False


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))
