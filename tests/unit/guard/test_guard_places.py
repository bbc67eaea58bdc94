"""Root uses a camera's /tmp while another user plants folders, links, second names and sockets there.

Each test has a /tmp of its own, in a mount namespace. What is planted leads to the folder `victim`, which must stay as
it was, and no test may be a dead end: either the work is done elsewhere, or the error names the owner.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import re
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.unit.agent.agent_process import plain_environment

import incamera
from incamera.device.probe import _PROBE, parse_sections
from incamera.guard.program import _CALL, _FIND
from incamera.runtime.launcher import require_launcher
from incamera.runtime.launcher.protocol import ExitCode, Verb
from incamera.transport.shell_files import _PUT

if TYPE_CHECKING:
    from incamera.transport.protocols import Script

pytestmark = pytest.mark.starts_processes

NOBODY = 65534
DIGEST = "0" * 64
SEEN = "/mnt"
"""Where a test's own folder is in its namespace."""
_NAMESPACE = 'mount --bind "$1" /mnt && mount --bind "$1/tmp" /tmp && shift && exec "$@"'


def can_unshare() -> bool:
    command = ["unshare", "--mount", "true"]
    return not os.geteuid() and bool(shutil.which("unshare")) and not subprocess.run(command, check=False).returncode


class Camera:
    """A device with a /tmp of its own, which is *tmp* outside. *home* has what only root can write to."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.tmp = home / "tmp"
        self.tmp.mkdir()
        self.tmp.chmod(0o1777)
        self.victim = home / "victim"
        (self.victim / "app").mkdir(parents=True)
        (self.victim / "config").write_text("precious")
        (self.victim / "config").chmod(0o600)
        (self.victim / "app" / "main.py").write_text("precious")
        self.before = describe(self.victim)
        shutil.copy(require_launcher(platform.machine()), home / "incamera-guard-1")
        bundle = home / "place" / "incamera" / "doorbell" / "4f1c"
        (bundle / "app").mkdir(parents=True)
        (bundle / "app" / "main.py").write_text("1")
        (bundle / "bundle.json").write_text("{}")
        (bundle / "image").write_text(f"form tree\nfile {DIGEST}\nsize 0\n")
        runtime = home / "place" / "incamera" / ".images" / DIGEST / "bin"
        runtime.mkdir(parents=True)
        (runtime / "python3").write_text("program")

    def call(self, *words: str, input: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = ["unshare", "--mount", "sh", "-c", _NAMESPACE, "sh", str(self.home), *words]
        return subprocess.run(
            command, input=input, capture_output=True, check=False, env=plain_environment(), timeout=120, cwd="/"
        )

    def guard(self, *words: str, input: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return self.call(f"{SEEN}/incamera-guard-1", *words, input=input)


def describe(folder: Path) -> list[tuple[str, int, int, bytes]]:
    """Return all that can be done to a tree: names, modes, owners and contents."""
    return [
        (str(path), path.lstat().st_mode, path.lstat().st_uid, path.read_bytes() if path.is_file() else b"")
        for path in sorted([folder, *folder.rglob("*")])
    ]


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[Camera]:
    if not can_unshare():
        pytest.skip("needs root, and mount namespaces")
    camera = Camera(tmp_path)
    yield camera
    assert describe(camera.victim) == camera.before


# What another user does with a name of ours.


def plant_link(camera: Camera, path: Path) -> None:
    path.symlink_to(f"{SEEN}/victim")
    os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


def plant_folder(camera: Camera, path: Path) -> None:
    """A folder of theirs, in which each name that we could use leads to the victim."""
    path.mkdir()
    for name in ("app", "doorbell", "4f1c", "pid.new", "lock", "owner.new", ".lock", ".images", ".guard"):
        (path / name).symlink_to(f"{SEEN}/victim" if "." not in name else f"{SEEN}/victim/config")
    os.chown(path, NOBODY, NOBODY)


def plant_open_folder(camera: Camera, path: Path) -> None:
    """A folder of ours in which everybody may write."""
    plant_folder(camera, path)
    os.chown(path, 0, 0)
    path.chmod(0o777)


PLANTS = [plant_link, plant_folder, plant_open_folder]
Plant = Callable[[Camera, Path], None]


def assert_refused(done: subprocess.CompletedProcess[bytes], path: str) -> None:
    assert done.returncode == ExitCode.taken, done
    assert f"another user has taken {path}: owner nobody" in done.stderr.decode() or (
        f"others can write to {path}" in done.stderr.decode()
    )


# The guard's verbs


def listing() -> bytes:
    entry = b"f 1 " + b"a" * 64 + b" app/main.py\0\0"
    return b"%d\n" % len(entry) + entry


WALK: dict[Verb, tuple[str, tuple[str, ...], bytes]] = {
    Verb.receive: ("incamera", ("/tmp/incamera", "doorbell", "4f1c"), listing()),
    Verb.tidy: ("incamera", ("/tmp/incamera", "doorbell", "4f1c", "old"), b""),
    Verb.adopt: ("incamera", ("/tmp/incamera", "doorbell", "4f1c", "activate"), b""),
    Verb.activate: ("incamera", ("/tmp/incamera/doorbell/4f1c",), b""),
    Verb.run: ("incamera-run-1", ("/tmp/incamera-run-1", "--", "touch", f"{SEEN}/victim/run"), b""),
    Verb.supervise: ("incamera-run-1", ("/tmp/incamera-run-1/inner",), b"end\n"),
    Verb.show: ("incamera", (f"{SEEN}/place/incamera/doorbell/4f1c/app", "/tmp/incamera/.work/doorbell"), b""),
    Verb.make_folder: ("incamera-test", ("/tmp/incamera-test/one-1",), b""),
    Verb.remove_folder: ("incamera-debug", ("/tmp/incamera-debug/doorbell/app",), b""),
    Verb.connect: ("incamera-run-1", ("/tmp/incamera-run-1/doorbell.socket",), b""),
    Verb.mount: ("share", ("tmpfs", "none", "/tmp/share"), b"size=1m\n"),
    Verb.allow_exec: ("share", ("/tmp/share",), b""),
}
"""What is planted in /tmp, and a call that uses it: these refuse, and name the owner."""

ELSEWHERE: dict[Verb, tuple[str, tuple[str, ...]]] = {
    Verb.copy_folder: ("incamera-debug", (f"{SEEN}/place/incamera/doorbell/4f1c", "/tmp/incamera-debug/doorbell/app")),
    Verb.deactivate: ("incamera-roots", ()),
    Verb.list: ("incamera-roots", ()),
    Verb.sockets: ("incamera-agent", ()),
    Verb.measure: (".incamera-measure-u0", ("/tmp", "100000")),
    Verb.try_images: ("incamera-images", ()),
}
"""The same: these go on with another name."""

NO_PATH = {
    Verb.look: "test_guard_transfer.py",
    Verb.read: "test_guard_transfer.py",
    Verb.write: "test_guard_transfer.py",
    Verb.erase: "test_guard_transfer.py",
    Verb.verify: "reads",
    Verb.processes: "reads /proc",
    Verb.end: "takes numbers of processes",
    Verb.unmount: "only unmounts, and follows no link",
}


def test_walk_has_all_verbs() -> None:
    assert {*WALK, *ELSEWHERE, *NO_PATH} == set(Verb)


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("verb", WALK)
def test_verb_refuses_what_others_have_planted(verb: Verb, plant: Plant, camera: Camera) -> None:
    name, words, input = WALK[verb]
    plant(camera, camera.tmp / name)
    planted = describe(camera.tmp)
    assert_refused(camera.guard(verb, *words, input=input), f"/tmp/{name}")
    assert describe(camera.tmp) == planted


def test_place_that_the_user_chose_may_belong_to_another(camera: Camera) -> None:
    """Such as a colleague's folder that is a share. What is ours in it must be ours all the same."""
    share = camera.tmp / "team" / "share"
    share.mkdir(parents=True)
    os.chown(share.parent, NOBODY, NOBODY)
    os.chown(share, NOBODY, NOBODY)
    words = ("receive", "/tmp/team/share/incamera", "doorbell", "4f1c")
    assert camera.guard(*words, input=listing()).returncode == ExitCode.damaged
    assert (share / "incamera" / "doorbell" / "4f1c.partial").exists()
    os.chown(share / "incamera", NOBODY, NOBODY)
    assert_refused(camera.guard(*words, input=listing()), "/tmp/team/share/incamera")


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("verb", ELSEWHERE)
def test_verb_goes_on_beside_what_others_have_planted(verb: Verb, plant: Plant, camera: Camera) -> None:
    name, words = ELSEWHERE[verb]
    plant(camera, camera.tmp / name)
    done = camera.guard(verb, *words)
    if verb is Verb.measure and plant is not plant_link:
        assert b"cannot write" in done.stderr, done  # how fast the place is stays unknown
    else:
        assert done.returncode == 0, done
    assert b"victim" not in done.stdout
    assert b"4f1c" not in done.stdout


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("names", [("incamera-roots",), ("incamera-images",), ("incamera-roots", "incamera-images")])
def test_bundle_is_activated_beside_what_others_have_planted(
    names: tuple[str, ...], plant: Plant, camera: Camera
) -> None:
    for name in names:
        plant(camera, camera.tmp / name)
    bundle = f"{SEEN}/place/incamera/doorbell/4f1c"
    roots = "/tmp/incamera-roots-u0" if "incamera-roots" in names else "/tmp/incamera-roots"
    for _ in range(2):
        done = camera.guard("activate", bundle)
        assert json.loads(done.stdout) == {"kind": "activated", "root": f"{roots}/4f1c"}, done
    listed = json.loads(camera.guard("list").stdout)
    assert [root["name"] for root in listed["roots"]] == ["4f1c"]
    # When the other user's folder is gone, what is active stays where it is.
    for name in names:
        camera.call("rm", "-r", f"/tmp/{name}")
    assert json.loads(camera.guard("activate", bundle).stdout)["root"] == f"{roots}/4f1c"
    assert camera.guard("deactivate").returncode == 0
    assert not list((camera.tmp / Path(roots).name).glob("[!.]*"))


