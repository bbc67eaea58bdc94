"""[tool.incamera.package], and what of [project] goes into a package."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from incamera.eap.manifest import make_manifest
from incamera.errors import ConfigError
from incamera.project.loading import load_project
from incamera.project.package_settings import PackageSettings, load_package_settings

PROJECT = '[project]\nname = "door-bell"\nversion = "1.2"\n'


def load(folder: Path, table: str = "", project: str = "") -> PackageSettings:
    text = f"{PROJECT}{project}\n[tool.incamera.package]\n{table}\n" if table else f"{PROJECT}{project}\n"
    (folder / "pyproject.toml").write_text(text)
    return load_package_settings(load_project(folder))


def test_without_settings_the_package_is_described_by_the_project(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text("free")
    people = 'authors = [{ email = "a@example.org" }, { name = "Ada" }]\nurls = { "Home Page" = "https://example.org" }'
    settings = load(tmp_path, project=people)
    assert (settings.author, settings.homepage, settings.license_files) == ("Ada", "https://example.org", ("LICENSE",))
    assert make_manifest(settings, project="door-bell", version="1.2") == {
        "schemaVersion": "2.0.0",
        "acapPackageConf": {
            "setup": {
                "appName": "door_bell",
                "friendlyName": "door-bell",
                "vendor": "Ada",
                "vendorId": "1234567890",
                "vendorUrl": "https://example.org",
                "version": "1.2.0",
                "runMode": "respawn",
                "compatibleOsVersions": [{"min": "11.11", "max": "13"}],
            }
        },
    }


def test_settings_go_into_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "install.sh").write_text("#!/bin/sh\n")
    settings = load(
        tmp_path,
        """
        schema = "1.7.3"
        app-id = 1234
        groups = ["video"]
        dbus-methods = ["com.axis.HTTPConf1.VAPIXServiceAccounts1.GetCredentials"]
        parameters = { Threshold = "5", Secret = { default = "", type = "password" } }
        reverse-proxy = [{ api-path = "api", target = "http://localhost:2001", access = "viewer" }]
        post-install-script = "install.sh"
        """,
    )
    made = make_manifest(settings, project="x1", version="1")
    conf = made["acapPackageConf"]
    assert conf["setup"]["appId"] == "1234"
    assert "compatibleOsVersions" not in conf["setup"]
    assert made["resources"]["linux"] == {"user": {"groups": ["video"]}}
    assert conf["installation"] == {"postInstallScript": "install.sh"}
    assert conf["configuration"]["paramConfig"] == [
        {"name": "Threshold", "default": "5", "type": "string"},
        {"name": "Secret", "default": "", "type": "password"},
    ]
    proxy = {"apiPath": "api", "target": "http://localhost:2001", "access": "viewer"}
    assert conf["configuration"]["reverseProxy"] == [proxy]


def test_manifest_of_the_users_own_is_taken_where_no_key_is_written(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"name": "a web app"}))
    assert load(tmp_path).manifest is None  # not that of an ACAP application
    (tmp_path / "manifest.json").write_text(json.dumps({"acapPackageConf": {}}))
    assert load(tmp_path).manifest == tmp_path / "manifest.json"
    assert load(tmp_path, "files = []").manifest == tmp_path / "manifest.json"
    assert load(tmp_path, 'vendor = "Acme"').manifest is None


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('vendro = "Acme"', 'tool.incamera.package: unknown key "vendro"'),
        ("vendor = 3", "tool.incamera.package.vendor must be a string"),
        ('manifest = "m.json"\nvendor = "Acme"', '"vendor" would be ignored'),
        ('manifest = "gone.json"', 'there is no file "gone.json"'),
        ('manifest = "../m.json"', 'there is no file "../m.json"'),
        ('html = "gone"', 'there is no folder "gone"'),
        ('files = ["gone"]', 'there is no "gone"'),
        ('files = ["a b"]', '"a b" has a space'),
        ('post-install-script = "m.json"', "does not begin with #!"),
        ('post-install-script = "sub/s.sh"', "must lie in the project's folder itself"),
        ('parameters = { A = { defalt = "" } }', 'unknown key "defalt"'),
        ("parameters = { A = 3 }", "must be a string or a table"),
        ('reverse-proxy = [{ apiPath = "x" }]', r'reverse-proxy\[0\]: unknown key "apiPath"'),
    ],
)
def test_wrong_setting_is_an_error_that_names_it(tmp_path: Path, table: str, message: str) -> None:
    (tmp_path / "m.json").write_text("{}")
    (tmp_path / "a b").write_text("")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "s.sh").write_text("#!/bin/sh\n")
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, table)
