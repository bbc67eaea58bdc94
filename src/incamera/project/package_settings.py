"""What `incamera package` takes from pyproject.toml: [tool.incamera.package], and what [project] tells of the app."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.errors import ConfigError
from incamera.project.loading import load_document
from incamera.project.settings_parsing import PACKAGE_KEYS
from incamera.project.tables import find_string, find_strings, find_table, find_tables, refuse_unknown

if TYPE_CHECKING:
    from incamera.project.settings import Project

TABLE = "tool.incamera.package"

# Keys whose values go into the manifest as they are, with the manifest's name for each.
_TEXTS = {
    "app-name": "appName",
    "friendly-name": "friendlyName",
    "vendor": "vendor",
    "vendor-id": "vendorId",
    "vendor-url": "vendorUrl",
    "app-id": "appId",
    "run-mode": "runMode",
    "run-options": "runOptions",
}
# Keys that have a meaning beside a manifest of the user's own; all others are written into the manifest.
_FILE_KEYS = ("manifest", "html", "files", "sign-command")

# As the vendor's tool takes it: beside the app, and named so.
OWN_MANIFEST = "manifest.json"
DEFAULT_HTML = "html"
SIGN_WORDS = ("{package}", "{signed}")
"""What stands in sign-command for the file that is to be signed, and for the one that the command writes."""
_LICENSE_FILES = ("LICEN[CS]E*", "COPYING*", "NOTICE*", "AUTHORS*")
_MAX_BYTES = 10_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class PackageSettings:
    """The settings of a package.

    *texts* are values of the manifest by its own names (`appName`); those that the user did not write are missing.
    *author*, *homepage*, *license* and *description* come from [project]; "" where it has none.
    *manifest* is the path of the user's own manifest, which is kept; the other values of the manifest are then not set.
    *proxy* and *http* are tables with the manifest's names, *resources* has further keys of `resources`. *html* is the
    folder of web files, or "". *license_files* are files of the project, relative to its folder. *sign_command* are the
    words of the command that signs a package, with {package} and {signed} for the paths of the two files; empty where
    there is none. *written* are the keys that the user's table has.
    """

    texts: Mapping[str, str] = field(default_factory=dict)
    author: str = ""
    homepage: str = ""
    license: str = ""
    description: str = ""
    manifest: Path | None = None
    schema: str = ""
    os_versions: tuple[Mapping[str, str], ...] = ()
    groups: tuple[str, ...] = ()
    dbus_methods: tuple[str, ...] = ()
    resources: Mapping[str, Any] = field(default_factory=dict)
    settings_page: str = ""
    parameters: tuple[Mapping[str, str], ...] = ()
    proxy: tuple[Mapping[str, str], ...] = ()
    http: tuple[Mapping[str, str], ...] = ()
    post_install: str = ""
    pre_uninstall: str = ""
    html: str = ""
    files: tuple[str, ...] = ()
    license_files: tuple[str, ...] = ()
    sign_command: tuple[str, ...] = ()
    written: frozenset[str] = frozenset()


def load_package_settings(project: Project) -> PackageSettings:
    """Return the settings of the package of *project*. Raises ConfigError."""
    return parse_package_settings(load_document(project.folder), project.folder)


def parse_package_settings(document: Mapping[str, Any], folder: Path) -> PackageSettings:
    """Return the settings of a package in *document*, the pyproject.toml in *folder*. Raises ConfigError."""
    project = find_table(document, "project")
    settings = find_table(find_table(document, "tool"), "incamera", "tool.incamera")
    table = find_table(settings, "package", TABLE)
    refuse_unknown(table, PACKAGE_KEYS, TABLE)
    manifest = _find_manifest(table, folder)
    html = find_string(table, "html", f"{TABLE}.html")
    return PackageSettings(
        texts={name: text for key, name in _TEXTS.items() if (text := _text(table, key)) is not None},
        author=_find_author(project),
        homepage=_find_homepage(project),
        license=_find_license(project),
        description=find_string(project, "description", "project.description") or "",
        manifest=manifest,
        schema=_text(table, "schema") or "",
        os_versions=_parse_os_versions(table),
        groups=find_strings(table, "groups", f"{TABLE}.groups"),
        dbus_methods=find_strings(table, "dbus-methods", f"{TABLE}.dbus-methods"),
        resources=find_table(table, "resources", f"{TABLE}.resources"),
        settings_page=_text(table, "settings-page") or "",
        parameters=_parse_parameters(find_table(table, "parameters", f"{TABLE}.parameters")),
        proxy=_parse_proxy(table),
        http=_parse_http(table),
        post_install=_require_script(table, "post-install-script", folder),
        pre_uninstall=_require_script(table, "pre-uninstall-script", folder),
        html=_find_html(html, folder),
        files=_parse_files(find_strings(table, "files", f"{TABLE}.files"), folder),
        license_files=_find_license_files(project, folder),
        sign_command=_parse_sign_command(_text(table, "sign-command") or ""),
        written=frozenset(table),
    )


def _text(table: Mapping[str, Any], key: str) -> str | None:
    value = table.get(key)
    if isinstance(value, int) and not isinstance(value, bool) and key == "app-id":
        return str(value)
    return find_string(table, key, f"{TABLE}.{key}")


def _find_manifest(table: Mapping[str, Any], folder: Path) -> Path | None:
    """Return the path of the user's own manifest: the one that is named, or the one beside pyproject.toml."""
    named = find_string(table, "manifest", f"{TABLE}.manifest")
    written = next((key for key in table if key not in _FILE_KEYS), None)
    if named is None:
        return folder / OWN_MANIFEST if written is None and _is_manifest(folder / OWN_MANIFEST) else None
    if written is not None:
        raise ConfigError(
            f'{TABLE}: "{written}" would be ignored, because "manifest" names a manifest of your own',
            hint=f"write it into {named}, or remove manifest",
        )
    return _require_file(named, folder, f"{TABLE}.manifest")


