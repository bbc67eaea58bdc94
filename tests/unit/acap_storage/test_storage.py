"""SD cards and network shares, over the stand-in of the camera's library and on a desk."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.acap_video.conftest import NEWEST, STAND_INS, built_module, fresh_settings, video

import acap

__all__ = ["built_module", "fresh_settings", "video"]

SAYS = {"available": True, "writable": True, "full": False, "exiting": False}
LONG = 60.0


class Card:
    """The folders that stand in for the camera's storage."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.insert()

    def insert(self) -> None:
        (self.root / "SD_DISK").mkdir(parents=True)

    def remove(self) -> None:
        (self.root / "SD_DISK").rmdir()

    def say(self, words: str) -> None:
        """Make it exiting, full or readonly."""
        new = self.root / ".new"
        new.write_text(words, "utf-8")
        new.rename(self.root / ".SD_DISK")


@pytest.fixture(params=["camera", "desk"])
def card(request: pytest.FixtureRequest, video: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Card:
    if request.param == "desk":
        monkeypatch.setenv("ACAP_STORAGE", str(tmp_path / "storage"))
    else:
        ctypes.CDLL(str(STAND_INS / NEWEST / "libaxstorage.so.1"))
        monkeypatch.delenv("ACAP_STORAGE", raising=False)
        monkeypatch.setenv("INCAMERA_STORAGE", str(tmp_path / "storage"))
        monkeypatch.setenv("INCAMERA_APP_NAME", "app")
    return Card(tmp_path / "storage")


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


only_camera = pytest.mark.parametrize("card", ["camera"], indirect=True)


def test_app_writes_into_its_own_folder(card: Card) -> None:
    assert acap.storage.ids() == ["SD_DISK"]
    with acap.storage.Storage() as disk:
        (disk.path / "picture.jpg").write_bytes(b"picture")
        assert (disk.id, disk.kind) == ("SD_DISK", "local")
        assert disk.status.ready
    assert (card.root / "SD_DISK/areas/app/picture.jpg").read_bytes() == b"picture"
    with pytest.raises(acap.StorageClosed):
        disk.path  # noqa: B018


def test_network_share_is_external(card: Card) -> None:
    (card.root / "NetworkShare").mkdir()
    assert acap.storage.ids() == ["SD_DISK", "NetworkShare"]
    with acap.storage.Storage("NetworkShare") as share:
        assert share.kind == "external"


@pytest.mark.parametrize("words", ["full", "readonly", "exiting"])
def test_storage_is_waited_for_until_it_can_be_written(card: Card, words: str) -> None:
    card.say(words)
    with pytest.raises(TimeoutError, match=r"SD_DISK was not ready within 0\.05 s: it is"):
        acap.storage.Storage(timeout=0.05)
    threading.Timer(0.1, card.say, [""]).start()
    with acap.storage.Storage(timeout=LONG) as disk:
        assert disk.path.is_dir()


def test_card_that_is_missing_is_told(card: Card) -> None:
    card.remove()
    assert acap.storage.ids() == []
    assert acap.storage.status("SD_DISK") == ("SD_DISK", False, False, False, False)
    with pytest.raises(TimeoutError, match="it is not connected") as caught:
        acap.storage.Storage(timeout=0)
    assert isinstance(caught.value, acap.StorageNotReady)


def test_card_that_is_about_to_be_removed_has_no_path(card: Card) -> None:
    with acap.storage.Storage() as disk:
        card.say("exiting")
        with pytest.raises(OSError, match="SD_DISK is about to be removed: end all use of it") as caught:
            disk.path  # noqa: B018
        assert isinstance(caught.value, acap.StorageGone)


def test_changes_come_one_after_the_other(card: Card) -> None:
    with acap.storage.Watch("SD_DISK", timeout=LONG) as changes:
        assert next(changes) == ("SD_DISK", *SAYS.values())
        for words, told in (("full", {"full": True}), ("exiting", {"exiting": True, "writable": False}), ("", {})):
            card.say(words)
            assert next(changes) == ("SD_DISK", *(SAYS | told).values())
        changes.timeout = 0.05
        assert list(changes) == []


def test_changes_come_in_an_event_loop(card: Card) -> None:
    async def collect() -> list[Any]:
        seen: list[Any] = []
        with acap.storage.Watch("SD_DISK", timeout=LONG) as changes:
            async for status in changes:
                seen.append(status.full)
                if len(seen) == 3:
                    break
                card.say("full" if len(seen) == 1 else "")
        return seen

    assert asyncio.run(collect()) == [False, True, False]


def test_storage_that_no_camera_has_is_refused(card: Card) -> None:
    uses: list[Callable[[], object]] = [
        lambda: acap.storage.status("USB"),
        lambda: acap.storage.Storage("USB"),
        lambda: acap.storage.Watch("USB"),
    ]
    for use in uses:
        with pytest.raises(LookupError, match="SD_DISK") as caught:
            use()
        assert isinstance(caught.value, acap.NoSuchStorage)


@only_camera
def test_app_without_the_group_is_told_what_the_manifest_lacks(card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INCAMERA_STORAGE_DENIED", "1")
    for use in (acap.storage.ids, acap.storage.Storage):
        with pytest.raises(PermissionError, match=r'add "storage" to resources\.linux\.user\.groups'):
            use()


@only_camera
def test_folder_that_cannot_be_made_is_told(card: Card) -> None:
    (card.root / "SD_DISK/areas").write_text("a file")
    with pytest.raises(OSError, match="cannot set up SD_DISK: the app's folder cannot be made"):
        acap.storage.Storage()


@only_camera
def test_forgotten_storage_and_watches_leave_no_descriptor(card: Card) -> None:
    acap.storage.Storage().close()
    gc.collect()  # what earlier tests have forgotten
    before = descriptors()
    for _ in range(20):
        disk, changes = acap.storage.Storage(), acap.storage.Watch()
        next(changes)
        del disk, changes
    gc.collect()
    assert descriptors() == before


@only_camera
def test_storage_is_refused_after_a_fork(card: Card) -> None:
    acap.storage.ids()
    pid = os.fork()
    if pid == 0:
        try:
            acap.storage.ids()
        except RuntimeError:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
