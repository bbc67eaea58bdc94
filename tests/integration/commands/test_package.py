"""`incamera package`: the .eap of a project."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.integration.project import write_project

if TYPE_CHECKING:
    from tests.integration.command import Run


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
