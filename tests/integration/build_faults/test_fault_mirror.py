"""No network, and a mirror with damaged or missing files."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest

from ..command import assert_error
from ..faulty_mirror import Fault, FaultyMirror
from .place import HOST_DEB, INDEX, TARGET_DEB, Place, check_recovery, forget


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("address", ["http://127.0.0.1:PORT/debian", "http://mirror.invalid/debian"])
def test_error_without_network_names_the_mirror(place: Place, address: str) -> None:
    address = address.replace("PORT", str(closed_port()))
    done = place.build(env={"INCAMERA_DEBIAN_MIRROR": address})
    assert_error(done, 5, "cannot fetch " + re.escape(address), "is the network up", "INCAMERA_DEBIAN_MIRROR")
    assert place.partial_files() == []
    assert not list(place.project.glob("pylock.*"))


def test_build_needs_no_network_when_all_is_fetched(filled: Place, sound_store: tuple[Path, str]) -> None:
    assert filled.run("lock", cwd=filled.project, env=filled.env).code == 0
    done = filled.build("--json", env={"INCAMERA_DEBIAN_MIRROR": f"http://127.0.0.1:{closed_port()}/debian"})
    assert done.code == 0, done.err
    assert json.loads(done.out)["bundle"] == sound_store[1]


@pytest.mark.parametrize(
    ("pattern", "fault", "words"),
    [
        ("/dists/bookworm/InRelease", FaultyMirror.wrong_bytes, ["is not signed by Debian's archive keys"]),
        pytest.param("/dists/bookworm/InRelease", FaultyMirror.truncated, ["InRelease"], marks=pytest.mark.matrix),
        pytest.param(INDEX, FaultyMirror.wrong_bytes, ["sha256", "is inconsistent"], marks=pytest.mark.matrix),
        pytest.param(INDEX, FaultyMirror.truncated, ["bytes"], marks=pytest.mark.matrix),
        (TARGET_DEB, FaultyMirror.wrong_bytes, ["libsqlite3-0", "the sha256 is .* but must be "]),
        pytest.param(TARGET_DEB, FaultyMirror.truncated, ["libsqlite3-0", "bytes"], marks=pytest.mark.matrix),
        pytest.param(TARGET_DEB, FaultyMirror.cut, ["libsqlite3-0"], marks=pytest.mark.matrix),
        pytest.param(
            *(TARGET_DEB, FaultyMirror.status(404), ["the mirror no longer has libsqlite3-0", "incamera lock"]),
            marks=pytest.mark.matrix,
        ),
        pytest.param(TARGET_DEB, FaultyMirror.status(503), ["the server answers 503"], marks=pytest.mark.matrix),
        pytest.param(TARGET_DEB, FaultyMirror.status(403), ["the server answers 403"], marks=pytest.mark.matrix),
        pytest.param(HOST_DEB, FaultyMirror.wrong_bytes, ["python3.11-minimal", "sha256"], marks=pytest.mark.matrix),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_file_that_the_mirror_has_damaged_or_lost_is_an_error(
    filled: Place, sound_store: tuple[Path, str], pattern: str, fault: Fault, words: list[str]
) -> None:
    forget(filled, pattern)
    filled.mirror.misbehave(pattern, fault)
    done = filled.build()
    assert_error(done, 5, *words)
    assert filled.partial_files() == []
    assert list((filled.store / "trees").glob("runtimes/*")) == []
    check_recovery(filled, sound_store[1])


def test_download_that_breaks_off_is_tried_again(filled: Place, sound_store: tuple[Path, str]) -> None:
    forget(filled, TARGET_DEB)
    filled.mirror.misbehave(TARGET_DEB, FaultyMirror.cut, times=2)
    done = filled.build("--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["bundle"] == sound_store[1]
    assert len([path for path in filled.mirror.requests if re.search(TARGET_DEB, path)]) == 3
