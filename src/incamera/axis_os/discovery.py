"""The device configuration APIs that a camera has (`/config/discover`): only those that answer here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from incamera.axis_os.exchange import Reply

if TYPE_CHECKING:
    from incamera.axis_os.facts import Facts

_PLACE = "/config/discover"
_USER_INTERFACE = "/config/web-ui"
# Recorded: AXIS OS 11.11 has the first version alone, and there virtual cameras have root over SSH instead.
_APIS = {"ssh": (("v1", "v1beta", "beta", "1.0.0-beta.1"), ("v2", "v2", "released", "2.0.1"))}


def answer_discover(facts: Facts) -> Reply:
    """Return what `/config/discover` answers, in the form that was recorded. Its links to pages lead nowhere here."""
    apis = _APIS if int(facts.generation) >= 12 else {}
    document = {
        "apis": {
            name: {version: _describe(name, version, *rest) for version, *rest in versions}
            for name, versions in apis.items()
        },
        "device": {
            "rest_openapi": f"{_PLACE}/openapi.json",
            "rest_ui": f"{_USER_INTERFACE}/swagger-ui/?url={_PLACE}/openapi.json",
        },
        "framework_version": "1.0.0",
    }
    return Reply(json.dumps(document, indent=2).encode(), "application/json")


def _describe(name: str, version: str, path: str, state: str, number: str) -> dict[str, Any]:
    place = f"{_PLACE}/apis/{name}/{version}"
    return {
        "doc": f"{place}/doc.md",
        "doc_html": f"{_USER_INTERFACE}/cu-doc.html?md-doc-loc={place}/doc.md",
        "model": f"{place}/model.json",
        "rest_api": f"/config/rest/{name}/{path}",
        "rest_openapi": f"{place}/openapi.json",
        "rest_ui": f"{_USER_INTERFACE}/swagger-ui/?url={place}/openapi.json",
        "state": state,
        "version": number,
    }
