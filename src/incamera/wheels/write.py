"""Write a wheel. Equal files give equal bytes."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.errors import BuildError
from incamera.wheels.archive import UNRECORDED, record_line

if TYPE_CHECKING:
    from collections.abc import Sequence

_EARLIEST = (1980, 1, 1, 0, 0, 0)


def write_wheel(root: Path, name: str, dist_info: str, path: Path, tags: str | None) -> str:
    """Write the files below *root* as a wheel to *path*, and return the file name that it must get.

    *name* is the file name before. *tags* replace the tags in that name and in the file WHEEL, unless None.
    *dist_info* is the name of the dist-info folder. Raises BuildError when WHEEL is not text.
    """
    stem = name.removesuffix(".whl")
    if tags is not None:
        stem = "-".join([*stem.split("-")[:-3], tags])
        _write_tags(root / dist_info / "WHEEL", tags, name)
    members = sorted(file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file())
    members = [member for member in members if member not in {f"{dist_info}/{file}" for file in UNRECORDED}]
    # The dist-info folder comes last, so that the metadata can be read from the end of the file.
    members.sort(key=lambda member: member.startswith(f"{dist_info}/"))
    records = []
    with zipfile.ZipFile(path, "w") as archive:
        for member in members:
            data = (root / member).read_bytes()
            records.append(record_line(member, data))
            _add(archive, member, data, executable=bool((root / member).stat().st_mode & 0o100))
        record = f"{dist_info}/RECORD"
        _add(archive, record, "".join([*records, f"{record},,\n"]).encode(), executable=False)
    return f"{stem}.whl"


def _add(archive: zipfile.ZipFile, member: str, data: bytes, *, executable: bool) -> None:
    info = zipfile.ZipInfo(member, _EARLIEST)
    info.create_system = 3  # Unix, wherever this runs
    info.external_attr = (0o100755 if executable else 0o100644) << 16
    # Not compressed: it is unpacked soon and never sent, and versions of zlib differ in their output.
    info.compress_type = zipfile.ZIP_STORED
    archive.writestr(info, data)


def _write_tags(path: Path, tags: str, name: str) -> None:
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise BuildError(f"{name} is not a valid wheel: its WHEEL is not text") from error
    kept = [line for line in lines if line and not line.lower().startswith(("tag:", "root-is-purelib:"))]
    kept.append(f"Root-Is-Purelib: {'true' if tags.endswith('-any') else 'false'}")
    path.write_text("\n".join([*kept, *_expanded(tags)]) + "\n", "utf-8")


def _expanded(tags: str) -> Sequence[str]:
    pythons, abis, platforms = (part.split(".") for part in tags.split("-"))
    return [f"Tag: {p}-{a}-{m}" for p in pythons for a in abis for m in platforms]