def test_error_names_the_owner_when_both_names_are_taken(camera: Camera) -> None:
    for name in ("incamera-roots", "incamera-roots-u0"):
        plant_folder(camera, camera.tmp / name)
    assert_refused(camera.guard("activate", f"{SEEN}/place/incamera/doorbell/4f1c"), "/tmp/incamera-roots-u0")


def test_second_name_of_a_file_of_ours_is_not_written_to(camera: Camera) -> None:
    """Where the kernel lets them, others can give any file a second name in /tmp."""
    os.link(camera.victim / "config", camera.tmp / ".incamera-measure-u0")
    assert camera.guard("measure", "/tmp", "100000").returncode == 0


def test_run_folder_that_is_there_already_is_not_used(camera: Camera) -> None:
    """Its name is in the list of processes before it is made."""
    plant_folder(camera, camera.tmp / "incamera-run-1")
    done = camera.guard("supervise", "/tmp/incamera-run-1", input=b"end\n")
    assert b"cannot make /tmp/incamera-run-1: File exists" in done.stderr, done


# A /tmp that is not sticky: everybody may rename what is in it, at any moment.

NOT_STICKY = b"everybody can rename folders in /tmp"


@pytest.mark.parametrize("verb", [verb for verb, (name, *_) in WALK.items() if name != "share"])
def test_verb_uses_nothing_that_everybody_can_rename(verb: Verb, camera: Camera) -> None:
    name, words, input = WALK[verb]
    (camera.tmp / name / "inner").mkdir(parents=True)
    camera.tmp.chmod(0o777)
    before = describe(camera.tmp)
    done = camera.guard(verb, *words, input=input)
    assert done.returncode == ExitCode.taken, done
    assert NOT_STICKY in done.stderr
    assert describe(camera.tmp) == before


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        (Verb.receive, ("/tmp/incamera", "doorbell", "4f1c")),
        (Verb.supervise, ("/tmp/incamera-run-1",)),
        (Verb.make_folder, ("/tmp/incamera-test-1",)),
        (Verb.try_images, ()),
        (Verb.activate, (f"{SEEN}/place/incamera/doorbell/4f1c",)),
        (Verb.deactivate, ()),
        (Verb.copy_folder, (f"{SEEN}/place/incamera/doorbell/4f1c", "/tmp/incamera-debug/doorbell/app")),
    ],
)
def test_verb_makes_nothing_where_everybody_can_rename_it(verb: Verb, words: tuple[str, ...], camera: Camera) -> None:
    camera.tmp.chmod(0o777)
    done = camera.guard(verb, *words, input=listing() if verb is Verb.receive else b"end\n")
    assert done.returncode == ExitCode.taken, done
    assert NOT_STICKY in done.stderr
    assert list(camera.tmp.iterdir()) == []


