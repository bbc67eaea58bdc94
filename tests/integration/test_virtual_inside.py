"""What a virtual camera looks like from inside, in each profile."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from incamera.targets.profile import require_profile

from ..waiting import wait_until
from .cameras import PROFILES, inside, on

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera

pytestmark = on(*PROFILES)


def test_camera_has_what_its_profile_describes(camera: VirtualCamera) -> None:
    profile = require_profile(camera.profile)
    facts = profile.architecture.facts
    script = f"""
        uname -m; whoami; echo $HOME; hostname
        /lib/libc.so.6 | head -n 1
        ls /lib/{facts.loader} /usr/lib/libglib-2.0.so.0 /lib/libgcc_s.so.1
        for tool in bash python3 rsync sftp-server; do which $tool; done
        ls -d /lib/*-linux-gnu* /usr/lib/*-linux-gnu* 2>/dev/null
        cat /proc/sys/kernel/hostname
    """
    lines = inside(camera, script).splitlines()
    assert lines[0] in facts.machines
    assert lines[1:3] == ["root", "/mnt/flash/root"]
    assert lines[3].startswith("axis-00408c")
    assert f"GLIBC {profile.glibc}" in lines[4]
    assert lines[5:] == [
        f"/lib/{facts.loader}",
        "/lib/libgcc_s.so.1",
        "/usr/lib/libglib-2.0.so.0",
        lines[3],
    ]


def test_places_have_file_system_and_options_of_the_profile(camera: VirtualCamera) -> None:
    mounts = {line.split()[1]: line.split() for line in inside(camera, "cat /proc/mounts").splitlines()}
    for place in require_profile(camera.profile).places:
        if place.filesystem:
            _, _, filesystem, options, *_ = mounts[place.path]
            assert filesystem == place.filesystem
            assert ("noexec" in options.split(",")) is not place.executable
    script = "#!/bin/sh\\necho ran"
    said = inside(
        camera,
        f"for d in /usr/local/packages /tmp /var/spool/storage/SD_DISK; do "
        f"printf '{script}' >$d/x; chmod +x $d/x; $d/x; rm $d/x; done; ls -d /var/spool/storage/NetworkShare",
    )
    assert said.count("ran\n") == 2
    assert "Permission denied" in said
    assert "/var/spool/storage/NetworkShare\n" in said


def test_kernel_has_the_modules_that_mounts_need(camera: VirtualCamera) -> None:
    said = inside(
        camera,
        "for m in squashfs overlay cifs nfsv4 ccm cmac; do modprobe $m || /sbin/modprobe $m || echo no $m; done; "
        "ls /dev/loop-control; grep -c -e squashfs -e cifs -e nfs4 -e overlay /proc/filesystems",
    )
    assert said.splitlines()[-2:] == ["/dev/loop-control", "4"]
    assert "no " not in said.replace("not found", "")


def test_clock_is_the_hosts(camera: VirtualCamera) -> None:
    before = time.time()
    there = int(inside(camera, "date +%s"))
    # The camera sets its clock a moment after it was told the time.
    assert before - 2 <= there <= time.time()


def test_ssh_gives_a_terminal(camera: VirtualCamera) -> None:
    said = inside(camera, "tty; stty size; echo $TERM", terminal="xterm")
    assert said.split() == ["/dev/pts/0", "30", "100", "xterm"]


def test_orphaned_process_is_reaped(camera: VirtualCamera) -> None:
    pid = inside(camera, "(sleep 0.1 >/dev/null & echo $!)").strip()
    wait_until(lambda: not inside(camera, f"cat /proc/{pid}/stat 2>/dev/null"), "the process has been reaped")
