"""Where a bundle goes, and what is said where it can go nowhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest

from incamera.deployment.plan import MEGABYTE, DeployPlan, FormsUnknown, check_architecture, find_verdict, plan_deploy
from incamera.deployment.request import DeployRequest
from incamera.device.facts import DeviceFacts, Place, parse_facts
from incamera.errors import DeviceUnsuitable
from incamera.targets.architecture import Architecture
from incamera.targets.form import Form, Kind

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


SHARE = Place(
    path="/var/spool/storage/NetworkShare", filesystem="cifs", free=9000 * MEGABYTE, writable=True, executable=True
)


def decide(
    facts: DeviceFacts = FACTS,
    size: int = 50 * MEGABYTE,
    *,
    to: Kind | None = None,
    form: Form | None = None,
    forms: Iterable[Form] | None = Form,
    full: Mapping[str, str] | None = None,
) -> DeployPlan:
    request = DeployRequest(place=to, form=form)
    known = None if forms is None else frozenset(forms)
    return plan_deploy(facts, request, app="doorbell", size=size, device="cam", forms=known, full=full)


def choose(facts: DeviceFacts = FACTS, size: int = 50 * MEGABYTE) -> str:
    return decide(facts, size).place.path


def test_ram_is_the_first_choice() -> None:
    assert choose() == "/tmp"
    assert "RAM" in decide().why


def test_forms_are_asked_for_only_when_they_matter() -> None:
    assert decide(forms=None).place == RAM
    with pytest.raises(FormsUnknown):
        decide(to=Kind.sdcard, forms=None)


def test_ram_is_skipped_when_the_camera_needs_it() -> None:
    choice = decide(replace(FACTS, memory_available=150 * MEGABYTE))
    assert choice.place == FLASH
    assert "the first with room" in choice.why


def test_place_that_has_the_app_is_kept() -> None:
    kept = replace(FLASH, apps=("doorbell",), free=5 * MEGABYTE)
    choice = decide(replace(FACTS, places=(RAM, kept, CARD)))
    assert choice.place.path == FLASH.path
    assert choice.why == "where the app is already"


def test_full_place_is_left_though_it_has_the_app() -> None:
    full = replace(FLASH, apps=("doorbell",), free=0)
    assert choose(replace(FACTS, places=(RAM, full, CARD))) == "/tmp"


def test_place_that_proved_too_small_is_left_though_it_has_the_app() -> None:
    kept = replace(RAM, apps=("doorbell",))
    choice = decide(replace(FACTS, places=(kept, FLASH)), full={"/tmp": "is full"})
    assert choice.place == FLASH
    with pytest.raises(DeviceUnsuitable, match="/tmp is full"):
        decide(replace(FACTS, places=(kept,)), full={"/tmp": "is full"})


def test_no_other_place_than_the_users_is_taken() -> None:
    choice = decide(to=Kind.package)
    assert choice.place == FLASH
    assert "the place that was asked for" in choice.why
    with pytest.raises(DeviceUnsuitable, match="has 90 MB free"):
        decide(to=Kind.package, size=100 * MEGABYTE)


def test_users_place_must_be_there() -> None:
    with pytest.raises(DeviceUnsuitable, match="cam has no network share: nothing is mounted there") as caught:
        decide(to=Kind.share)
    assert "incamera share attach" in str(caught.value.hint)
    with pytest.raises(DeviceUnsuitable, match="no SD card"):
        decide(replace(FACTS, places=(RAM, FLASH)), to=Kind.sdcard)


@pytest.mark.parametrize("place", [CARD, SHARE])
def test_card_and_share_get_one_file(place: Place) -> None:
    facts = replace(FACTS, places=(RAM, place))
    choice = decide(facts, to=place.kind)
    assert (choice.form, choice.remount) == (Form.squashfs, False)
    assert "mounted" in choice.why
    choice = decide(facts, to=place.kind, forms={Form.tree, Form.archive})
    assert (choice.form, choice.remount) == (Form.archive, False)
    assert "unpacked into RAM" in choice.why


def test_archive_needs_ram_for_its_files() -> None:
    facts = replace(FACTS, places=(RAM, SHARE), memory_available=150 * MEGABYTE)
    choice = decide(facts, to=Kind.share, forms={Form.tree, Form.archive})
    assert choice.form is Form.tree
    assert "cannot mount squashfs" in choice.why
    with pytest.raises(DeviceUnsuitable, match="unpacked into RAM, of which 150 MB is free and 128 MB must"):
        decide(facts, to=Kind.share, form=Form.archive)


def test_tree_on_a_noexec_card_needs_root_to_remount_it() -> None:
    card = replace(CARD, flags=("noexec",))
    facts = replace(FACTS, places=(RAM, card))
    assert decide(facts, to=Kind.sdcard, form=Form.tree).remount
    with pytest.raises(DeviceUnsuitable, match="is mounted noexec") as caught:
        decide(replace(facts, user="acap-doorbell"), to=Kind.sdcard, form=Form.tree)
    assert "as root" in str(caught.value.hint) or "remove" in str(caught.value.hint)


@pytest.mark.parametrize(("flag", "words"), [("ro", "is mounted read-only"), ("silent", "does not answer")])
def test_useless_place_is_named_with_the_reason(flag: str, words: str) -> None:
    card = replace(CARD, flags=(flag,), writable=False)
    with pytest.raises(DeviceUnsuitable, match=f"SD_DISK {words}"):
        decide(replace(FACTS, places=(RAM, card)), to=Kind.sdcard)


def test_place_whose_names_other_users_have_taken_is_passed_over_and_named() -> None:
    taken = replace(RAM, folder="", owner="mallory")
    facts = replace(FACTS, places=(taken, FLASH))
    assert decide(facts).place == FLASH
    assert facts.find_guard_place() == FLASH
    with pytest.raises(DeviceUnsuitable, match="/tmp has folders with incamera's names that belong to mallory"):
        decide(replace(FACTS, places=(taken,)))
    assert "mallory" in find_verdict(FACTS, taken, frozenset(Form))
    assert replace(FACTS, places=(taken,)).find_guard_place() is None


def test_place_in_which_everybody_can_rename_is_passed_over_and_named() -> None:
    loose = replace(FLASH, folder="", flags=("not-sticky",))
    assert decide(replace(FACTS, places=(loose, CARD)), forms=frozenset(Form)).place == CARD
    with pytest.raises(DeviceUnsuitable, match=r"packages lets everybody rename .*chmod \+t /usr"):
        decide(replace(FACTS, places=(RAM, loose)), to=Kind.package)


def test_nothing_is_deployed_where_everybody_can_rename_what_each_run_needs() -> None:
    loose = replace(RAM, folder="", flags=("not-sticky",))
    facts = replace(FACTS, places=(loose, FLASH))
    assert facts.find_guard_place() == FLASH, "the processes can be listed"
    assert not facts.links_roots
    with pytest.raises(DeviceUnsuitable, match="everybody can rename folders in /tmp") as caught:
        decide(facts)
    assert "chmod +t /tmp" in (caught.value.hint or "")


def test_nothing_is_deployed_for_a_user_who_cannot_write_to_tmp() -> None:
    facts = replace(FACTS, user="anna", places=(replace(RAM, writable=False, executable=False), FLASH))
    with pytest.raises(DeviceUnsuitable, match="anna cannot write to /tmp on cam") as caught:
        decide(facts)
    assert "chmod 1777 /tmp" in (caught.value.hint or "")


def test_nothing_is_deployed_where_no_run_could_write_to_tmp() -> None:
    facts = replace(FACTS, places=(replace(RAM, free=4096), FLASH))
    with pytest.raises(DeviceUnsuitable, match="cam has no space left in /tmp") as caught:
        decide(facts)
    assert "du -k /tmp" in (caught.value.hint or "")
    assert find_verdict(facts, facts.places[0], frozenset(Form)) == "cannot be used: it is full"
    assert decide(replace(facts, places=(replace(RAM, free=MEGABYTE), FLASH))).place == FLASH


def test_error_for_a_bundle_that_is_too_large_has_sizes() -> None:
    with pytest.raises(DeviceUnsuitable) as caught:
        decide(replace(FACTS, places=(RAM, FLASH)), size=190 * MEGABYTE)
    assert "no place for 190 MB" in str(caught.value)
    assert "/tmp is RAM, of which 300 MB is free and 128 MB must stay free" in str(caught.value)
    assert "/usr/local/packages has 90 MB free" in str(caught.value)


def test_device_with_noexec_places_only_is_refused() -> None:
    places = tuple(replace(place, executable=False) for place in (RAM, FLASH))
    with pytest.raises(DeviceUnsuitable, match="no place on cam allows programs to run") as caught:
        decide(replace(FACTS, places=places))
    assert "remount,exec" in str(caught.value.hint)


def test_verdict_says_what_a_place_is_good_for() -> None:
    every, few = frozenset(Form), frozenset({Form.tree})
    noexec = replace(CARD, flags=("noexec",))
    assert find_verdict(FACTS, RAM, every).startswith("runs bundles up to 1")
    assert find_verdict(FACTS, FLASH, few) == "runs bundles"
    assert "one mounted file" in find_verdict(FACTS, noexec, every)
    assert "remount with exec" in find_verdict(FACTS, noexec, few)
    assert find_verdict(replace(FACTS, user="nobody"), noexec, few) == "data only: noexec"
    assert "read-only" in find_verdict(FACTS, replace(CARD, flags=("ro",)), every)


def test_other_architecture_is_named_with_its_target() -> None:
    check_architecture(FACTS, Architecture.armv7hf, device="cam")
    with pytest.raises(DeviceUnsuitable, match="cam is armv7hf, the bundle is for aarch64") as caught:
        check_architecture(FACTS, Architecture.aarch64, device="cam")
    assert "--target armv7hf" in str(caught.value.hint)
    with pytest.raises(DeviceUnsuitable, match="mips"):
        check_architecture(replace(FACTS, architecture="mips"), Architecture.aarch64, device="cam")


def test_facts_are_the_same_after_json() -> None:
    facts = replace(FACTS, places=(replace(RAM, apps=("doorbell",)),))
    assert parse_facts(facts.to_json()) == facts
    with pytest.raises(ValueError, match="not the facts"):
        parse_facts({"architecture": "armv7l"})
