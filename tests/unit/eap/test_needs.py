"""A manifest asks for what the app uses, which its sources and compiled modules tell; what the user wrote is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.abi.elf_maker import make_elf
from tests.unit.eap.test_schema import manifest

from incamera.eap.needs import GROUPS, METHODS, add_needs, find_missing, find_needs
from incamera.eap.schema import check_manifest
from incamera.eap.uses import Use, find_mentions, find_modules, find_uses
from incamera.tree import list_tree

REPOSITORY = Path(__file__).parents[3]
PACKAGES = "lib/python3/dist-packages"


def uses_of(folder: Path, files: dict[str, str | bytes]) -> list[Use]:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content.encode() if isinstance(content, str) else content)
    return find_uses(folder, list_tree(folder))


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import acap\nacap.video.Stream(1, 2)", ["video"]),
        ("import acap as camera\ndef f():\n    return camera.storage.list()", ["storage"]),
        ("import acap.vapix", ["vapix"]),
        ("from acap import overlay, bbox as boxes", ["bbox", "overlay"]),
        ("from acap.inference import Model", ["inference"]),
        ("from .acap import video", []),
        ("acap = 'acap.video'", []),
        ("import acapella", []),
        ("class X[T](acap.video.Stream): ...; type = = 1", ["video"]),
    ],
)
def test_modules_of_acap_that_a_source_uses_are_found(source: str, names: list[str]) -> None:
    assert find_modules(source.encode()) == names


def test_what_a_source_mentions_is_found_without_parsing_it() -> None:
    assert find_mentions(b"from acap import video, storage\nacap.bbox.draw(" + b"(" * 100_000) == [
        *("bbox", "storage", "video")
    ]


def test_motion_example_needs_the_group_video_and_nothing_else(tmp_path: Path) -> None:
    source = (REPOSITORY / "examples" / "motion" / "app.py").read_text("utf-8")
    uses = uses_of(tmp_path, {"app/app.py": source})
    (need,) = find_needs(uses)
    assert (need.key, need.value, need.why) == (GROUPS, "video", "app.py uses acap.video")


def test_packages_and_compiled_modules_count_but_acap_itself_does_not(tmp_path: Path) -> None:
    uses = uses_of(
        tmp_path,
        {
            "app/fast.so": make_elf(needed=["liblarod.so.1", "libc.so.6"]),
            f"{PACKAGES}/door/bell.py": "import acap\nacap.vapix.get('x')",
            f"{PACKAGES}/acap/storage.py": "from acap import storage",
            "lib/libaxstorage.so.1": make_elf(needed=["libaxstorage.so.1"]),
        },
    )
    needs = find_needs(uses)
    assert [(need.key, need.why) for need in needs] == [
        (GROUPS, "fast.so uses liblarod.so.1"),
        ("resources.deepLearningProcessor", "fast.so uses liblarod.so.1"),
        (METHODS, "door/bell.py uses acap.vapix"),
    ]


NEEDS = find_needs([Use("overlay", "app.py"), Use("vapix", "app.py"), Use("storage", "app.py")])


def test_manifest_gets_what_is_needed_and_the_first_schema_that_has_it() -> None:
    document = manifest("2.0.0")
    added = add_needs(document, find_missing(document, NEEDS))
    assert added["resources"] == {
        "linux": {"user": {"groups": ["video", "storage"]}},
        "overlay": {"enabled": True, "required": False},
        "dbus": {"requiredMethods": ["com.axis.HTTPConf1.VAPIXServiceAccounts1.GetCredentials"]},
    }
    assert added["schemaVersion"] == "2.2.0"
    assert list(added)[:2] == ["schemaVersion", "resources"]
    assert [problem for problem in check_manifest(added) if not problem.is_unknown] == []
    assert find_missing(added, NEEDS) == []
    assert "resources" not in document


@pytest.mark.parametrize(
    "resources",
    [
        {"linux": {"user": {"groups": ["storage"], "conditionalGroups": ["video"]}}},
        {"linux": {"user": {"groups": ["video", "storage"]}}, "dbus": {"conditionalMethods": ["com.axis.HTTPConf1.*"]}},
    ],
)
def test_what_is_asked_for_on_another_condition_is_not_missing(resources: dict[str, Any]) -> None:
    missing = {need.key for need in find_missing({**manifest("2.2.0"), "resources": resources}, NEEDS)}
    assert GROUPS not in missing
    assert (METHODS in missing) is ("dbus" not in resources)


def test_group_of_an_account_of_the_packages_own_counts() -> None:
    document = manifest("1.7.0")
    document["acapPackageConf"]["setup"]["user"] = {"username": "sdk", "group": "video"}
    assert {need.value for need in find_missing(document, find_needs([Use("video", "a.py")]))} == set()
