"""A project, a store and a mirror to spoil, and what must hold afterwards."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.store import Store

from ..command import Finished

if TYPE_CHECKING:
    from ..faulty_mirror import FaultyMirror

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


def check_recovery(place: Place, digest: str) -> None:
    """Nothing half-made is taken for whole: a build succeeds now, with the digest of an undisturbed one."""
    place.mirror.behave()
    done = place.build("--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["bundle"] == digest
    count, faults = Store(place.store).verify()
    assert count
    assert not faults


def forget(place: Place, pattern: str) -> None:
    """Take what *pattern* stands for out of the store, so that it is fetched anew."""
    for data in place.mirror.kept_files(pattern):
        digest = hashlib.sha256(data).hexdigest()
        (place.store / "blobs" / digest[:2] / digest).unlink(missing_ok=True)
    if pattern == HOST_DEB:
        shutil.rmtree(place.store / "trees/tools")
