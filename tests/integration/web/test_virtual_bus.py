"""Apps in a virtual camera that get an account for its web server over D-Bus."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from incamera.errors import DeviceRefused
from incamera.http_auth import Login
from incamera.targets.profile import require_profile
from incamera.vapix.address import WebDevice, parse_url
from incamera.vapix.client import Client
from incamera.vapix.params import read_params
from incamera.virtual.camera import restart_camera
from tests.integration.cameras import on
from tests.integration.project import write_project
from tests.integration.web.signing import signed
from tests.unit.vapix.conftest import KnownLogins
from tests.waiting import wait_until

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.virtual.camera import VirtualCamera
    from tests.integration.command import Run

pytestmark = on(
    "axis-os-12-armv7hf",
    matrix=[
        *("axis-os-11-armv7hf+web", "axis-os-11-aarch64+web", "axis-os-12-aarch64"),
        *("axis-os-13-armv7hf", "axis-os-13-aarch64"),
    ],
)

# Asks the camera what it is, and where else the account is taken. The account of the last start is in a file.
APP = """
import base64, importlib, json, pathlib, ssl, time, urllib.error, urllib.request

{vapix}

def status(url, account):
    asked = urllib.request.Request(url + "/axis-cgi/usergroup.cgi")
    asked.add_header("Authorization", "Basic " + base64.b64encode(account.encode()).decode())
    try:
        return urllib.request.urlopen(asked, timeout=60, context=ssl._create_unverified_context()).status
    except urllib.error.HTTPError as error:
        return error.code

kept = pathlib.Path("/usr/local/packages/{name}/localdata/account")
found = {{}}
if kept.exists():
    found["old account"] = status("http://127.0.0.12", kept.read_text())
try:
    found["serial"] = vapix.call("basicdeviceinfo.cgi", "getAllProperties")["propertyList"]["SerialNumber"]
    found["brand"] = vapix.get("param.cgi", action="list", group="Brand.Brand")
    account = vapix._account
    found["account"] = account
    kept.write_text(account)
    addresses = ["http://127.0.0.12", "https://127.0.0.1", "https://10.0.2.15", "https://127.0.0.12"]
    found["statuses"] = [status(address, account) for address in addresses]
except vapix.VapixDenied as error:
    found["denied"] = str(error)
print("found", json.dumps(found), flush=True)
while True:
    time.sleep(60)
"""
ASKER = APP.format(vapix="import acap.vapix\nvapix = acap.vapix", name="asker")
# Its manifest does not ask for the method: nobody sees what it imports.
STRANGER = APP.format(vapix="vapix = importlib.import_module('acap' + '.vapix')", name="stranger")


def found(incamera: Run, device: str, app: str) -> list[dict[str, Any]]:
    """Return what *app* has said at each of its starts."""
    log = incamera("logs", "--device", device, "--app", app).out
    return [json.loads(line.partition(": found ")[2]) for line in log.splitlines() if ": found " in line]


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("projects")
    return {
        name: write_project(
            folder / name, app=app, name=name, dependencies='["acap"]', settings='targets = ["armv7hf", "aarch64"]'
        )
        for name, app in (("asker", ASKER), ("stranger", STRANGER))
    }


def test_app_asks_the_camera_with_an_account_of_its_own_until_the_camera_restarts(
    camera: VirtualCamera, context: Context, incamera: Run, projects: dict[str, Path]
) -> None:
    profile = require_profile(camera.profile)
    for name, project in projects.items():
        made = incamera("package", "--target", profile.architecture, "--json", cwd=project)
        assert made.code == 0, made.err
        assert ("GetCredentials" in made.err) is (name == "asker")
        package = Path(json.loads(made.out)["packages"][0]["path"])
        if profile.track.startswith("13."):
            package = signed(incamera, package)
        installed = incamera("install", "--device", camera.name, "--allow-unsigned", "--start", package)
        assert installed.code == 0, installed.err
        wait_until(lambda app=name: found(incamera, camera.name, app), "the app has asked")  # type: ignore[misc]
    (said,) = found(incamera, camera.name, "asker")
    user, _, password = said.pop("account").partition(":")
    assert said == {"serial": said["serial"], "brand": "Brand.Brand=AXIS\n", "statuses": [200, 401, 401, 401]}
    (refused,) = found(incamera, camera.name, "stranger")
    assert "AccessDenied" in refused.pop("denied")
    assert refused == {}
    address = replace(parse_url(camera.url), certificate=camera.certificate, user=user)
    outside = Client(WebDevice(name="outside", address=address), KnownLogins(Login(user, password)))
    with pytest.raises(DeviceRefused):
        read_params(outside, "Brand.Brand")
    outside.close()
    restart_camera(context.store, camera.name)
    wait_until(lambda: found(incamera, camera.name, "asker"), "the app was started again")
    (again,) = found(incamera, camera.name, "asker")
    assert (again["old account"], again["serial"]) == (401, said["serial"])
    assert again["account"] != f"{user}:{password}"
    for name in projects:
        removed = incamera("uninstall", "--device", camera.name, "--app", name, "--yes")
        assert removed.code == 0, removed.err
