"""Let the manifest of a package ask for what the app uses: groups, D-Bus methods, resources. What is added is said."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from incamera.disk import write_cache
from incamera.eap.needs import GROUPS, METHODS, Need, add_needs, find_missing, find_needs
from incamera.eap.schema import parse_version
from incamera.eap.uses import FORMAT, Use, find_uses
from incamera.project.package_settings import TABLE

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.context import Context
    from incamera.project.package_settings import PackageSettings
    from incamera.runtime.bundle import Bundle

_WRITTEN = {GROUPS: "groups", METHODS: "dbus-methods"}


def ask_for_needs(
    context: Context, settings: PackageSettings, bundle: Bundle, document: dict[str, Any]
) -> dict[str, Any]:
    """Return the manifest *document* with what the app in *bundle* needs. Whatever the user wrote is kept.

    What is added is said. What a list or a manifest of the user's own lacks is a warning.
    """
    missing = find_missing(document, find_needs(_load_uses(context, bundle)))
    added = [need for need in missing if _may_add(need, settings, document)]
    for need in missing:
        if need in added:
            context.reporter.info(f"manifest: {need.text} is added, since {need.why}")
        else:
            context.reporter.warn(
                f"{need.why}, but the manifest lacks {need.text}: {_remedy(need, settings, document)}"
            )
    return add_needs(document, added) if added else document


def _may_add(need: Need, settings: PackageSettings, document: Mapping[str, Any]) -> bool:
    if settings.manifest is not None or _WRITTEN.get(need.key) in settings.written:
        return False
    return "schema" not in settings.written or not _is_too_old(need, document)


def _is_too_old(need: Need, document: Mapping[str, Any]) -> bool:
    try:
        return need.since > parse_version(str(document.get("schemaVersion", "")))
    except ValueError:  # the check of the manifest says so
        return False


def _remedy(need: Need, settings: PackageSettings, document: Mapping[str, Any]) -> str:
    if _is_too_old(need, document):
        first = ".".join(map(str, need.since))
        return f"schema {first} is the first that has {need.key}"
    if settings.manifest is not None:
        return f"add {json.dumps(need.value)} to {need.key}"
    return f"add {json.dumps(need.value)} to {_WRITTEN.get(need.key, 'resources')} in [{TABLE}]"


def _load_uses(context: Context, bundle: Bundle) -> list[Use]:
    """Return what the app uses. The answer is kept as long as the bundle is the same."""
    path: Path = context.store.root / "caches" / "uses" / f"{bundle.digest[:32]}-{FORMAT}.json"
    try:
        return [Use(**item) for item in json.loads(path.read_bytes())]
    except (OSError, ValueError, TypeError):
        uses = find_uses(bundle.path, bundle.entries)
        write_cache(path, json.dumps([asdict(use) for use in uses]).encode())
        return uses
