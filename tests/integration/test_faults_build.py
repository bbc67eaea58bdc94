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

from .conftest import REPOSITORY, STORE, Finished, command_environment
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
