"""Where a bundle goes: every kind of place of a camera, real cards and mounts, and what is said of one of no use."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import Finished, command_environment
from .helpers import Line, eventually, inside, running, write_project

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera
    from incamera.workflows.context import Context

Run = Callable[..., Finished]

RAM, PACKAGE = "/tmp", "/usr/local/packages"
CARD, SHARE = "/var/spool/storage/SD_DISK", "/var/spool/storage/NetworkShare"
APP = "import sys, zlib\nprint('from', sys.prefix)\n"


@pytest.fixture(scope="module")
def camera(start_virtual: Callable[..., VirtualCamera]) -> VirtualCamera:
    return start_virtual("axis-os-11-armv7hf", name="places")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("places") / "mover", app=APP, name="mover")


@pytest.fixture
def deploy(incamera: Run, project: Path, camera: VirtualCamera) -> Callable[..., dict[str, Any]]:
    def one(*words: str) -> dict[str, Any]:
        done = incamera("deploy", "--json", "-C", project, "--device", camera.name, *words)
        assert done.code == 0, done.err
        return {**json.loads(done.out), "told": done.err}

    return one


def edit(project: Path) -> None:
    (project / "app.py").write_text(f"{APP}# {os.urandom(4).hex()}\n")


def complain(done: Finished, code: int, *words: str) -> None:
    assert done.code == code, done.err
    assert "Traceback" not in done.err
    assert "hint:" in done.err
    for word in words:
        assert re.search(word, done.err), done.err


@contextmanager
def served(context: Context, folder: Path, camera: VirtualCamera) -> Iterator[None]:
    """The camera has *folder* as its network share while the block lasts."""
    from incamera.workflows.devices import connected, virtual_device
    from incamera.workflows.share import Wish
    from incamera.workflows.share import served as serving
    from incamera.workflows.share_attach import attach_share

    with serving(context, "places", Wish(folder=folder)) as (share, _):
        with connected(context, virtual_device(camera)) as session:
            attach_share(context, session, share)
        yield


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


def test_where_the_app_stands_it_stays_and_that_is_said(deploy: Callable[..., dict[str, Any]], project: Path) -> None:
    edit(project)
    first = deploy("--to", "package")
    edit(project)
    second = deploy("--to", "package")
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
    complain(incamera("deploy", "-C", settled, "--device", camera.name, "--to", "share"), 4, "has no network share")
    inside(camera, f"rm -rf {CARD}/incamera/settled")


def test_a_tree_on_a_card_without_links_is_not_copied_for_an_edit(
    incamera: Run, deploy: Callable[..., dict[str, Any]], project: Path, camera: VirtualCamera
) -> None:
    first = deploy("--to", "sdcard", "--form", "tree")
    edit(project)
    second = deploy("--to", "sdcard", "--form", "tree")
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
    inside(camera, f"$(ls -t {RAM}/incamera/.guard/* | head -n 1) stand --drop")
    inside(camera, f"disk={mount}; umount {CARD} && mke2fs $disk && mount -t ext4 -o noexec,nosuid,nodev $disk {CARD}")
    yield
    inside(camera, f"$(ls -t {RAM}/incamera/.guard/* | head -n 1) stand --drop")
    options = "noexec,nosuid,nodev,utf8"
    inside(camera, f"disk={mount}; umount {CARD} && mkdosfs $disk && mount -t vfat -o {options} $disk {CARD}")


@pytest.mark.usefixtures("ext4_card")
@pytest.mark.parametrize(("form", "flag"), [("squashfs", "noexec"), ("tree", "exec")])
def test_a_card_of_ext4(
    incamera: Run, deploy: Callable[..., dict[str, Any]], project: Path, camera: VirtualCamera, form: str, flag: str
) -> None:
    deploy("--to", "sdcard", "--form", form)
    edit(project)
    told = deploy("--to", "sdcard", "--form", form)
    assert told["files_sent"] <= 3
    ran = incamera("run", "-q", "-C", project, "--device", camera.name, "--to", "sdcard", "--form", form)
    assert (ran.code, ran.out) == (0, f"from {told['root']}\n")
    mounted = inside(camera, f"grep ' {CARD} ext4 ' /proc/mounts")
    assert ("noexec" in mounted) == (flag == "noexec")


def test_a_share_is_written_by_the_host_itself(
    incamera: Run, context: Context, project: Path, camera: VirtualCamera, tmp_path: Path
) -> None:
    words = ("-C", project, "--device", camera.name, "--to", "share")
    with served(context, tmp_path, camera):
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
    complain(incamera("deploy", *words), 4, "not served now", "incamera share serve")
    elsewhere = incamera("deploy", *words[:-1], "ram")
    assert elsewhere.code == 0, elsewhere.err
    incamera("share", "detach", "--device", camera.name)
    incamera("share", "remove", "places")


# Places that are of no use


def test_a_place_that_is_too_full_is_left_for_the_next(incamera: Run, camera: VirtualCamera, tmp_path: Path) -> None:
    grown = write_project(tmp_path / "grown", name="grown", app=APP)
    words = ("deploy", "-C", grown, "--device", camera.name)
    assert incamera(*words, "--to", "package").code == 0
    (grown / "big.bin").write_bytes(os.urandom(6_000_000))
    inside(camera, f"fallocate -l $(df -k {PACKAGE} | awk 'END {{print int($4 / 1024) - 4}}')m {PACKAGE}/fill")
    try:
        complain(
            incamera(*words, "--to", "package"), 4, f"{PACKAGE} on {camera.name} has [0-9.]+ MB free", "needs 6.0 MB"
        )
        done = incamera(*words)
        assert done.code == 0, done.err
        assert "trying the next place" in done.err
        assert done.out.startswith(f"{camera.name}:{RAM}/incamera/grown/")
    finally:
        inside(camera, f"rm -rf {PACKAGE}/fill {PACKAGE}/incamera/grown {RAM}/incamera/grown")


def test_a_card_that_is_read_only(incamera: Run, project: Path, camera: VirtualCamera) -> None:
    words = ("deploy", "-C", project, "--device", camera.name, "--to", "sdcard")
    # An image that was replaced, but is mounted still, would keep the card from becoming read-only.
    inside(camera, f"$(ls -t {RAM}/incamera/.guard/* | head -n 1) stand --drop; mount -o remount,ro {CARD}")
    assert f"{CARD} vfat ro," in inside(camera, "cat /proc/mounts")
    try:
        complain(incamera(*words), 4, f"{CARD} is mounted read-only")
        verdict = incamera("device", "info", "--no-speed", camera.name).out
        assert re.search(rf"sdcard +{CARD} .*of no use: is mounted read-only", verdict)
    finally:
        inside(camera, f"mount -o remount,rw {CARD}")
    assert incamera(*words).code == 0


# Two hosts


@pytest.fixture
def other_host(tmp_path: Path, camera: VirtualCamera) -> Iterator[tuple[Line, dict[str, str]]]:
    """Another user's home, whose line to the camera can be watched."""
    line = Line(camera.ssh_port)
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    (home / ".ssh" / "config").write_text(
        f"Host far\n  HostName 127.0.0.1\n  Port {line.port}\n  User root\n  IdentityFile {camera.key}\n"
    )
    (home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{line.port} {camera.host_public_key}\n")
    yield line, {"HOME": str(home), "SSH_AUTH_SOCK": "", "LOGNAME": "alice"}
    line.close()


def test_who_deploys_second_is_told_who_was_first_and_may_take_over(
    incamera: Run, camera: VirtualCamera, tmp_path: Path, other_host: tuple[Line, dict[str, str]]
) -> None:
    line, alice = other_host
    wanted = write_project(tmp_path / "wanted", name="wanted", app=APP)
    assert incamera("deploy", "-C", wanted, "--device", camera.name).code == 0
    for number in range(8):
        (wanted / f"{number}.bin").write_bytes(os.urandom(500_000))
    assert incamera("build", "-C", wanted, "--target", "armv7hf").code == 0
    begun = line.sent
    with running("deploy", "-C", wanted, "--device", "far", env=command_environment(alice)) as first:
        eventually(lambda: line.sent > begun + 1_000_000 or first.process.poll() is not None, "half is sent")
        line.freeze()
        words = ("deploy", "-C", wanted, "--device", camera.name)
        with running(*words, env=command_environment({"LOGNAME": "bob"})) as second:
            eventually(lambda: b"waiting" in second.err or second.process.poll() is not None, "the second is told")
            assert re.search(r"alice@\S+ has been deploying wanted .* for \d+ s: waiting; --take-over", second.text)
            second.press_ctrl_c()
            assert second.finish() == 130
        done = incamera(*words, "--take-over", env={"LOGNAME": "bob"})
        assert done.code == 0, done.err
        first.process.kill()
    assert incamera("run", "-q", "-C", wanted, "--device", camera.name).out.startswith("from ")
    inside(camera, "rm -rf /tmp/incamera/wanted")


# The end of the camera: these go last.


def test_a_card_that_is_pulled(incamera: Run, project: Path, camera: VirtualCamera) -> None:
    words = ("-C", project, "--device", camera.name, "--to", "sdcard")
    assert incamera("run", *words).code == 0
    disk = inside(camera, f"awk '$2 == \"{CARD}\" {{print $1}}' /proc/mounts").strip().removeprefix("/dev/")
    inside(camera, f"basename $(readlink -f /sys/block/{disk}/device) >/sys/bus/virtio/drivers/virtio_blk/unbind")
    edit(project)
    complain(incamera("run", *words), 4, f"{CARD}", "pulled|read-only")
    # The rest of the camera goes on.
    assert incamera("run", "-q", *words[:-1], "ram").out.startswith("from ")


def test_a_camera_that_restarts_in_the_middle(
    incamera: Run,
    camera: VirtualCamera,
    tmp_path: Path,
    other_host: tuple[Line, dict[str, str]],
    start_virtual: Callable[..., VirtualCamera],
) -> None:
    line, alice = other_host
    cut_off = write_project(tmp_path / "cutoff", name="cutoff", app=APP)
    for number in range(8):
        (cut_off / f"{number}.bin").write_bytes(os.urandom(500_000))
    assert incamera("build", "-C", cut_off, "--target", "armv7hf").code == 0
    begun = line.sent
    with running("deploy", "-C", cut_off, "--device", "far", env=command_environment(alice)) as command:
        eventually(lambda: line.sent > begun + 2_000_000 or command.process.poll() is not None, "half is sent")
        assert command.process.poll() is None, command.text
        incamera("virtual", "stop", camera.name)
        assert command.finish() == 4
        assert "was lost" in command.text
        assert "hint:" in command.text
    again = start_virtual("axis-os-11-armv7hf", name="places")
    done = incamera("run", "-q", "-C", cut_off, "--device", again.name)
    assert done.code == 0, done.err
    assert done.out.startswith("from ")
