"""The files of a virtual camera's web server, and what it is given when the camera wakes up."""

from __future__ import annotations

import base64
import json
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import jeepney
import pytest

from incamera.archives.openpgp import PublicKey
from incamera.axis_os.apache import APACHE_MODULES
from incamera.targets.profile import require_profile
from incamera.virtual.web_server import BACK_END, FOLDER, JEEPNEY, STARTER, back_end_files, web_members, web_packages
from incamera.virtual.web_settings import NO_WEB, prepare_web

PROFILE = require_profile("axis-os-12-armv7hf")
LIBRARIES = f"usr/lib/{PROFILE.architecture.facts.gnu}"
MAC = "00:40:8c:01:02:03"
# Reads each of its data files.
USE = """
import sys
sys.path.insert(0, sys.argv[1])
from incamera.axis_os import main, facts, parameters
from incamera.eap import demands, schema
for version in ("11.11.192", "12.9.57", "13.0.33"):
    known = facts.Facts(version=version, architecture="armv7hf", serial="ACCC8E000000")
    parameters.own_parameters(known)
demands.load_generations()
schema.load_schemas()
print(main.__file__)
"""


def write(folder: Path, *paths: str) -> Path:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(path.encode())
    return folder


@pytest.mark.starts_processes
def test_back_end_starts_with_its_own_files_alone(tmp_path: Path) -> None:
    for name, data in back_end_files().items():
        path = tmp_path / "incamera" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    library = Path(jeepney.__file__).parents[1]
    for name in JEEPNEY:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(library / name, tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", USE, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == str(tmp_path / "incamera/axis_os/main.py"), done.stderr


def test_python_and_its_libraries_are_where_no_app_finds_them(tmp_path: Path) -> None:
    userland = write(tmp_path / "userland", f"{LIBRARIES}/libcrypt.so.1")
    tree = write(
        tmp_path / "web",
        *("usr/sbin/apache2", "usr/bin/python3.13", "usr/bin/python3", "usr/lib/python3.13/json/__init__.py"),
        *("usr/lib/python3.13/unittest/case.py", f"{LIBRARIES}/libapr-1.so.0", f"{LIBRARIES}/libcrypt.so.1"),
        *("usr/bin/dbus-daemon", f"{LIBRARIES}/libdbus-1.so.3"),
        *(f"usr/lib/python3/dist-packages/{name}" for name in (*JEEPNEY, "jeepney/io/asyncio.py")),
        *(f"usr/lib/apache2/modules/mod_{name}.so" for name in (*APACHE_MODULES, "cgi")),
    )
    members = {member.path: member for member in web_members(tree, userland, PROFILE)}
    assert stat.S_IMODE(members[FOLDER].mode) == 0o700
    outside = {path for path in members if not path.startswith(FOLDER)}
    assert outside == {"usr/libexec", "var/run", STARTER, BACK_END}
    names = {path.removeprefix(f"{FOLDER}/") for path in members}
    assert {"bin/axis-httpd", "bin/axis-back-end", "lib/libapr-1.so.0", "lib/python3.13/json/__init__.py"} <= names
    assert {"modules/mod_ssl.so", "bin/dbus-daemon", "lib/libdbus-1.so.3", "back-end/jeepney/__init__.py"} <= names
    assert not names & {"modules/mod_cgi.so", "lib/libcrypt.so.1", "lib/python3.13/unittest/case.py"}
    assert "back-end/jeepney/io/asyncio.py" not in names


def test_packages_are_of_the_cameras_suite_and_architecture() -> None:
    packages = web_packages(PROFILE)
    assert (packages.suite, packages.architecture) == (PROFILE.suite, "armhf")


def test_each_camera_gets_a_password_and_a_certificate_of_its_own(tmp_path: Path) -> None:
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        found.append(prepare_web(PROFILE, tmp_path / name, MAC, PublicKey(0xABC)))
    one, two = found
    assert one.record["certificate"] != two.record["certificate"]
    passwords = [(tmp_path / name / "password").read_text().strip() for name in ("one", "two")]
    assert len(set(passwords)) == 2
    assert stat.S_IMODE((tmp_path / "one/password").stat().st_mode) == 0o600
    settings = json.loads(base64.b64decode(one.settings))
    assert settings["serial"] == "00408C010203"
    assert settings["signing_key"] == "abc"
    assert passwords[0] not in json.dumps(settings)
    # link.sh reads words.
    assert not set(one.settings) & set(" \t\n\\")
    assert NO_WEB.settings == "-"
