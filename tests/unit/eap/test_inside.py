"""What incamera adds to a package: the start script, license texts, the bill of materials."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from incamera.eap import sbom
from incamera.eap.contents import bundle_members
from incamera.eap.licenses import dump_license, license_members
from incamera.eap.start import dump_start_script
from incamera.tree import list_tree

REPOSITORY = Path(__file__).parents[3]


def install(folder: Path, arguments: list[str]) -> Path:
    """Write a package with a Python that only tells how it is called. Returns its program."""
    python = folder / "bundle" / "bin" / "python3"
    python.parent.mkdir(parents=True)
    (folder / "bundle" / "app").mkdir()
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$PWD" "$INCAMERA_DATA" "$PYTHONDONTWRITEBYTECODE" "$@"\n')
    program = folder / "my_app"
    program.write_bytes(dump_start_script("my_app", arguments))
    for path in (python, program):
        path.chmod(0o755)
    return program


@pytest.mark.starts_processes
def test_app_starts_in_its_folder_with_its_arguments_from_wherever_it_is_called(tmp_path: Path) -> None:
    arguments = ["-c", "import sys; sys.exit('it''s $HOME')"]
    program = install(tmp_path / "a folder", arguments)
    place = program.parent
    for called, cwd in ((str(program), Path("/")), ("./my_app", place)):
        done = subprocess.run([called, "--port", "8 0"], cwd=cwd, capture_output=True, text=True, check=True, env={})
        assert done.stdout.splitlines() == [
            *(str(place / "bundle" / "app"), str(place / "localdata"), "1"),
            *(*arguments, "--port", "8 0"),
        ]


@pytest.mark.starts_processes
def test_app_takes_the_place_of_its_script(tmp_path: Path) -> None:
    program = install(tmp_path, [])
    (tmp_path / "bundle" / "bin" / "python3").write_text("#!/bin/sh\nprintf %s $$\n")
    with subprocess.Popen([program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert int(process.stdout.read()) == process.pid


def test_links_of_the_bundle_stay_in_the_package_and_others_are_left_out(tmp_path: Path) -> None:
    for name, target in (
        ("share/zoneinfo/localtime", "../../../etc/localtime"),
        ("bin/python", "python3"),
        ("lib/a.so", "../lib/b.so"),
        ("lib/c.so", "/lib/c.so"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).symlink_to(target)
    (tmp_path / "bin" / "python3").write_text("1")
    (tmp_path / "bin" / "python3").chmod(0o555)
    (tmp_path / "bin" / "incamera-guard").write_text("1")
    members = {member.path: member for member in bundle_members(tmp_path, list_tree(tmp_path), ["bin/incamera-guard"])}
    assert set(members) == {"bundle/bin/python", "bundle/bin/python3", "bundle/lib/a.so"}
    assert members["bundle/bin/python3"].mode == 0o755


def test_license_texts_come_with_those_that_they_refer_to(tmp_path: Path) -> None:
    (tmp_path / "debian" / "libz").mkdir(parents=True)
    (tmp_path / "debian" / "libz" / "copyright").write_text("see /usr/share/common-licenses/GPL-2.\n")
    (tmp_path / "debian" / "libz2").symlink_to("libz")
    (tmp_path / "python" / "numpy").mkdir(parents=True)
    (tmp_path / "python" / "numpy" / "LICENSE.txt").write_text("see /usr/share/common-licenses/LGPL, and others")
    members = {member.path: member.content for member in license_members(tmp_path, list_tree(tmp_path))}
    assert members["licenses/debian/libz2/copyright"] == members["licenses/debian/libz/copyright"]
    assert b"Version 2, June 1991" in bytes(members["licenses/common/GPL-2"] or b"")
    assert {path for path in members if "common" in path} == {"licenses/common/GPL-2", "licenses/common/LGPL-3"}
    assert members["licenses/incamera/LICENSE"] == (REPOSITORY / "LICENSE").read_bytes()


def test_license_of_the_app_is_never_empty() -> None:
    assert dump_license("bell", "MIT", [b"text"]).startswith(b"text\n")
    assert dump_license("bell", "MIT", []).startswith(b"bell: MIT\n")
    assert dump_license("bell", "", []).startswith(b"bell: its authors have named no license\n")


def test_bill_of_materials_has_each_package_and_is_the_same_each_time() -> None:
    components = [
        sbom.deb_component("libssl3", "1:3.0.1+dfsg-1~deb12u1", "armhf", "bookworm", "a" * 64),
        sbom.python_component("requests", "2.0", "wheel", "b" * 64, ["urllib3", "gone"]),
        sbom.python_component("urllib3", "1.26", "sdist", "c" * 64, []),
    ]
    data = sbom.dump_sbom("bell", "1.0.0", components, identity="d" * 64)
    assert data == sbom.dump_sbom("bell", "1.0.0", components, identity="d" * 64)
    document = json.loads(data)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    found = {component["bom-ref"]: component for component in document["components"]}
    assert (
        found["deb:libssl3"]["purl"] == "pkg:deb/debian/libssl3@1%3A3.0.1%2Bdfsg-1~deb12u1?arch=armhf&distro=bookworm"
    )
    assert found["python:requests"]["hashes"] == [{"alg": "SHA-256", "content": "b" * 64}]
    needs = {entry["ref"]: entry["dependsOn"] for entry in document["dependencies"]}
    assert needs["python:requests"] == ["python:urllib3"]
    assert needs["app"] == sorted(found)
