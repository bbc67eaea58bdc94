"""The JSON APIs that tell what a camera is: systemready, basicdeviceinfo, apidiscovery."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from incamera.axis_os.exchange import Reply, Request

if TYPE_CHECKING:
    from incamera.axis_os.facts import Facts

BAD_PARAMETER, BAD_METHOD, BAD_VERSION, NO_SUCH_METHOD, NO_JSON, MISSING = 1000, 2002, 2003, 2004, 4000, 4002
_MESSAGES = {
    BAD_PARAMETER: "Invalid parameter value specified",
    BAD_METHOD: "HTTP request type not supported. Only POST is supported",
    BAD_VERSION: "The requested API version is not supported",
    NO_SUCH_METHOD: "Method not supported",
    NO_JSON: "Invalid JSON input",
    MISSING: "Required parameter missing",
}
_LONGEST_CONTEXT = 1000
_DOC_LINK = "https://www.axis.com/partner_pages/vapix_library/#/"
# Those that are behind the routes of `answers`.
_APIS = (
    ("api-discovery", "1.1", "API Discovery Service"),
    ("basic-device-info", "1.3", "Basic Device Information"),
    ("event-streaming-over-websocket", "1.0", "Event Streaming over WebSocket"),
    ("param-cgi", "1.0", "Legacy Parameter Handling"),
    ("systemready", "1.4", "Systemready"),
    ("user-management", "1.2", "User Management"),
)
# As recorded: without a link, and without a status.
_PACKAGE_MANAGER = {"id": "packagemanager", "version": "1.4", "name": "Package Manager", "docLink": ""}
_APPLICATION = ("application", "1.0", "Application")


class _Refused(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(_MESSAGES[code])
        self.code = code


def answer_json(
    request: Request, version: str, methods: Mapping[str, Callable[[dict[str, Any]], Any]], *, names_method: bool = True
) -> Reply:
    """Return the reply of a JSON API of *version*: what the method of *methods* that *request* names returns."""
    document: dict[str, Any] = {}
    answer: dict[str, Any] = {"apiVersion": version}
    try:
        if request.method != "POST":
            raise _Refused(BAD_METHOD)
        document = _parse(request.body)
        if "context" in document:
            answer["context"] = str(document["context"])[:_LONGEST_CONTEXT]
        method = document.get("method")
        if not isinstance(method, str):
            raise _Refused(MISSING)
        if str(document.get("apiVersion", version)).partition(".")[0] != version.partition(".")[0]:
            raise _Refused(BAD_VERSION)
        if method not in methods:
            raise _Refused(NO_SUCH_METHOD)
        params = document.get("params", {})
        if not isinstance(params, dict):
            raise _Refused(BAD_PARAMETER)
        if names_method:
            answer["method"] = method
        answer["data"] = methods[method](params)
    except _Refused as refused:
        answer.pop("method", None)
        answer["error"] = {"code": refused.code, "message": str(refused)}
    return Reply(json.dumps(answer).encode(), "application/json")


def _parse(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise _Refused(NO_JSON) from None
    if not isinstance(document, dict):
        raise _Refused(NO_JSON)
    return document


def system_ready(facts: Facts, *, needs_setup: bool, uptime: float, boot_id: str) -> dict[str, str]:
    """Return the data of systemready.cgi."""
    found = {
        "systemready": "yes",
        "needsetup": "yes" if needs_setup else "no",
        "uptime": str(int(uptime)),
        "bootid": boot_id,
    }
    if policy := facts.rules["passphrase_policy"]:
        found["passphrasepolicy"] = policy
    return found


def device_properties(facts: Facts, *, restricted: bool) -> dict[str, str]:
    """Return the properties of basicdeviceinfo.cgi; the *restricted* ones too, which need a login."""
    found = {
        "Brand": "AXIS",
        "BuildDate": "Jan 01 2026 00:00",
        "HardwareID": "000",
        "ProdFullName": "AXIS incamera virtual camera",
        "ProdNbr": "VIRTUAL",
        "ProdShortName": "AXIS VIRTUAL",
        "ProdType": "Network Camera",
        "ProdVariant": "",
        "SerialNumber": facts.serial,
        "Version": facts.version,
        "WebURL": facts.rules["web_url"],
    }
    if restricted:
        found |= {"Architecture": facts.architecture, "Soc": "QEMU virt", "SocSerialNumber": ""}
    return found


def answer_system_ready(facts: Facts, request: Request, data: Callable[[], dict[str, str]]) -> Reply:
    return answer_json(request, facts.rules["system_ready"], {"systemready": lambda params: data()})


def answer_device_info(facts: Facts, request: Request) -> Reply:
    everything = device_properties(facts, restricted=True)

    def some(params: dict[str, Any]) -> dict[str, Any]:
        names = params.get("propertyList")
        if names is None:
            raise _Refused(MISSING)
        if not isinstance(names, list) or any(name not in everything for name in names):
            raise _Refused(BAD_PARAMETER)
        return {"propertyList": {name: everything[name] for name in names}}

    version = facts.rules["device_info"]
    methods: dict[str, Callable[[dict[str, Any]], Any]] = {
        "getAllProperties": lambda params: {"propertyList": everything},
        "getAllUnrestrictedProperties": lambda params: {"propertyList": device_properties(facts, restricted=False)},
        "getProperties": some,
        "getSupportedVersions": lambda params: {"apiVersions": [version]},
    }
    return answer_json(request, version, methods, names_method=False)


def answer_api_discovery(facts: Facts, request: Request) -> Reply:
    def listed(params: dict[str, Any]) -> dict[str, Any]:
        known = _APIS if facts.generation == "11" else (*_APIS, _APPLICATION)
        found = [
            {"id": id_, "version": version, "name": name, "docLink": _DOC_LINK, "status": "official"}
            for id_, version, name in known
        ]
        return {"apiList": [*found, _PACKAGE_MANAGER]}

    methods: dict[str, Callable[[dict[str, Any]], Any]] = {
        "getApiList": listed,
        "getSupportedVersions": lambda params: {"apiVersions": ["1.0", "1.1"]},
    }
    return answer_json(request, "1.1", methods)
