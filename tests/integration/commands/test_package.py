"""`incamera package`: the .eap of a project."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.integration.cameras import DEFAULT_PROFILE, inside, on
from tests.integration.project import write_project

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera
    from tests.integration.command import Run

APP = """
import hashlib, os, secrets, sys
import numpy
print(sys.argv[1:], os.getuid(), os.getcwd(), os.environ["INCAMERA_DATA"])
print(numpy.arange(9).sum(), numpy.linalg.inv(numpy.eye(3)).sum(), numpy.random.default_rng(1).random() < 1)
print(secrets.compare_digest("a", "a"))
with open(os.environ["INCAMERA_DATA"] + "/kept", "w") as file:
    print(file.write("kept"))
try:
    open("/usr/local/packages/plain/bundle/app/other", "w")
except OSError as error:
    print(type(error).__name__)
"""
# As a camera unpacks and starts it: in its own folder, as a user to whom only `localdata` belongs.
START = """
here=/usr/local/packages/plain
rm -rf $here && mkdir -p $here/localdata && tar -xzf /tmp/plain.eap -C $here
chown -R 0:0 $here && chown 4711:4711 $here/localdata
cd / && $here/bundle/bin/python3 -c '
import os
os.setgroups([]); os.setgid(4711); os.setuid(4711)
os.execv("/usr/local/packages/plain/plain", ["plain", "--port", "80"])
'
rm -rf $here /tmp/plain.eap
"""


def test_package_has_the_app_and_its_bundle_and_the_audit_accepts_it(tmp_path: Path, incamera: Run) -> None:
    project = write_project(tmp_path / "plain")
    done = incamera("package", "--json", cwd=project)
    assert done.code == 0, done.err
    (made,) = json.loads(done.out)["packages"]
    package = Path(made["path"])
    assert package == project / "dist" / "plain_1_0_0_armv7hf.eap"
    with tarfile.open(package) as archive:
        members = {member.name: member for member in archive}
        start = archive.extractfile("plain")
        assert start is not None
        assert b'exec "$here/bundle/bin/python3" app.py' in start.read()
    assert {"manifest.json", "package.conf", "bundle/app/app.py", "bundle/bin/python3", "sbom.cdx.json"} <= set(members)
    assert {"licenses/debian/libc6/copyright", "licenses/common/LGPL-2.1", "licenses/incamera/LICENSE"} <= set(members)
    assert [check["axis_os"] for check in made["checks"] if check["accepted"]] == ["11", "12", "13"]
    assert [name for name, member in members.items() if not member.issym() and member.mode & 0o022] == []

    audited = incamera("audit", package, "--json")
    assert (audited.code, json.loads(audited.out)["findings"]) == (0, []), audited.err

    again = incamera("package", cwd=project)
    assert again.code == 0
    assert "nothing changed" in again.err
    assert made["tar_sha256"] in again.out


@on(DEFAULT_PROFILE)
def test_trimmed_package_runs_from_its_folder_as_an_ordinary_user(
    tmp_path: Path, incamera: Run, camera: VirtualCamera
) -> None:
    project = write_project(tmp_path / "plain", app=APP, dependencies='["numpy"]')
    done = incamera("package", "--trim", "--json", cwd=project)
    assert done.code == 0, done.err
    (made,) = json.loads(done.out)["packages"]
    # The goals for this app, with some room for newer packages of Debian.
    assert made["packed_bytes"] < 14.5e6
    assert made["installed_bytes"] < 33e6
    copied = incamera("cp", "--anywhere", "--device", camera.name, made["path"], ":/tmp/plain.eap", cwd=project)
    assert copied.code == 0, copied.err
    assert inside(camera, START).splitlines() == [
        "['--port', '80'] 4711 /usr/local/packages/plain/bundle/app /usr/local/packages/plain/localdata",
        "36 3.0 True",
        "True",
        "4",
        "PermissionError",
    ]
