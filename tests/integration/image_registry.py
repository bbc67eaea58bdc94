"""Debian's docker-registry with a token server of ours: it gives nothing to those without a token."""

from __future__ import annotations

import base64
import json
import secrets
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from incamera.build.deb_trees import ensure_deb_tree
from incamera.proc import minimal_environment, start_tied
from incamera.share.server import is_reachable
from incamera.targets.host import require_host
from incamera.targets.packages import DebSet
from incamera.toolchain.interpreter import HostTree

from ..container_images import MadeImage, digest_of
from ..waiting import wait_until

if TYPE_CHECKING:
    from incamera.context import Context

_SERVICE, _ISSUER = "images", "tests"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: "{folder}/data"}}}}
http: {{addr: "127.0.0.1:{port}"}}
auth: {{token: {{realm: "{realm}", service: {service}, issuer: {issuer}, rootcertbundle: "{folder}/roots.pem"}}}}
"""


@dataclass
class ImageRegistry:
    """A registry on loopback: *address* is its host and port. *asked* are the scopes for which it gave tokens."""

    address: str
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    asked: list[str] = field(default_factory=list)

    def push(self, repository: str, tag: str, image: MadeImage) -> str:
        """Upload *image*, and return its name."""
        base = f"http://{self.address}/v2/{repository}"
        token = self.sign(repository, ["pull", "push"])
        for data in (*image.layers, image.config):
            place = self._send("POST", f"{base}/blobs/uploads/", token, b"")["Location"]
            self._send("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest_of(data)}", token, data)
        self._send("PUT", f"{base}/manifests/{tag}", token, image.manifest, _MANIFEST)
        return f"{self.address}/{repository}:{tag}"

    @staticmethod
    def _send(
        method: str, url: str, token: str, data: bytes, kind: str = "application/octet-stream"
    ) -> Mapping[str, str]:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(urllib.request.Request(url, data, headers, method=method), timeout=60) as response:
            return dict(response.headers)

    def sign(self, repository: str, actions: list[str]) -> str:
        """Return a token as the registry wants it: a JWT, signed with the key whose certificate it knows."""
        now = int(time.time())
        chain = base64.b64encode(self.certificate.public_bytes(serialization.Encoding.DER)).decode()
        access = [{"type": "repository", "name": repository, "actions": actions}]
        claims: dict[str, Any] = {
            "iss": _ISSUER,
            "sub": "",
            "aud": _SERVICE,
            "jti": secrets.token_hex(8),
            "access": access,
        }
        claims |= {"iat": now, "nbf": now - 60, "exp": now + 600}
        parts = [
            _encode(json.dumps(part).encode()) for part in ({"alg": "ES256", "typ": "JWT", "x5c": [chain]}, claims)
        ]
        signature = self.key.sign(".".join(parts).encode(), ec.ECDSA(hashes.SHA256()))
        raw = b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(signature))
        return ".".join([*parts, _encode(raw)])

    def give_token(self, handler: BaseHTTPRequestHandler) -> None:
        (scope,) = parse_qs(urlsplit(handler.path).query)["scope"]
        self.asked.append(scope)
        kind, repository, actions = scope.split(":")
        assert (kind, actions) == ("repository", "pull")
        body = json.dumps({"access_token": self.sign(repository, ["pull"])}).encode()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@contextmanager
def serve_images(context: Context, folder: Path) -> Iterator[ImageRegistry]:
    """Run the registry with its files in *folder*, a new one."""
    host = require_host()
    debs = DebSet(
        suite="bookworm",
        architecture=host.debian,
        roots=("docker-registry",),
        leave_out=frozenset({"adduser", "lsb-base"}),
    )
    tools = ensure_deb_tree(context, "docker-registry", debs)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certify(key)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "roots.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    registry = ImageRegistry(f"127.0.0.1:{port}", key, certificate)
    tokens = _token_server(registry)
    realm = f"http://127.0.0.1:{tokens.server_port}/token"
    text = _CONFIG.format(folder=folder, port=port, realm=realm, service=_SERVICE, issuer=_ISSUER)
    (folder / "config.yml").write_text(text)
    words = HostTree(tools, host).argv(tools / "usr/bin/docker-registry", "serve", str(folder / "config.yml"))
    server = start_tied(words, purpose="serve images", log=folder / "log", env=minimal_environment())
    thread = threading.Thread(target=tokens.serve_forever, daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.poll() is not None or is_reachable("127.0.0.1", port), "the registry answers")
        assert server.poll() is None, (folder / "log").read_text()
        yield registry
    finally:
        tokens.shutdown()
        tokens.server_close()
        thread.join()
        server.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.wait(5)
        server.kill()
        server.wait()


def _certify(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
    first, last = (datetime(year, 1, 1, tzinfo=UTC) for year in (2020, 2100))
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), first, last)
    return builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(
        key, hashes.SHA256()
    )


def _token_server(registry: ImageRegistry) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            registry.give_token(self)

        def log_message(self, *args: object) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)
