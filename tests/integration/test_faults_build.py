"""What can go wrong before anything reaches a camera: the network, the mirror, the disk, Ctrl-C, the settings."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from incamera.store import Store

from .conftest import STORE, Finished, command_environment
from .faulty_mirror import Fault, FaultyMirror
from .helpers import eventually, processes_that_mention, running, write_project

Run = Callable[..., Finished]

INDEX = r"/dists/bookworm/main/binary-armhf/by-hash/"
# One package that only the runtime for the target needs, and one that only the host's byte-compiler needs.
TARGET_DEB = r"/pool/.*/libsqlite3-0_.*_armhf\.deb"
HOST_DEB = r"/pool/.*/python3\.11-minimal_.*_amd64\.deb|/pool/.*/python3\.11-minimal_.*_arm64\.deb"


@dataclass(frozen=True)
class Place:
    """A project and a store that nobody else has, and the mirror that they use."""

    project: Path
    store: Path
    mirror: FaultyMirror
    run: Run

    @property
    def env(self) -> dict[str, str]:
        return {"INCAMERA_STORE": str(self.store), **self.mirror.environment}

    def build(self, *arguments: str, **options: Any) -> Finished:
        return self.run("build", *arguments, cwd=self.project, env=self.env | options.pop("env", {}), **options)

    def half_made(self) -> list[Path]:
        return list((self.store / "tmp").glob("[0-9]*")) + list(self.project.glob(".*partial*"))


@pytest.fixture
def place(tmp_path: Path, local_mirror: FaultyMirror, incamera: Run) -> Place:
    return Place(write_project(tmp_path / "plain"), tmp_path / "store", local_mirror, incamera)


@pytest.fixture(scope="module")
def sound_store(tmp_path_factory: pytest.TempPathFactory, _mirror: FaultyMirror, incamera: Run) -> tuple[Path, str]:
    """A store in which the project was built undisturbed, and the bundle's digest."""
    folder = tmp_path_factory.mktemp("sound")
    place = Place(write_project(folder / "plain"), folder / "store", _mirror, incamera)
    done = place.build("--json")
    assert done.code == 0, done.err
    return place.store, json.loads(done.out)["bundle"]


@pytest.fixture
def filled(place: Place, sound_store: tuple[Path, str]) -> Place:
    """A place whose store has what can be fetched, but neither runtime nor bundle."""
    shutil.copytree(sound_store[0] / "blobs", place.store / "blobs")
    shutil.copytree(sound_store[0] / "trees/tools", place.store / "trees/tools", symlinks=True)
    return place


def complain(done: Finished, code: int, *words: str) -> None:
    """One error with a hint, the right exit code, no traceback, nothing on standard output."""
    assert done.code == code, done.err
    assert done.err.count("error:") == 1
    assert "hint:" in done.err
    assert "Traceback" not in done.err
    assert done.out == ""
    for word in words:
        assert re.search(word, done.err), done.err


