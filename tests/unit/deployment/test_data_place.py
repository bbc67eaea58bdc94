"""In which place of a device an app keeps its data."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from incamera.deployment.data import data_root, find_data_place
from incamera.errors import DeviceUnsuitable
from incamera.project.data_folder import DataPlace
from incamera.targets.form import Kind

from .test_deploy_plan import CARD, FACTS, FLASH, RAM

if TYPE_CHECKING:
    from incamera.device.facts import Place


def root(wanted: DataPlace | None, *places: Place) -> str:
    place = find_data_place(replace(FACTS, places=places or FACTS.places), wanted, device="cam")
    return data_root(place, "doorbell") if place else ""


def test_data_is_in_ram_unless_another_place_is_named() -> None:
    assert root(None) == "/tmp/incamera/.data/doorbell"
    assert root(DataPlace(kind=Kind.package)) == "/usr/local/packages/incamera/.data/doorbell"
    assert root(DataPlace(kind=Kind.sdcard)) == "/var/spool/storage/SD_DISK/incamera/.data/doorbell"


def test_folder_with_the_users_number_is_used_where_another_has_taken_the_name() -> None:
    assert root(None, replace(RAM, folder="incamera-u1002")) == "/tmp/incamera-u1002/.data/doorbell"


def test_app_without_a_setting_runs_also_where_nothing_can_be_written() -> None:
    assert root(None, replace(RAM, writable=False), FLASH) == "/usr/local/packages/incamera/.data/doorbell"
    assert root(None, replace(RAM, writable=False)) == ""


@pytest.mark.parametrize(
    ("wanted", "places", "message", "hint"),
    [
        (Kind.sdcard, (RAM,), "the SD card, which is not mounted on cam", "insert a card"),
        (Kind.share, (RAM,), "the network share, which is not mounted on cam", "incamera share attach"),
        (Kind.sdcard, (replace(CARD, writable=False),), "cannot be written", "insert a card"),
        (Kind.sdcard, (replace(CARD, flags=("ro",)),), "mounted read-only", "insert a card"),
        (Kind.sdcard, (replace(CARD, flags=("silent",)),), "does not answer", "insert a card"),
        (Kind.package, (replace(FLASH, folder="", owner="anna"),), "belongs to anna", "choose another place"),
        (Kind.sdcard, (replace(CARD, folder="", flags=("not-sticky",)),), "everybody rename .*chmod", "insert a card"),
    ],
)
def test_place_that_cannot_be_used_is_refused_with_a_remedy(
    wanted: Kind, places: tuple[Place, ...], message: str, hint: str
) -> None:
    with pytest.raises(DeviceUnsuitable, match=message) as caught:
        root(DataPlace(kind=wanted), *places)
    assert hint in (caught.value.hint or "")
