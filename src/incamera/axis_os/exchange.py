"""A request to the camera's web server, and the reply."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO
from urllib.parse import parse_qsl, urlsplit

_MOST_FIELDS = 2000
# Of other requests than uploads.
MOST_BODY_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A request. *fields*: the arguments of the query and those of a body that is a form. *user* has logged in.

    *stream* is the body of an upload, with *length* bytes.
    """

    method: str
    path: str
    fields: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    content_type: str = ""
    user: str = ""
    stream: BinaryIO | None = None
    length: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply to a request. *parts*: what is sent piece by piece instead of a body; it may have no end."""

    body: bytes
    content_type: str = "text/plain"
    status: int = 200
    parts: Iterator[bytes] | None = None

    @classmethod
    def text(cls, text: str) -> Reply:
        return cls(text.encode("utf-8", "replace"))

    @classmethod
    def xml(cls, text: str, status: int = 200) -> Reply:
        return cls(text.encode("utf-8", "replace"), "text/xml", status)


NOT_FOUND = Reply(
    b'<!DOCTYPE HTML PUBLIC "-//IETF//DTD HTML 2.0//EN">\n<html><head>\n<title>404 Not Found</title>\n</head><body>\n'
    b"<h1>Not Found</h1>\n<p>The requested URL was not found on this server.</p>\n</body></html>\n",
    "text/html",
    404,
)
BAD_REQUEST = Reply(b"Bad Request\n", "text/html", 400)


def parse_request(method: str, target: str, *, body: bytes = b"", content_type: str = "", user: str = "") -> Request:
    """Return the request for *target*, a path with a query.

    A body counts as a form whatever its content type says, unless it is JSON or one of several parts: clients send
    none, or a wrong one. Raises ValueError for more fields than any client sends.
    """
    parts = urlsplit(target)
    fields = dict(parse_qsl(parts.query, keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    is_form = body and body.lstrip()[:1] not in (b"{", b"[") and not content_type.startswith("multipart/")
    if is_form:
        text = body.decode("utf-8", "replace").strip()
        fields |= dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    return Request(method=method, path=parts.path, fields=fields, body=body, content_type=content_type, user=user)
