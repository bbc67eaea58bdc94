"""The rules of the vendor's tool once more, written for the tests alone and apart from incamera's own code.

The archive is made by GNU tar itself, with the options that the vendor's tool passes. The files that follow from the
manifest are written here from the table in acap-documentation, line by line, and share no code with `incamera.eap`.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest


def require_gnu_tar() -> str:
    """Return the path of GNU tar; skips the test where there is another tar."""
    found = shutil.which("gtar") or shutil.which("tar")
    if found and b"GNU tar" in subprocess.run([found, "--version"], capture_output=True, check=False).stdout:
        return found
    pytest.skip("compares with GNU tar, which this computer does not have")


def tar_as_vendor(folder: Path, operands: list[str], epoch: int) -> bytes:
    """Return the tar archive of *operands* in *folder*, with the options of the vendor's tool."""
    options = ["--format", "gnu", "--group", "0", "--owner", "0", "--numeric-owner", "--mtime", f"@{epoch}"]
    command = [require_gnu_tar(), "--exclude", "*~", "--file", "-", *options, "--sort", "name", "--create"]
    command += ["--exclude-vcs", *operands]
    return subprocess.run(
        command, cwd=folder, capture_output=True, check=True, env={"LC_ALL": "C", **os.environ}
    ).stdout


def line(key: str, value: str) -> str:
    return key + '="' + value + '"\n'


def package_conf(manifest: dict[str, Any], built_for: str, other_files: str) -> str:
    conf = manifest["acapPackageConf"]
    s = conf["setup"]
    number = s["version"].split("+")[0].split("-")[0].split(".")
    text = line("PACKAGENAME", s["friendlyName"] if "friendlyName" in s else s["appName"])
    text += line("APPTYPE", s.get("architecture", built_for))
    text += line("APPNAME", s["appName"])
    text += line("APPID", s.get("appId", ""))
    text += 'LICENSENAME="Available"\n'
    text += line("LICENSEPAGE", conf.get("copyProtection", {"method": "none"})["method"])
    if "customOptions" in conf.get("copyProtection", {}):
        text += line("LICENSE_CHECK_ARGS", conf["copyProtection"]["customOptions"])
    text += line("VENDOR", s["vendor"])
    text += line("REQEMBDEVVERSION", s.get("embeddedSdkVersion", "2.0"))
    text += line("APPMAJORVERSION", number[0])
    text += line("APPMINORVERSION", number[1])
    text += line("APPMICROVERSION", number[2])
    text += line("APPGRP", (s["user"]["group"] if "user" in s else "sdk"))
    text += line("APPUSR", (s["user"]["username"] if "user" in s else "sdk"))
    text += line("APPOPTS", s.get("runOptions", ""))
    text += line("OTHERFILES", other_files)
    text += line("SETTINGSPAGEFILE", conf.get("configuration", {}).get("settingPage", ""))
    text += line("SETTINGSPAGETEXT", "")
    link = ""
    if s.get("vendorUrl"):
        shown = s["vendorUrl"]
        for scheme in ("http://", "https://"):
            if shown.startswith(scheme):
                shown = shown[len(scheme) :]
                break
        link = '<a href="' + s["vendorUrl"] + '" target="_blank">' + shown + "</a>"
    text += "VENDORHOMEPAGELINK='" + link + "'\n"
    text += 'PREUPGRADESCRIPT=""\n'
    text += line("POSTINSTALLSCRIPT", conf.get("installation", {}).get("postInstallScript", ""))
    text += line("STARTMODE", s["runMode"])
    text += line("HTTPCGIPATHS", ("cgi.conf" if conf.get("configuration", {}).get("httpConfig") else ""))
    return text


def param_conf(manifest: dict[str, Any]) -> str:
    text = ""
    for one in manifest["acapPackageConf"].get("configuration", {}).get("paramConfig", []):
        if one["type"] == "":
            text += one["name"] + "=" + one["default"] + "\n"
        else:
            text += one["name"] + '="' + one["default"] + '" type="' + one["type"] + '"\n'
    return text


def cgi_conf(manifest: dict[str, Any]) -> str | None:
    http = manifest["acapPackageConf"].get("configuration", {}).get("httpConfig", [])
    if http == []:
        return None
    text = ""
    for one in http:
        if one["type"] in ("transferCgi", "fastCgi"):
            who = "administrator" if one["access"] == "admin" else one["access"]
            path = one["name"]
            while path.startswith("/"):
                path = path[1:]
            text += who + " /" + path + (" fastCgi" if one["type"] == "fastCgi" else "") + "\n"
    return text


