"""The manifest of a package: the user's own, or one made of the project's settings."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from incamera.eap.schema import Problem, Version, check_manifest, parse_version
from incamera.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.project.package_settings import PackageSettings
    from incamera.targets.architecture import Architecture

FILE = "manifest.json"
# The oldest version of the schema with all that incamera writes: cameras need not know a newer one.
DEFAULT_SCHEMA = "2.0.0"
DEFAULT_RUN_MODE = "respawn"
DEFAULT_OS_VERSIONS = ({"min": "11.11", "max": "13"},)
# What the vendor's own examples have. Axis assigns another one when it signs a package.
PLACEHOLDER_VENDOR_ID = "1234567890"
_DEFAULT_OLDEST = "11.11"

# From this version on, the manifest names the architecture.
_WITH_ARCHITECTURE = (1, 3, 0)
_WITH_OS_VERSIONS = (2, 0, 0)
_MAX_BYTES = 1_000_000
_NAME_LENGTH = 26
_SCRIPT_NAME = re.compile(r"[^A-Za-z0-9_]+")
_PRE_RELEASES = {"a": "alpha", "b": "beta", "rc": "rc"}


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest that was checked: *document* has all that the schema requires. *unknown* was let through.

    *is_file*: the package has it. An ACAP 3 package has package.conf alone, of which *document* was made.
    """

    document: Mapping[str, Any]
    unknown: tuple[Problem, ...] = ()
    is_file: bool = True

    @property
    def schema(self) -> Version:
        return parse_version(self.document["schemaVersion"])

    @property
    def setup(self) -> Mapping[str, Any]:
        setup: Mapping[str, Any] = self.document["acapPackageConf"]["setup"]
        return setup

    @property
    def configuration(self) -> Mapping[str, Any]:
        configuration: Mapping[str, Any] = self.document["acapPackageConf"].get("configuration", {})
        return configuration

    @property
    def app_name(self) -> str:
        return str(self.setup["appName"])

    @property
    def post_install(self) -> str:
        return str(self.document["acapPackageConf"].get("installation", {}).get("postInstallScript", ""))

    @property
    def pre_uninstall(self) -> str:
        return str(self.document["acapPackageConf"].get("uninstallation", {}).get("preUninstallScript", ""))

    def dump(self) -> bytes:
        """Return the text of manifest.json, as the vendor's tool writes it."""
        return json.dumps(self.document, indent=4).encode("ascii")


