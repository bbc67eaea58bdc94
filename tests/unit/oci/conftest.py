"""A registry on loopback that demands a token, as Docker Hub does, with what it was asked."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.container_images import MadeImage, digest_of
from tests.unit.conftest import Web, serving

from incamera.image_name import ImageName, parse_image_name

REPOSITORY = "vendor/sdk"


class TokenRegistry:
    """The repository vendor/sdk. *tokens* are those that it accepts now; None for any request. *blobs* is another host.

    *login* is what the token server demands: `name:password`, or None.
    """

    def __init__(self, web: Web, blobs: Web) -> None:
        self.web, self.blobs = web, blobs
        self.login: str | None = None
        self.tokens: set[str] | None = set()
        self.given = 0
        self.answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        blobs.url = blobs.url.replace("127.0.0.1", "localhost")  # another host, for one that has no port in mind
        web.pages["/token?service=test&scope=repository%3Avendor%2Fsdk%3Apull"] = self._give_token

    def name(self, tag: str = "1.0") -> ImageName:
        return parse_image_name(f"{self.web.url.removeprefix('http://')}/{REPOSITORY}:{tag}")

    def add(self, image: MadeImage, tag: str = "1.0", *, index: bool = False) -> None:
        top = image.index if index else image.manifest
        self._serve(f"manifests/{tag}", Web.status(200, top))
        for data in (image.index, image.manifest):
            self._serve(f"manifests/{digest_of(data)}", Web.status(200, data))
        for digest, data in image.blobs.items():
            place = f"/{digest}?signature=secret"
            self.blobs.pages[place] = Web.ranged(data)
            self._serve(f"blobs/{digest}", Web.status(307, Location=f"{self.blobs.url}{place}"))
        self._serve("tags/list", Web.status(200, json.dumps({"name": REPOSITORY, "tags": [tag]}).encode()))

    def _serve(self, path: str, answer: Callable[[BaseHTTPRequestHandler], None]) -> None:
        self.web.pages[f"/v2/{REPOSITORY}/{path}"] = lambda handler: self._answer(handler, answer)

    def refuse(self, handler: BaseHTTPRequestHandler) -> None:
        challenge = f'Bearer realm="{self.web.url}/token",service="test",scope="repository:{REPOSITORY}:pull"'
        Web.status(401, b"{}", WWW_Authenticate=challenge)(handler)

    def _answer(self, handler: BaseHTTPRequestHandler, answer: Callable[[BaseHTTPRequestHandler], None]) -> None:
        if self.tokens is None or handler.headers.get("Authorization", "").removeprefix("Bearer ") in self.tokens:
            answer(handler)
        else:
            self.refuse(handler)

    def _give_token(self, handler: BaseHTTPRequestHandler) -> None:
        assert parse_qs(urlsplit(handler.path).query)["service"] == ["test"]
        expected = f"Basic {base64.b64encode(self.login.encode()).decode()}" if self.login else None
        if handler.headers.get("Authorization") != expected:
            Web.status(401)(handler)
            return
        self.given += 1
        token = f"token-{self.given}"
        assert self.tokens is not None
        self.tokens = {token}
        Web.status(200, json.dumps({"token": token, "expires_in": 60}).encode())(handler)


@pytest.fixture
def token_registry(web: Web) -> Iterator[TokenRegistry]:
    with serving(Web()) as blobs:
        yield TokenRegistry(web, blobs)
