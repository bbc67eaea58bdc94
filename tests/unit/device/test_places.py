"""Where a bundle goes, and what is said where it can go nowhere."""

from __future__ import annotations

from dataclasses import replace

import pytest

from incamera.device.facts import DeviceFacts, Place, parse_facts
from incamera.device.places import MEGABYTE, check_architecture, choose_place
from incamera.errors import DeviceUnsuitable
from incamera.targets.architecture import Architecture

RAM = Place(path="/tmp", filesystem="tmpfs", free=200 * MEGABYTE, writable=True, executable=True)
FLASH = Place(path="/usr/local/packages", filesystem="ubifs", free=90 * MEGABYTE, writable=True, executable=True)
CARD = Place(
    path="/var/spool/storage/SD_DISK", filesystem="ext4", free=9000 * MEGABYTE, writable=True, executable=False
)
FACTS = DeviceFacts(
    architecture="armv7l",
    kernel="4.9",
    hostname="axis-1",
    system="",
    user="root",
    libc="2.31",
    loader="/lib/ld-linux-armhf.so.3",
    memory=512 * MEGABYTE,
    memory_available=300 * MEGABYTE,
    boot="1",
    tools=("tar",),
    places=(RAM, FLASH, CARD),
    library_folders=("/lib",),
    libraries=(),
)


def choose(facts: DeviceFacts = FACTS, size: int = 50 * MEGABYTE, preferred: str | None = None) -> str:
    return choose_place(facts, app="doorbell", size=size, device="cam", preferred=preferred).place.path


def test_ram_goes_first() -> None:
    assert choose() == "/tmp"


def test_ram_is_left_to_a_camera_that_needs_it() -> None:
    assert choose(replace(FACTS, memory_available=150 * MEGABYTE)) == FLASH.path


def test_a_place_that_has_the_app_is_kept() -> None:
    kept = replace(FLASH, apps=("doorbell",), free=5 * MEGABYTE)
    assert choose(replace(FACTS, places=(RAM, kept, CARD))) == FLASH.path


def test_a_kept_place_that_is_full_is_left() -> None:
    full = replace(FLASH, apps=("doorbell",), free=0)
    assert choose(replace(FACTS, places=(RAM, full, CARD))) == "/tmp"


def test_the_users_choice_is_the_only_one() -> None:
    assert choose(preferred="/usr/local/packages/") == FLASH.path
    with pytest.raises(DeviceUnsuitable, match="noexec"):
        choose(preferred=CARD.path)
    with pytest.raises(DeviceUnsuitable, match="has no /nowhere"):
        choose(preferred="/nowhere")


def test_too_large_for_all_is_told_with_numbers() -> None:
    with pytest.raises(DeviceUnsuitable) as caught:
        choose(size=250 * MEGABYTE)
    assert "no place for 250 MB" in str(caught.value)
    assert "/usr/local/packages has 90 MB free" in str(caught.value)


def test_only_noexec_places() -> None:
    places = tuple(replace(place, executable=False) for place in FACTS.places)
    with pytest.raises(DeviceUnsuitable, match="no place on cam lets programs run") as caught:
        choose(replace(FACTS, places=places))
    assert "remount,exec" in str(caught.value.hint)


def test_another_architecture_is_named_with_its_target() -> None:
    check_architecture(FACTS, Architecture.armv7hf, device="cam")
    with pytest.raises(DeviceUnsuitable, match="cam is armv7hf, the bundle is for aarch64") as caught:
        check_architecture(FACTS, Architecture.aarch64, device="cam")
    assert "--target armv7hf" in str(caught.value.hint)
    with pytest.raises(DeviceUnsuitable, match="mips"):
        check_architecture(replace(FACTS, architecture="mips"), Architecture.aarch64, device="cam")


def test_facts_survive_being_kept() -> None:
    facts = replace(FACTS, places=(replace(RAM, apps=("doorbell",)),))
    assert parse_facts(facts.to_json()) == facts
    with pytest.raises(ValueError, match="not the facts"):
        parse_facts({"architecture": "armv7l"})
