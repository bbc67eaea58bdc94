"""The next deploy notices files that were lost or cut short in a place, and sends them again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..cameras import inside, on
from .conftest import CARD, RAM, Deploy, edit, served

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.virtual.camera import VirtualCamera

    from ..command import Run

pytestmark = pytest.mark.matrix


@on("axis-os-11-armv7hf", "axis-os-11-aarch64")
def test_deploy_repairs_a_runtime_in_ram(incamera: Run, deploy: Deploy, project: Path, camera: VirtualCamera) -> None:
    root = deploy(camera, "--to", "ram")["root"]
    words = ("run", "-q", "-C", project, "--device", camera.name, "--to", "ram")
    assert incamera(*words).code == 0
    # The active root has copies of bin's files. The guard is the same program as bin/python3.
    damage = "rm lib/libz.so.1; chmod u+w bin/python3 lib/libexpat.so.1; : >bin/python3; : >lib/libexpat.so.1"
    folder = f"$(dirname $(readlink {root}/lib))"
    assert "No such file" in inside(camera, f"cd {folder} && {{ {damage}; ls lib/libz.so.1; }}")
    repaired = deploy(camera, "--to", "ram")
    assert repaired["files_sent"] == 2  # bin/python3 is copied from the guard
    assert incamera(*words).out == f"from {repaired['root']}\n"
    assert "damaged" not in inside(camera, f"ls {RAM}/incamera/.images")
    assert deploy(camera, "--to", "ram")["files_sent"] == 0


@pytest.mark.parametrize("damage", ["rm", "truncate -s 1000000"])
def test_deploy_repairs_an_image_on_a_card(
    incamera: Run, deploy: Deploy, project: Path, camera: VirtualCamera, damage: str
) -> None:
    words = ("run", "-q", "-C", project, "--device", camera.name, "--to", "sdcard")
    first = incamera(*words)
    assert first.code == 0, first.err
    # The image is mounted, so the damaged file shows in the mount.
    inside(camera, f"{damage} {CARD}/incamera/.images/*.squashfs; echo 3 >/proc/sys/vm/drop_caches")
    repaired = deploy(camera, "--to", "sdcard")
    assert repaired["files_sent"] == 1
    assert incamera(*words).out == f"from {repaired['root']}\n"


def test_deploy_repairs_an_image_and_an_app_on_a_share(
    incamera: Run, context: Context, project: Path, camera: VirtualCamera, tmp_path: Path
) -> None:
    words = ("-C", project, "--device", camera.name, "--to", "share")
    with served(context, tmp_path, camera):
        edit(project)
        first = incamera("run", *words)
        assert first.code == 0, first.err
        (image,) = (tmp_path / "incamera" / ".images").glob("*.squashfs")
        whole = image.read_bytes()
        for damage in ("removed", "cut short", "changed"):
            image.chmod(0o644)
            if damage == "removed":
                image.unlink()
            elif damage == "cut short":
                image.write_bytes(whole[:1_000_000])
            else:
                image.write_bytes(bytes(len(whole)))
            inside(camera, "echo 3 >/proc/sys/vm/drop_caches")
            repaired = incamera("run", *words)
            assert repaired.code == 0, f"{damage}: {repaired.err}"
            assert repaired.out.startswith("from ")
            assert "written into" in repaired.err
            assert image.read_bytes() == whole
        (app,) = (tmp_path / "incamera" / "mover").glob("*/app/app.py")
        app.unlink()
        deployed = json.loads(incamera("deploy", "--json", *words).out)
        assert deployed["files_sent"] == 1
        assert incamera("run", "-q", *words).out.startswith("from ")
