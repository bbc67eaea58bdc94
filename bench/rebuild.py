"""Rebuild packages that the vendor's tool has made from their own parts, and compare the bytes.

PATH is a folder with .eap files, or a git repository: then each version of each such file is taken. What is rebuilt is
the tar inside, package.conf, param.conf, cgi.conf, manifest.json and the file's name. All of them have to be equal.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import io
import json
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from incamera.eap import conf
from incamera.eap.archive import Contents, list_members, plan_operands
from incamera.eap.manifest import FILE, Manifest
from incamera.eap.tar import Member, write_tar
from incamera.targets.architecture import Architecture
from measure import CannotMeasure, Figure, main, say

MOST_SHOWN = 5


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    equal: dict[str, int] = {}
    total = 0
    for name, data in _packages(arguments.path):
        try:
            archive = gzip.decompress(data)
        except (OSError, EOFError, zlib.error):  # signed: bytes follow
            archive = zlib.decompressobj(wbits=31).decompress(data)
        found = _compare(name, archive)
        if found is None:
            continue
        total += 1
        for part, is_equal in found.items():
            equal[part] = equal.get(part, 0) + is_equal
            if not is_equal:
                say(f"{name}: {part} is another one")
    if not total:
        raise CannotMeasure(f"there are no packages with a manifest in {arguments.path}")
    return [
        Figure(name=f"{part}: packages that are equal", value=count, unit=f"of {total}", least=total)
        for part, count in equal.items()
    ]


def _packages(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir() and not (path / "objects").is_dir() and not (path / ".git").exists():
        for file in sorted(path.rglob("*.eap")):
            yield file.name, file.read_bytes()
        return
    command = ["git", "-C", str(path), "rev-list", "--objects", "--all"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    blobs = {words[0]: words[1] for line in listed.splitlines() if len(words := line.split(" ", 1)) == 2}
    for blob, name in sorted(blobs.items(), key=lambda item: (item[1], item[0])):
        if name.endswith(".eap"):
            done = subprocess.run(["git", "-C", str(path), "cat-file", "blob", blob], check=False, capture_output=True)
            if done.returncode == 0 and done.stdout[:2] == b"\x1f\x8b":
                yield Path(name).name, done.stdout


def _compare(name: str, archive: bytes) -> dict[str, bool] | None:
    """Return which parts of the package are the same when incamera makes them; None where it has no manifest."""
    files: dict[str, Member] = {}
    folders: dict[str, int] = {}
    order, mtime = [], 0
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            mtime = int(member.mtime)
            order.append(member.name)
            if member.isdir():
                folders[member.name] = member.mode
            else:
                stream = tar.extractfile(member) if member.isfile() else None
                content = stream.read() if stream is not None else b""
                files[member.name] = Member(
                    path=member.name, mode=member.mode, size=len(content), content=content, link=member.linkname
                )
    if FILE not in files or conf.PACKAGE_CONF not in files:
        return None
    text = _content(files, FILE)
    manifest = Manifest(json.loads(text))
    settings = dict(
        line.split("=", 1) for line in _content(files, conf.PACKAGE_CONF).decode().splitlines() if "=" in line
    )
    architecture = Architecture(settings["APPTYPE"].strip('"'))
    others = settings["OTHERFILES"].strip('"').split()
    before = [one for one in others if one != manifest.pre_uninstall]
    there = {path.partition("/")[0] for path in order}
    operands = plan_operands(
        app_name=manifest.app_name,
        others=before,
        has=there.__contains__,
        post_install=manifest.post_install,
        pre_uninstall=manifest.pre_uninstall,
    )
    made = bytearray()
    listed = list_members(Contents(files=files, operands=operands, folders=list(folders))).members
    # Theirs have the modes of the folders on the computer that made them. Those of incamera are all 0755.
    members = [
        dataclasses.replace(member, mode=folders[member.path]) if member.is_folder else member for member in listed
    ]
    write_tar(members, mtime, made.extend)
    cgi = conf.dump_cgi_conf(manifest)
    return {
        "tar": bytes(made) == archive,
        conf.PACKAGE_CONF: conf.dump_package_conf(manifest, architecture, others) == _content(files, conf.PACKAGE_CONF),
        conf.PARAM_CONF: conf.dump_param_conf(manifest) == _content(files, conf.PARAM_CONF),
        conf.CGI_CONF: cgi == (_content(files, conf.CGI_CONF) if conf.CGI_CONF in files else None),
        FILE: manifest.dump() == text,
        "file name": conf.package_file_name(manifest, architecture) == name,
    }


def _content(files: dict[str, Member], path: str) -> bytes:
    content = files[path].content
    assert isinstance(content, bytes)
    return content


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", type=Path, help="a folder with .eap files, or a git repository")


if __name__ == "__main__":
    sys.exit(main(measure, __doc__, timeout=1800, add_options=add_options))
