"""The files that follow from a manifest, and the package's own name, as the vendor's tool derives them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from incamera.eap.manifest import Manifest
    from incamera.targets.architecture import Architecture

PACKAGE_CONF = "package.conf"
PARAM_CONF = "param.conf"
CGI_CONF = "cgi.conf"

_SCHEME = re.compile(r"https?://")
# The account of an app that has none of its own. Firmware that reads the manifest makes one for each app instead.
_SHARED_ACCOUNT = "sdk"
_OLDEST_SDK = "2.0"
_ACCESS = {"admin": "administrator"}


def dump_package_conf(manifest: Manifest, architecture: Architecture, others: Sequence[str]) -> bytes:
    """Return package.conf. *others* are the additional files of the package, the uninstall script among them."""
    setup = manifest.setup
    configuration = manifest.configuration
    user: Mapping[str, str] = setup.get("user", {})
    protection: Mapping[str, str] = manifest.document["acapPackageConf"].get("copyProtection", {})
    major, minor, micro = version_numbers(manifest)
    url = setup.get("vendorUrl", "")
    link = f'<a href="{url}" target="_blank">{_SCHEME.sub("", url, count=1)}</a>' if url else ""
    values: dict[str, str | None] = {
        "PACKAGENAME": setup.get("friendlyName", manifest.app_name),
        "APPTYPE": setup.get("architecture", str(architecture)),
        "APPNAME": manifest.app_name,
        "APPID": setup.get("appId", ""),
        "LICENSENAME": "Available",
        "LICENSEPAGE": protection.get("method", "none"),
        "LICENSE_CHECK_ARGS": protection.get("customOptions"),
        "VENDOR": setup["vendor"],
        "REQEMBDEVVERSION": setup.get("embeddedSdkVersion", _OLDEST_SDK),
        "APPMAJORVERSION": major,
        "APPMINORVERSION": minor,
        "APPMICROVERSION": micro,
        "APPGRP": user.get("group", _SHARED_ACCOUNT),
        "APPUSR": user.get("username", _SHARED_ACCOUNT),
        "APPOPTS": setup.get("runOptions", ""),
        "OTHERFILES": " ".join(others),
        "SETTINGSPAGEFILE": configuration.get("settingPage", ""),
        "SETTINGSPAGETEXT": "",
        "VENDORHOMEPAGELINK": link,
        "PREUPGRADESCRIPT": "",
        "POSTINSTALLSCRIPT": manifest.post_install,
        "STARTMODE": setup.get("runMode", "never"),
        "HTTPCGIPATHS": CGI_CONF if configuration.get("httpConfig") else "",
    }
    return "".join(f"{key}={_quoted(key, value)}\n" for key, value in values.items() if value is not None).encode()


def _quoted(key: str, value: str) -> str:
    return f"'{value}'" if key == "VENDORHOMEPAGELINK" else f'"{value}"'


def dump_param_conf(manifest: Manifest) -> bytes:
    """Return param.conf, which is empty when there are no parameters."""
    lines = []
    for parameter in manifest.configuration.get("paramConfig", ()):
        name, default, kind = parameter["name"], parameter["default"], parameter["type"]
        lines.append(f'{name}="{default}" type="{kind}"\n' if kind else f"{name}={default}\n")
    return "".join(lines).encode()


def dump_cgi_conf(manifest: Manifest) -> bytes | None:
    """Return cgi.conf; None when the package has none."""
    entries = manifest.configuration.get("httpConfig")
    if not entries:
        return None
    lines = []
    for entry in entries:
        if entry["type"] == "directory":
            continue
        access = _ACCESS.get(entry["access"], entry["access"])
        fast = " fastCgi" if entry["type"] == "fastCgi" else ""
        lines.append(f"{access} /{entry['name'].lstrip('/')}{fast}\n")
    return "".join(lines).encode()


def package_file_name(manifest: Manifest, architecture: Architecture) -> str:
    """Return the name of the package's file: `My_App_1_0_0_armv7hf.eap`."""
    name = manifest.setup.get("friendlyName") or manifest.app_name
    kind = manifest.setup.get("architecture", str(architecture))
    return f"{name.replace(' ', '_')}_{'_'.join(version_numbers(manifest))}_{kind}.eap"


def version_numbers(manifest: Manifest) -> tuple[str, str, str]:
    """Return the three numbers of the app's version, without what follows them."""
    numbers = re.split(r"[-+]", str(manifest.setup["version"]), maxsplit=1)[0]
    major, minor, micro = numbers.split(".")
    return major, minor, micro