@pytest.mark.parametrize("verb", [Verb.list, Verb.sockets])
def test_verb_believes_nothing_that_everybody_can_rename(verb: Verb, camera: Camera) -> None:
    for name in ("incamera-roots", "incamera-roots-u0", "incamera-images", "incamera-agent", "incamera-run-1"):
        (camera.tmp / name / "4f1c").mkdir(parents=True)
    camera.tmp.chmod(0o777)
    done = camera.guard(verb)
    assert done.returncode == 0, done
    assert b"4f1c" not in done.stdout


def test_listing_believes_no_second_name_that_is_taken_too(camera: Camera) -> None:
    for name in ("incamera-roots", "incamera-roots-u0"):
        plant_folder(camera, camera.tmp / name)
    done = camera.guard(Verb.list)
    assert json.loads(done.stdout)["roots"] == [], done


def test_what_root_has_mounted_is_used_where_everybody_can_rename(camera: Camera) -> None:
    """The kernel lets nobody rename a folder on which something is mounted."""
    (camera.tmp / "card").mkdir()
    camera.tmp.chmod(0o777)
    words = ["/tmp/card/incamera", "doorbell", "4f1c"]
    script = f'mount -t tmpfs -o mode=0755 none /tmp/card && exec {SEEN}/incamera-guard-1 receive "$@"'
    done = camera.call("sh", "-c", script, "sh", *words, input=listing())
    assert done.returncode == ExitCode.damaged, done  # no files were sent


