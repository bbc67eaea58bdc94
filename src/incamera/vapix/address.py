"""A camera as its web server is reached: its address, the certificate that it must show, and who logs in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlsplit

from incamera.errors import UsageError

_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[0-9A-Za-z._-]+|[0-9A-Fa-f:.]+(?:%[0-9A-Za-z._-]+)?")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_HINT = "write it as https://192.0.2.7 or https://USER@192.0.2.7:8443"
DEFAULT_USER = "root"


@dataclass(frozen=True, kw_only=True, slots=True)
class WebAddress:
    """Where a camera's web server answers, and the *user* who logs in.

    *certificate* is the SHA-256 of the certificate that it must show, in hexadecimal digits; "" for http, and before it
    is known. *password_command* is a command that prints the password; *password_file* has that of a virtual camera.
    """

    route: ClassVar[str] = "web"

    host: str
    scheme: str = "https"
    port: int = 443
    user: str = DEFAULT_USER
    certificate: str = ""
    password_command: str = ""
    password_file: str = ""

    @property
    def is_encrypted(self) -> bool:
        return self.scheme == "https"

    @property
    def url(self) -> str:
        """The address without the user: `https://192.0.2.7:8443`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    def __str__(self) -> str:
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{self.user}@{rest}"

    def to_table(self) -> dict[str, Any]:
        """Return the address as a TOML table, without what is not set."""
        table = {
            "url": self.url,
            "user": self.user,
            "certificate": self.certificate,
            "password_command": self.password_command,
        }
        return {name: value for name, value in table.items() if value}

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> WebAddress:
        """Return the address that `to_table` made *table* of. Raises ValueError, which names the key."""
        for name, value in table.items():
            if name not in ("url", "user", "certificate", "password_command"):
                raise ValueError(f"{name} is unknown")
            if not isinstance(value, str):
                raise ValueError(f"{name} is not of the type str")
        if "url" not in table:
            raise ValueError("url is missing")
        if table.get("certificate") and not _DIGEST.fullmatch(table["certificate"]):
            raise ValueError("certificate is not a SHA-256 in hexadecimal digits")
        try:
            address = parse_url(table["url"])
        except UsageError as error:
            raise ValueError(str(error)) from None
        return cls(
            host=address.host,
            scheme=address.scheme,
            port=address.port,
            user=table.get("user", DEFAULT_USER),
            certificate=table.get("certificate", ""),
            password_command=table.get("password_command", ""),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class WebDevice:
    """A camera by its name, as it is reached through its web server."""

    name: str
    address: WebAddress

    def __str__(self) -> str:
        return self.name


def is_url(text: str) -> bool:
    """Return whether *text* is meant as the address of a web server."""
    return text.lower().startswith(tuple(f"{scheme}://" for scheme in _PORTS))


def parse_url(text: str) -> WebAddress:
    """Parse `https://[USER@]HOST[:PORT]`. Raises UsageError, whose message shows no password."""
    try:
        if not text.isprintable():  # urlsplit would leave line ends out
            raise ValueError("it has control characters")
        parts = urlsplit(text)
        host, port, user = parts.hostname or "", parts.port, parts.username
    except ValueError:
        raise UsageError(f"{_without_login(text)} is not the address of a web server", hint=_HINT) from None
    if parts.password is not None:
        raise UsageError(
            f"{_without_login(text)} has a password in it, which the shell keeps in its history",
            hint="leave it out: incamera asks for it, or runs --password-command",
        )
    if parts.scheme not in _PORTS or not _HOST.fullmatch(host) or host.startswith("-"):
        raise UsageError(f"{_without_login(text)} is not the address of a web server", hint=_HINT)
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise UsageError(f"{_without_login(text)} has more in it than the address of a camera", hint=_HINT)
    return WebAddress(
        host=host, scheme=parts.scheme, port=port or _PORTS[parts.scheme], user=require_user(user or DEFAULT_USER)
    )


def require_user(user: str) -> str:
    """Return *user*. Raises UsageError when no account of a camera can have that name."""
    if not user.isascii() or not user.isprintable() or any(sign in user for sign in ' :"%\\'):
        raise UsageError(f'"{user}" cannot be the name of an account', hint="use letters, digits and dashes")
    return user


def parse_fingerprint(text: str) -> str:
    """Return the SHA-256 in *text*, written with or without `SHA256:` and colons, as hexadecimal digits.

    Raises UsageError.
    """
    digits = text.lower().removeprefix("sha256:").replace(":", "")
    if not _DIGEST.fullmatch(digits):
        raise UsageError(
            f'"{text}" is not the fingerprint of a certificate',
            hint="write all 64 digits of its SHA-256, as `openssl x509 -noout -fingerprint -sha256` prints them",
        )
    return digits


def format_fingerprint(digest: str) -> str:
    """Return the SHA-256 *digest* as browsers and openssl show it: pairs of digits with colons between them."""
    return ":".join(digest[place : place + 2] for place in range(0, len(digest), 2)).upper()


def _without_login(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"
