"""The form of a package index that is fast to open: it gives the same packages, and damage is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from incamera.debian.index import PackageIndex
from incamera.debian.stanzas import open_stanzas
from incamera.digest import Sha256

DIGEST = Sha256("ab" * 32)


def stanza(name: str, version: str = "1", **fields: str) -> str:
    lines = {"Package": name, "Version": version, "Architecture": "armhf", **fields}
    lines |= {"Filename": f"pool/{name}_{version}.deb", "Size": "1", "SHA256": Sha256.of(f"{name}{version}".encode())}
    return "".join(f"{key}: {value}\n" for key, value in lines.items())


TEXT = "\n".join(
    [
        stanza("zsh", Provides="shell, other (= 2),\n third"),
        stanza("a", "1"),
        stanza("dash", Provides="shell"),
        stanza("a", "2", Depends="zsh"),
        stanza("a-b"),
    ]
).encode()


class Source:
    """Returns the text of an index, and counts how often."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> bytes:
        self.count += 1
        return TEXT


def facts(index: PackageIndex) -> object:
    found = {name: index.find(name) for name in ("a", "a-b", "dash", "zsh", "none")}
    provided = {name: index.providers(name) for name in ("shell", "other", "third", "a")}
    return found, provided, index.names(""), index.names("a"), len(index)


def test_opened_form_has_the_same_packages_as_the_text(tmp_path: Path) -> None:
    load = Source()
    plain = facts(PackageIndex({"main": TEXT}))
    for _ in range(2):
        assert facts(PackageIndex({"main": open_stanzas(tmp_path, DIGEST, load)})) == plain
    assert load.count == 1
    assert [deb.version for deb in PackageIndex({"main": TEXT}).find("a")] == ["2", "1"]
    assert [deb.package for deb in PackageIndex({"main": TEXT}).providers("third")] == ["zsh"]


@pytest.mark.parametrize("text", [b"", b"\n", b"junk\n\n"])
def test_index_without_packages_can_be_kept(tmp_path: Path, text: bytes) -> None:
    for _ in range(2):
        index = PackageIndex({"main": open_stanzas(tmp_path, DIGEST, lambda: text)})
        assert (len(index), index.find("a"), index.providers("a"), index.names("")) == (0, [], [], [])


def test_every_damaged_byte_is_noticed_and_the_form_is_made_again(tmp_path: Path) -> None:
    load = Source()
    open_stanzas(tmp_path, DIGEST, load)
    [path] = tmp_path.iterdir()
    whole = path.read_bytes()
    plain = facts(PackageIndex({"main": TEXT}))
    for place in [*range(0, len(whole), 7), len(whole) - 1]:
        damaged = bytearray(whole)
        damaged[place] ^= 0x15
        path.write_bytes(damaged)
        assert facts(PackageIndex({"main": open_stanzas(tmp_path, DIGEST, load)})) == plain, place
        open_stanzas(tmp_path, DIGEST, load)
        if place < len(TEXT):
            assert path.read_bytes() == whole, place
    for cut in (b"", whole[:-1], whole[: len(TEXT)], whole[1:]):
        path.write_bytes(cut)
        assert facts(PackageIndex({"main": open_stanzas(tmp_path, DIGEST, load)})) == plain
        assert path.read_bytes() == whole


def test_only_the_forms_that_were_used_last_are_kept(tmp_path: Path) -> None:
    for number in range(12):
        open_stanzas(tmp_path, Sha256(f"{number:064x}"), lambda: TEXT)
    assert len(list(tmp_path.iterdir())) == 8
