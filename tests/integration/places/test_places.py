"""Where a bundle goes: RAM, package flash, card and network share of a camera."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ..cameras import OPENSSH_PROFILE, inside, on
from ..command import assert_error
from ..project import write_project
from .conftest import APP, CARD, PACKAGE, RAM, SHARE, SHARE_NAME, Deploy, edit, served

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.virtual.camera import VirtualCamera

    from ..command import Run

pytestmark = on("axis-os-11-armv7hf", matrix=["axis-os-11-aarch64", OPENSSH_PROFILE])


def test_device_info_says_what_runs_from_each_place(incamera: Run, camera: VirtualCamera) -> None:
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
    # The speed is measured once after each start of the camera, since writing wears out a flash.
    assert look() == places
    assert ".incamera-measure" not in inside(camera, f"ls -a {RAM} {PACKAGE} {CARD}")
    table = incamera("device", "info", camera.name).out
    assert re.search(rf"sdcard +{CARD} +vfat .*no +runs bundles", table)


@on("axis-os-11-armv7hf", matrix=["axis-os-11-aarch64"])
@pytest.mark.parametrize(("to", "place", "form"), [("ram", RAM, "tree"), ("sdcard", CARD, "squashfs")])
def test_bundle_runs_from_the_place_given_with_to(
    incamera: Run, project: Path, camera: VirtualCamera, to: str, place: str, form: str
) -> None:
    words = ("-C", project, "--device", camera.name, "--to", to)
    done = incamera("run", *words)
    assert done.code == 0, done.err
    assert re.search(rf"deploy.*{camera.name}:{place}.*the place that was asked for", done.err)
    deployed = json.loads(incamera("deploy", "--json", *words).out)
    assert deployed["destination"].startswith(f"{place}/incamera/mover/")
    assert deployed["form"] == form
    assert done.out == f"from {deployed['root']}\n"
    assert (deployed["files_sent"], deployed["bytes_sent"]) == (0, 0)
    # The card is still noexec: programs run from the mounted image.
    assert f"{CARD} vfat" in inside(camera, "grep noexec /proc/mounts")


def test_deploy_after_an_edit_sends_two_files(deploy: Deploy, camera: VirtualCamera, project: Path) -> None:
    edit(project)
    first = deploy(camera, "--to", "package")
    edit(project)
    second = deploy(camera, "--to", "package")
    # The source and its bytecode; the runtime is there already.
    assert 0 < second["files_sent"] <= 2
    assert second["bytes_sent"] < 2000
    assert second["files_unchanged"] > 500
    assert first["destination"].startswith(PACKAGE)


def test_settings_name_the_place(incamera: Run, camera: VirtualCamera, tmp_path: Path) -> None:
    settled = write_project(tmp_path / "settled", name="settled", app=APP, settings='to = "sdcard"')
    done = incamera("deploy", "-C", settled, "--device", camera.name)
    assert done.code == 0, done.err
    assert done.out.startswith(f"{camera.name}:{CARD}/incamera/settled/")
    assert_error(incamera("deploy", "-C", settled, "--device", camera.name, "--to", "share"), 4, "has no network share")
    # Its image is mounted from the card, which could not be unmounted.
    inside(camera, f"$(ls -t {RAM}/incamera/.guard/* | head -n 1) deactivate; rm -rf {CARD}/incamera/settled")


@pytest.mark.matrix
def test_edit_of_a_tree_on_a_card_without_links_copies_nothing_else(
    incamera: Run, deploy: Deploy, project: Path, camera: VirtualCamera
) -> None:
    first = deploy(camera, "--to", "sdcard", "--form", "tree")
    edit(project)
    second = deploy(camera, "--to", "sdcard", "--form", "tree")
    assert second["files_sent"] <= 2
    assert int(inside(camera, f"find {second['destination']} -type f | wc -l")) < 10
    ran = incamera("run", "-q", "-C", project, "--device", camera.name, "--to", "sdcard", "--form", "tree")
    assert (ran.code, ran.out) == (0, f"from {second['root']}\n")
    # The card was mounted noexec, and root may change that.
    assert f"remounted {CARD} exec" in first["messages"]
    assert f"{CARD} vfat" not in inside(camera, "grep noexec /proc/mounts")
    inside(camera, f"rm -rf {CARD}/incamera/mover; mount -o remount,noexec {CARD}")


@pytest.fixture
def ext4_card(camera: VirtualCamera) -> Iterator[None]:
    """The card is formatted with ext4, the other file system that cameras support."""
    mount = f"$(awk '$2 == \"{CARD}\" {{print $1}}' /proc/mounts)"
    inside(camera, f"$(ls -t {RAM}/incamera/.guard/* | head -n 1) deactivate")
    inside(camera, f"disk={mount}; umount {CARD} && mke2fs $disk && mount -t ext4 -o noexec,nosuid,nodev $disk {CARD}")
    yield
    inside(camera, f"$(ls -t {RAM}/incamera/.guard/* | head -n 1) deactivate")
    options = "noexec,nosuid,nodev,utf8"
    inside(camera, f"disk={mount}; umount {CARD} && mkdosfs $disk && mount -t vfat -o {options} $disk {CARD}")


@pytest.mark.matrix
@pytest.mark.usefixtures("ext4_card")
@pytest.mark.parametrize(
    ("form", "flag"), [("squashfs", "noexec"), pytest.param("tree", "exec", marks=pytest.mark.matrix)]
)
def test_bundle_runs_from_a_card_with_ext4(
    incamera: Run, deploy: Deploy, project: Path, camera: VirtualCamera, form: str, flag: str
) -> None:
    deploy(camera, "--to", "sdcard", "--form", form)
    edit(project)
    deployed = deploy(camera, "--to", "sdcard", "--form", form)
    assert deployed["files_sent"] <= 3
    ran = incamera("run", "-q", "-C", project, "--device", camera.name, "--to", "sdcard", "--form", form)
    assert (ran.code, ran.out) == (0, f"from {deployed['root']}\n")
    mounted = inside(camera, f"grep ' {CARD} ext4 ' /proc/mounts")
    assert ("noexec" in mounted) == (flag == "noexec")


@pytest.mark.matrix
def test_host_writes_into_its_own_folder_when_the_camera_has_it_as_share(
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
        deployed = json.loads(incamera("deploy", "--json", *words).out)
        # The source, its bytecode, and the file that describes the image.
        assert deployed["files_sent"] <= 3
        assert deployed["bytes_sent"] < 20_000
        # With another file system mounted over the share, the camera does not see the host's folder.
        inside(camera, f"mkdir -p {PACKAGE}/other; mount --bind {PACKAGE}/other {SHARE}")
        edit(project)
        try:
            astray = incamera("deploy", *words)
            assert astray.code == 0, astray.err
            assert f"no longer has {tmp_path} mounted" in astray.err
            assert "current" in inside(camera, f"ls {PACKAGE}/other/incamera/mover")
        finally:
            inside(camera, f"umount {SHARE}; rm -rf {PACKAGE}/other")
    # The server has ended: a deploy to the share is an error, and others don't wait for it.
    assert_error(incamera("deploy", *words), 4, "not served now", "incamera share serve")
    elsewhere = incamera("deploy", *words[:-1], "ram")
    assert elsewhere.code == 0, elsewhere.err
    incamera("share", "detach", "--device", camera.name)
    incamera("share", "remove", SHARE_NAME)
