"""A project, a store and a mirror for each test, and a store in which the project is built already."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..project import write_project
from .place import Place

if TYPE_CHECKING:
    from ..command import Run
    from ..faulty_mirror import FaultyMirror


@pytest.fixture
def place(tmp_path: Path, local_mirror: FaultyMirror, incamera_process: Run) -> Place:
    return Place(write_project(tmp_path / "plain"), tmp_path / "store", local_mirror, incamera_process)


@pytest.fixture(scope="session")
def sound_store(
    tmp_path_factory: pytest.TempPathFactory, session_mirror: FaultyMirror, incamera_process: Run
) -> tuple[Path, str]:
    """A store in which the project was built without a fault, and the digest of the bundle."""
    folder = tmp_path_factory.mktemp("sound")
    place = Place(write_project(folder / "plain"), folder / "store", session_mirror, incamera_process)
    done = place.build("--json")
    assert done.code == 0, done.err
    return place.store, json.loads(done.out)["bundle"]


@pytest.fixture
def filled(place: Place, sound_store: tuple[Path, str]) -> Place:
    """A place whose store has all downloads and tools, but neither the runtime nor the bundle."""
    shutil.copytree(sound_store[0] / "blobs", place.store / "blobs")
    shutil.copytree(sound_store[0] / "trees/tools", place.store / "trees/tools", symlinks=True)
    return place
