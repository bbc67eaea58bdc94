"""The archive, the files that follow from a manifest, and the file's name equal those of the vendor's tool."""

from __future__ import annotations

import gzip
import json
import os
import random
import zlib
from pathlib import Path

import pytest
from tests.unit.eap import vendor

from incamera.eap import archive, conf
from incamera.eap.archive import Contents, list_members, pack, plan_operands
from incamera.eap.contents import project_members
from incamera.eap.manifest import complete_manifest
from incamera.eap.tar import Member, write_tar
from incamera.targets.architecture import Architecture

MANIFESTS = 12 * len(vendor.VERSIONS)


@pytest.mark.parametrize("part", range(4))
def test_files_of_a_manifest_equal_those_of_the_vendors_tool(part: int) -> None:
    for seed in range(part, MANIFESTS, 4):
        document = vendor.generate_manifest(seed)
        architecture = Architecture.armv7hf
        manifest = complete_manifest(document, architecture, origin=f"manifest {seed}")
        written = json.loads(manifest.dump())
        assert manifest.dump() == json.dumps(written, indent=4).encode()
        others = ["one", "two/three"]
        assert conf.dump_package_conf(manifest, architecture, others).decode() == vendor.package_conf(
            written, "armv7hf", "one two/three"
        ), document
        assert conf.dump_param_conf(manifest).decode() == vendor.param_conf(written), document
        cgi = conf.dump_cgi_conf(manifest)
        assert (cgi if cgi is None else cgi.decode()) == vendor.cgi_conf(written), document
        assert conf.package_file_name(manifest, architecture) == vendor.file_name(written, "armv7hf"), document


def test_manifest_gets_what_the_vendors_tool_adds_and_keeps_the_order_of_its_keys() -> None:
    document = {
        "schemaVersion": "2.0.0",
        "acapPackageConf": {
            "setup": {
                "vendor": "Müller",
                "appName": "hello",
                "vendorId": "1234567890",
                "version": "1.0.0",
                "runMode": "never",
                "compatibleOsVersions": [{"max": "13"}],
            }
        },
    }
    text = complete_manifest(document, Architecture.aarch64, origin="manifest.json").dump().decode()
    assert text.startswith('{\n    "schemaVersion": "2.0.0",\n    "acapPackageConf": {\n        "setup": {\n')
    assert '"vendor": "M\\u00fcller"' in text
    assert text.index('"vendor"') < text.index('"appName"') < text.index('"architecture": "aarch64"')
    assert json.loads(text)["acapPackageConf"]["setup"]["compatibleOsVersions"] == [{"min": "11.11", "max": "13"}]
    assert "architecture" not in document["acapPackageConf"]["setup"]  # type: ignore[index]


def random_tree(folder: Path, chance: random.Random) -> None:
    """Fill *folder* with files, folders and links whose names and sizes are where tar changes its behaviour."""
    names = ["a", "a.txt", "a-b", "B", "Z", "ä", "x~", ".git", ".gitignore", "CVS", "README", "n" * 60, "{arch}", "_"]

    def fill(here: Path, depth: int) -> None:
        for name in chance.sample(names, chance.randrange(2, len(names))):
            path = here / name
            kind = chance.random()
            if kind < 0.35 and depth < 4:
                path.mkdir(mode=0o755)
                path.chmod(0o755)
                fill(path, depth + 1)
            elif kind < 0.45:
                path.symlink_to((("t" * 49 + "/") * 20)[: chance.choice([1, 99, 100, 101, 300])])
            else:
                path.write_bytes(chance.randbytes(chance.choice([0, 1, 511, 512, 513, 5000, 10240])))
                path.chmod(chance.choice([0o644, 0o755, 0o600]))

    fill(folder, 0)


def members_of(folder: Path) -> tuple[dict[str, Member], list[str]]:
    """Return the members below *folder*, links out of it too, and the empty folders."""
    files: dict[str, Member] = {}
    empty = []
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            files[name] = Member(path=name, link=os.readlink(path))  # noqa: PTH115 - Path.readlink changes it
        elif path.is_file():
            status = path.stat()
            files[name] = Member(path=name, mode=status.st_mode & 0o777, size=status.st_size, content=path)
        elif not any(path.iterdir()):
            empty.append(name)
    return files, empty


