"""Logging in to web servers as cameras have them: the digest of RFC 7616, and basic where the line is encrypted."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import quote

from incamera.proxies import basic_auth

_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}
_LONGEST_CHALLENGE = 4096
_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


@dataclass(frozen=True, slots=True)
class Login:
    user: str
    password: str = field(repr=False)


def answer_challenges(
    challenges: Iterable[str], login: Login, *, method: str, uri: str, encrypted: bool, nonce: str | None = None
) -> str | None:
    """Return the Authorization that one of *challenges* (WWW-Authenticate) asks for; None if none can be answered.

    The strongest digest is taken. A password as it is goes only over a line that is *encrypted*. *nonce* is ours.
    """
    digests, basic = {}, False
    for challenge in challenges:
        if len(challenge) > _LONGEST_CHALLENGE or not challenge.isprintable():
            continue
        scheme, _, rest = challenge.strip().partition(" ")
        values = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(rest)}
        if scheme.lower() == "digest" and "nonce" in values and "realm" in values:
            digests[values.get("algorithm", "MD5").upper()] = values
        basic = basic or scheme.lower() == "basic"
    for algorithm in ("SHA-256", "MD5"):
        if algorithm in digests:
            return _digest(digests[algorithm], algorithm, login, method, uri, nonce or secrets.token_hex(16))
    if basic and encrypted:
        return basic_auth(f"{quote(login.user)}:{quote(login.password)}")
    return None


def _digest(values: dict[str, str], algorithm: str, login: Login, method: str, uri: str, nonce: str) -> str:
    def hashed(*parts: str) -> str:
        return _HASHES[algorithm](":".join(parts).encode()).hexdigest()

    who = hashed(login.user, values["realm"], login.password)
    what = hashed(method, uri)
    words = {"username": login.user, "realm": values["realm"], "nonce": values["nonce"], "uri": uri}
    plain = {"algorithm": algorithm}
    if "auth" in [name.strip() for name in values.get("qop", "").split(",")]:
        words["response"] = hashed(who, values["nonce"], "00000001", nonce, "auth", what)
        words["cnonce"] = nonce
        plain |= {"qop": "auth", "nc": "00000001"}
    else:  # as in RFC 2069
        words["response"] = hashed(who, values["nonce"], what)
    if "opaque" in values:
        words["opaque"] = values["opaque"]
    quoted = [f'{name}="{_escape(value)}"' for name, value in words.items()]
    return "Digest " + ", ".join(quoted + [f"{name}={value}" for name, value in plain.items()])


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
