"""Removes from a wheel that was built what the camera does not need: the build's path, and debug information.

The path of the build folder differs from build to build. Compilers map it (-ffile-prefix-map), but projects write it to
other files, as numpy to `__config__.py`.
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
from incamera.elf.debug import strip, write_debug_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from incamera.archives import ZipReader

_REPLACEMENT = b"/incamera"


def clean_wheel(wheel: Path, folder: Path, debug: Path) -> None:
    """Replace the path *folder* in the files of *wheel* by `/incamera`, and strip its ELF files.

    The folder *debug* gets their debug information. A file that is not a wheel stays as it is.
    """
    names = sorted({str(folder).encode(), str(folder.resolve()).encode()}, key=len, reverse=True)
    try:
        with open_zip(wheel) as archive:
            changed = {}
            for info in archive.infos:
                data = archive.read(info)
                clean = strip_elf(data, debug) if data.startswith(ELF_MAGIC) else _remove_paths(data, names)
                if clean is not data:
                    changed[info.filename] = clean
            if changed:
                _rewrite(wheel, archive, changed)
    except BadArchive:
        return


def strip_elf(data: bytes, debug: Path) -> bytes:
    """Return the ELF file *data* without debug information, which the folder *debug* gets."""
    try:
        stripped = strip(data)
    except ValueError:
        return data  # the audit says what is wrong with it
    if stripped is None:
        return data
    write_debug_file(debug, stripped)
    return stripped.data


def _remove_paths(data: bytes, names: Sequence[bytes]) -> bytes:
    for name in names:
        if name in data:
            data = data.replace(name, _REPLACEMENT)
    return data


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
