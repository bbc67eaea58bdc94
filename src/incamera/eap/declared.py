"""What a project declares of its app for the camera: the app's name there, and its parameters.

An installed package brings both. An app that runs without having been installed is told by environment variables.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from incamera.eap.manifest import default_app_name, load_manifest
from incamera.project.package_settings import load_package_settings

if TYPE_CHECKING:
    from incamera.project.settings import Project

NAME_VARIABLE = "ACAP_APP_NAME"
PARAMETERS_VARIABLE = "ACAP_DECLARED_PARAMETERS"
_BINDINGS = "acap"


@dataclass(frozen=True, kw_only=True, slots=True)
class DeclaredApp:
    """The app's *name* in a camera, and the default and the type of each of its *parameters*."""

    name: str
    parameters: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def load_declared(project: Project) -> DeclaredApp:
    """Return what *project* declares: its package's settings, or the manifest of its own. Raises ConfigError."""
    if project.script is not None:  # its block says nothing of packages
        return DeclaredApp(name=default_app_name(project.name))
    settings = load_package_settings(project)
    name, entries = settings.texts.get("appName", ""), settings.parameters
    if settings.manifest is not None:
        package = load_manifest(settings.manifest).get("acapPackageConf", {})
        name = str(package.get("setup", {}).get("appName", ""))
        entries = package.get("configuration", {}).get("paramConfig", ())
    parameters = {
        str(entry["name"]): (str(entry.get("default", "")), str(entry.get("type", "string"))) for entry in entries
    }
    return DeclaredApp(name=name or default_app_name(project.name), parameters=parameters)


def app_variables(project: Project) -> dict[str, str]:
    """Return the variables that tell acap of the app. There are none for a project without acap. Raises ConfigError."""
    if _BINDINGS not in project.local:
        return {}
    declared = load_declared(project)
    variables = {NAME_VARIABLE: declared.name}
    if declared.parameters:
        variables[PARAMETERS_VARIABLE] = json.dumps(declared.parameters)
    return variables