# A place that others fill, or mount in another way, while a bundle arrives.


def write_shipment(camera: Camera, size: int) -> None:
    """Write what a host sends for a bundle with one file of *size* bytes, which cannot be packed."""
    data = os.urandom(size)
    entry = f"f {size} {hashlib.sha256(data).hexdigest()} app/data\0\0".encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("app/data")
        member.size = size
        archive.addfile(member, io.BytesIO(data))
    pieces = struct.pack(">I", len(packed.getvalue())) + packed.getvalue() + bytes(4)
    (camera.home / "shipment").write_bytes(b"%d\n" % len(entry) + entry + pieces)


def test_place_that_becomes_full_is_told_and_the_next_deploy_goes_on(camera: Camera) -> None:
    write_shipment(camera, 600_000)
    receive = f"{SEEN}/incamera-guard-1 receive /tmp/card/incamera doorbell 4f1c <{SEEN}/shipment"
    script = f"""
    mkdir /tmp/card && mount -t tmpfs -o size=400k,mode=0755 none /tmp/card
    {receive}; echo "ended $?"; ls -A /tmp/card/incamera/doorbell
    mount -o remount,size=4m /tmp/card
    cd /tmp/card/incamera/doorbell
    {receive} && cmp current/app/data 4f1c/app/data && echo whole
    """
    done = camera.call("sh", "-c", script)
    assert f"ended {ExitCode.no_space:d}\n".encode() in done.stdout, done
    assert b"no space left in /tmp/card" in done.stderr
    _, _, second = done.stdout.partition(b"ended ")
    assert b"4f1c\n" not in second.replace(b"4f1c.partial", b""), "half a bundle has the name of a whole one"
    assert second.endswith(b"whole\n"), done


@pytest.mark.parametrize("options", ["nosuid,nodev", "noatime,nodiratime,sync"])
def test_bundle_arrives_however_its_place_is_mounted(options: str, camera: Camera) -> None:
    write_shipment(camera, 1000)
    words = ["/tmp/card/incamera", "doorbell", "4f1c"]
    script = f"""
    mkdir /tmp/card && mount -t tmpfs -o mode=0755,{options} none /tmp/card
    {SEEN}/incamera-guard-1 receive "$@" <{SEEN}/shipment && ls /tmp/card/incamera/doorbell
    """
    done = camera.call("sh", "-c", script, "sh", *words)
    assert done.stdout.endswith(b"4f1c\ncurrent\n"), done


def test_place_that_is_read_only_is_told(camera: Camera) -> None:
    write_shipment(camera, 1000)
    script = f"""
    mkdir /tmp/card && mount -t tmpfs -o mode=0755,ro none /tmp/card
    exec {SEEN}/incamera-guard-1 receive /tmp/card/incamera doorbell 4f1c <{SEEN}/shipment
    """
    done = camera.call("sh", "-c", script)
    assert done.returncode == ExitCode.read_only, done


# Attach sockets

_SERVE = """
import os, socket, sys
path, folder, uid = sys.argv[1], os.path.dirname(sys.argv[1]), int(sys.argv[2])
os.makedirs(folder, exist_ok=True)
os.chown(folder, int(sys.argv[3]), -1)
if os.fork() == 0:
    os.chmod(folder, 0o755)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    os.chown(path, uid, -1)
    os.seteuid(uid)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the caller waits for the end of all that have its standard error
    listener.listen()
    print(flush=True)
    listener.settimeout(20)
    connection, _ = listener.accept()
    connection.sendall(b"believe me")
    os._exit(0)
"""