def _is_manifest(path: Path) -> bool:
    """Whether *path* is a manifest of an ACAP application: files of that name have other uses, too."""
    try:
        return b'"acapPackageConf"' in path.read_bytes()[:_MAX_BYTES]
    except OSError:
        return False


def _require_file(name: str, folder: Path, where: str) -> Path:
    path = folder / name
    if not _is_inside(name) or not path.is_file():
        raise ConfigError(f'{where}: there is no file "{name}" in the project', hint="correct the path, or make it")
    return path


def _require_script(table: Mapping[str, Any], key: str, folder: Path) -> str:
    name = _text(table, key)
    if name is None:
        return ""
    path = _require_file(name, folder, f"{TABLE}.{key}")
    if "/" in name or " " in name:
        raise ConfigError(
            f'{TABLE}.{key}: "{name}" must lie in the project\'s folder itself, and have no space in its name',
            hint="a camera looks for it in the package's own folder; move it there",
        )
    if not path.read_bytes().startswith(b"#!"):
        raise ConfigError(
            f"{TABLE}.{key}: {name} does not begin with #!, so that no camera can start it",
            hint="write #!/bin/sh as its first line",
        )
    return name


def _find_html(named: str | None, folder: Path) -> str:
    if named is None:
        return DEFAULT_HTML if (folder / DEFAULT_HTML).is_dir() else ""
    if not _is_inside(named) or not (folder / named).is_dir():
        raise ConfigError(f'{TABLE}.html: there is no folder "{named}" in the project', hint="correct the path")
    return named.rstrip("/")


def _parse_files(names: Sequence[str], folder: Path) -> tuple[str, ...]:
    for name in names:
        if not _is_inside(name) or not (folder / name).exists():
            raise ConfigError(f'{TABLE}.files: there is no "{name}" in the project', hint="correct the path")
        if any(letter.isspace() for letter in name):
            raise ConfigError(
                f'{TABLE}.files: "{name}" has a space in its name',
                hint="package.conf separates the names with spaces; rename it, or name the folder that it is in",
            )
    return tuple(name.rstrip("/") for name in names)


