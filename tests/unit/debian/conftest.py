"""A small Debian archive with real packages and real signatures, served on loopback."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import tarfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pysequoia
import pytest

from incamera.debian import release
from incamera.debian.mirror import Mirror
from incamera.targets.suite import Suite

if TYPE_CHECKING:
    from tests.unit.conftest import Web

DATA = Path(__file__).parents[2] / "data" / "debian"
Compress = Callable[[bytes], bytes]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def make_ar(members: Mapping[str, bytes]) -> bytes:
    parts = [b"!<arch>\n"]
    for name, data in members.items():
        parts.append(b"%-16s%-12d%-6d%-6d%-8s%-10d`\n" % (name.encode(), 0, 0, 0, b"100644", len(data)))
        parts.append(data + b"\n" * (len(data) % 2))
    return b"".join(parts)


def make_tar(*members: Any) -> bytes:
    """Each member is (name, content) or (name, content, mode), or a TarInfo."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            name, content, *mode = member
            info = tarfile.TarInfo(name)
            info.size = len(content)
            info.mode = mode[0] if mode else 0o644
            archive.addfile(info, io.BytesIO(content))
    return output.getvalue()


def make_link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


def make_deb(*members: Any, ending: str = ".xz", tar: bytes | None = None) -> bytes:
    compress: dict[str, Compress] = {".xz": lzma.compress, ".gz": gzip.compress, "": bytes, ".zst": bytes}
    data = make_tar(*members) if tar is None else tar
    return make_ar(
        {
            "debian-binary": b"2.0\n",
            "control.tar.gz": gzip.compress(make_tar()),
            f"data.tar{ending}": compress[ending](data),
        }
    )


class Archive:
    """The archive that `web` serves below /debian and /debian-security. Call `publish` after the last `add`."""

    suite = Suite(name="testing", release=1, glibc="2.36", security="testing-security")
    architecture = "armhf"

    def __init__(self, web: Web) -> None:
        self.web = web
        self.mirror = Mirror(main=f"{web.url}/debian", security=f"{web.url}/debian-security")
        self.key = pysequoia.Tsk.generate("Archive <archive@example.org>")
        self.date = datetime.now(UTC).replace(microsecond=0)
        self.packages: dict[str, list[str]] = {"main": [], "security": []}

    @property
    def keys(self) -> dict[str, Any]:
        certificate = self.key.extract_certificate()
        return {certificate.fingerprint: certificate}

    def base(self, archive: str) -> str:
        return {"main": "/debian", "security": "/debian-security"}[archive]

    def suite_path(self, archive: str) -> str:
        name = {"main": self.suite.name, "security": self.suite.security}[archive]
        return f"{self.base(archive)}/dists/{name}"

    def add(self, name: str, version: str = "1.0", *, archive: str = "main", body: bytes = b"", **fields: str) -> bytes:
        body = body or make_deb((f"./usr/share/{name}/file", f"{name} {version}".encode()))
        path = f"pool/main/{name}_{version}_armhf.deb"
        stanza = {
            "Package": name,
            "Version": version,
            "Architecture": "armhf",
            **{key.replace("_", "-"): value for key, value in fields.items()},
            "Filename": path,
            "Size": str(len(body)),
            "SHA256": sha256(body),
        }
        self.packages[archive].append("".join(f"{key}: {value}\n" for key, value in stanza.items()))
        self.web.pages[f"{self.base(archive)}/{path}"] = body
        return body

    def index(self, archive: str) -> bytes:
        return "\n".join(self.packages[archive]).encode()

    def sign(self, text: str) -> bytes:
        signed = pysequoia.sign(self.key.signer(), text.encode(), mode=pysequoia.SignatureMode.CLEAR)
        return bytes(signed) if not isinstance(signed, str) else signed.encode()

    def release_text(self, archive: str, files: Mapping[str, bytes], **fields: str) -> str:
        head = {
            "Origin": "Debian",
            "Codename": self.suite_path(archive).rpartition("/")[2],
            "Date": format_datetime(self.date, usegmt=True),
            "Acquire-By-Hash": "yes",
            **{key.replace("_", "-"): value for key, value in fields.items()},
        }
        lines = [f" {sha256(data)} {len(data)} {name}" for name, data in files.items()]
        return "".join(f"{key}: {value}\n" for key, value in head.items()) + "SHA256:\n" + "\n".join(lines) + "\n"

    def publish(self, *archives: str, by_hash: bool = True, plain: bool = True, ending: str = ".gz") -> None:
        for archive in archives or ("main", "security"):
            data = self.index(archive)
            packed = gzip.compress(data, mtime=0) if ending == ".gz" else lzma.compress(data)
            folder = f"main/binary-{self.architecture}"
            path = self.suite_path(archive)
            files = {f"{folder}/Packages": data, f"{folder}/Packages{ending}": packed}
            self.web.pages[f"{path}/InRelease"] = self.sign(self.release_text(archive, files))
            if by_hash:
                self.web.pages[f"{path}/{folder}/by-hash/SHA256/{sha256(packed)}"] = packed
            if plain:
                self.web.pages[f"{path}/{folder}/Packages{ending}"] = packed

    def age(self, **delta: float) -> None:
        self.date -= timedelta(**delta)


@pytest.fixture
def archive(web: Web, monkeypatch: pytest.MonkeyPatch) -> Archive:
    archive = Archive(web)
    monkeypatch.setattr(release, "load_archive_keys", lambda: archive.keys)
    return archive


@pytest.fixture
def make() -> Any:
    """The makers above, for tests: `make.deb(...)`, `make.tar(...)`, `make.link(...)`, `make.ar(...)`."""

    class Make:
        deb = staticmethod(make_deb)
        tar = staticmethod(make_tar)
        link = staticmethod(make_link)
        ar = staticmethod(make_ar)

    return Make


@pytest.fixture
def data() -> Path:
    return DATA
