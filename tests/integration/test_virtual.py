"""Virtual cameras: start, saved state, names, network, and what is left when they end."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from incamera.context import Context
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
from incamera.virtual.forwarding import forward_service
from incamera.virtual.start import ensure_virtual_trees, start_virtual

from ..waiting import PATIENCE_SECONDS, wait_until
from .cameras import SMALL_PROFILE, inside, inside_to_the_end
from .command import Run, assert_error
from .reporter import QuietReporter

if TYPE_CHECKING:
    from incamera.virtual.state import VirtualTrees


Start = Callable[..., VirtualCamera]


@pytest.fixture(scope="module")
def store(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store in which no other test starts cameras; packages and firmware are those of the tests' store."""
    own = Store(tmp_path_factory.mktemp("virtual-store"))
    for kind in ("keys", "trees/tools", "trees/virtual-firmware"):
        (store.root / kind).mkdir(parents=True, exist_ok=True)
        (own.root / kind).parent.mkdir(parents=True, exist_ok=True)
        (own.root / kind).symlink_to(store.root / kind)
    states = store.root / "trees/virtual-state"
    if states.is_dir():
        shutil.copytree(states, own.root / "trees/virtual-state", copy_function=_link)
    return own


def _link(source: str, destination: str) -> None:
    try:
        os.link(source, destination)
    except OSError:  # another file system
        shutil.copy2(source, destination)


@pytest.fixture(scope="module")
def context(store: Store) -> Context:
    return Context(store, QuietReporter())


@pytest.fixture(scope="module")
def start(context: Context) -> Start:
    """Starts a camera that ends with the tests at the latest."""
    return lambda profile, **options: start_virtual(context, require_profile(profile), owner_pid=os.getpid(), **options)


def trees(context: Context, name: str) -> VirtualTrees:
    """Return the trees that a camera is made of, from the store when they are there."""
    return ensure_virtual_trees(context, require_profile(name))


