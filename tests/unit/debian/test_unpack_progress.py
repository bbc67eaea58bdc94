"""What a step shows while packages are downloaded and unpacked."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.waiting import wait_until

from incamera.build.deb_trees import unpack_debs
from incamera.console_steps import ConsoleStep
from incamera.context import Context, SilentReporter
from incamera.debian.index import Deb, PackageIndex
from incamera.units import format_bytes

if TYPE_CHECKING:
    from tests.unit.debian.conftest import Archive

    from incamera.store import Store


@pytest.fixture
def context(archive: Archive, store: Store, monkeypatch: pytest.MonkeyPatch) -> Context:
    context = Context(store, SilentReporter(), {})
    monkeypatch.setitem(context.__dict__, "mirror", archive.mirror)
    return context


def test_step_says_that_it_unpacks_once_all_is_downloaded(archive: Archive, context: Context, tmp_path: Path) -> None:
    for name in "abc":
        archive.add(name)
    index = PackageIndex({"main": archive.index("main")})
    debs = [index.find(name)[0] for name in "abc"]
    total = format_bytes(sum(deb.size for deb in debs))
    step = ConsoleStep("runtime")
    held, described = threading.Lock(), list[str]()

    def on_files(deb: Deb, files: Sequence[str]) -> None:
        with held:
            wait_until(lambda: step.describe().startswith("unpacking"), "the step says that it unpacks")
            described.append(step.describe())

    for number in range(2):  # the second time, nothing is downloaded
        described.clear()
        (tree := tmp_path / str(number)).mkdir()
        unpack_debs(context, debs, tree, lambda path: path, step=step, on_files=on_files)
        unpacked = [text.split(", ")[1].removesuffix(f" of {total}") for text in described]
        assert unpacked[0] == "0 B"
        assert len(set(unpacked)) > 1, "it says how much is unpacked"
    assert step.describe().startswith("0 s"), "and no longer says so afterwards"
