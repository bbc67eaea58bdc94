"""Where a bundle goes: every kind of place of a camera, real cards and mounts, on both architectures."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ..cameras import inside, on
from ..command import assert_error
from ..project import write_project
from .conftest import APP, CARD, PACKAGE, RAM, SHARE, Deploy, edit, served

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.virtual.camera import VirtualCamera

    from ..command import Run

pytestmark = on("axis-os-11-armv7hf", "axis-os-11-aarch64")


def test_the_camera_says_what_its_places_are_good_for(incamera: Run, camera: VirtualCamera) -> None:
    def look(*words: str) -> dict[str, dict[str, Any]]:
        done = incamera("device", "info", camera.name, "--json", *words)
        assert done.code == 0, done.err
        document = json.loads(done.out)
        assert set(document["forms"]) == {"archive", "squashfs", "tree"}
        return {place["kind"]: place for place in document["places"]}

    unmeasured = look("--no-speed")
    assert {place["read_bytes_per_second"] for place in unmeasured.values()} == {None}
    places = look()
    assert {kind: places[kind]["path"] for kind in ("ram", "package", "sdcard")} == {
        "ram": RAM,
        "package": PACKAGE,
        "sdcard": CARD,
    }
    for kind in ("ram", "package", "sdcard"):
        assert places[kind]["write_bytes_per_second"] > 0
        assert places[kind]["read_bytes_per_second"] > 0
    assert "one mounted file, though it is noexec" in places["sdcard"]["verdict"]
    assert places["ram"]["verdict"].startswith("runs bundles up to")
    # Writing wears out a flash: it is done once between two starts.
    assert look() == places
    assert ".incamera-measure" not in inside(camera, f"ls -a {RAM} {PACKAGE} {CARD}")
    table = incamera("device", "info", camera.name).out
    assert re.search(rf"sdcard +{CARD} +vfat .*no +runs bundles", table)


@pytest.mark.parametrize(("to", "place", "form"), [("ram", RAM, "tree"), ("sdcard", CARD, "squashfs")])
def test_a_bundle_runs_from_where_it_is_wished(
    incamera: Run, project: Path, camera: VirtualCamera, to: str, place: str, form: str
) -> None:
    words = ("-C", project, "--device", camera.name, "--to", to)
    done = incamera("run", *words)
    assert done.code == 0, done.err
    assert re.search(rf"deploy.*{camera.name}:{place}.*as you wished", done.err)
    told = json.loads(incamera("deploy", "--json", *words).out)
    assert told["destination"].startswith(f"{place}/incamera/mover/")
    assert told["form"] == form
    assert done.out == f"from {told['root']}\n"
    assert (told["files_sent"], told["bytes_sent"]) == (0, 0)
    # A card that forbids programs still does: what runs lies in the mounted image.
    assert f"{CARD} vfat" in inside(camera, "grep noexec /proc/mounts")


def test_where_the_app_stands_it_stays_and_that_is_said(deploy: Deploy, camera: VirtualCamera, project: Path) -> None:
    edit(project)
    first = deploy(camera, "--to", "package")
    edit(project)
    second = deploy(camera, "--to", "package")
    # Two files for the source and its byte-code; the runtime lies there once.
    assert 0 < second["files_sent"] <= 2
    assert second["bytes_sent"] < 2000
    assert second["files_unchanged"] > 500
    assert first["destination"].startswith(PACKAGE)


def test_a_settings_key_says_where(incamera: Run, camera: VirtualCamera, tmp_path: Path) -> None:
    settled = write_project(tmp_path / "settled", name="settled", app=APP, settings='to = "sdcard"')
    done = incamera("deploy", "-C", settled, "--device", camera.name)
    assert done.code == 0, done.err
    assert done.out.startswith(f"{camera.name}:{CARD}/incamera/settled/")
    assert_error(incamera("deploy", "-C", settled, "--device", camera.name, "--to", "share"), 4, "has no network share")
    inside(camera, f"rm -rf {CARD}/incamera/settled")


def test_a_tree_on_a_card_without_links_is_not_copied_for_an_edit(
    incamera: Run, deploy: Deploy, project: Path, camera: VirtualCamera
) -> None:
    first = deploy(camera, "--to", "sdcard", "--form", "tree")
    edit(project)
    second = deploy(camera, "--to", "sdcard", "--form", "tree")
    assert second["files_sent"] <= 2
    assert int(inside(camera, f"find {second['destination']} -type f | wc -l")) < 10
    ran = incamera("run", "-q", "-C", project, "--device", camera.name, "--to", "sdcard", "--form", "tree")
    assert (ran.code, ran.out) == (0, f"from {second['root']}\n")
    # Programs were not let run there at first, and we are root.
    assert f"remounted {CARD} exec" in first["told"]
    assert f"{CARD} vfat" not in inside(camera, "grep noexec /proc/mounts")
    inside(camera, f"rm -rf {CARD}/incamera/mover; mount -o remount,noexec {CARD}")


@pytest.fixture
def ext4_card(camera: VirtualCamera) -> Iterator[None]:
    """The card has been formatted with ext4, the other file system that cameras know."""
    mount = f"$(awk '$2 == \"{CARD}\" {{print $1}}' /proc/mounts)"
    inside(camera, f"$(ls -t {RAM}/incamera/.guard/* | head -n 1) deactivate")
    inside(camera, f"disk={mount}; umount {CARD} && mke2fs $disk && mount -t ext4 -o noexec,nosuid,nodev $disk {CARD}")
    yield
    inside(camera, f"$(ls -t {RAM}/incamera/.guard/* | head -n 1) deactivate")
    options = "noexec,nosuid,nodev,utf8"
    inside(camera, f"disk={mount}; umount {CARD} && mkdosfs $disk && mount -t vfat -o {options} $disk {CARD}")


@pytest.mark.usefixtures("ext4_card")
@pytest.mark.parametrize(("form", "flag"), [("squashfs", "noexec"), ("tree", "exec")])
def test_a_card_of_ext4(
    incamera: Run, deploy: Deploy, project: Path, camera: VirtualCamera, form: str, flag: str
) -> None:
    deploy(camera, "--to", "sdcard", "--form", form)
    edit(project)
    told = deploy(camera, "--to", "sdcard", "--form", form)
    assert told["files_sent"] <= 3
    ran = incamera("run", "-q", "-C", project, "--device", camera.name, "--to", "sdcard", "--form", form)
    assert (ran.code, ran.out) == (0, f"from {told['root']}\n")
    mounted = inside(camera, f"grep ' {CARD} ext4 ' /proc/mounts")
    assert ("noexec" in mounted) == (flag == "noexec")


def test_a_share_is_written_by_the_host_itself(
    incamera: Run, context: Context, project: Path, camera: VirtualCamera, tmp_path: Path
) -> None:
    words = ("-C", project, "--device", camera.name, "--to", "share")
    with served(context, tmp_path, camera, leave=True):
        edit(project)
        first = incamera("run", *words)
        assert first.code == 0, first.err
        assert f"written into {tmp_path}" in first.err
        assert re.search(r"one file, mounted", first.err)
        assert len(list((tmp_path / "incamera" / ".images").glob("*.squashfs"))) == 1
        edit(project)
        told = json.loads(incamera("deploy", "--json", *words).out)
        # The source, its byte-code, and both packed beside what tells of the image.
        assert told["files_sent"] <= 3
        assert told["bytes_sent"] < 20_000
        # Another file system lies over the share's: the host's folder is not what the camera sees.
        inside(camera, f"mkdir -p {PACKAGE}/other; mount --bind {PACKAGE}/other {SHARE}")
        edit(project)
        try:
            astray = incamera("deploy", *words)
            assert astray.code == 0, astray.err
            assert f"has not mounted {tmp_path} any more" in astray.err
            assert "current" in inside(camera, f"ls {PACKAGE}/other/incamera/mover")
        finally:
            inside(camera, f"umount {SHARE}; rm -rf {PACKAGE}/other")
    # The server is away now: that is said, and nobody else has to wait for it.
    assert_error(incamera("deploy", *words), 4, "not served now", "incamera share serve")
    elsewhere = incamera("deploy", *words[:-1], "ram")
    assert elsewhere.code == 0, elsewhere.err
    incamera("share", "detach", "--device", camera.name)
    incamera("share", "remove", "places")
