"""A registry of images: the HTTP API that Docker's and OCI's distribution specifications describe."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import quote, urlencode, urlsplit

from incamera.archives import BadArchive
from incamera.digest import Sha256
from incamera.errors import FetchError, IntegrityError
from incamera.http import Http, NotFound, Progress, Sink, Unauthorized
from incamera.http_auth import Challenge, Login, parse_challenges
from incamera.image_name import ImageName, is_loopback
from incamera.oci.manifest import (
    ACCEPT,
    MANIFEST_BYTES,
    Descriptor,
    Index,
    Manifest,
    choose_platform,
    parse_manifest,
    parse_table,
)
from incamera.proxies import basic_auth

_TOKEN_BYTES = 1 << 20
_TAGS_BYTES = 1 << 20
_MOST_TAGS = 10_000
_LONGEST_TAG = 128

T = TypeVar("T")


class Registry:
    """The repository of the image *name* in its registry. Safe to use from several threads.

    *login* is what `docker login` has kept for it. No message, and no other server, is given that or a token.
    """

    def __init__(self, http: Http, name: ImageName, login: Login | None = None) -> None:
        self._http = http
        self._name = name
        self._login = login
        self._authorization: str | None = None
        self._lock = threading.Lock()

    def find_manifest(self) -> tuple[Sha256, Manifest]:
        """Return the image's manifest, and its digest.

        Raises NotFound, IntegrityError when it is damaged or has another digest than the name, or another FetchError.
        """
        wanted = self._name.digest
        data = self._manifest(f"sha256:{wanted}" if wanted else self._name.tag, wanted)
        try:
            found = parse_manifest(data)
            if isinstance(found, Index):
                chosen = choose_platform(found)
                data = self._manifest(f"sha256:{chosen.digest}", chosen.digest)
                found = parse_manifest(data)
                if isinstance(found, Index):
                    raise BadArchive("its index names another index")
        except BadArchive as error:
            raise IntegrityError(f"{self._name} cannot be read: {error}") from error
        return Sha256.of(data), found

    def _manifest(self, reference: str, digest: Sha256 | None) -> bytes:
        url = f"{self._name.url}/manifests/{quote(reference, safe=':')}"

        def get(headers: Mapping[str, str]) -> bytes:
            return self._http.get_response(url, headers={**headers, "Accept": ACCEPT}, limit=MANIFEST_BYTES).body

        data = self._authorized(get)
        if digest is not None and Sha256.of(data) != digest:
            raise IntegrityError(
                f"{url}: the sha256 is {Sha256.of(data)[:16]}…, but must be {digest[:16]}…",
                hint="the registry, or a proxy on the way, changes what it sends",
            )
        return data

    def download(self, blob: Descriptor, sink: Sink, progress: Progress | None) -> None:
        """Add to *sink* what it lacks of *blob*. Raises FetchError, and what *sink* raises."""
        url = f"{self._name.url}/blobs/sha256:{blob.digest}"

        def get(headers: Mapping[str, str]) -> None:
            self._http.resume(url, sink, size=blob.size, progress=progress, headers=headers)

        self._authorized(get)

    def tags(self) -> list[str]:
        """Return tags that the repository has; none when the registry does not tell."""

        def get(headers: Mapping[str, str]) -> bytes:
            return self._http.get_response(f"{self._name.url}/tags/list", headers=headers, limit=_TAGS_BYTES).body

        try:
            tags = parse_table(self._authorized(get), "the list of tags").get("tags")
        except (FetchError, BadArchive):
            return []
        known = tags[:_MOST_TAGS] if isinstance(tags, list) else ()
        return [tag for tag in known if isinstance(tag, str) and tag.isprintable() and len(tag) <= _LONGEST_TAG]

    def _authorized(self, act: Callable[[Mapping[str, str]], T]) -> T:
        """Return what *act* returns, which gets the headers to send. A token that has expired is renewed once."""
        used = self._authorization
        try:
            return act(_headers(used))
        except Unauthorized as error:
            with self._lock:
                if self._authorization == used:
                    self._authorization = self._log_in(parse_challenges(error.challenges))
            try:
                return act(_headers(self._authorization))
            except Unauthorized:
                raise self._refused() from None

    def _log_in(self, challenges: list[Challenge]) -> str:
        """Return the Authorization that one of *challenges* asks for. Raises FetchError."""
        for challenge in challenges:
            if challenge.scheme == "bearer" and "realm" in challenge.parameters:
                return f"Bearer {self._fetch_token(challenge.parameters)}"
            if challenge.scheme == "basic" and self._login is not None:
                return _basic(self._login)
        raise self._refused()

    def _fetch_token(self, challenge: Mapping[str, str]) -> str:
        realm = challenge["realm"]
        try:
            parts = urlsplit(realm)
            is_safe = parts.scheme == "https" or (parts.scheme == self._scheme and is_loopback(parts.netloc))
            is_address = bool(parts.hostname) and parts.username is None and is_safe
        except ValueError:
            is_address = False
        if not is_address or not realm.isascii() or not realm.isprintable():
            raise FetchError(f"{self._name.registry} sends its clients for a login to {realm[:200]!a}")
        query = {"service": challenge["service"]} if "service" in challenge else {}
        query["scope"] = f"repository:{self._name.repository}:pull"
        url = f"{realm}{'&' if parts.query else '?'}{urlencode(query)}"
        try:
            headers = _headers(_basic(self._login) if self._login else None)
            data = self._http.get_response(url, headers=headers, limit=_TOKEN_BYTES).body
        except (Unauthorized, NotFound):
            raise self._refused() from None
        return parse_token(data, self._name.registry)

    @property
    def _scheme(self) -> str:
        return urlsplit(self._name.url).scheme

    def _refused(self) -> FetchError:
        name = self._name
        if self._login is not None:
            return FetchError(
                f"{name.registry} refuses {name.shown_repository} to the user {self._login.user!a}",
                hint=f"is the name right? `docker login {name.registry}` gives another login",
            )
        return FetchError(
            f"{name.registry} does not give {name.shown_repository} to everybody, or does not have it",
            hint=f"is the name right? For an image that needs a login, type `docker login {name.registry}`, or "
            "`docker pull` it, and add it with --from docker",
        )


def parse_token(data: bytes, registry: str) -> str:
    """Return the token in *data*, a token server's answer. Raises FetchError when there is none that can be sent."""
    try:
        table = json.loads(data)
    except (ValueError, RecursionError):
        table = None
    if isinstance(table, dict):
        for key in ("token", "access_token"):
            token = table.get(key)
            # Neither a space nor a line's end, which would begin another header.
            if isinstance(token, str) and token.isascii() and token.isprintable() and token and " " not in token:
                return token
    raise FetchError(f"the token server of {registry} gives no token")


def _headers(authorization: str | None) -> dict[str, str]:
    return {"Authorization": authorization} if authorization else {}


def _basic(login: Login) -> str:
    return basic_auth(f"{quote(login.user)}:{quote(login.password)}")
