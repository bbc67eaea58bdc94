"""A small package index with real wheels, served on loopback."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from incamera.wheels.index import IndexFile, PackageIndexes

if TYPE_CHECKING:
    from tests.unit.conftest import Web

    from incamera.http import Http
    from incamera.store import Store


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Make:
    """Makes wheels and sdists as bytes."""

    @staticmethod
    def record(files: Mapping[str, bytes]) -> bytes:
        lines = []
        for path, data in files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            lines.append(f"{path},sha256={digest},{len(data)}\n")
        return "".join(lines).encode()

    def wheel(
        self,
        files: Mapping[str, bytes] | None = None,
        *,
        name: str = "own-1.0-py3-none-any.whl",
        metadata: str = "",
        record: bytes | None = None,
        without: str = "",
    ) -> bytes:
        project, version, *_ = name.split("-")
        folder = f"{project}-{version}.dist-info"
        headers = metadata or f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n"
        tag = "-".join(name.removesuffix(".whl").split("-")[-3:])
        content = {
            **(files or {"own.py": b"value = 1\n"}),
            f"{folder}/METADATA": headers.encode(),
            f"{folder}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
        }
        record_path = f"{folder}/RECORD"
        content[record_path] = self.record(content) + f"{record_path},,\n".encode() if record is None else record
        content.pop(f"{folder}/{without}", None)
        return self.zip(content)

    @staticmethod
    def zip(files: Mapping[str, bytes]) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, data in files.items():
                archive.writestr(zipfile.ZipInfo(path), data)
        return stream.getvalue()

    @staticmethod
    def sdist(files: Mapping[str, bytes]) -> bytes:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:gz") as archive:
            for path, data in files.items():
                info = tarfile.TarInfo(path)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return stream.getvalue()


class Index:
    """Files of projects, at /simple/; each is also to be had by ranges."""

    def __init__(self, web: Web, http: Http, store: Store) -> None:
        self.web = web
        self.http = http
        self.store = store
        self.url = f"{web.url}/simple"
        self.files: dict[str, list[dict[str, Any]]] = {}

    def add(self, filename: str, data: bytes = b"", *, project: str = "own", **more: Any) -> IndexFile:
        """Serve *data* as *filename*, name it on the project's page, and return it as `find` would."""
        self.web.pages[f"/files/{filename}"] = self.web.ranged(data)
        entry = {
            "filename": filename,
            "url": f"../../files/{filename}",
            "hashes": {"sha256": sha256(data)},
            "size": len(data),
            **more,
        }
        others = [file for file in self.files.get(project, []) if file["filename"] != filename]
        self.files[project] = [*others, entry]
        self.publish(project)
        found = (file for file in self.open(max_age=0).find(project) if file.filename == filename)
        file = next(found, None)
        self.web.requests.clear()
        self.web.headers.clear()
        return file  # type: ignore[return-value]

    def publish(self, project: str, **headers: str) -> None:
        page = {"meta": {"api-version": "1.1"}, "name": project, "files": self.files.get(project, [])}
        self.web.pages[f"/simple/{project}/"] = self.web.status(200, json.dumps(page).encode(), **headers)

    def open(self, *urls: str, **options: Any) -> PackageIndexes:
        return PackageIndexes(urls or [self.url], self.http, self.store, **options)


@pytest.fixture
def make() -> Make:
    return Make()


@pytest.fixture
def index(web: Web, http: Http, store: Store) -> Index:
    return Index(web, http, store)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes bytes to a file of that name."""

    def write_file(data: bytes, name: str = "own-1.0-py3-none-any.whl") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write_file
