"""Logging in to web servers as cameras have them: the digest of RFC 7616, and basic where the line is encrypted."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from incamera.proxies import basic_auth

_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}
_LONGEST_CHALLENGE = 4096
_MOST_CHALLENGES = 16
# The words of a challenge (RFC 9110, 11.2). The quantifiers never give back what they took, so that no text takes
# longer than its length.
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z/-]++"
_WORD = re.compile(
    rf'\s*+(?:(?P<comma>,)|(?P<name>{_TOKEN})(?:\s*+=\s*+(?:"(?P<quoted>(?:[^"\\]|\\.)*+)"|(?P<plain>[^\s,"]*+)))?+)'
)
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Login:
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to log in that a server offers: *scheme* in small letters, and its parameters by their names."""

    scheme: str
    parameters: Mapping[str, str]

    @property
    def is_digest(self) -> bool:
        """Whether it is a digest that can be answered."""
        return (
            self.scheme == "digest"
            and {"realm", "nonce"} <= set(self.parameters)
            and self.algorithm in _HASHES
            and ("qop" not in self.parameters or "auth" in self.protections)
        )

    @property
    def algorithm(self) -> str:
        return self.parameters.get("algorithm", "MD5").upper()

    @property
    def protections(self) -> list[str]:
        """What the server offers to protect (qop): `auth` is the request, `auth-int` its body, too."""
        return [name.strip().lower() for name in self.parameters.get("qop", "").split(",")]

    @property
    def is_stale(self) -> bool:
        """Whether the login was right, and only its nonce too old."""
        return self.parameters.get("stale", "").lower() == "true"


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """Return the challenges in *headers* (WWW-Authenticate), each of which may have several.

    A header that is too long or has control characters is left out, and so is a challenge with a parameter twice.
    """
    found: list[Challenge] = []
    for header in headers:
        if len(header) <= _LONGEST_CHALLENGE and header.isprintable():
            found += _parse_header(header)
    return found[:_MOST_CHALLENGES]


def _parse_header(header: str) -> list[Challenge]:
    challenges: list[tuple[str, dict[str, str], bool]] = []
    place, may_be_token = 0, False
    while match := _WORD.match(header, place):
        place = match.end()
        if match["comma"]:
            may_be_token = False
        elif match["quoted"] is None and match["plain"] is None:
            # A word behind the name of a scheme is its only parameter, as of Negotiate, which is not answered.
            if not may_be_token:
                challenges.append((match["name"].lower(), {}, True))
            may_be_token = not may_be_token
        elif challenges:
            scheme, parameters, is_sound = challenges[-1]
            name = match["name"].lower()
            value = _ESCAPED.sub(r"\1", match["quoted"]) if match["quoted"] is not None else match["plain"]
            challenges[-1] = (scheme, {**parameters, name: value}, is_sound and name not in parameters)
            may_be_token = False
    return [Challenge(scheme, parameters) for scheme, parameters, is_sound in challenges if is_sound]


class Authorizer:
    """The Authorization header for requests to one server, once it has shown its challenges.

    The strongest digest is taken. A password as it is goes only over a line that is *encrypted*.
    """

    def __init__(
        self, login: Login, *, encrypted: bool, make_nonce: Callable[[], str] = lambda: secrets.token_hex(16)
    ) -> None:
        self._login = login
        self._encrypted = encrypted
        self._make_nonce = make_nonce
        self._challenge: Challenge | None = None
        self._count = 0

    def take(self, challenges: Iterable[Challenge]) -> bool:
        """Choose the one of *challenges* that is answered from now on. Returns False if none can be answered."""
        offered = list(challenges)
        digests = {challenge.algorithm: challenge for challenge in offered if challenge.is_digest}
        basic = next((challenge for challenge in offered if challenge.scheme == "basic"), None)
        self._challenge = digests.get("SHA-256") or digests.get("MD5") or (basic if self._encrypted else None)
        self._count = 0
        return self._challenge is not None

    def header(self, method: str, uri: str) -> str | None:
        """Return the header for a request; None before a challenge was taken."""
        if self._challenge is None:
            return None
        if self._challenge.scheme == "basic":
            return basic_auth(f"{quote(self._login.user)}:{quote(self._login.password)}")
        self._count += 1
        return _digest(self._challenge, self._login, method, uri, self._make_nonce(), self._count)


def answer_challenges(
    challenges: Iterable[str], login: Login, *, method: str, uri: str, encrypted: bool, nonce: str | None = None
) -> str | None:
    """Return the Authorization that one of *challenges* (WWW-Authenticate) asks for; None if none can be answered.

    *nonce* is ours; the default is a random one.
    """
    authorizer = Authorizer(login, encrypted=encrypted, make_nonce=lambda: nonce or secrets.token_hex(16))
    authorizer.take(parse_challenges(challenges))
    return authorizer.header(method, uri)


def _digest(challenge: Challenge, login: Login, method: str, uri: str, nonce: str, count: int) -> str:
    values = challenge.parameters

    def hashed(*parts: str) -> str:
        return _HASHES[challenge.algorithm](":".join(parts).encode()).hexdigest()

    who = hashed(login.user, values["realm"], login.password)
    what = hashed(method, uri)
    words = {"username": login.user, "realm": values["realm"], "nonce": values["nonce"], "uri": uri}
    plain = {"algorithm": challenge.algorithm} if "algorithm" in values else {}
    if "qop" in values:
        turn = f"{count:08x}"
        words["response"] = hashed(who, values["nonce"], turn, nonce, "auth", what)
        words["cnonce"] = nonce
        plain |= {"qop": "auth", "nc": turn}
    else:  # as in RFC 2069
        words["response"] = hashed(who, values["nonce"], what)
    if "opaque" in values:
        words["opaque"] = values["opaque"]
    quoted = [f'{name}="{_escape(value)}"' for name, value in words.items()]
    return "Digest " + ", ".join(quoted + [f"{name}={value}" for name, value in plain.items()])


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
