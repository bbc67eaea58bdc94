"""Removes the path of the build folder from a wheel: it differs from build to build.

Compilers map the path (-ffile-prefix-map). But projects write it to other files, as numpy to `__config__.py`.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from typing import TYPE_CHECKING

from incamera.archives import BadArchive, open_zip
from incamera.elf import ELF_MAGIC

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from incamera.archives import ZipReader

_REPLACEMENT = b"/incamera"


def remove_build_path(wheel: Path, folder: Path) -> None:
    """Replace the path *folder* in the files of *wheel* by `/incamera`, except in ELF files.

    A file that is not a wheel stays as it is.
    """
    names = sorted({str(folder).encode(), str(folder.resolve()).encode()}, key=len, reverse=True)
    try:
        with open_zip(wheel) as archive:
            changed = {}
            for info in archive.infos:
                if archive.beginning(info, len(ELF_MAGIC)) != ELF_MAGIC:
                    data = archive.read(info)
                    if any(name in data for name in names):
                        for name in names:
                            data = data.replace(name, _REPLACEMENT)
                        changed[info.filename] = data
            if changed:
                _rewrite(wheel, archive, changed)
    except BadArchive:
        return


def _rewrite(wheel: Path, archive: ZipReader, changed: Mapping[str, bytes]) -> None:
    """Write *wheel*, which is open as *archive*, anew: with the *changed* files, and a RECORD that fits them."""
    partial = wheel.with_suffix(".partial")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as output:
            for info in archive.infos:
                data = changed.get(info.filename)
                if data is None:
                    data = archive.read(info)
                if info.filename.endswith(".dist-info/RECORD"):
                    data = _update_record(data, changed)
                output.writestr(info, data)
        partial.replace(wheel)
    finally:
        partial.unlink(missing_ok=True)


def _update_record(record: bytes, changed: Mapping[str, bytes]) -> bytes:
    rows = []
    for row in csv.reader(io.StringIO(record.decode("utf-8"))):
        if row and (data := changed.get(row[0])) is not None:
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            row = [row[0], f"sha256={digest}", str(len(data))]
        rows.append(row)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8")