def file_name(manifest: dict[str, Any], built_for: str) -> str:
    s = manifest["acapPackageConf"]["setup"]
    number = s["version"].split("+")[0].split("-")[0]
    name = s["friendlyName"] if "friendlyName" in s else s["appName"]
    return "_".join([*name.split(" "), *number.split("."), s.get("architecture", built_for)]) + ".eap"


VERSIONS = (
    *("1.0", "1.1", "1.2", "1.3", "1.3.1", "1.4.0", "1.5.0", "1.6.0", "1.7.0", "1.7.1", "1.7.2", "1.7.3", "1.7.4"),
    *("1.8.0", "1.9.0", "1.10.0", "1.11.0", "2.0.0", "2.1.0", "2.2.0"),
)


def generate_manifest(seed: int) -> dict[str, Any]:
    """Return a valid manifest: each *seed* gives another one, and each version of the schema comes in turn."""
    chance = random.Random(seed)
    version = VERSIONS[seed % len(VERSIONS)]
    number = tuple(map(int, (version + ".0").split(".")[:3]))

    def perhaps(target: dict[str, Any], key: str, value: Any) -> None:
        if chance.random() < 0.5:
            target[key] = value

    setup: dict[str, Any] = {"appName": chance.choice(["a1", "hello_world", "App", "camera2000", "x" * 26])}
    perhaps(setup, "friendlyName", chance.choice(["Hello", "My great app", "Größe 2", "日本"]))
    perhaps(setup, "appId", str(chance.randrange(10**6)))
    setup["vendor"] = chance.choice(["Acme", "Axis Communications", "Müller AG"])
    perhaps(setup, "vendorUrl", chance.choice(["https://www.example.org/a", "http://e.org", "e.org"]))
    setup["version"] = chance.choice(["1.0.0", "0.12.3", "2.1.0-rc.1", "10.20.30+build.7"])
    setup["runMode"] = chance.choice(["never", "once", "respawn"])
    perhaps(setup, "runOptions", "--port 80")
    if number >= (1, 3, 0):
        perhaps(setup, "architecture", chance.choice(["armv7hf", "all"]))
    if number < (2, 0, 0):
        perhaps(setup, "embeddedSdkVersion", "3.0")
    if number < (1, 1, 0) or (number < (2, 0, 0) and chance.random() < 0.3):
        setup["user"] = {"username": "sdk", "group": chance.choice(["sdk", "storage"])}
    if number >= (2, 0, 0):
        setup["vendorId"] = f"{chance.randrange(16**10):010x}"
        setup["compatibleOsVersions"] = [{"max": "13"}] if chance.random() < 0.5 else [{"min": "12.0", "max": "13"}]
    conf: dict[str, Any] = {"setup": setup}
    if chance.random() < 0.3:
        conf["installation"] = {"postInstallScript": "postinstall.sh"}
    if number >= (1, 2, 0) and chance.random() < 0.3:
        conf["uninstallation"] = {"preUninstallScript": "preuninstall.sh"}
    configuration: dict[str, Any] = {}
    perhaps(configuration, "settingPage", "index.html")
    http = [
        {"type": kind, "name": chance.choice(["info.cgi", "/a/b.cgi", "//c.cgi"]), "access": access}
        for kind in ("transferCgi", "fastCgi")
        for access in ("admin", "operator", "viewer")
        if chance.random() < 0.2
    ]
    if number >= (1, 5, 0) and chance.random() < 0.3:
        http.append({"type": "directory", "access": "viewer"})
    perhaps(configuration, "httpConfig", http)
    parameters = [
        {
            "name": f"P{number}",
            "default": chance.choice(["", "5", "a b"]),
            "type": chance.choice(["", "string", "int:min=0"]),
        }
        for number in range(chance.randrange(4))
    ]
    perhaps(configuration, "paramConfig", parameters)
    if number >= (1, 5, 0) and chance.random() < 0.3:
        configuration["reverseProxy"] = [
            {"apiPath": "api", "target": "http://localhost:2001", "access": "anonymous"},
            {"apiPath": "ws/x", "target": "unix:/tmp/s", "access": "admin", "apiType": "ws"},
        ]
    if configuration:
        conf["configuration"] = configuration
    if chance.random() < 0.3:
        conf["copyProtection"] = {"method": chance.choice(["none", "axis", "custom"])}
        if conf["copyProtection"]["method"] == "axis":
            setup.setdefault("appId", "7")
    document: dict[str, Any] = {}
    if number >= (1, 6, 0):
        perhaps(document, "$schema", "https://example.org/schema.json")
    document["schemaVersion"] = version
    if number >= (1, 1, 0) and chance.random() < 0.5:
        document["resources"] = {"linux": {"user": {"groups": ["video", "storage"]}}}
    document["acapPackageConf"] = conf
    return document
