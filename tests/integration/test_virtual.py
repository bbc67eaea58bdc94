"""Virtual cameras for real: what they look like from inside, how long they live, what is left of them."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.errors import DeviceError
from incamera.store import Store, process_exists
from incamera.targets.architecture import Architecture
from incamera.targets.profile import require_profile
from incamera.virtual.camera import (
    VirtualCamera,
    list_cameras,
    require_camera,
    start_camera,
    stop_camera,
)
from incamera.virtual.services import lend_service
from incamera.virtual.start import VirtualTrees, ensure_virtual_trees

from .helpers import inside

if TYPE_CHECKING:
    from incamera.context import Context

Start = Callable[..., VirtualCamera]
SMALL = "axis-os-10-aarch64"  # boots fastest


def trees(context: Context, name: str) -> VirtualTrees:
    """Return the trees that a camera is made of, from the store when they are there."""
    return ensure_virtual_trees(context, require_profile(name))


def eventually(condition: Callable[[], bool], *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def port_is_closed(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def is_gone(store: Store, camera: VirtualCamera) -> bool:
    """Nothing is left: no process, no port, no folder."""
    return (
        not process_exists(camera.qemu_pid)
        and not process_exists(camera.pid)
        and port_is_closed(camera.ssh_port)
        and not (store.root / "virtual" / camera.name).exists()
    )


@pytest.fixture
def porch(store: Store, start_virtual: Start) -> Iterator[VirtualCamera]:
    """A camera for one test to do with as it likes."""
    camera = start_virtual(SMALL, name="porch")
    yield camera
    with contextlib.suppress(DeviceError):
        stop_camera(store, camera.name)


# From inside


def test_it_is_the_camera_that_its_profile_describes(camera: VirtualCamera) -> None:
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


def test_its_places_are_there(camera: VirtualCamera) -> None:
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


def test_its_kernel_has_what_mounts_need(camera: VirtualCamera) -> None:
    said = inside(
        camera,
        "for m in squashfs overlay cifs nfsv4 ccm cmac; do modprobe $m || /sbin/modprobe $m || echo no $m; done; "
        "ls /dev/loop-control; grep -c -e squashfs -e cifs -e nfs4 -e overlay /proc/filesystems",
    )
    assert said.splitlines()[-2:] == ["/dev/loop-control", "4"]
    assert "no " not in said.replace("not found", "")


def test_its_clock_is_the_hosts(camera: VirtualCamera) -> None:
    before = time.time()
    there = int(inside(camera, "date +%s"))
    assert before - 2 <= there <= time.time() + 2


def test_it_gives_a_terminal(camera: VirtualCamera) -> None:
    said = inside(camera, "tty; stty size; echo $TERM", terminal="xterm")
    assert said.split() == ["/dev/pts/0", "30", "100", "xterm"]


def test_a_process_that_its_parent_left_is_not_left_a_zombie(camera: VirtualCamera) -> None:
    inside(camera, "(sleep 0.1 & ) ; sleep 1")
    assert " Z " not in inside(camera, "cat /proc/[0-9]*/stat 2>/dev/null")


# A saved state


@pytest.mark.parametrize("architecture", Architecture)
def test_cameras_of_one_state_are_cameras_of_their_own(
    store: Store, start_virtual: Start, architecture: Architecture
) -> None:
    name = f"axis-os-10-{architecture}"
    start_virtual(name, name="first")  # so that there is a state
    stop_camera(store, "first")
    one, two = start_virtual(name), start_virtual(name)
    try:
        assert one.resumed
        assert two.resumed
        assert (one.name, two.name) == (name, f"{name}-2")
        assert {camera.name for camera in list_cameras(store)} >= {one.name, two.name}
        assert require_camera(store, two.name) == two
        read = "hostname; cat /sys/class/net/eth0/address; head -c 16 /dev/urandom | hexdump -C | head -n 1"
        for first, second in zip(inside(one, read).splitlines(), inside(two, read).splitlines(), strict=True):
            assert first != second
        inside(one, "echo mine >/usr/local/packages/mine; echo mine >/tmp/mine; sync")
        assert inside(two, "ls /usr/local/packages /tmp | grep mine") == ""
    finally:
        stop_camera(store, one.name)
        stop_camera(store, two.name)
    eventually(lambda: is_gone(store, one) and is_gone(store, two))


def test_random_numbers_start_afresh(porch: VirtualCamera) -> None:
    assert inside(porch, "/usr/sbin/reseed </dev/urandom && echo fresh") == "fresh\n"


# Names


def test_a_name_that_is_taken_is_refused(store: Store, start_virtual: Start, porch: VirtualCamera) -> None:
    with pytest.raises(DeviceError) as caught:
        start_virtual(SMALL, name="porch")
    assert caught.value.hint is not None
    assert "virtual stop porch" in caught.value.hint
    assert inside(porch, "echo still here") == "still here\n"


# The network


def test_the_host_is_out_of_reach_but_for_what_is_lent(store: Store, porch: VirtualCamera) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.sendall(b"from the host: " + connection.recv(64))

        threading.Thread(target=serve, daemon=True).start()
        port = server.getsockname()[1]
        reach = "echo hello | timeout 3 nc {} {} 2>/dev/null || echo none"
        assert inside(porch, reach.format("10.0.2.2", port)) == "none\n"
        assert "from the host" not in inside(porch, reach.format("10.0.2.100", 445))
        lend_service(store, porch.name, 445, ("127.0.0.1", port))
        assert inside(porch, reach.format("10.0.2.100", 445)) == "from the host: hello\n"
        assert inside(porch, reach.format("10.0.2.100", port)) == "none\n"
        lend_service(store, porch.name, 445, None)
        assert "from the host" not in inside(porch, reach.format("10.0.2.100", 445))


# The end


def test_a_stopped_camera_leaves_nothing(store: Store, porch: VirtualCamera) -> None:
    stop_camera(store, porch.name)
    assert porch not in list_cameras(store)
    assert port_is_closed(porch.ssh_port)
    eventually(lambda: is_gone(store, porch))  # whoever is process 1 here has to reap them
    with pytest.raises(DeviceError):
        stop_camera(store, porch.name)


@pytest.mark.parametrize("victim", ["keeper", "qemu"])
def test_a_killed_camera_leaves_nothing(store: Store, porch: VirtualCamera, victim: str) -> None:
    os.kill({"keeper": porch.pid, "qemu": porch.qemu_pid}[victim], signal.SIGKILL)
    eventually(lambda: porch not in list_cameras(store))
    eventually(lambda: is_gone(store, porch))


def test_a_camera_that_switches_itself_off_is_gone(store: Store, porch: VirtualCamera) -> None:
    with contextlib.suppress(OSError):
        inside(porch, "/sbin/poweroff -f & sleep 5")
    eventually(lambda: is_gone(store, porch))


def test_a_camera_ends_with_its_owner(store: Store, context: Context) -> None:
    owner = subprocess.Popen(["sleep", "60"])
    camera = start_camera(
        require_profile(SMALL), **trees(context, SMALL), store=store, name="owned", owner_pid=owner.pid
    )
    assert inside(camera, "echo here") == "here\n"
    owner.kill()
    owner.wait()
    eventually(lambda: is_gone(store, camera))


STARTER = """
import dataclasses, sys
from pathlib import Path
from incamera.store import Store
from incamera.targets.profile import require_profile
from incamera.virtual.camera import start_camera
store, profile, memory, tools, userland, kernel = sys.argv[1:]
start_camera(
    dataclasses.replace(require_profile(profile), memory_megabytes=int(memory)),
    tools=Path(tools), userland=Path(userland), kernel=Path(kernel), store=Store(Path(store)), name="halfway",
)
"""


def qemus_of(store: Store) -> dict[str, int]:
    """Return the command lines of the QEMUs that serve *store*, with their process ids."""
    lines = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            if str(store.root) in line and "qemu-system" in line:
                lines[line] = int(folder.name)
    return lines


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "killed"])
@pytest.mark.parametrize("memory", [512, 384], ids=["while resuming", "while booting"])
def test_an_interrupted_start_leaves_nothing(
    store: Store, context: Context, porch: VirtualCamera, number: signal.Signals, memory: int
) -> None:
    """With another size of memory there is no saved state, so the camera boots first."""
    before = set(qemus_of(store))
    states = set((store.root / "trees/virtual-state").iterdir())
    where = trees(context, SMALL)
    words = [store.root, SMALL, memory, where["tools"], where["userland"], where["kernel"]]
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, *map(str, words)], stderr=subprocess.DEVNULL, start_new_session=True
    )
    eventually(lambda: bool(set(qemus_of(store)) - before))
    starter.send_signal(number)
    assert starter.wait(20) != 0
    eventually(lambda: set(qemus_of(store)) <= before)
    eventually(lambda: "halfway" not in [camera.name for camera in list_cameras(store)])
    eventually(lambda: not (store.root / "virtual" / "halfway").exists())
    assert set((store.root / "trees/virtual-state").iterdir()) == states
    eventually(lambda: not list((store.root / "tmp").glob(f"{starter.pid}-*")))
    assert inside(porch, "echo unharmed") == "unharmed\n"


def test_two_starts_at_once_make_the_state_once(store: Store, context: Context) -> None:
    profile = dataclasses.replace(require_profile(SMALL), memory_megabytes=256)
    where = trees(context, SMALL)
    states = set((store.root / "trees/virtual-state").glob("*/"))
    cameras: list[VirtualCamera] = []

    def start() -> None:
        cameras.append(start_camera(profile, **where, store=store, owner_pid=os.getpid()))

    threads = [threading.Thread(target=start) for _ in range(2)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({camera.name for camera in cameras}) == 2
        assert [inside(camera, "uname -m") for camera in cameras] == ["aarch64\n"] * 2
        made = set((store.root / "trees/virtual-state").glob("*/")) - states
        assert len(made) <= 1
        # One of them made it, unless an earlier run of the tests did.
        assert sorted(camera.resumed for camera in cameras) == ([False, True] if made else [True, True])
    finally:
        for camera in cameras:
            stop_camera(store, camera.name)


def test_a_qemu_that_crashes_while_it_boots_is_started_again(store: Store, context: Context) -> None:
    """With a size of memory of its own there is no saved state, so the camera boots first; none is left behind."""
    profile = dataclasses.replace(require_profile(SMALL), memory_megabytes=320)
    where = trees(context, SMALL)
    before = set(qemus_of(store))
    states = set((store.root / "trees/virtual-state").glob("*/"))
    crashed: list[int] = []

    def crash() -> None:
        eventually(lambda: bool(set(qemus_of(store)) - before))
        [line] = set(qemus_of(store)) - before
        crashed.append(qemus_of(store)[line])
        os.kill(crashed[0], signal.SIGKILL)

    threading.Thread(target=crash).start()
    try:
        camera = start_camera(profile, **where, store=store, name="twice", owner_pid=os.getpid())
        assert crashed
        assert not camera.resumed
        assert inside(camera, "uname -m") == "aarch64\n"
        stop_camera(store, camera.name)
    finally:
        for made in set((store.root / "trees/virtual-state").glob("*/")) - states:
            store.remove("virtual-state", made.name)


def test_a_qemu_that_does_not_start_says_why(store: Store, context: Context) -> None:
    profile = dataclasses.replace(require_profile(SMALL), cpu="abacus")
    with pytest.raises(DeviceError, match="abacus") as caught:
        start_camera(profile, **trees(context, SMALL), store=store)
    assert caught.value.hint is not None
    assert not [line for line in qemus_of(store) if "abacus" in line]
