"""Writes small bundles, wheels and .eap files for tests."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from tests.unit.abi.elf_maker import make_elf

from incamera.abi.policy import load_runtime
from incamera.targets.architecture import Architecture
from incamera.targets.target import Target
from incamera.wheels.archive import record_line

BASE = load_runtime(Target(Architecture.armv7hf)).libraries
GLIBC = BASE["libc.so.6"].facts.defines
LOADER = "/lib/ld-linux-armhf.so.3"


def write(root: Path, files: Mapping[str, bytes | str]) -> Path:
    """Write *files* below *root*: bytes are a file's content, a string is the target of a symbolic link."""
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            (root / path).symlink_to(content)
        else:
            (root / path).write_bytes(content)
    return root


def bundle(root: Path, files: Mapping[str, bytes | str]) -> Path:
    """Write a bundle for Python 3.11 with glibc 2.36 and *files* to *root*."""
    base: dict[str, bytes | str] = {
        "etc/launcher": b"program libexec/python3.11\nloader lib/ld-linux-armhf.so.3\nlibraries lib\n",
        "libexec/python3.11": make_elf(
            needed=["libc.so.6"],
            needs={"libc.so.6": ["GLIBC_2.36"]},
            exports=["PyLong_FromLong"],
            interpreter=LOADER,
            program=True,
        ),
        "lib/libc.so.6": make_elf(soname="libc.so.6", defines=GLIBC, exports=["puts@GLIBC_2.4", "new@GLIBC_2.36"]),
        "lib/ld-linux-armhf.so.3": make_elf(
            soname="ld-linux-armhf.so.3", defines=BASE["ld-linux-armhf.so.3"].facts.defines
        ),
    }
    return write(root, {**base, **files})


def wheel(path: Path, files: Mapping[str, bytes], *, complete: bool = True) -> Path:
    """Write a wheel with *files*; with *complete*, the files that describe it are added where they are not given."""
    described = dict(files)
    info = "-".join(path.name.split("-")[:2]).removesuffix(".whl") + ".dist-info"
    if complete:
        described = {f"{info}/METADATA": b"Metadata-Version: 2.1\n", f"{info}/WHEEL": b"Wheel-Version: 1.0\n", **files}
        record = "".join(record_line(name, data) for name, data in described.items())
        described.setdefault(f"{info}/RECORD", f"{record}{info}/RECORD,,\n".encode())
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in described.items():
            archive.writestr(name, data)
    return path


def package(path: Path, files: Mapping[str, bytes | str]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path