def port_is_closed(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def is_gone(store: Store, camera: VirtualCamera) -> bool:
    """Return whether no process, no open port and no folder of the camera is left."""
    return (
        not process_exists(camera.qemu_pid)
        and not process_exists(camera.pid)
        and port_is_closed(camera.ssh_port)
        and not (store.root / "virtual" / camera.name).exists()
    )


@pytest.fixture
def one_camera(store: Store, start: Start) -> Iterator[VirtualCamera]:
    """A camera for one test."""
    camera = start(SMALL_PROFILE, name="one-camera")
    yield camera
    with contextlib.suppress(DeviceError):
        stop_camera(store, camera.name)


# A saved state


@pytest.mark.parametrize(
    "architecture", [Architecture.armv7hf, pytest.param(Architecture.aarch64, marks=pytest.mark.matrix)]
)
def test_two_cameras_of_one_state_share_neither_identity_nor_disks(
    store: Store, start: Start, architecture: Architecture
) -> None:
    name = f"axis-os-10-{architecture}"
    start(name, name="first")  # to make the state
    stop_camera(store, "first")
    one, two = start(name), start(name)
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
    wait_until(lambda: is_gone(store, one) and is_gone(store, two), "both are gone")


def test_random_numbers_are_seeded_again_on_resume(one_camera: VirtualCamera) -> None:
    assert inside(one_camera, "/usr/sbin/reseed </dev/urandom && echo fresh") == "fresh\n"


# Names


def test_name_of_a_running_camera_is_refused(store: Store, start: Start, one_camera: VirtualCamera) -> None:
    with pytest.raises(DeviceError) as caught:
        start(SMALL_PROFILE, name="one-camera")
    assert caught.value.hint is not None
    assert "virtual stop one-camera" in caught.value.hint
    assert inside(one_camera, "echo still here") == "still here\n"


# The network


def test_camera_reaches_only_the_lent_service_of_the_host(store: Store, one_camera: VirtualCamera) -> None:
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
        assert inside(one_camera, reach.format("10.0.2.2", port)) == "none\n"
        assert "from the host" not in inside(one_camera, reach.format("10.0.2.100", 445))
        forward_service(store, one_camera.name, 445, ("127.0.0.1", port))
        assert inside(one_camera, reach.format("10.0.2.100", 445)) == "from the host: hello\n"
        assert inside(one_camera, reach.format("10.0.2.100", port)) == "none\n"
        forward_service(store, one_camera.name, 445, None)
        assert "from the host" not in inside(one_camera, reach.format("10.0.2.100", 445))


# The end of a camera


def test_stopped_camera_leaves_nothing(store: Store, one_camera: VirtualCamera) -> None:
    stop_camera(store, one_camera.name)
    assert one_camera not in list_cameras(store)
    assert port_is_closed(one_camera.ssh_port)
    wait_until(lambda: is_gone(store, one_camera), "it is gone")
    with pytest.raises(DeviceError):
        stop_camera(store, one_camera.name)


def test_camera_whose_supervisor_is_killed_leaves_nothing(store: Store, one_camera: VirtualCamera) -> None:
    os.kill(one_camera.pid, signal.SIGKILL)
    wait_until(lambda: one_camera not in list_cameras(store), "it is not listed any more")
    wait_until(lambda: is_gone(store, one_camera), "it is gone")


def test_camera_that_powers_off_leaves_nothing(store: Store, one_camera: VirtualCamera) -> None:
    inside_to_the_end(one_camera, "/sbin/poweroff -f & sleep 5")
    wait_until(lambda: is_gone(store, one_camera), "it is gone")


def test_camera_ends_with_its_owner(store: Store, context: Context) -> None:
    owner = subprocess.Popen(["sleep", "60"])
    camera = start_camera(
        require_profile(SMALL_PROFILE), trees(context, SMALL_PROFILE), store, name="owned", owner_pid=owner.pid
    )
    assert inside(camera, "echo here") == "here\n"
    owner.kill()
    owner.wait()
    wait_until(lambda: is_gone(store, camera), "it is gone")


STARTER = """
import dataclasses, sys
from pathlib import Path
from incamera.store import Store
from incamera.targets.profile import require_profile
from incamera.virtual.camera import start_camera
from incamera.virtual.state import VirtualTrees
store, profile, memory, tools, userland, kernel = sys.argv[1:]
start_camera(
    dataclasses.replace(require_profile(profile), memory_megabytes=int(memory)),
    VirtualTrees(tools=Path(tools), userland=Path(userland), kernel=Path(kernel)), Store(Path(store)), name="halfway",
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
def test_interrupted_start_leaves_nothing(
    store: Store, context: Context, one_camera: VirtualCamera, number: signal.Signals, memory: int
) -> None:
    """With another size of memory there is no saved state, so the camera boots first."""
    before = set(qemus_of(store))
    states = set((store.root / "trees/virtual-state").iterdir())
    where = trees(context, SMALL_PROFILE)
    words = [store.root, SMALL_PROFILE, memory, where.tools, where.userland, where.kernel]
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, *map(str, words)], stderr=subprocess.DEVNULL, start_new_session=True
    )
    wait_until(lambda: bool(set(qemus_of(store)) - before), "QEMU has started")
    starter.send_signal(number)
    assert starter.wait(PATIENCE_SECONDS) != 0
    wait_until(lambda: set(qemus_of(store)) <= before, "QEMU has ended")
    wait_until(lambda: "halfway" not in [camera.name for camera in list_cameras(store)], "it is not listed")
    wait_until(lambda: not (store.root / "virtual" / "halfway").exists(), "its folder is removed")
    assert set((store.root / "trees/virtual-state").iterdir()) == states
    wait_until(lambda: not list((store.root / "tmp").glob(f"{starter.pid}-*")), "its temporary files are removed")
    assert inside(one_camera, "echo unharmed") == "unharmed\n"


@pytest.mark.matrix
def test_two_starts_at_the_same_time_make_one_state(store: Store, context: Context) -> None:
    profile = dataclasses.replace(require_profile(SMALL_PROFILE), memory_megabytes=256)
    where = trees(context, SMALL_PROFILE)
    states = set((store.root / "trees/virtual-state").glob("*/"))
    cameras: list[VirtualCamera] = []

    def start() -> None:
        cameras.append(start_camera(profile, where, store, owner_pid=os.getpid()))

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


@pytest.mark.matrix
def test_boot_is_tried_again_when_qemu_crashes(store: Store, context: Context) -> None:
    """With a size of memory of its own there is no saved state, so the camera boots first; none is left behind."""
    profile = dataclasses.replace(require_profile(SMALL_PROFILE), memory_megabytes=320)
    where = trees(context, SMALL_PROFILE)
    before = set(qemus_of(store))
    states = set((store.root / "trees/virtual-state").glob("*/"))
    crashed: list[int] = []

    def crash() -> None:
        wait_until(lambda: bool(set(qemus_of(store)) - before), "QEMU has started")
        [line] = set(qemus_of(store)) - before
        crashed.append(qemus_of(store)[line])
        os.kill(crashed[0], signal.SIGKILL)

    threading.Thread(target=crash).start()
    try:
        camera = start_camera(profile, where, store, name="twice", owner_pid=os.getpid())
        assert crashed
        assert not camera.resumed
        assert inside(camera, "uname -m") == "aarch64\n"
        stop_camera(store, camera.name)
    finally:
        for made in set((store.root / "trees/virtual-state").glob("*/")) - states:
            store.remove("virtual-state", made.name)


def _flip(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.seek(path.stat().st_size // 2)
        byte = stream.read(1)
        stream.seek(-1, os.SEEK_CUR)
        stream.write(bytes([byte[0] ^ 1]))


DAMAGE: dict[str, tuple[str, Callable[[Path], object]]] = {
    "changed memory": ("virtual-state/*/memory", _flip),
    "memory cut off": ("virtual-state/*/memory", lambda path: os.truncate(path, 1_000_000)),
    "changed disk": ("virtual-state/*/*.qcow2", _flip),
    "lost disk": ("virtual-state/*/*.qcow2", Path.unlink),
    "lost checksums": ("virtual-state/*/checksums.json", Path.unlink),
    "firmware cut off": ("virtual-firmware/*/initrd", lambda path: os.truncate(path, 1_000_000)),
    "lost kernel": ("virtual-firmware/*/kernel", Path.unlink),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.matrix
def test_damaged_state_is_removed_and_the_camera_boots_again(
    store: Store, context: Context, tmp_path: Path, damage: str
) -> None:
    own = Store(tmp_path / "store")
    (own.root / "keys").symlink_to(store.root / "keys")
    profile = dataclasses.replace(require_profile(SMALL_PROFILE), memory_megabytes=448)
    where = trees(context, SMALL_PROFILE)
    warnings: list[str] = []

    def start() -> bool:
        camera = start_camera(profile, where, own, name="damaged", owner_pid=os.getpid(), warn=warnings.append)
        assert inside(camera, "uname -m") == "aarch64\n"
        stop_camera(own, camera.name)
        return camera.resumed

    assert not start()
    [archive] = own.root.glob("trees/virtual-firmware/*/initrd")
    assert archive.stat().st_mode & 0o777 == 0o600
    pattern, spoil = DAMAGE[damage]
    spoil(next((own.root / "trees").glob(pattern)))
    resumed = start()
    assert resumed == damage.startswith(("firmware", "lost kernel")), "what is in the state is not read again"
    assert len(warnings) == 1
    assert "is damaged" in warnings[0]


def test_error_shows_why_qemu_does_not_start(store: Store, context: Context) -> None:
    profile = dataclasses.replace(require_profile(SMALL_PROFILE), cpu="abacus")
    with pytest.raises(DeviceError, match="abacus") as caught:
        start_camera(profile, trees(context, SMALL_PROFILE), store)
    assert caught.value.hint is not None
    assert not [line for line in qemus_of(store) if "abacus" in line]


# The command line


def test_commands_print_json(store: Store, incamera: Run) -> None:
    env = {"INCAMERA_STORE": str(store.root)}

    def ask(*words: str) -> dict[str, Any]:
        done = incamera(*words, "--json", env=env)
        assert done.code == 0, done.err
        document: dict[str, Any] = json.loads(done.out)
        assert document.pop("schema") == 1
        return document

    started = ask("virtual", "start", SMALL_PROFILE, "--name", "short-lived")
    try:
        assert (started["name"], started["profile"]) == ("short-lived", SMALL_PROFILE)
        assert set(started["ssh"]) >= {"host", "port", "user"}
        assert "http" in started
        assert started["resumed"] is True
        assert started["already"] is False
        assert started["seconds"] > 0
        for words in ([], ["--name", "short-lived"]):
            assert ask("virtual", "start", SMALL_PROFILE, *words) == started | {"already": True}
        done = incamera("virtual", "start", SMALL_PROFILE, env=env)
        assert (done.code, str(started["ssh"]["port"]) in done.out, "--new" in done.out) == (0, True, True)
        assert_error(incamera("virtual", "start", "--name", "short-lived", env=env), 4, SMALL_PROFILE, "virtual stop")
        assert [camera["name"] for camera in ask("virtual", "list")["cameras"]] == ["short-lived"]
        assert ask("virtual", "restart")["restarts"] == 1
        assert ask("virtual", "list")["cameras"][0]["state"] == "running"
        (device,) = ask("device", "list")["devices"]
        assert (device["name"], device["virtual"]) == ("short-lived", True)
    finally:
        stopped = ask("virtual", "stop", "short-lived")
    assert stopped == {"stopped": ["short-lived"]}
    profiles = ask("virtual", "profiles")
    assert profiles["default"] in [profile["name"] for profile in profiles["profiles"]]