def _parse_sign_command(text: str) -> tuple[str, ...]:
    where = f"{TABLE}.sign-command"
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise ConfigError(f"{where}: {str(error).lower()}", hint="close each quotation mark") from error
    if missing := [word for word in SIGN_WORDS if words and not any(word in one for one in words)]:
        raise ConfigError(
            f"{where} has no {missing[0]}", hint='write, for example, "./sign.sh {package} {signed}": the two files'
        )
    return words


def _parse_os_versions(table: Mapping[str, Any]) -> tuple[Mapping[str, str], ...]:
    where = f"{TABLE}.compatible-os-versions"
    return tuple(
        _texts_of(item, ("min", "max"), name) for name, item in find_tables(table, "compatible-os-versions", where)
    )


def _parse_parameters(table: Mapping[str, Any]) -> tuple[Mapping[str, str], ...]:
    """Return the entries of paramConfig. `Threshold = "5"` is short for a default with the type "string"."""
    parameters = []
    for name, value in table.items():
        where = f"{TABLE}.parameters.{name}"
        if isinstance(value, str):
            value = {"default": value}
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} must be a string or a table", hint=f'write {name} = "…", its default')
        entry = _texts_of(value, ("default", "type"), where)
        parameters.append({"name": name, "default": entry.get("default", ""), "type": entry.get("type", "string")})
    return tuple(parameters)


def _parse_proxy(table: Mapping[str, Any]) -> tuple[Mapping[str, str], ...]:
    names = {"api-path": "apiPath", "target": "target", "access": "access", "api-type": "apiType"}
    return _renamed(table, "reverse-proxy", names)


def _parse_http(table: Mapping[str, Any]) -> tuple[Mapping[str, str], ...]:
    return _renamed(table, "http-config", {name: name for name in ("type", "name", "access")})


def _renamed(table: Mapping[str, Any], key: str, names: Mapping[str, str]) -> tuple[Mapping[str, str], ...]:
    return tuple(
        {names[part]: text for part, text in _texts_of(item, tuple(names), where).items()}
        for where, item in find_tables(table, key, f"{TABLE}.{key}")
    )


def _texts_of(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> dict[str, str]:
    refuse_unknown(table, known, where)
    found = {key: find_string(table, key, f"{where}.{key}") for key in known}
    return {key: text for key, text in found.items() if text is not None}


def _find_author(project: Mapping[str, Any]) -> str:
    """Return the name of the first author, or of the first maintainer; an address where they have no names."""
    people = [person for key in ("authors", "maintainers") for _, person in find_tables(project, key, f"project.{key}")]
    names = [str(person[key]) for key in ("name", "email") for person in people if person.get(key)]
    return names[0] if names else ""


def _find_homepage(project: Mapping[str, Any]) -> str:
    urls = find_table(project, "urls", "project.urls")
    # Labels are compared without case, spaces and punctuation.
    labels = {re.sub(r"[^a-z0-9]", "", str(label).lower()): str(url) for label, url in urls.items()}
    return next((labels[label] for label in ("homepage", "home", "repository", "source") if label in labels), "")


def _find_license(project: Mapping[str, Any]) -> str:
    value = project.get("license")
    if isinstance(value, Mapping):
        value = value.get("text")
    return value if isinstance(value, str) else ""


def _find_license_files(project: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    """Return the files that `project.license-files` names; without it, those with the usual names."""
    patterns = find_strings(project, "license-files", "project.license-files") or _LICENSE_FILES
    value = project.get("license")
    named = [str(value["file"])] if isinstance(value, Mapping) and "file" in value else []
    if unsafe := next((name for name in (*patterns, *named) if not _is_inside(name)), None):
        raise ConfigError(f'project.license-files: "{unsafe}" is outside of the project', hint="correct the path")
    found = [path for pattern in patterns for path in sorted(folder.glob(pattern)) if path.is_file()]
    names = [*named, *(path.relative_to(folder).as_posix() for path in found)]
    return tuple(name for name in dict.fromkeys(names) if (folder / name).is_file())


def _is_inside(name: str) -> bool:
    """Whether the path or pattern *name* cannot lead out of the project's folder."""
    return bool(name) and not name.startswith("/") and ".." not in name.split("/")