def check_recovery(place: Place, digest: str) -> None:
    """Nothing half-made is taken for whole: a build succeeds now, with the digest of an undisturbed one."""
    place.mirror.behave()
    done = place.build("--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["bundle"] == digest
    count, faults = Store(place.store).verify()
    assert count
    assert not faults


# The network


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("address", ["http://127.0.0.1:PORT/debian", "http://mirror.invalid/debian"])
def test_no_network(place: Place, address: str) -> None:
    address = address.replace("PORT", str(closed_port()))
    done = place.build(env={"INCAMERA_DEBIAN_MIRROR": address})
    complain(done, 5, "cannot fetch " + re.escape(address), "is the network up", "INCAMERA_DEBIAN_MIRROR")
    assert place.half_made() == []
    assert not list(place.project.glob("pylock.*"))


def test_what_was_fetched_is_built_and_run_again_without_network(filled: Place, sound_store: tuple[Path, str]) -> None:
    assert filled.run("lock", cwd=filled.project, env=filled.env).code == 0
    done = filled.build("--json", env={"INCAMERA_DEBIAN_MIRROR": f"http://127.0.0.1:{closed_port()}/debian"})
    assert done.code == 0, done.err
    assert json.loads(done.out)["bundle"] == sound_store[1]


# The mirror


@pytest.mark.parametrize(
    ("pattern", "fault", "words"),
    [
        ("/dists/bookworm/InRelease", FaultyMirror.wrong_bytes, ["is not signed by Debian's archive keys"]),
        ("/dists/bookworm/InRelease", FaultyMirror.truncated, ["InRelease"]),
        (INDEX, FaultyMirror.wrong_bytes, ["sha256", "at odds with itself"]),
        (INDEX, FaultyMirror.truncated, ["bytes"]),
        (TARGET_DEB, FaultyMirror.wrong_bytes, ["libsqlite3-0", "the sha256 is .* but .* was signed for"]),
        (TARGET_DEB, FaultyMirror.truncated, ["libsqlite3-0", "bytes"]),
        (TARGET_DEB, FaultyMirror.cut, ["libsqlite3-0"]),
        (TARGET_DEB, FaultyMirror.status(404), ["the mirror no longer has libsqlite3-0", "incamera lock"]),
        (TARGET_DEB, FaultyMirror.status(503), ["the server answers 503"]),
        (TARGET_DEB, FaultyMirror.status(403), ["the server answers 403"]),
        (HOST_DEB, FaultyMirror.wrong_bytes, ["python3.11-minimal", "sha256"]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_bad_mirror(
    filled: Place, sound_store: tuple[Path, str], pattern: str, fault: Fault, words: list[str]
) -> None:
    forget(filled, pattern)
    filled.mirror.misbehave(pattern, fault)
    done = filled.build()
    complain(done, 5, *words)
    assert filled.half_made() == []
    assert list((filled.store / "trees").glob("runtimes/*")) == []
    check_recovery(filled, sound_store[1])


def forget(place: Place, pattern: str) -> None:
    """Take what *pattern* stands for out of the store, so that it is fetched anew."""
    for data in place.mirror.kept_files(pattern):
        digest = hashlib.sha256(data).hexdigest()
        (place.store / "blobs" / digest[:2] / digest).unlink(missing_ok=True)
    if pattern == HOST_DEB:
        shutil.rmtree(place.store / "trees/tools")


def test_a_file_that_comes_broken_at_first_is_fetched_again(filled: Place, sound_store: tuple[Path, str]) -> None:
    forget(filled, TARGET_DEB)
    filled.mirror.misbehave(TARGET_DEB, FaultyMirror.cut, times=2)
    done = filled.build("--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["bundle"] == sound_store[1]
    assert len([path for path in filled.mirror.requests if re.search(TARGET_DEB, path)]) == 3


# Ctrl-C, kill -9, two at once

MOMENTS = {
    "release": "/dists/bookworm/InRelease",
    "index": INDEX,
    "interpreter": HOST_DEB,
    "runtime": TARGET_DEB,
    "bundle": "",
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill-9"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_an_interrupted_build(
    filled: Place, sound_store: tuple[Path, str], moment: str, number: signal.Signals
) -> None:
    if MOMENTS[moment]:
        forget(filled, MOMENTS[moment])
        filled.mirror.misbehave(MOMENTS[moment], filled.mirror.hang)
    with running("build", cwd=filled.project, env=command_environment(filled.env)) as build:
        if MOMENTS[moment]:
            assert filled.mirror.reached.wait(60), build.text
        else:
            eventually(lambda: list(filled.store.glob("trees/runtimes/*.json")), "the runtime is complete")
        if number == signal.SIGINT:
            build.press_ctrl_c()
            assert build.finish(seconds=25) == 130
            assert "interrupted" in build.text
            assert "Traceback" not in build.text
            assert filled.half_made() == []
        else:
            build.process.kill()
            assert build.finish() == -signal.SIGKILL
    eventually(lambda: not processes_that_mention(str(filled.store)), "nothing of it runs on")
    check_recovery(filled, sound_store[1])
    assert filled.run("store", "clean", env=filled.env).code == 0
    assert filled.half_made() == []


BACKEND = """
import base64, hashlib, os, time, zipfile
FILES = {{
    "wheely.py": "print('hello')",
    "wheely-1.dist-info/METADATA": "Metadata-Version: 2.1\\nName: wheely\\nVersion: 1\\n",
    "wheely-1.dist-info/WHEEL":
        "Wheel-Version: 1.0\\nGenerator: us\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
}}
def build_wheel(folder, settings=None, metadata=None):
    open("{reached}", "w").close()
    while os.path.exists("{hang}"):
        time.sleep(0.02)
    record = "wheely-1.dist-info/RECORD,,\\n"
    with zipfile.ZipFile(os.path.join(folder, "wheely-1-py3-none-any.whl"), "w") as wheel:
        for name, text in FILES.items():
            wheel.writestr(zipfile.ZipInfo(name), text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
            record += f"{{name}},sha256={{digest}},{{len(text)}}\\n"
        wheel.writestr(zipfile.ZipInfo("wheely-1.dist-info/RECORD"), record)
    return "wheely-1-py3-none-any.whl"
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill-9"])
def test_an_interrupted_wheel_build(tmp_path: Path, incamera: Run, number: signal.Signals) -> None:
    """In the store that all tests share, since a toolchain is needed."""
    project = write_project(tmp_path / "wheely", name="wheely", settings='entry = "wheely"')
    text = (project / "pyproject.toml").read_text()
    system = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (project / "pyproject.toml").write_text(system + text)
    hang, reached = tmp_path / "hang", tmp_path / "reached"
    hang.touch()
    (project / "backend.py").write_text(BACKEND.format(hang=hang, reached=reached))
    wheels = set(STORE.glob("trees/wheels/*"))
    with running("build", cwd=project, env=command_environment()) as build:
        eventually(lambda: reached.exists() or build.process.poll() is not None, "the back end is called", seconds=300)
        assert reached.exists(), build.text
        if number == signal.SIGINT:
            build.press_ctrl_c()
            assert build.finish(seconds=25) == 130
        else:
            build.process.kill()
            build.finish()
            hang.unlink()  # a back end may outlive us then: what it makes is nobody's
        eventually(lambda: not processes_that_mention(f"{STORE}/tmp/{build.process.pid}-"), "the back end has ended")
    assert set(STORE.glob("trees/wheels/*")) == wheels
    hang.unlink(missing_ok=True)
    first = incamera("build", "--json", cwd=project)
    assert first.code == 0, first.err
    again = incamera("build", "--json", cwd=project)
    assert json.loads(again.out)["bundle"] == json.loads(first.out)["bundle"]
    assert [step["cached"] for step in json.loads(again.out)["steps"]] == [True, True]


def test_a_back_end_that_fails_is_quoted(tmp_path: Path, incamera: Run) -> None:
    project = write_project(tmp_path / "broken", settings='entry = "broken"')
    text = (project / "pyproject.toml").read_text()
    system = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (project / "pyproject.toml").write_text(system + text)
    (project / "backend.py").write_text("def build_wheel(*args):\n    raise ValueError('no flux capacitor')\n")
    done = incamera("build", cwd=project)
    assert done.code == 5
    assert "  | " in done.err
    assert "no flux capacitor" in done.err
    assert "this is a bug" not in done.err


def test_two_builds_at_once(place: Place, sound_store: tuple[Path, str]) -> None:
    env = command_environment(place.env)
    with (
        running("build", "--json", cwd=place.project, env=env) as one,
        running("build", "--json", cwd=place.project, env=env) as two,
    ):
        assert one.finish(seconds=240) == 0, one.text
        assert two.finish(seconds=240) == 0, two.text
    for build in (one, two):
        assert json.loads(build.out)["bundle"] == sound_store[1]
    assert Store(place.store).verify()[1] == []
    assert place.half_made() == []


# The disk


@pytest.mark.parametrize("limit", [100_000, 1_500_000], ids=["index", "package"])
def test_a_full_disk(place: Place, sound_store: tuple[Path, str], limit: int) -> None:
    """A limit on files' sizes fails like a full disk in the middle of a write, and needs no privilege."""
    if limit > 1_000_000:
        shutil.copytree(sound_store[0] / "blobs", place.store / "blobs")
        forget(place, "/pool/")
    done = subprocess.run(
        [sys.executable, "-m", "incamera", "build"],
        cwd=place.project,
        env=command_environment(place.env),
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    complain(Finished(done.returncode, done.stdout, done.stderr), 6, "no space left for the store", "INCAMERA_STORE")
    assert place.half_made() == []
    check_recovery(place, sound_store[1])


def with_small_disk(at: Path, size: str, script: str) -> list[str]:
    """Return a command that runs *script* where a file system of *size* is mounted at *at*, for itself alone."""
    alone = ["unshare", "-m"] if os.getuid() == 0 else ["unshare", "-Urm"]
    mount = f"mount -t tmpfs -o size={size} none {at}"
    if subprocess.run([*alone, "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a file system of their own")
    return [*alone, "sh", "-ec", f"{mount}\n{script}"]


@pytest.mark.parametrize("size", ["1m", "8m", "32m"])
def test_a_disk_that_fills_up(place: Place, size: str) -> None:
    place.store.mkdir()
    build = (
        f"cd {place.project}; code=0; {sys.executable} -m incamera build || code=$?; ls {place.store}/tmp; exit $code"
    )
    done = subprocess.run(
        with_small_disk(place.store, size, build),
        env=command_environment(place.env),
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["CACHEDIR.TAG"]
    complain(Finished(done.returncode, "", done.stderr), 6, "no space left for the store")


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_a_projects_disk_that_takes_no_lockfile(filled: Place, fault: str) -> None:
    away = shutil.copytree(filled.project, filled.project.with_name("original"))
    # Root may write to a folder whose bits forbid it; nobody else may remount.
    lock_up = f"mount -o remount,ro {filled.project}" if os.getuid() == 0 else f"chmod 555 {filled.project}"
    spoil = lock_up if fault == "read-only" else ":"
    script = f"cp {away}/* {filled.project}; {spoil}; cd {filled.project}; exec {sys.executable} -m incamera lock"
    done = subprocess.run(
        with_small_disk(filled.project, "12k", script),
        env=command_environment(filled.env),
        capture_output=True,
        text=True,
    )
    complain(Finished(done.returncode, done.stdout, done.stderr), 6, f"cannot write {filled.project}/pylock")


@pytest.mark.parametrize("path", ["/dev/null/store", "/proc/store"])
def test_a_store_that_cannot_be(tmp_path: Path, incamera: Run, path: str) -> None:
    done = incamera("build", cwd=write_project(tmp_path / "plain"), env={"INCAMERA_STORE": path})
    complain(done, 6, f"cannot use the store {path}", "set INCAMERA_STORE")


# The settings


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ('target = ["armv7hf"]', ['unknown key "target"', 'did you mean "targets"']),
        ("targets = 3", ["targets must be a list of strings"]),
        ("debs = [1]", ["debs must be a list of strings"]),
        ('targets = ["armhf"]', ['unknown architecture "armhf"', 'did you mean "armv7hf"']),
        ('python = "2.7"', ["2.7", "3.11"]),
        ('entry = "ap.py"', ['no file "ap.py"', '"app.py"']),
        ('entry = "app.py', ["pyproject.toml", "line 7"]),
        ('compiler = "cc"', ["gcc or zig"]),
    ],
)
def test_settings_that_are_wrong(tmp_path: Path, incamera: Run, settings: str, words: list[str]) -> None:
    done = incamera("build", cwd=write_project(tmp_path / "plain", settings=settings))
    complain(done, 3, *words)


def test_no_project(tmp_path: Path, incamera: Run) -> None:
    complain(incamera("build", cwd=tmp_path), 3, "no pyproject.toml", "incamera new")


@pytest.mark.parametrize(
    ("dependencies", "settings", "words"),
    [
        ('["nunpy"]', "", ["nunpy cannot be had", "no package index has it", "did you mean .*numpy"]),
        ('["numpy>=99"]', "", ["the project asks for numpy>=99", r"deb 1\.24"]),
        ("[]", 'debs = ["libopencv-cor406"]', ["libopencv-cor406", "libopencv-core406"]),
        ('["no such thing"]', "", []),
    ],
)
def test_packages_that_cannot_be_had(filled: Place, dependencies: str, settings: str, words: list[str]) -> None:
    write_project(filled.project, dependencies=dependencies, settings=settings)
    complain(filled.build(), 5 if words else 3, *words)
    assert not list(filled.project.glob("pylock.*"))


@pytest.mark.parametrize(
    "damage", [b"\xff\xfe", b"[tool", b"tool = 3\n", b"[tool.incamera]\n", b"[tool]\nincamera = []\n"]
)
def test_a_damaged_lockfile(place: Place, damage: bytes) -> None:
    (place.project / "pylock.armv7hf-cp311.toml").write_bytes(damage)
    complain(place.build(), 3, "pylock.armv7hf-cp311.toml is damaged", "incamera lock")


def test_a_link_to_nowhere_in_the_project(place: Place) -> None:
    (place.project / "data.bin").symlink_to("/nowhere")
    complain(place.build(), 3, "data.bin")