@pytest.mark.starts_processes
@pytest.mark.parametrize("seed", range(12))
def test_archive_equals_that_of_gnu_tar_byte_for_byte(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    random_tree(tmp_path, chance)
    operands = sorted(path.name for path in tmp_path.iterdir())
    chance.shuffle(operands)
    epoch = chance.choice([0, 1, 1_577_836_800, 2**32])
    files, empty = members_of(tmp_path)
    listing = list_members(Contents(files=files, operands=operands, folders=empty))
    mine = bytearray()
    size = write_tar(listing.members, epoch, mine.extend)
    theirs = vendor.tar_as_vendor(tmp_path, operands, epoch)
    assert bytes(mine) == theirs
    assert size == len(theirs)


@pytest.mark.starts_processes
@pytest.mark.parametrize("length", [1, 98, 99, 100, 101, 155, 256, 600])
def test_long_names_and_links_equal_those_of_gnu_tar(tmp_path: Path, length: int) -> None:
    parts = [("d" * 90 + "/") * (length // 91), "f" * (length % 91 or 1)]
    path = tmp_path / "".join(parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Of several parts: a longer one could not be looked up.
    path.symlink_to((("l" * 49 + "/") * 20)[:length])
    (path.parent / "file").write_bytes(b"1")
    (path.parent / "file").chmod(0o644)
    for folder in [one for one in tmp_path.rglob("*") if one.is_dir() and not one.is_symlink()]:
        folder.chmod(0o755)
    operands = sorted(one.name for one in tmp_path.iterdir())
    files, empty = members_of(tmp_path)
    mine = bytearray()
    write_tar(list_members(Contents(files=files, operands=operands, folders=empty)).members, 7, mine.extend)
    assert bytes(mine) == vendor.tar_as_vendor(tmp_path, operands, 7)


def test_members_come_in_the_order_of_the_vendors_tool() -> None:
    there = {"hello", "package.conf", "param.conf", "LICENSE", "manifest.json", "html", "lib", "cgi.conf", "post.sh"}
    operands = plan_operands(
        app_name="hello",
        others=["model/model.tflite", "bundle"],
        has=there.__contains__,
        post_install="post.sh",
        pre_uninstall="pre.sh",
    )
    first = ["hello", "package.conf", "param.conf", "LICENSE", "manifest.json", "post.sh"]
    assert operands == [*first, "model/model.tflite", "bundle", "pre.sh", "html", "lib", "cgi.conf"]


def test_what_the_vendors_tool_leaves_out_is_left_out_and_named(tmp_path: Path) -> None:
    for name in ("html/index.html", "html/index.html~", "html/CVS/Root", "html/.gitignore", "html/x/RCS"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    files = {member.path: member for member in project_members(tmp_path, "html")}
    listing = list_members(Contents(files=files, operands=["html"]))
    assert [member.path for member in listing.members] == ["html", "html/index.html", "html/x"]
    assert sorted(listing.excluded) == ["html/.gitignore", "html/CVS", "html/index.html~", "html/x/RCS"]


def test_package_has_the_header_of_gzip_without_name_and_time(tmp_path: Path) -> None:
    data = b"text" * 100_000
    members = [Member(path="hello", mode=0o755, size=len(data), content=data)]
    packed = pack(members, 0, tmp_path / "a.eap")
    content = (tmp_path / "a.eap").read_bytes()
    assert content[:10] == bytes.fromhex("1f8b 08 00 00000000 02 03")
    assert packed.bytes == len(content) < 10_000
    archive = gzip.decompress(content)
    assert (packed.tar_bytes, len(archive) % 10240) == (len(archive), 0)
    assert data in archive


def test_large_package_has_the_same_bytes_however_many_processors_compress_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(1)
    block = chance.randbytes(40_000)  # longer than deflate looks back
    data = b"".join(block[chance.randrange(30_000) :] for _ in range(200))
    members = [Member(path="hello", mode=0o755, size=len(data), content=data)]
    packed = []
    for workers in (1, 4):
        monkeypatch.setattr(archive, "_MOST_WORKERS", workers)
        packed.append(pack(members, 0, tmp_path / "a.eap"))
        written = (tmp_path / "a.eap").read_bytes()
        whole = gzip.decompress(written)
        assert (len(whole), data in whole) == (packed[-1].tar_bytes, True)
    assert packed[0] == packed[1]
    assert packed[0].bytes < 1.001 * len(zlib.compress(whole, 9))


def test_nobody_but_the_owner_may_write_what_comes_from_the_project(tmp_path: Path) -> None:
    (tmp_path / "html").mkdir(mode=0o777)
    (tmp_path / "html" / "a").write_text("1")
    (tmp_path / "html" / "a").chmod(0o777)
    members = list(project_members(tmp_path, "html"))
    assert [oct(member.mode) for member in members] == ["0o755"]
