"""A project with a store and a mirror of its own, and what must hold after a fault."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.store import Store

if TYPE_CHECKING:
    from ..command import Finished, Run
    from ..faulty_mirror import FaultyMirror

INDEX = r"/dists/bookworm/main/binary-armhf/by-hash/"
# A package that only the target's runtime needs, and one that only the host's Python needs, which compiles to bytecode.
TARGET_DEB = r"/pool/.*/libsqlite3-0_.*_armhf\.deb"
HOST_DEB = r"/pool/.*/python3\.11-minimal_.*_amd64\.deb|/pool/.*/python3\.11-minimal_.*_arm64\.deb"


@dataclass(frozen=True)
class Place:
    """A project, a store that only it uses, and the mirror that they fetch from."""

    project: Path
    store: Path
    mirror: FaultyMirror
    run: Run

    @property
    def env(self) -> dict[str, str]:
        return {"INCAMERA_STORE": str(self.store), **self.mirror.environment}

    def build(self, *arguments: str, **options: Any) -> Finished:
        return self.run("build", *arguments, cwd=self.project, env=self.env | options.pop("env", {}), **options)

    def partial_files(self) -> list[Path]:
        """Return what is left of work that was not finished."""
        return list((self.store / "tmp").glob("[0-9]*")) + list(self.project.glob(".*partial*"))


def check_recovery(place: Place, digest: str) -> None:
    """Check that the next build gives the bundle with *digest*, and that no file in the store is damaged."""
    place.mirror.behave()
    done = place.build("--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["bundle"] == digest
    count, faults = Store(place.store).verify()
    assert count
    assert not faults


def forget(place: Place, pattern: str) -> None:
    """Remove from the store the downloads that *pattern* matches, so that the next build fetches them again."""
    for data in place.mirror.kept_files(pattern):
        digest = hashlib.sha256(data).hexdigest()
        (place.store / "blobs" / digest[:2] / digest).unlink(missing_ok=True)
    if pattern == HOST_DEB:
        shutil.rmtree(place.store / "trees/tools")
