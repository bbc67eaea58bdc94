"""Read the files that follow from a manifest: package.conf, param.conf and cgi.conf. ACAP 3 has them without one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_LINE = re.compile(r"\s*(?P<key>[A-Z_]+)=(?P<value>.*?)\s*")
_PARAMETER = re.compile(
    r"""(?P<name>[^=\s]+)=(?:"(?P<quoted>[^"]*)"|(?P<plain>.*?))(?:\s+type="(?P<type>[^"]*)")?\s*"""
)
_CGI = re.compile(r"\s*(?P<access>\w+)\s+/(?P<name>\S+)(?P<fast>\s+fastCgi)?\s*", re.IGNORECASE)
_LINK = re.compile(r"""href=["']?([^"'\s>]*)""")
_ACCESS = {"administrator": "admin"}
# Longer lines are left out: matching takes a time that grows with the square of their length.
_MOST_LETTERS = 4000
# Of the oldest version of the schema, which has what package.conf has.
_OLDEST_SCHEMA = "1.0"


def parse_package_conf(data: bytes) -> dict[str, str]:
    """Return the settings of package.conf. Lines that are none are left out; the last one of a name counts."""
    found = {}
    for line in _lines(data):
        if match := _LINE.fullmatch(line):
            found[match["key"]] = _unquote(match["value"])
    return found


def _lines(data: bytes) -> Iterator[str]:
    return (line for line in data.decode("utf-8", "replace").splitlines() if len(line) <= _MOST_LETTERS)


def _unquote(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value


def parse_param_conf(data: bytes) -> list[dict[str, str]]:
    """Return the parameters of param.conf as they would stand in a manifest."""
    found = []
    for line in _lines(data):
        if match := _PARAMETER.fullmatch(line):
            default = match["quoted"] if match["quoted"] is not None else match["plain"]
            found.append({"name": match["name"], "default": default, "type": match["type"] or ""})
    return found


def parse_cgi_conf(data: bytes) -> list[dict[str, str]]:
    """Return the entries of cgi.conf as they would stand in a manifest."""
    found = []
    for line in _lines(data):
        if match := _CGI.fullmatch(line):
            access = match["access"].lower()
            kind = "fastCgi" if match["fast"] else "transferCgi"
            found.append({"type": kind, "name": match["name"], "access": _ACCESS.get(access, access)})
    return found


def document_of(texts: Mapping[str, bytes]) -> dict[str, Any]:
    """Return what a manifest would say, made of the *texts* of a package that has none: by the names of its files."""
    conf = parse_package_conf(texts["package.conf"])
    numbers = [conf.get(f"APP{part}VERSION") or "0" for part in ("MAJOR", "MINOR", "MICRO")]
    setup: dict[str, Any] = {
        "appName": conf.get("APPNAME", ""),
        "friendlyName": conf.get("PACKAGENAME", ""),
        "appId": conf.get("APPID", ""),
        "architecture": conf.get("APPTYPE", ""),
        "vendor": conf.get("VENDOR", ""),
        "vendorUrl": match[1] if (match := _LINK.search(conf.get("VENDORHOMEPAGELINK", ""))) else "",
        "version": ".".join(numbers),
        "runMode": conf.get("STARTMODE") or "never",
        "runOptions": conf.get("APPOPTS", ""),
        "embeddedSdkVersion": conf.get("REQEMBDEVVERSION", ""),
    }
    if conf.get("APPUSR"):
        setup["user"] = {"username": conf["APPUSR"], "group": conf.get("APPGRP", "")}
    configuration = {
        "settingPage": conf.get("SETTINGSPAGEFILE", ""),
        "paramConfig": parse_param_conf(texts.get("param.conf", b"")),
        "httpConfig": parse_cgi_conf(texts.get("cgi.conf", b"")),
    }
    document: dict[str, Any] = {
        "schemaVersion": _OLDEST_SCHEMA,
        "acapPackageConf": {
            "setup": {key: value for key, value in setup.items() if value},
            "configuration": {key: value for key, value in configuration.items() if value},
        },
    }
    if script := conf.get("POSTINSTALLSCRIPT"):
        document["acapPackageConf"]["installation"] = {"postInstallScript": script}
    if (method := conf.get("LICENSEPAGE", "none")) not in ("", "none"):
        document["acapPackageConf"]["copyProtection"] = {"method": method}
    return document
