"""A package index on loopback: small real wheels and sdists, and whatever fault a test asks for."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_JSON = "application/vnd.pypi.simple.v1+json"


@dataclass
class IndexedFile:
    """*content* is what is sent; *sha256* what the index says."""

    filename: str
    content: bytes
    sha256: str
    metadata: bytes | None = None
    yanked: bool | str = False


@dataclass
class LocalIndex:
    """`url` is for PIP_INDEX_URL. `requests` holds the paths that were asked for."""

    projects: dict[str, list[IndexedFile]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    has_metadata_files: bool = True
    is_down: bool = False
    url: str = ""

    @property
    def environment(self) -> dict[str, str]:
        return {"PIP_INDEX_URL": self.url, "PIP_CONFIG_FILE": "/dev/null", "no_proxy": "127.0.0.1"}

    def add_wheel(
        self,
        name: str,
        version: str,
        *requires: str,
        tag: str = "py3-none-any",
        files: Mapping[str, bytes | str] | None = None,
    ) -> IndexedFile:
        module = name.replace("-", "_")
        contents = files if files is not None else {f"{module}.py": f"VERSION = {version!r}\n"}
        metadata = _metadata(name, version, requires)
        filename = f"{module}-{version}-{tag}.whl"
        return self._add(name, IndexedFile(filename, *_make_wheel(module, version, tag, metadata, contents), metadata))

    def add_sdist(
        self, name: str, version: str, *requires: str, files: Mapping[str, bytes | str], metadata_version: str = "2.2"
    ) -> IndexedFile:
        module = name.replace("-", "_")
        metadata = _metadata(name, version, requires, metadata_version)
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:gz") as archive:
            for path, content in {"PKG-INFO": metadata, **files}.items():
                data = content.encode() if isinstance(content, str) else content
                member = tarfile.TarInfo(f"{module}-{version}/{path}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        content = stream.getvalue()
        return self._add(name, IndexedFile(f"{module}-{version}.tar.gz", content, _sha256(content)))

    def _add(self, name: str, file: IndexedFile) -> IndexedFile:
        self.projects.setdefault(name, []).append(file)
        return file

    def page(self, name: str) -> bytes:
        files = [
            {
                "filename": file.filename,
                "url": f"/files/{file.filename}",
                "hashes": {"sha256": file.sha256},
                "size": len(file.content),
                "yanked": file.yanked,
                "core-metadata": self.has_metadata_files and file.metadata is not None,
            }
            for file in self.projects[name]
        ]
        return json.dumps({"meta": {"api-version": "1.1"}, "name": name, "files": files}).encode()

    def find(self, filename: str) -> IndexedFile | None:
        return next((file for files in self.projects.values() for file in files if file.filename == filename), None)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _metadata(name: str, version: str, requires: Sequence[str], metadata_version: str = "2.2") -> bytes:
    lines = [f"Metadata-Version: {metadata_version}", f"Name: {name}", f"Version: {version}"]
    return "\n".join([*lines, *(f"Requires-Dist: {text}" for text in requires), ""]).encode()


def _make_wheel(
    module: str, version: str, tag: str, metadata: bytes, files: Mapping[str, bytes | str]
) -> tuple[bytes, str]:
    info = f"{module}-{version}.dist-info"
    pure = "true" if tag.endswith("-any") else "false"
    contents: dict[str, bytes] = {
        path: content.encode() if isinstance(content, str) else content for path, content in files.items()
    }
    contents[f"{info}/METADATA"] = metadata
    contents[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: {pure}\nTag: {tag}\n".encode()
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}\n"
        for path, data in contents.items()
    )
    contents[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in contents.items():
            archive.writestr(path, data)
    return stream.getvalue(), _sha256(stream.getvalue())


@contextmanager
def local_index() -> Iterator[LocalIndex]:
    index = LocalIndex()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            index.requests.append(self.path)
            if index.is_down:
                self.close_connection = True
                self.connection.close()
                return None
            place, _, name = self.path.strip("/").partition("/")
            if place == "simple" and name in index.projects:
                return self._send(index.page(name), _JSON)
            if place == "files" and name.endswith(".metadata"):
                file = index.find(name.removesuffix(".metadata"))
                if file is not None and file.metadata is not None and index.has_metadata_files:
                    return self._send(file.metadata)
            elif place == "files" and (file := index.find(name)):
                return self._send(file.content)
            return self.send_error(404)

        def _send(self, body: bytes, kind: str = "application/octet-stream") -> None:
            status = 200
            if asked := self.headers.get("Range"):
                first, _, last = asked.removeprefix("bytes=").partition("-")
                start = int(first) if first else max(0, len(body) - int(last))
                end = min(int(last), len(body) - 1) if first and last else len(body) - 1
                status, total = 206, len(body)
                body = body[start : end + 1]
            self.send_response(status)
            if status == 206:
                self.send_header("Content-Range", f"bytes {start}-{end}/{total}")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None: ...

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *args: object) -> None: ...

    with Server(("127.0.0.1", 0), Handler) as server:
        index.url = f"http://127.0.0.1:{server.server_port}/simple"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield index
        server.shutdown()