def serve(guard: str, verb: str, folder: int, owner: int) -> list[str]:
    """Return a command that opens a socket, for that *owner* in a folder of the user *folder*, and calls the guard."""
    path = "/tmp/incamera-run-1/doorbell.socket"
    script = (
        f'"$0" -c "$1" {path} {owner} {folder} | {{ read -r _; {guard} {verb} {path if verb == "connect" else ""}; }}'
    )
    return ["sh", "-c", script, sys.executable, _SERVE]


@pytest.mark.parametrize(("folder", "owner"), [(NOBODY, NOBODY), (NOBODY, 0), (0, NOBODY)])
def test_socket_of_another_user_is_neither_listed_nor_connected_to(folder: int, owner: int, camera: Camera) -> None:
    guard = f"{SEEN}/incamera-guard-1"
    listed = camera.call(*serve(guard, "sockets", folder, owner))
    assert json.loads(listed.stdout)["paths"] == [], listed
    shutil.rmtree(camera.tmp / "incamera-run-1")
    done = camera.call(*serve(guard, "connect", folder, owner))
    assert done.returncode == ExitCode.taken, done
    assert done.stdout == b""


def test_socket_of_ours_is_listed_and_connected_to(camera: Camera) -> None:
    guard = f"{SEEN}/incamera-guard-1"
    listed = camera.call(*serve(guard, "sockets", 0, 0))
    assert json.loads(listed.stdout)["paths"] == ["/tmp/incamera-run-1/doorbell.socket"], listed
    shutil.rmtree(camera.tmp / "incamera-run-1")
    assert camera.call(*serve(guard, "connect", 0, 0)).stdout == b"believe me"


# The scripts that run before the guard is there

SCRIPTS = {
    "find-guard": "below",
    "call-guard": "below",
    "probe": "below",
    "put": "below",
    "get": "reads what its caller names",
    "addresses": "touches no file",
    **dict.fromkeys(("declared", "log", "send", "params", "set"), "virtual/test_services.py"),
    **dict.fromkeys(("set-fault", "clear-fault", "faults"), "virtual/test_virtual_faults.py"),
    **dict.fromkeys(("storages", "change-card", "kill-service", "set-scene"), "work in a folder of root's"),
}
"""Each script of the shell that runs in a camera, and where planted links are tried with it."""


def test_walk_has_all_scripts() -> None:
    found = [
        name
        for path in Path(incamera.__file__).parent.rglob("*.py")
        for name in re.findall(r'\bScript\(\s*"([\w-]+)"', path.read_text("utf-8"))
    ]
    assert sorted(found) == sorted(SCRIPTS)


GUARD = "/tmp/incamera/.guard/incamera-guard-2"


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("name", ["incamera", "incamera/.guard", "incamera/.guard/incamera-guard-2"])
@pytest.mark.parametrize("script", [_FIND, _CALL], ids=lambda script: script.name)
def test_no_guard_is_found_or_called_in_what_others_have_planted(
    script: Script, name: str, plant: Plant, camera: Camera
) -> None:
    (camera.tmp / name).parent.mkdir(parents=True, exist_ok=True)
    plant(camera, camera.tmp / name)
    done = camera.call(*script.program("/tmp", GUARD, "list").arguments)
    assert done.returncode == ExitCode.taken, done
    assert f"another user has taken /tmp/{name}: owner ".encode() in done.stderr


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("script", [_FIND, _CALL], ids=lambda script: script.name)
def test_no_guard_is_found_or_called_where_everybody_can_rename_it(script: Script, there: bool, camera: Camera) -> None:
    if there:
        program = camera.tmp / "incamera" / ".guard" / "incamera-guard-2"
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\necho run\n")
        program.chmod(0o755)
    camera.tmp.chmod(0o777)
    before = describe(camera.tmp)
    done = camera.call(*script.program("/tmp", GUARD, "list").arguments)
    assert done.returncode == ExitCode.taken, done
    assert NOT_STICKY in done.stderr
    assert (done.stdout, describe(camera.tmp)) == (b"", before)


def test_guards_folder_is_made_for_us_alone(camera: Camera) -> None:
    assert camera.call(*_FIND.program("/tmp", GUARD).arguments).returncode == ExitCode.no_guard
    for name in ("incamera", "incamera/.guard"):
        assert (camera.tmp / name).stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("plant", PLANTS)
