"""Places that share one sound store, built once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..project import write_project
from .place import Place, Run

if TYPE_CHECKING:
    from ..faulty_mirror import FaultyMirror


@pytest.fixture
def place(tmp_path: Path, local_mirror: FaultyMirror, incamera: Run) -> Place:
    return Place(write_project(tmp_path / "plain"), tmp_path / "store", local_mirror, incamera)


@pytest.fixture(scope="session")
def sound_store(
    tmp_path_factory: pytest.TempPathFactory, session_mirror: FaultyMirror, incamera: Run
) -> tuple[Path, str]:
    """A store in which the project was built undisturbed, and the bundle's digest."""
    folder = tmp_path_factory.mktemp("sound")
    place = Place(write_project(folder / "plain"), folder / "store", session_mirror, incamera)
    done = place.build("--json")
    assert done.code == 0, done.err
    return place.store, json.loads(done.out)["bundle"]


@pytest.fixture
def filled(place: Place, sound_store: tuple[Path, str]) -> Place:
    """A place whose store has what can be fetched, but neither runtime nor bundle."""
    shutil.copytree(sound_store[0] / "blobs", place.store / "blobs")
    shutil.copytree(sound_store[0] / "trees/tools", place.store / "trees/tools", symlinks=True)
    return place