def load_manifest(path: Path) -> dict[str, Any]:
    """Return the document in the manifest *path* of the user. Raises ConfigError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint="make it readable") from error
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"{path} is larger than {_MAX_BYTES // 1000} kB", hint="a manifest has some lines")
    try:
        document = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{path}: {error or 'nested too deep'}", hint="correct it: it must be JSON in UTF-8"
        ) from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path} is not a JSON object", hint='it begins with { and has "schemaVersion"')
    return document


def complete_manifest(document: Mapping[str, Any], architecture: Architecture, *, origin: str) -> Manifest:
    """Return *document* with what the vendor's tool adds: the architecture, and the oldest AXIS OS.

    *origin* says in messages where it comes from. Raises ConfigError with all that is wrong with it.
    """
    completed = json.loads(json.dumps(document))
    problems = check_manifest(completed)
    if faults := [problem for problem in problems if not problem.is_unknown]:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        rest = "; ".join(map(str, faults[1:4]))
        raise ConfigError(f"{origin}: {faults[0]}{more}" + (f"; {rest}" if rest else ""), hint=_remedy(faults[0]))
    manifest = Manifest(completed, tuple(problems))
    setup = completed["acapPackageConf"]["setup"]
    if manifest.schema >= _WITH_ARCHITECTURE:
        named = setup.setdefault("architecture", str(architecture))
        if named not in ("all", architecture):
            raise ConfigError(
                f"{origin}: acapPackageConf.setup.architecture is {named}, but the package is for {architecture}",
                hint="remove architecture from it: it is filled in for each target",
            )
    if manifest.schema >= _WITH_OS_VERSIONS:
        for one in setup["compatibleOsVersions"]:
            if "min" not in one:
                maximum = one.pop("max")
                one |= {"min": _DEFAULT_OLDEST, "max": maximum}
    return manifest


def _remedy(problem: Problem) -> str:
    return (
        f"write {problem.key.rpartition('.')[2]} into it"
        if problem.rule == "is required"
        else "correct it, or name another version in schemaVersion"
    )


def make_manifest(settings: PackageSettings, *, project: str, version: str) -> dict[str, Any]:
    """Return the document of a manifest for the *project* of that name and *version*, with defaults for the rest."""
    texts = settings.texts
    schema = settings.schema or DEFAULT_SCHEMA
    setup: dict[str, Any] = {
        "appName": texts.get("appName") or default_app_name(project),
        "friendlyName": texts.get("friendlyName") or project,
        "vendor": texts.get("vendor") or settings.author or project,
    }
    is_second = schema.startswith("2.")
    if is_second:
        setup["vendorId"] = texts.get("vendorId") or PLACEHOLDER_VENDOR_ID
    setup |= {name: texts[name] for name in ("appId",) if name in texts}
    if url := texts.get("vendorUrl") or settings.homepage:
        setup["vendorUrl"] = url
    setup["version"] = semantic_version(version)
    setup["runMode"] = texts.get("runMode") or DEFAULT_RUN_MODE
    setup |= {name: texts[name] for name in ("runOptions",) if name in texts}
    if is_second or settings.os_versions:
        setup["compatibleOsVersions"] = [dict(one) for one in settings.os_versions or DEFAULT_OS_VERSIONS]
    conf: dict[str, Any] = {"setup": setup}
    if settings.post_install:
        conf["installation"] = {"postInstallScript": settings.post_install}
    if settings.pre_uninstall:
        conf["uninstallation"] = {"preUninstallScript": settings.pre_uninstall}
    if configuration := _configuration(settings):
        conf["configuration"] = configuration
    document: dict[str, Any] = {"schemaVersion": schema}
    if resources := _resources(settings):
        document["resources"] = resources
    return {**document, "acapPackageConf": conf}


def _configuration(settings: PackageSettings) -> dict[str, Any]:
    lists = {"paramConfig": settings.parameters, "httpConfig": settings.http, "reverseProxy": settings.proxy}
    found: dict[str, Any] = {"settingPage": settings.settings_page} if settings.settings_page else {}
    return found | {name: [dict(item) for item in items] for name, items in lists.items() if items}


def _resources(settings: PackageSettings) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if settings.dbus_methods:
        found["dbus"] = {"requiredMethods": list(settings.dbus_methods)}
    if settings.groups:
        found["linux"] = {"user": {"groups": list(settings.groups)}}
    return found | {name: value for name, value in settings.resources.items() if name not in found}


def default_app_name(project: str) -> str:
    """Return the name of the app in a camera for a *project*: letters, digits and `_`, a letter first."""
    name = _SCRIPT_NAME.sub("_", project)[:_NAME_LENGTH].strip("_")
    if not name[:1].isalpha():
        name = f"app_{name}"[:_NAME_LENGTH]
    return name if len(name) > 1 else f"{name}_app"


def semantic_version(text: str) -> str:
    """Return a Python version as the manifest needs it: 1.2 is 1.2.0, and 1.2rc1 is 1.2.0-rc.1. Raises ConfigError."""
    from packaging.version import Version as PythonVersion  # lazy: virtual cameras read manifests without that package

    version = PythonVersion(text)
    if len(version.release) > 3 or version.epoch:
        raise ConfigError(
            f'the version "{text}" cannot be that of a package, which has three numbers',
            hint='write, for example, version = "1.2.3" in [project]',
        )
    numbers = ".".join(map(str, (*version.release, 0, 0)[:3]))
    before = [f"{_PRE_RELEASES[version.pre[0]]}.{version.pre[1]}"] if version.pre else []
    before += [f"dev.{version.dev}"] if version.dev is not None else []
    after = [f"post.{version.post}"] if version.post is not None else []
    after += [version.local] if version.local else []
    return numbers + (f"-{'.'.join(before)}" if before else "") + (f"+{'.'.join(after)}" if after else "")
