"""Disks that are full or read-only, and stores that cannot be created."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ..command import Finished, Run, assert_error, command_environment
from ..project import write_project
from .place import Place, check_recovery, forget


@pytest.mark.parametrize(
    "limit", [pytest.param(100_000, id="index", marks=pytest.mark.matrix), pytest.param(1_500_000, id="package")]
)
def test_full_disk_is_an_error_and_the_next_build_succeeds(
    place: Place, sound_store: tuple[Path, str], limit: int
) -> None:
    """A limit of the file size makes a write fail in the middle, as a full disk does. It needs no rights."""
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
    assert_error(
        Finished(done.returncode, done.stdout, done.stderr), 6, "no space left for the store", "INCAMERA_STORE"
    )
    assert place.partial_files() == []
    check_recovery(place, sound_store[1])


def with_small_disk(at: Path, size: str, script: str) -> list[str]:
    """Return a command that runs *script* with a file system of *size* at *at*, which no other process sees."""
    alone = ["unshare", "-m"] if os.getuid() == 0 else ["unshare", "-Urm"]
    mount = f"mount -t tmpfs -o size={size} none {at}"
    if subprocess.run([*alone, "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("this machine does not let us mount a file system in a namespace")
    return [*alone, "sh", "-ec", f"{mount}\n{script}"]


@pytest.mark.parametrize(
    "size", [pytest.param("1m", marks=pytest.mark.matrix), "8m", pytest.param("32m", marks=pytest.mark.matrix)]
)
def test_disk_that_fills_up_is_an_error_and_leaves_no_partial_file(place: Place, size: str) -> None:
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
    assert_error(Finished(done.returncode, "", done.stderr), 6, "no space left for the store")


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_lockfile_that_cannot_be_written_is_an_error(filled: Place, fault: str) -> None:
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
    assert_error(Finished(done.returncode, done.stdout, done.stderr), 6, f"cannot write {filled.project}/pylock")


@pytest.mark.parametrize("path", ["/dev/null/store", "/proc/store"])
def test_store_that_cannot_be_created_is_an_error(tmp_path: Path, incamera: Run, path: str) -> None:
    done = incamera("build", cwd=write_project(tmp_path / "plain"), env={"INCAMERA_STORE": path})
    assert_error(done, 6, f"cannot use the store {path}", "set INCAMERA_STORE")
