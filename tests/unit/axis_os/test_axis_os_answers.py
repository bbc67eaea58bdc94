"""What the back end of a camera's web server answers, held against recorded answers of devices."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from tests.unit.vapix.packages import make_package, manifest, public_key

from incamera.axis_os.accounts import make_account
from incamera.axis_os.answers import ROUTES, answer
from incamera.axis_os.camera import Camera, Places
from incamera.axis_os.exchange import Reply, parse_request
from incamera.axis_os.facts import Facts
from incamera.axis_os.pictures import Pictures
from incamera.axis_os.store import load_kept
from incamera.vapix.applications import parse_applications

RECORDED = Path(__file__).parents[2] / "data" / "vapix"
SERIAL = "0123456789AB"


def make_camera(folder: Path, version: str = "12.9.57", pictures: Pictures | None = None) -> Camera:
    places = Places(packages=folder / "packages", kept=folder / "kept" / "state.json", parameters=folder / "parameters")
    facts = Facts(version=version, architecture="armv7hf", serial=SERIAL)
    camera = Camera(facts, places, pictures=pictures, signing_key=public_key())
    with camera.changing() as kept:
        kept.accounts = {"root": make_account("root", "pass", camera.facts.realm)}
        kept.accounts["guest"] = make_account("guest", "pass", camera.facts.realm, ["viewer"])
    camera.prepare()
    camera.boot()
    return camera


@pytest.fixture
def camera(tmp_path: Path) -> Camera:
    return make_camera(tmp_path)


def ask(camera: Camera, target: str, *, user: str = "root") -> str:
    return answer(camera, parse_request("GET", f"/axis-cgi/{target}", user=user)).body.decode()


def ask_json(camera: Camera, name: str, document: object, method: str = "POST") -> dict[str, Any]:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    reply = answer(camera, parse_request(method, f"/axis-cgi/{name}.cgi", body=body, content_type="application/json"))
    assert (reply.status, reply.content_type) == (200, "application/json")
    found: dict[str, Any] = json.loads(reply.body)
    return found


PROFILE = "param.cgi?action=add&template=streamprofile&group=StreamProfile"


def test_stream_profile_is_added_changed_and_removed_and_kept(camera: Camera) -> None:
    assert ask(camera, f"{PROFILE}&StreamProfile.S.Name=own&StreamProfile.S.Parameters=fps%3D5%26x%3D1") == "S0 OK\n"
    assert ask(camera, f"{PROFILE}&root.streamprofile.s.name=other") == "S1 OK\n"
    assert ask(camera, "param.cgi?action=list&group=StreamProfile.S0") == (
        "StreamProfile.S0.Name=own\nStreamProfile.S0.Description=\nStreamProfile.S0.Parameters=fps=5&x=1\n"
    )
    assert ask(camera, "param.cgi?action=update&StreamProfile.S1.Name=new") == "OK"
    assert load_kept(camera.places.kept).parameters["root.StreamProfile.S1.Name"] == "new"
    assert ask(camera, "param.cgi?action=remove&group=StreamProfile.S0") == "OK\n"
    assert "S0" not in ask(camera, "param.cgi?action=list&group=StreamProfile")
    assert ask(camera, PROFILE) == "S0 OK\n"
    assert ask(camera, "param.cgi?action=remove&group=root.StreamProfile.S0,StreamProfile.S1") == "OK\n"
    assert ask(camera, "param.cgi?action=list&group=StreamProfile") == "StreamProfile.MaxGroups=26\n"


def test_no_more_groups_are_added_than_the_limit_says_unless_by_force(camera: Camera) -> None:
    for _ in range(26):
        assert ask(camera, PROFILE).endswith(" OK\n")
    assert ask(camera, PROFILE) == "# Request failed: there are 26 groups already\n"
    assert ask(camera, f"{PROFILE}&force=yes") == "S26 OK\n"


@pytest.mark.parametrize(
    "wrong",
    ["action=add", "action=add&template=x&group=StreamProfile", "action=add&template=streamprofile&group=Image"]
    + [f"action=remove&group={group}" for group in ("", "StreamProfile", "StreamProfile.S9", "Image.I0", "*")],
)
def test_group_that_is_none_is_neither_added_nor_removed(camera: Camera, wrong: str) -> None:
    before = camera.parameters()
    assert ask(camera, f"param.cgi?{wrong}").startswith("# Request failed: ")
    assert camera.parameters() == before


def test_group_is_added_without_those_parameters_that_it_does_not_have(camera: Camera) -> None:
    answered = ask(camera, f"{PROFILE}&StreamProfile.S.Size=1&Image.I0.Name=x&StreamProfile.S.Name=own")
    assert answered == (
        "# Error: Error setting 'StreamProfile.S.Size' to '1'!\n# Error: Error setting 'Image.I0.Name' to 'x'!\nS0 OK\n"
    )
    assert camera.parameters()["root.StreamProfile.S0.Name"] == "own"
    assert camera.parameters()["root.Image.I0.Name"] != "x"


def test_users_see_and_set_what_the_security_levels_let_them(camera: Camera) -> None:
    with camera.changing() as kept:
        kept.accounts["op"] = make_account("op", "pass", camera.facts.realm, ["operator", "viewer"])
    assert ask(camera, "param.cgi?action=list&group=Brand.Brand", user="guest") == "Brand.Brand=AXIS\n"
    hidden = "# Error: Error -1 getting param in group 'Network.SSH'\n"
    for user in ("guest", "op"):
        assert ask(camera, "param.cgi?action=list&group=Network.SSH", user=user) == hidden
        assert "root.Network.SSH" not in ask(camera, "param.cgi?action=list", user=user)
    assert ask(camera, "param.cgi?action=list&group=Network.SSH") != hidden
    name = "param.cgi?action=update&Image.I0.Name=mine"
    assert (ask(camera, name, user="op"), camera.parameters()["root.Image.I0.Name"]) == ("OK", "mine")
    ssh = ask(camera, "param.cgi?action=update&Network.SSH.Enabled=yes", user="op")
    assert ssh == "# Error: Error setting 'Network.SSH.Enabled' to 'yes'!\n"
    assert ask(camera, PROFILE, user="op") == "S0 OK\n"
    for target in (name, PROFILE, "param.cgi?action=remove&group=StreamProfile.S0"):
        assert "not authorized" in ask(camera, target, user="guest")


def test_definitions_are_groups_in_each_other_with_security_levels(camera: Camera) -> None:
    found = ask(camera, "param.cgi?action=listdefinitions&group=Properties.System,Image.I0.Appearance.Compression")
    tree = ElementTree.fromstring(found)
    space = "{http://www.axis.com/ParameterDefinitionsSchema}"
    assert [group.get("name") for group in tree.findall(f"{space}group")] == ["Properties", "Image"]
    path = "/".join(f"{space}group" for _ in range(3))
    (compression,) = tree.findall(f"{path}/{space}parameter")
    assert compression.attrib == {
        "name": "Compression", "value": "30", "securityLevel": "7744", "niceName": "Compression"
    }  # fmt: skip
    (number,) = tree.findall(f".//{space}parameter[@name='SerialNumber']")
    assert (number.get("value"), number.get("securityLevel")) == (SERIAL, "7707")


def upload(camera: Camera, path: Path, *, file_name: str = "own.eap") -> str:
    head = f'--x\r\nContent-Disposition: form-data; name="packfil"; filename="{file_name}"\r\n\r\n'.encode()
    body = head + path.read_bytes() + b"\r\n--x--\r\n"
    request = parse_request("POST", "/axis-cgi/applications/upload.cgi", content_type="multipart/form-data; boundary=x")
    reply = answer(camera, replace(request, stream=io.BytesIO(body), length=len(body)))
    return reply.body.decode()


def shape(value: object) -> object:
    """Return *value* with types in place of texts and numbers."""
    if isinstance(value, dict):
        return {key: shape(one) for key, one in value.items()}
    return type(value).__name__


@pytest.mark.parametrize(
    ("name", "method", "version", "recording"),
    [
        ("systemready", "systemready", "12.9.57", "system_ready_1_system_ready-D2210-VE@12.9.57"),
        ("systemready", "systemready", "11.11.192", "system_ready_1_system_ready-M1075-L@11.11.192"),
        ("basicdeviceinfo", "getAllProperties", "12.9.57", "basic_device_info_get_all_properties-Q1961-TE@12.9.57"),
        (
            "basicdeviceinfo",
            "getAllProperties",
            "11.11.192",
            "basic_device_info_get_all_properties-P3245-LVE@11.11.192",
        ),
        (
            "basicdeviceinfo",
            "getAllUnrestrictedProperties",
            "12.9.57",
            "basic_device_info_get_all_unrestricted_properties-Q1961-TE@12.9.57",
        ),
    ],
)
def test_answers_have_the_keys_and_the_version_of_recorded_ones(
    name: str, method: str, version: str, recording: str, tmp_path: Path
) -> None:
    recorded = json.loads((RECORDED / f"{recording}.json").read_bytes())
    found = ask_json(make_camera(tmp_path, version), name, {"apiVersion": "1", "method": method})
    assert shape(found) == shape(recorded)
    assert found["apiVersion"] == recorded["apiVersion"]
    for key in ("needsetup", "WebURL", "Brand"):
        mine, theirs = (one["data"].get("propertyList", one["data"]).get(key) for one in (found, recorded))
        assert mine == theirs


def test_discovery_lists_apis_in_the_recorded_form(camera: Camera) -> None:
    recorded = json.loads((RECORDED / "api_discovery_1_get_api_list-Q1961-TE@12.9.57.json").read_bytes())
    found = ask_json(camera, "apidiscovery", {"apiVersion": "1.0", "method": "getApiList"})
    assert {key: found[key] for key in ("method", "apiVersion")} == {
        key: recorded[key] for key in ("method", "apiVersion")
    }
    known = {api["id"]: api for api in recorded["data"]["apiList"]}
    assert [api for api in found["data"]["apiList"] if api != known[api["id"]]] == []


@pytest.mark.parametrize(
    ("document", "method", "code"),
    [
        (b"{", "POST", 4000),
        (b"[" * 100_000, "POST", 4000),
        ([], "POST", 4000),
        ({"apiVersion": "1.0", "context": "c"}, "POST", 4002),
        ({"apiVersion": "9.0", "method": "getAllProperties", "context": "c"}, "POST", 2003),
        ({"apiVersion": "1.0", "method": "nothing", "context": "c"}, "POST", 2004),
        ({"apiVersion": "1.0", "method": "getProperties", "params": {"propertyList": ["x"]}}, "POST", 1000),
        ({"apiVersion": "1.0", "method": "getAllProperties"}, "GET", 2002),
    ],
)
def test_bad_json_requests_get_the_documented_error_and_their_context(
    document: object, method: str, code: int, camera: Camera
) -> None:
    found = ask_json(camera, "basicdeviceinfo", document, method)
    assert found["error"]["code"] == code
    assert "data" not in found
    assert found.get("context") == (document.get("context") if isinstance(document, dict) else None)


def test_parameters_are_listed_as_they_were_asked_for(camera: Camera) -> None:
    everything = ask(camera, "param.cgi?action=list")
    assert everything.startswith("root.")
    assert ask(camera, "param.cgi?action=list&group=root.Brand.Brand") == "root.Brand.Brand=AXIS\n"
    assert ask(camera, "param.cgi?action=list&group=Brand.Brand,Network.SSH") == (
        "Brand.Brand=AXIS\nNetwork.SSH.Enabled=no\n"
    )
    assert ask(camera, "param.cgi?action=list&group=Properties.*.Version").splitlines() == [
        "Properties.EmbeddedDevelopment.Version=2.18",
        "Properties.LocalStorage.Version=1.00",
        "Properties.Firmware.Version=12.9.57",
    ]
    recorded = (RECORDED / "parameter_management_list_error-D4200-VE@12.9.57.txt").read_text()
    unknown = re.search("'(.*)'", recorded)
    assert unknown is not None
    answered = ask(camera, "param.cgi?action=list&group=Properties.Image.Nothing")
    assert answered == recorded.replace(unknown[1], "Properties.Image.Nothing")


def test_parameters_are_set_by_administrators_over_get_and_forms_and_kept(camera: Camera, tmp_path: Path) -> None:
    assert ask(camera, "param.cgi?action=update&root.Network.SSH.Enabled=yes") == "OK"
    form = parse_request("POST", "/axis-cgi/param.cgi", body=b"action=update&Image.I0.Name=a%26b%20c", user="root")
    assert answer(camera, form).body == b"OK"
    again = make_camera(tmp_path)
    assert ask(again, "param.cgi?action=list&group=Network.SSH,Image.I0.Name") == (
        "Network.SSH.Enabled=yes\nImage.I0.Name=a&b c\n"
    )
    for target in ("root.Brand.Brand=x", "Nothing.There=1"):
        assert ask(camera, f"param.cgi?action=update&{target}").startswith("# Error: Error setting '")
    assert "not authorized" in ask(camera, "param.cgi?action=update&root.Image.I0.Name=x", user="guest")
    assert ask(camera, "param.cgi") == "# Error: action must be specified\n"


def test_accounts_are_answered_as_recorded(camera: Camera) -> None:
    add = "pwdgrp.cgi?action=add&user=cassettetest&pwd=Good%20morning&grp=users&sgrp=viewer"
    for name, target in (
        ("pwdgrp_add_user_already_exists-D4200-VE@12.9.57", add),
        ("pwdgrp_add_user_already_exists-D4200-VE@12.9.57-001", add),
        ("pwdgrp_add_user_already_exists-D4200-VE@12.9.57-002", "pwdgrp.cgi?action=remove&user=cassettetest"),
        ("pwdgrp_remove_user_does_not_exist-D4200-VE@12.9.57", "pwdgrp.cgi?action=remove&user=nonexistent_user"),
    ):
        assert ask(camera, target).split() == (RECORDED / f"{name}.html").read_text().split(), name
    ask(camera, "pwdgrp.cgi?action=add&user=op&pwd=x&grp=users&sgrp=operator:viewer:ptz")
    assert ask(camera, "pwdgrp.cgi?action=get").splitlines()[:2] == ['admin="root"', 'operator="root,op"']
    assert ask(camera, "usergroup.cgi", user="op") == "op\noperator viewer ptz\n"


@pytest.mark.parametrize("generation", ["11.11.192", "12.9.57", "13.0.33"])
def test_package_is_installed_listed_and_removed(generation: str, tmp_path: Path) -> None:
    camera = make_camera(tmp_path, generation)
    package = make_package(tmp_path / "own.eap", signed=True)
    assert upload(camera, package) == "OK"
    (app,) = parse_applications(ask(camera, "applications/list.cgi").encode())
    assert (app.name, app.version, app.state, app.vendor) == ("own_app", "1.0.0", "Stopped", "me")
    assert app.is_signed is (None if generation.startswith("11") else True)
    assert (tmp_path / "packages" / "own_app" / "own_app").stat().st_mode & 0o777 == 0o755
    (tmp_path / "packages" / "own_app" / "localdata" / "kept").write_text("x")
    assert upload(camera, make_package(tmp_path / "new.eap", manifest(version="1.1.0"), signed=True)) == "OK"
    assert (tmp_path / "packages" / "own_app" / "localdata" / "kept").read_text() == "x"
    assert make_camera(tmp_path, generation).apps()[0][0].version == "1.1.0"
    assert ask(camera, "applications/control.cgi?action=stop&package=own_app") == "Error: 7"
    assert ask(camera, "applications/control.cgi?action=remove&package=own_app") == "OK"
    assert ask(camera, "applications/list.cgi").endswith('<reply result="ok"></reply>\n')
    assert ask(camera, "applications/control.cgi?action=start&package=own_app") == "Error: 4"
    assert list((tmp_path / "packages").iterdir()) == []


@pytest.mark.parametrize("moved", ["localdata", "app", "nothing"])
def test_upgrade_that_a_power_cut_ends_leaves_the_app_as_it_was(moved: str, camera: Camera, tmp_path: Path) -> None:
    assert upload(camera, make_package(tmp_path / "own.eap", signed=True)) == "OK"
    packages = tmp_path / "packages"
    (packages / "own_app/localdata/kept").write_text("mine")
    (packages / ".new-own_app").mkdir()
    (packages / ".new-own_app/own_app").write_text("half")
    if moved != "nothing":
        (packages / "own_app/localdata").rename(packages / ".new-own_app/localdata")
    if moved == "app":
        (packages / "own_app").rename(packages / ".new-own_app-old")
    again = Camera(camera.facts, camera.places)
    again.prepare()
    again.boot()
    assert [app.name for app, _ in again.apps()] == ["own_app"]
    assert (packages / "own_app/localdata/kept").read_text() == "mine"
    assert (packages / "own_app/own_app").read_bytes() == b"#!/bin/sh\n"
    assert [path.name for path in packages.iterdir()] == ["own_app"]


@pytest.mark.parametrize("recording", ["applications_list-12.11.77.xml", "applications_list-10.12.300.xml"])
def test_list_has_the_attributes_of_captured_ones_in_their_order(recording: str, tmp_path: Path) -> None:
    """The older capture is of AXIS OS 10: of 11, none is known."""
    camera = make_camera(tmp_path, "12.9.57" if "-12." in recording else "11.11.192")
    assert upload(camera, make_package(tmp_path / "own.eap", signed=True)) == "OK"

    def attributes(text: str) -> list[str]:
        return re.findall(r"(\w+)=", re.findall(r"<application ([^>]*)>", text)[0])

    mine, theirs = attributes(ask(camera, "applications/list.cgi")), attributes((RECORDED / recording).read_text())
    common = [name for name in theirs if name in mine]
    assert [name for name in mine if name in common] == common
    assert set(theirs) - set(mine) <= {"ApplicationID", "ConfigurationPage", "VendorHomePage", "ValidationResult"}


@pytest.mark.parametrize(
    ("document", "signed", "result"),
    [
        (manifest(architecture="aarch64"), True, "Error: 5"),
        (manifest(), False, "Error: 2"),
        (manifest("Own_app"), True, "Error: 14"),
        (manifest(vendorId="0987654321"), True, "Error: 27"),
        (manifest(runMode="always"), True, "Error: 29"),
        (manifest("other"), True, "Error: 1"),
    ],
)
def test_refused_package_gets_the_error_number_and_a_line_in_the_log(
    document: dict[str, Any], signed: bool, result: str, camera: Camera, tmp_path: Path
) -> None:
    assert upload(camera, make_package(tmp_path / "first.eap", signed=True)) == "OK"
    assert upload(camera, make_package(tmp_path / "own.eap", document, signed=signed)) == result
    assert [app.version for app, _ in camera.apps()] == ["1.0.0"]
    assert f"code {result.split()[1]}: " in ask(camera, "admin/systemlog.cgi")


def test_unsigned_packages_are_taken_when_the_switch_is_on(camera: Camera, tmp_path: Path) -> None:
    package = make_package(tmp_path / "own.eap")
    get = "applications/config.cgi?action=get&name=AllowUnsigned"
    assert ask(camera, get) == '<reply result="ok"><param name="AllowUnsigned" value="false" /></reply>\n'
    ask(camera, "applications/config.cgi?action=set&name=AllowUnsigned&value=true")
    assert 'value="true"' in ask(camera, get)
    assert upload(camera, package) == "OK"
    thirteen = make_camera(tmp_path / "13", "13.0.33")
    assert answer(thirteen, parse_request("GET", f"/axis-cgi/{get}")).status == 400
    assert upload(thirteen, package) == "Error: 2"


def test_only_listed_paths_are_answered(camera: Camera) -> None:
    for path in ("/", "/axis-cgi/", "/axis-cgi/nothing.cgi", "/axis-cgi/param.cgi/x", "/AXIS-CGI/PARAM.CGI"):
        reply = answer(camera, parse_request("GET", path))
        assert (reply.status, reply.content_type) == (404, "text/html")
    assert [path for path, route in ROUTES.items() if not route.role] == ["/axis-cgi/systemready.cgi"]


def test_log_shows_the_lines_of_one_app_without_control_characters(camera: Camera) -> None:
    camera.log.write("own_app", "\x1b[2Jhello\x00", pid=7)
    camera.log.write("own_app2", "other")
    camera.log.write("systemd", "sdkown_app.service: Deactivated successfully.", pid=1)
    shown = ask(camera, "admin/systemlog.cgi?appname=own_app").splitlines()
    assert shown[:2] == ["----- Contents of SYSTEM_LOG for 'own_app' -----", ""]
    assert [line.partition("] ")[2] for line in shown[2:]] == [
        "own_app[7]: #033[2Jhello#000",
        "systemd[1]: sdkown_app.service: Deactivated successfully.",
    ]


def test_reply_of_text_is_utf8() -> None:
    assert Reply.text("ä").body == "ä".encode()


# Pictures


def test_pictures_that_a_camera_cannot_take_are_refused(tmp_path: Path) -> None:
    camera = make_camera(tmp_path, pictures=Pictures("libnone.so.1"))
    for path, status in (
        ("jpg/image.cgi", 503),
        ("jpg/image.cgi?resolution=big", 400),
        ("mjpg/video.cgi?fps=-1", 400),
        ("mjpg/video.cgi", 503),
    ):
        reply = answer(camera, parse_request("GET", f"/axis-cgi/{path}", user="root"))
        assert (reply.status, reply.parts) == (status, None), path


# Restart and factory default


def test_factory_default_leaves_no_account_no_app_and_no_setting(camera: Camera, tmp_path: Path) -> None:
    restarts: list[bool] = []
    camera.restart = lambda: restarts.append(True)
    assert 'value="true"' in ask(camera, "applications/config.cgi?action=set&name=AllowUnsigned&value=true")
    ask(camera, "param.cgi?action=update&root.Image.I0.Name=door")
    camera.install(make_package(tmp_path / "own.eap"))
    assert "restarts" in ask(camera, "restart.cgi")
    assert "factory default" in ask(camera, "factorydefault.cgi")
    assert len(restarts) == 2
    assert ask_json(camera, "systemready", {"apiVersion": "1", "method": "systemready"})["data"]["needsetup"] == "yes"
    assert "own_app" not in ask(camera, "applications/list.cgi")
    assert camera.parameters()["root.Image.I0.Name"] == "View Area 1"
    assert 'value="false"' in ask(camera, "applications/config.cgi?action=get&name=AllowUnsigned")
    assert not (camera.places.packages / "own_app").exists()
    assert load_kept(camera.places.kept).was_set_back, "after the restart it asks for its first account"


def test_discovery_of_device_configuration_has_the_recorded_form(tmp_path: Path) -> None:
    for version, known in (("12.9.57", ["v1", "v2"]), ("11.11.192", [])):
        reply = answer(make_camera(tmp_path / version, version), parse_request("GET", "/config/discover", user="root"))
        document = json.loads(reply.body)
        recorded_form = json.loads((RECORDED / "device_configuration_discover-D4200-VE@12.9.57.json").read_bytes())
        assert {name: list(versions) for name, versions in document["apis"].items()} == (
            {"ssh": known} if known else {}
        )
        for name, versions in document["apis"].items():
            assert versions == recorded_form["apis"][name]
        assert {**document, "apis": {}} == {**recorded_form, "apis": {}}


@pytest.mark.parametrize(
    ("setup", "signed", "version", "problem"),
    [
        ({}, True, "13.0.33", None),
        ({}, False, "13.0.33", "own_app: the package is not signed"),
        ({"compatibleOsVersions": [{"min": "11.11", "max": "12"}]}, True, "13.0.33", "own_app: "),
        # Only AXIS OS 13 looks at what is installed.
        ({}, False, "12.11.77", None),
    ],
)
def test_one_app_that_does_not_fit_undoes_an_upgrade(
    setup: dict[str, Any], signed: bool, version: str, problem: str | None, tmp_path: Path
) -> None:
    before = make_camera(tmp_path, "11.11.192")
    assert before.find_upgrade_problem() is None
    assert upload(before, make_package(tmp_path / "own.eap", manifest(**setup), signed=signed)) == "OK"
    assert make_camera(tmp_path, "11.11.192").find_upgrade_problem() is None
    facts = Facts(version=version, architecture="armv7hf", serial=SERIAL)
    after = Camera(facts, before.places, signing_key=public_key())
    found = after.find_upgrade_problem()
    assert found is None if problem is None else (found or "").startswith(problem)
    (tmp_path / "packages/own_app/manifest.json").write_text("{")
    assert (after.find_upgrade_problem() is None) == version.startswith("12.")


def test_upgraded_camera_serves_without_encryption_as_before(tmp_path: Path) -> None:
    assert make_camera(tmp_path / "new", "13.0.33").facts.rules["schemes"].keys() == {"443"}
    make_camera(tmp_path / "old", "12.11.77")
    assert make_camera(tmp_path / "old", "13.0.33").facts.rules["schemes"].keys() == {"80", "443"}


@pytest.mark.starts_processes
def test_upgrade_runs_install_scripts_again(tmp_path: Path) -> None:
    camera = make_camera(tmp_path, "11.11.192")
    assert upload(camera, make_package(tmp_path / "own.eap", signed=True)) == "OK"
    folder = tmp_path / "packages/own_app"
    (folder / "package.conf").write_text('POSTINSTALLSCRIPT="post.sh"\n')
    (folder / "post.sh").write_text("#!/bin/sh\necho again >>localdata/log\n")
    for _ in range(2):
        assert make_camera(tmp_path, "13.0.33").kept.version == "13.0.33"
    assert (folder / "localdata/log").read_text() == "again\n"
