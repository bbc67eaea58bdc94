"""What a device is sent: listings and archives."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from incamera.errors import BuildError
from incamera.guard.packing import Packing
from incamera.guard.sync import dump_listing, pack, plan_shipment
from incamera.tree import list_tree


def test_the_name_tells_what_a_device_gets(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    entries = list_tree(tmp_path)
    plain = plan_shipment("app", tmp_path, entries)
    for_one = plan_shipment("app", tmp_path, entries, extra_files={"device/launcher": b"1"})
    for_other = plan_shipment("app", tmp_path, entries, extra_links={"device/lib/libz.so.1": "/lib/libz.so.1"})
    assert len({plain.name, for_one.name, for_other.name}) == 3
    assert plain.name == plan_shipment("app", Path("/elsewhere"), entries).name


def test_a_listing_has_a_record_for_each_entry(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("x")
    (tmp_path / "run").chmod(0o755)
    (tmp_path / "link").symlink_to("run")
    (tmp_path / "data").write_bytes(b"")
    records = dump_listing(list_tree(tmp_path)).decode().split("\0")
    assert [record.split()[0] for record in records[:-1:2]] == ["f", "l", "x"]
    assert records[3] == "run"
    assert records[4].endswith(" run")


def test_archive_that_will_be_compressed_is_one_that_tar_reads(tmp_path: Path) -> None:
    names = ["a", "b/" + "long" * 50 + "/c", "ünicode", "big"]
    for number, name in enumerate(names):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([number]) * (700_000 if name == "big" else number * 511))
    shipment = plan_shipment("app", tmp_path, list_tree(tmp_path), extra_files={"made": b"here"})
    chunks = list(pack(shipment, range(len(shipment.entries)), Packing.more))
    assert len(chunks) > 2
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        assert archive.getnames() == [entry.path for entry in shipment.entries]
        for entry in shipment.entries:
            stream = archive.extractfile(entry.path)
            assert stream is not None
            expected = b"here" if entry.path == "made" else (tmp_path / entry.path).read_bytes()
            assert stream.read() == expected


def test_a_file_that_shrank_is_no_whole_bundle(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("four")
    shipment = plan_shipment("app", tmp_path, list_tree(tmp_path))
    (tmp_path / "a").write_text("two")
    with pytest.raises(BuildError, match="shorter"):
        list(pack(shipment, [0], Packing.more))


def test_names_that_are_not_utf_8_are_sent_as_they_are(tmp_path: Path) -> None:
    name = b"caf\xe9.py"
    (tmp_path / os.fsdecode(name)).write_text("x = 1\n")
    shipment = plan_shipment("app", tmp_path, list_tree(tmp_path))
    assert name in dump_listing(shipment.entries)
    with tarfile.open(fileobj=io.BytesIO(b"".join(pack(shipment, [0], Packing.more)))) as archive:
        assert archive.getnames() == [os.fsdecode(name)]
    assert len(shipment.name) == 16