def test_probe_chooses_a_folder_that_is_ours(plant: Plant, camera: Camera) -> None:
    def chosen(trial: str = "exec") -> str:
        done = camera.call(*_PROBE.program("", "", "/tmp").arguments)
        sections = parse_sections(done.stdout.decode())
        assert f"/tmp {trial}" in sections["trials"]
        return next(line for line in sections["folders"] if line.startswith("/tmp "))

    assert chosen() == "/tmp incamera"
    camera.tmp.chmod(0o777)
    assert chosen(trial="read") == "/tmp !"
    camera.tmp.chmod(0o1777)
    plant(camera, camera.tmp / "incamera")
    assert chosen() == "/tmp incamera-u0"
    plant_folder(camera, camera.tmp / "incamera-u0")
    assert chosen() == ("/tmp - root" if plant is plant_open_folder else "/tmp - nobody")


def test_probe_removes_nothing_below_a_planted_folder(camera: Camera) -> None:
    plant = "mkdir /tmp/.incamera-probe-$$ && touch /tmp/.incamera-probe-$$/kept && exec sh -c \"$1\" probe '' '' /tmp"
    done = camera.call("sh", "-c", plant, "sh", _PROBE.text)
    assert "/tmp exec" in parse_sections(done.stdout.decode())["trials"]
    assert [path.name for path in camera.tmp.glob(".incamera-probe-*/*")] == ["kept"]


def test_file_is_not_put_through_a_planted_link(camera: Camera) -> None:
    plant = f'ln -s {SEEN}/victim/config "/tmp/file.$$"; exec sh -c "$1" put /tmp/file 3 644'
    done = camera.call("sh", "-c", plant, "sh", _PUT.text, input=b"new")
    assert done.returncode == 0, done
    assert (camera.tmp / "file").read_text() == "new"


# The agent

_ACQUIRE = """
from incamera_agent.server.folder import AgentFolder
agent = AgentFolder("doorbell")
print(agent.folder)
agent.acquire("anna@desk", "a test", take_over=True)
agent.listen()
"""


@pytest.mark.parametrize("plant", PLANTS)
def test_agent_uses_a_folder_of_its_own(plant: Plant, camera: Camera) -> None:
    plant(camera, camera.tmp / "incamera-agent")
    done = camera.call(sys.executable, "-c", _ACQUIRE)
    assert (done.returncode, done.stdout) == (0, b"/tmp/incamera-agent-u0/doorbell\n"), done
    assert sorted(path.name for path in (camera.tmp / "incamera-agent-u0" / "doorbell").iterdir()) == [
        *("lock", "owner.json", "socket"),
    ]
    listed = json.loads(camera.guard("sockets").stdout)
    assert listed["paths"] == ["/tmp/incamera-agent-u0/doorbell/socket"]


def test_agent_kills_no_process_that_a_planted_owner_names(camera: Camera) -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        start = int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19])
        folder = camera.tmp / "incamera-agent" / "doorbell"
        folder.mkdir(parents=True)
        (folder / "owner.json").write_text(json.dumps({"pid": process.pid, "start": start}))
        os.chown(folder / "owner.json", NOBODY, NOBODY)
        for planted in (folder, folder.parent):
            done = camera.call(sys.executable, "-c", _ACQUIRE)
            assert done.returncode == 0, done
            assert process.poll() is None
            planted.mkdir(parents=True, exist_ok=True)
            (folder / "owner.json").unlink(missing_ok=True)
            (folder / "owner.json").write_text(json.dumps({"pid": process.pid, "start": start}))
            os.chown(folder.parent, NOBODY, NOBODY)
        process.send_signal(signal.SIGKILL)


def test_agent_names_the_owner_when_both_names_are_taken(camera: Camera) -> None:
    for name in ("incamera-agent", "incamera-agent-u0"):
        plant_folder(camera, camera.tmp / name)
    done = camera.call(sys.executable, "-c", _ACQUIRE)
    assert b"another user, nobody, has taken it" in done.stderr
    assert b"/tmp/incamera-agent-u0" in done.stderr


@pytest.mark.parametrize("there", [False, True])
def test_agent_uses_nothing_that_everybody_can_rename(there: bool, camera: Camera) -> None:
    if there:
        (camera.tmp / "incamera-agent" / "doorbell").mkdir(parents=True)
    camera.tmp.chmod(0o777)
    before = describe(camera.tmp)
    done = camera.call(sys.executable, "-c", _ACQUIRE)
    assert done.returncode != 0
    assert NOT_STICKY + b"; root can forbid it with chmod +t /tmp" in done.stderr
    assert describe(camera.tmp) == before
