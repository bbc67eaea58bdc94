"""The client for one camera's web server: it sends a request, logs in, and returns a bounded answer or an error."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from incamera.errors import ConnectionLost, DeviceError, DeviceRefused, DeviceUnreachable, DeviceUnsuitable
from incamera.http_auth import Authorizer, Login, parse_challenges
from incamera.http_connection import (
    Answer,
    Body,
    Interrupted,
    NotConnected,
    OtherCertificate,
    Request,
    WebConnection,
)
from incamera.vapix.address import WebDevice, format_fingerprint
from incamera.vapix.certificate import Certificate, read_certificate
from incamera.vapix.documents import find_table, find_text, parse_json

# A nonce may have become too old, and then the password may be another one.
_MOST_LOGINS = 8
_LONGEST_CODE = 20
FORM = "application/x-www-form-urlencoded"
# What param.cgi and pwdgrp.cgi say where they read their arguments from the address alone.
UNREAD = "must be specified"
# What a camera answers without a login.
_OPEN = "axis-cgi/systemready.cgi"
# For how long cameras refuse a client after too many wrong passwords, unless they are set otherwise (recorded).
_BLOCKED_SECONDS = 10
_REACH = "check the address, and that the camera is on and in this network"


class Logins(Protocol):
    """Where logins come from: a keyring, a command, the user."""

    def first(self) -> Login:
        """Return the login to try first. Raises DeviceRefused when there is none."""

    def next(self) -> Login | None:
        """Return another login, after the camera has refused the one before; None if there is none."""

    def accepted(self) -> None:
        """The camera has accepted the last login."""


class UnknownCertificate(DeviceRefused):
    """The camera shows a certificate that is not known here yet."""

    def __init__(self, device: WebDevice, certificate: Certificate) -> None:
        super().__init__(
            f"the certificate of {device} ({device.address.url}) is not known here: "
            f"{format_fingerprint(certificate.digest)}, {certificate.describe()}",
            hint="compare it with what the camera's own web pages show, and add the camera with `incamera device add "
            f"{device} {device.address.url} --accept-key {format_fingerprint(certificate.digest)}`",
        )
        self.device = device
        self.certificate = certificate


class NoSuchApi(DeviceUnsuitable):
    """The camera has no such API (status 404)."""


class UnexpectedStatus(DeviceError):
    """The camera answered with an HTTP *status* that is neither success nor a known refusal."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request to the path below the camera's address, such as `axis-cgi/param.cgi`.

    *what* completes messages: "cannot …". With *again*, it is sent once more when the connection ends in the middle: it
    only reads, or may be done twice.
    """

    path: str
    what: str
    method: str = "GET"
    query: Mapping[str, str] = field(default_factory=dict)
    content_type: str = ""
    body: Body | None = None
    expects: bool = False
    again: bool = True
    limit: int = 4 << 20
    seconds: float = 60.0


class Client:
    """The web server of *device*. Not safe to use from several threads."""

    def __init__(self, device: WebDevice, logins: Logins) -> None:
        address = device.address
        self.device = device
        self._logins = logins
        self._authorizer: Authorizer | None = None
        self._login: Login | None = None
        self._is_accepted = False
        self._connection = WebConnection(
            address.host, address.port, encrypted=address.is_encrypted, digest=address.certificate or None
        )

    def close(self) -> None:
        self._connection.close()

    @property
    def user(self) -> str:
        """Who is logged in, or will be."""
        return self._login.user if self._login else self.device.address.user

    def call(self, call: Call) -> Answer:
        """Return the answer with status 200 to *call*; log in when the camera demands it. Raises DeviceError."""
        answer = self._answer(call)
        status = answer.status
        if status == 404:
            raise NoSuchApi(
                f"{self.device} cannot {call.what}: it has no {call.path}",
                hint="check that it is an Axis camera, and that its AXIS OS is new enough",
            )
        if status == 403 and self._is_blocked(call):
            raise self._blocked(answer)
        if status == 403:
            raise DeviceRefused(
                f"{self.device} does not let {self.user} {call.what}",
                hint="it takes an administrator's account: `incamera device add` the camera with that user",
            )
        if 300 <= status < 400:
            raise self._redirected(answer)
        if status in (429, 503):
            seconds = "some seconds" if answer.retry_after is None else f"{answer.retry_after} s"
            raise DeviceError(
                f"{self.device} cannot {call.what} now: it answers {status}",
                hint=f"it may be starting, or have had too many requests: wait {seconds}, and try again",
            )
        if not 200 <= status < 300:
            raise UnexpectedStatus(f"{self.device} answers {status} when asked to {call.what}", status)
        return answer

    def ask_json(self, path: str, what: str, document: Mapping[str, Any], *, again: bool = True) -> dict[str, Any]:
        """Return the JSON object that the camera answers to *document*. Raises DeviceError, also for one in it."""
        body = Body.of(json.dumps(document).encode())
        call = Call(path=path, what=what, method="POST", content_type="application/json", body=body, again=again)
        found: dict[str, Any] = self.parse(self.call(call), parse_json, what)
        if error := find_table(found, "error"):
            raise DeviceError(
                f"{self.device} cannot {what}: {shorten(find_text(error, 'message')) or 'it gives no reason'} "
                f"(error {_error_code(error)})"
            )
        return found

    def parse(self, answer: Answer, parse: Callable[[bytes], Any], what: str) -> Any:
        """Return what *parse* makes of *answer*. Raises DeviceError where it raises ValueError."""
        try:
            return parse(answer.body)
        except (ValueError, RecursionError):
            raise DeviceError(
                f"{self.device} gave an answer that cannot be read when asked to {what}",
                hint=f"check that {self.device.address.url} is an Axis camera",
            ) from None

    def _answer(self, call: Call) -> Answer:
        target = "/" + call.path
        if call.query:
            target += "?" + urlencode(call.query, quote_via=quote)
        request = Request(
            method=call.method,
            target=target,
            body=call.body,
            expects=call.expects,
            limit=call.limit,
            seconds=call.seconds,
        )
        headers = {"Content-Type": call.content_type} if call.content_type else {}
        for attempt in range(_MOST_LOGINS):
            authorization = self._authorizer.header(call.method, target) if self._authorizer else None
            login = {"Authorization": authorization} if authorization else {}
            answer = self._send(replace(request, headers={**headers, **login}), call)
            if answer.status != 401:
                if authorization and answer.status < 400 and not self._is_accepted:
                    self._is_accepted = True
                    self._logins.accepted()
                return answer
            # A camera that restarted does not know its nonces any more, and need not say so.
            self._log_in(answer, tried=bool(authorization) and not (self._is_accepted and not attempt))
        raise self._wrong_login()

    def _log_in(self, answer: Answer, *, tried: bool) -> None:
        """Answer the challenges of *answer* from now on. With *tried*, the login before was refused, or too old."""
        challenges = parse_challenges(answer.challenges)
        encrypted = self.device.address.is_encrypted
        has_digest = any(challenge.is_digest for challenge in challenges)
        if not encrypted and not has_digest and any(challenge.scheme == "basic" for challenge in challenges):
            raise DeviceRefused(
                f"{self.device} wants the password in the clear over http, and it is not sent",
                hint=f"use its https address: `incamera device add {self.device} "
                f"{replace(self.device.address, scheme='https', port=443).url}`",
            )
        is_stale = any(challenge.is_stale for challenge in challenges)
        if self._login is None:
            self._login = self._logins.first()
        elif tried and not is_stale:
            following = self._logins.next()
            if following is None:
                raise self._wrong_login()
            self._login = following
        self._authorizer = Authorizer(self._login, encrypted=encrypted)
        if not self._authorizer.take(challenges):
            raise DeviceRefused(
                f"{self.device} offers no way to log in that incamera has",
                hint="set AuthenticationPolicy to recommended in the camera's own web pages",
            )

    def _send(self, request: Request, call: Call) -> Answer:
        for attempt in range(2):
            try:
                return self._connection.send(request)
            except NotConnected as error:
                raise DeviceUnreachable(
                    f"cannot reach {self.device} at {self.device.address.url}: {error}", hint=_REACH
                ) from None
            except OtherCertificate as error:
                raise self._other_certificate(error.certificate) from None
            except Interrupted as error:
                if not call.again or attempt:
                    hint = None if call.again else "it may have done so nevertheless: `incamera status` shows"
                    raise ConnectionLost(f"{self.device} cannot {call.what}: {error}", hint=hint) from None
        raise AssertionError("the last attempt returns or raises")

    def _is_blocked(self, call: Call) -> bool:
        """Whether the camera refuses all that comes from this computer: even what it answers to everybody."""
        if call.path == _OPEN:
            return True
        body = Body.of(b'{"apiVersion": "1.0", "method": "systemready"}')
        try:
            return self._connection.send(Request(method="POST", target=f"/{_OPEN}", body=body)).status == 403
        except (NotConnected, OtherCertificate, Interrupted):
            return False

    def _blocked(self, answer: Answer) -> DeviceRefused:
        seconds = _BLOCKED_SECONDS if answer.retry_after is None else answer.retry_after
        known = "" if answer.retry_after is not None else " (the camera's DoSBlockingPeriod can be another)"
        return DeviceRefused(
            f"{self.device} refuses all requests of this computer for a while: it has had too many wrong passwords",
            hint=f"wait {seconds} s{known}, and try again with the right password",
        )

    def _other_certificate(self, data: bytes) -> DeviceRefused:
        certificate = read_certificate(data)
        address = self.device.address
        if not address.certificate:
            return UnknownCertificate(self.device, certificate)
        return DeviceRefused(
            f"{self.device} ({address.url}) shows another certificate than before: "
            f"{format_fingerprint(certificate.digest)}, {certificate.describe()}",
            hint="after a factory default, or when somebody gave it a new certificate, that is as it should be: "
            f"`incamera device add {self.device} {address.url}` accepts it. Otherwise another machine answers there",
        )

    def _redirected(self, answer: Answer) -> DeviceError:
        where = shorten(answer.location.rpartition("@")[2]) or "another address"
        return DeviceRefused(
            f"{self.device} sends requests on to {where}, and they are not sent there",
            hint=f"use that address: `incamera device add {self.device} https://{self.device.address.host}`",
        )

    def _wrong_login(self) -> DeviceRefused:
        return DeviceRefused(
            f"{self.device} does not accept the password of {self.user}",
            hint="it must be an administrator's account of the camera; `incamera device add` can name another one",
        )


def _error_code(error: Mapping[str, Any]) -> str:
    """Return the number of an *error* in words: a camera may send anything in its place."""
    code = error.get("code")
    is_number = isinstance(code, int | str) and not isinstance(code, bool)
    return shorten(str(code), _LONGEST_CODE) if is_number and code != "" else "without a number"


def shorten(text: str, most: int = 300) -> str:
    """Return *text*, which a camera has sent, cut to *most* characters."""
    return text if len(text) <= most else text[:most] + "…"
