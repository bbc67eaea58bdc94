"""The summary of anybody's .eap by which a camera decides: its manifest, and whether it is signed.

Only the first part of the file is read, and its end, which takes the same time for a package of any size. `reading`
reads the whole file, and says what of it is damaged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from incamera.archives import GZIP_MAGIC, BadArchive, Kind, PackedStream, TarReader, find_signature
from incamera.archives.signature import TRAILER_BYTES
from incamera.eap.conf import PACKAGE_CONF
from incamera.eap.conf_reading import parse_package_conf
from incamera.eap.manifest import FILE
from incamera.errors import ConfigError

_MOST_BYTES = 1_000_000
# An app is named in the addresses of its pages, and in requests to the camera.
_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What an .eap says of itself. *manifest* is None in a package of the older kind, which has package.conf alone.

    *architecture* is "all" for one that runs everywhere, "" where it is not named. *size* is that of the file.
    """

    name: str
    version: str
    architecture: str
    vendor: str
    vendor_id: str = ""
    is_signed: bool = False
    size: int = 0
    manifest: Mapping[str, Any] | None = field(default=None, repr=False)


def read_summary(path: Path) -> Summary:
    """Return the summary of the .eap *path*. Raises ConfigError when it is none, or damaged in its first part."""
    try:
        with path.open("rb") as stream:
            signed = _is_signed(stream)
            size = stream.seek(0, 2)
            stream.seek(0)
            if stream.read(len(GZIP_MAGIC)) != GZIP_MAGIC:
                raise BadArchive("it is not a gzip file")
            stream.seek(0)
            texts = _read_descriptions(stream)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint="name the .eap file of a package") from error
    except BadArchive as error:
        raise ConfigError(
            f"{path} is not a package: {error}", hint="`incamera package` makes one, and prints where it is"
        ) from error
    return _describe(path, texts, signed, size)


def read_installed(folder: Path, *, is_signed: bool) -> Summary:
    """Return the summary of the package that is unpacked in *folder*. Raises ConfigError when it is damaged."""
    texts = {}
    for name in (FILE, PACKAGE_CONF):
        with suppress(OSError), (folder / name).open("rb") as stream:
            texts[name] = stream.read(_MOST_BYTES)
    return _describe(folder, texts, is_signed, 0)


def _is_signed(stream: BinaryIO) -> bool:
    """Return whether the file ends with a signature. Whose it is, and whether it is right, is not known."""
    size = stream.seek(0, 2)
    stream.seek(max(0, size - TRAILER_BYTES))
    length = int.from_bytes(stream.read(4), "big") + TRAILER_BYTES
    if not TRAILER_BYTES < length <= min(size, _MOST_BYTES):
        return False
    stream.seek(size - length)
    return find_signature(stream.read(length)) is not None


def _read_descriptions(stream: BinaryIO) -> dict[str, bytes]:
    """Return the content of manifest.json and package.conf. What follows both is not read."""
    reader = TarReader(PackedStream(stream, trailer=lambda trailer: True))
    found: dict[str, bytes] = {}
    for member in reader:
        name = member.name.removeprefix("./")
        if name in (FILE, PACKAGE_CONF) and member.kind is Kind.file:
            if member.size > _MOST_BYTES:
                raise BadArchive(f"its {name} has {member.size} bytes")
            found[name] = reader.read(member.size)
            if len(found) == 2:
                break
    return found


def _describe(path: Path, texts: Mapping[str, bytes], signed: bool, size: int) -> Summary:
    conf = parse_package_conf(texts.get(PACKAGE_CONF, b""))
    manifest = _parse_manifest(path, texts[FILE]) if FILE in texts else None
    setup = _table(_table(manifest, "acapPackageConf"), "setup")
    numbers = [conf.get(f"APP{part}VERSION", "0") for part in ("MAJOR", "MINOR", "MICRO")]
    name = _text(setup, "appName") or conf.get("APPNAME", "")
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{path} does not name its app", hint="`incamera audit` shows what is wrong with such a package"
        )
    return Summary(
        name=name,
        version=_text(setup, "version") or ".".join(numbers),
        architecture=_text(setup, "architecture") or conf.get("APPTYPE", ""),
        vendor=_text(setup, "vendor") or conf.get("VENDOR", ""),
        vendor_id=_text(setup, "vendorId"),
        is_signed=signed,
        size=size,
        manifest=manifest,
    )


def _parse_manifest(path: Path, data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ConfigError(
            f"the manifest in {path} is not a JSON object", hint="no camera takes that: correct it, and pack it again"
        )
    return document


def _table(document: object, key: str) -> Mapping[str, Any]:
    table = document.get(key) if isinstance(document, dict) else None
    return table if isinstance(table, dict) else {}


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key)
    return value if isinstance(value, str) else ""
