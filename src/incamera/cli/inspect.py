"""`incamera inspect`"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.cli.checks import check_to_json, show_check
from incamera.cli.parser import add_command
from incamera.units import escape_controls, format_bytes, format_count

if TYPE_CHECKING:
    from incamera.console import Console
    from incamera.eap.description import Description
    from incamera.eap.reading import Elf, Inside, Problem
    from incamera.workflows.inspect_file import Inspection

_CONF = "acapPackageConf"
_CONFIGURATION = (_CONF, "configuration")
_USER = ("resources", "linux", "user")
# A list for people has so many lines; --json has all.
_MOST_LINES = 20
_MOST_LETTERS = 120


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "inspect",
        execute,
        help="show what is in an .eap, anybody's, and where it could be installed",
        description="Show what is in an .eap: what it says about itself, its files, the libraries that they need, and "
        "what AXIS OS 11, 12 and 13 would say about it. Nothing of it is run or unpacked.",
    )
    parser.epilog = "The exit code is 1 when the file is damaged, or has what no honest package has."
    parser.add_argument("path", metavar="FILE", type=Path, help="the package: signed or not, of ACAP 3 or newer")
    parser.add_argument(
        "--signed-from",
        metavar="FILE",
        type=Path,
        help="check that the package is this one, which was built, with a signature behind it; the exit code is 1 when "
        "it is not",
    )


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.workflows.inspect_file import compare_signed, inspect_package

    inspection = inspect_package(Context.open(console), arguments.path)
    problem = compare_signed(arguments.path, arguments.signed_from) if arguments.signed_from is not None else None
    if arguments.json:
        compared = {"path": str(arguments.signed_from), "matches": not problem, "problem": problem}
        console.emit({**_to_json(inspection), "signed_from": compared if problem is not None else None})
    else:
        _show(console, inspection)
        if problem is not None:
            console.paragraph(problem or f"{arguments.path} is {arguments.signed_from} with a signature behind it")
    return 0 if inspection.reading.is_sound and not problem else 1


def _show(console: Console, inspection: Inspection) -> None:
    reading, description = inspection.reading, inspection.description
    _show_list(console, [f"{problem.grade}: {problem}" for problem in _sorted(reading.problems)])
    if description.source:
        _show_description(console, description)
    if reading.signature is not None:
        key = f" by the key {reading.signature.key}" if reading.signature.key else ""
        _show_fact(console, "signature", f"there, made{key}; only a camera can verify it")
    elif reading.members:
        _show_fact(console, "signature", "none")
    if not reading.members:
        return
    console.print("")
    files = sum(part.files for part in inspection.parts)
    installed = format_bytes(sum(part.installed for part in inspection.parts))
    rows = [
        [_short(part.name), str(part.files), format_bytes(part.installed), format_bytes(part.packed)]
        for part in inspection.parts[:_MOST_LINES]
    ]
    if more := inspection.parts[_MOST_LINES:]:
        sizes = format_bytes(sum(part.installed for part in more)), format_bytes(sum(part.packed for part in more))
        rows.append([f"{len(more)} more", str(sum(part.files for part in more)), *sizes])
    rows.append(["all", str(files), installed, format_bytes(reading.size)])
    console.table(["PART", "FILES", "INSTALLED", "PACKED"], rows)
    _show_elfs(console, inspection)
    console.print("")
    for check in inspection.checks:
        show_check(console, check)


def _sorted(problems: Iterable[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: ("damage", "danger", "note").index(problem.grade))


def _show_description(console: Console, description: Description) -> None:
    name = description.setup("friendlyName") or description.setup("appName")
    _show_fact(console, "app", f"{name} {description.setup('version')}, {description.setup('appName')} in the camera")
    vendor = [description.setup("vendor")]
    vendor += [f"vendorId {text}" for text in (description.setup("vendorId"),) if text]
    vendor += [text for text in (description.setup("vendorUrl"),) if text]
    _show_fact(console, "vendor", ", ".join(vendor))
    _show_fact(console, "architecture", description.setup("architecture"))
    _show_fact(console, "schema", description.schema or "none: package.conf without a manifest, as in ACAP 3")
    _show_fact(console, "AXIS OS", ", ".join(_range(row) for row in _os_versions(description)))
    _show_fact(console, "SDK", description.setup("embeddedSdkVersion"))
    options = description.setup("runOptions")
    _show_fact(console, "run mode", description.setup("runMode") + (f", with the options {options}" if options else ""))
    user = description.table(_CONF, "setup", "user")
    own = ":".join(description.text(_CONF, "setup", "user", key) for key in ("username", "group"))
    _show_fact(console, "user", own if user else f"acap-{description.setup('appName')}, made by the camera")
    _show_fact(console, "groups", ", ".join(description.texts(*_USER, "groups")))
    _show_fact(console, "groups, if there", ", ".join(description.texts(*_USER, "conditionalGroups")))
    _show_fact(console, "D-Bus methods", ", ".join(description.texts("resources", "dbus", "requiredMethods")))
    conditional = description.texts("resources", "dbus", "conditionalMethods")
    _show_fact(console, "D-Bus, if there", ", ".join(conditional))
    _show_fact(console, "resources", ", ".join(f"{name} {text}" for name, text in _resources(description).items()))
    _show_fact(console, "install script", description.text(_CONF, "installation", "postInstallScript"))
    _show_fact(console, "uninstall script", description.text(_CONF, "uninstallation", "preUninstallScript"))
    _show_fact(console, "copy protection", description.text(_CONF, "copyProtection", "method"))
    _show_fact(console, "settings page", description.text(*_CONFIGURATION, "settingPage"))
    for title, key, columns in (
        ("reverse proxy", "reverseProxy", ("apiPath", "target", "access", "apiType")),
        ("web pages", "httpConfig", ("name", "type", "access")),
        ("parameters", "paramConfig", ("name", "default", "type")),
    ):
        rows = description.rows(*_CONFIGURATION, key)
        lines = [", ".join(filter(None, (row.get(column, "") for column in columns))) for row in rows]
        for number, line in enumerate(_bounded(lines)):
            _show_fact(console, title if number == 0 else "", line)


def _show_elfs(console: Console, inspection: Inspection) -> None:
    """Print the ELF files of a package. Of those that a bundle brings, only their number."""
    elfs = list(inspection.reading.elfs.values())
    if not elfs:
        return
    console.print("")
    if inspection.is_ours:
        console.paragraph(f"{format_count(len(elfs), 'ELF file')}: --json names what each needs")
        return
    rows = [[_short(elf.path), _machine(elf), _short(", ".join(_needed(elf))) or elf.damage] for elf in elfs]
    console.table(["ELF FILE", "FOR", "NEEDS"], rows[:_MOST_LINES])
    if len(rows) > _MOST_LINES:
        console.paragraph(f"and {len(rows) - _MOST_LINES} more")


def _show_fact(console: Console, name: str, text: str) -> None:
    if text:
        console.paragraph(f"{name + ':' if name else '':18}{_short(text)}")


def _show_list(console: Console, lines: Sequence[str]) -> None:
    for line in _bounded(lines):
        console.paragraph(line)
    if lines:
        console.print("")


def _bounded(lines: Sequence[str]) -> list[str]:
    shown = [_short(line, 2 * _MOST_LETTERS) for line in lines[:_MOST_LINES]]
    return shown + ([f"and {len(lines) - _MOST_LINES} more"] if len(lines) > _MOST_LINES else [])


def _short(text: str, most: int = _MOST_LETTERS) -> str:
    """Return *text* as one line of at most *most* characters, with its control characters as text."""
    return escape_controls(text if len(text) <= most else f"{text[: most // 2]}…{text[-most // 2 + 1 :]}")


def _os_versions(description: Description) -> list[dict[str, str]]:
    return description.rows(_CONF, "setup", "compatibleOsVersions")


def _range(row: dict[str, str]) -> str:
    return f"{row.get('min') or 'any'} to {row.get('max') or 'any'}"


def _resources(description: Description) -> dict[str, str]:
    """Return the resources apart from those of Linux and D-Bus, each as a text."""
    import json  # lazy: start-up

    table = description.table("resources")
    return {str(name): _short(json.dumps(value)) for name, value in table.items() if name not in ("linux", "dbus")}


def _machine(elf: Elf) -> str:
    return elf.facts.machine.removeprefix("EM_") if elf.facts is not None else ""


def _needed(elf: Elf) -> Sequence[str]:
    return elf.facts.needed if elf.facts is not None else ()


def _to_json(inspection: Inspection) -> dict[str, Any]:
    reading, description = inspection.reading, inspection.description
    signature = reading.signature
    return {
        "path": str(inspection.path),
        "bytes": reading.size,
        "sha256": reading.sha256,
        "sound": reading.is_sound,
        "problems": [
            {"grade": problem.grade.value, "file": problem.path, "text": problem.text}
            for problem in _sorted(reading.problems)
        ],
        "signature": signature and {"bytes": signature.size, "key": signature.key, "method": signature.method},
        "trailing_bytes": reading.trailing,
        "made_by_incamera": inspection.is_ours,
        "description": _description_to_json(description) if description.source else None,
        "parts": [
            {
                "name": part.name,
                "files": part.files,
                "installed_bytes": part.installed,
                "packed_bytes": part.packed,
            }
            for part in inspection.parts
        ],
        "files": [_file_to_json(member, reading.elfs.get(member.path)) for member in reading.members],
        "checks": [check_to_json(check) for check in inspection.checks],
    }


def _description_to_json(description: Description) -> dict[str, Any]:
    user = description.table(_CONF, "setup", "user")
    return {
        "source": description.source,
        "schema_version": description.schema,
        "faults": description.faults,
        "unknown": description.unknown,
        "app_name": description.setup("appName"),
        "friendly_name": description.setup("friendlyName"),
        "version": description.setup("version"),
        "vendor": description.setup("vendor"),
        "vendor_id": description.setup("vendorId"),
        "vendor_url": description.setup("vendorUrl"),
        "app_id": description.setup("appId"),
        "architecture": description.setup("architecture"),
        "sdk_version": description.setup("embeddedSdkVersion"),
        "compatible_os_versions": [
            {"min": row.get("min", ""), "max": row.get("max", "")} for row in _os_versions(description)
        ],
        "run_mode": description.setup("runMode"),
        "run_options": description.setup("runOptions"),
        "user": {key: description.text(_CONF, "setup", "user", key) for key in ("username", "group")} if user else None,
        "groups": description.texts(*_USER, "groups"),
        "conditional_groups": description.texts(*_USER, "conditionalGroups"),
        "dbus_methods": description.texts("resources", "dbus", "requiredMethods"),
        "conditional_dbus_methods": description.texts("resources", "dbus", "conditionalMethods"),
        "resources": [{"name": name, "value": text} for name, text in _resources(description).items()],
        "settings_page": description.text(*_CONFIGURATION, "settingPage"),
        "parameters": _rows_to_json(description, "paramConfig", ("name", "default", "type")),
        "http": _rows_to_json(description, "httpConfig", ("type", "name", "access")),
        "reverse_proxy": _rows_to_json(description, "reverseProxy", ("apiPath", "target", "access", "apiType")),
        "post_install_script": description.text(_CONF, "installation", "postInstallScript"),
        "pre_uninstall_script": description.text(_CONF, "uninstallation", "preUninstallScript"),
        "copy_protection": description.text(_CONF, "copyProtection", "method"),
    }


def _rows_to_json(description: Description, key: str, columns: Sequence[str]) -> list[dict[str, str]]:
    names = {"apiPath": "api_path", "apiType": "api_type"}
    return [
        {names.get(column, column): row.get(column, "") for column in columns}
        for row in description.rows(*_CONFIGURATION, key)
    ]


def _file_to_json(member: Inside, elf: Elf | None) -> dict[str, Any]:
    return {
        "path": member.path,
        "kind": member.kind.name,
        "mode": f"{member.mode:04o}",
        "installed_bytes": member.size,
        "packed_bytes": member.packed,
        "link": member.link,
        "elf": elf and {"machine": _machine(elf), "needs": list(_needed(elf)), "damage": elf.damage},
    }
