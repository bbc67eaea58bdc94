"""The camera's own network-share API: it mounts SMB shares for those who may not log in as root.

`/axis-cgi/disks/networkshare/*.cgi`, schema 1, as Axis documents it for AXIS OS 5.40 and later. It speaks SMB on the
usual port only, and has one share at a time mounted, by the disk's name `NetworkShare`.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera.errors import DeviceError, DeviceRefused, DeviceUnreachable, DeviceUnsuitable, FetchError, UsageError
from incamera.share.values import Protocol

if TYPE_CHECKING:
    from incamera.digest import Login
    from incamera.http import Http
    from incamera.share.values import Share

_SCHEMA = "1"
DISK = "NetworkShare"


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownShare:
    """A share that the camera has been told of. `disk` is empty while it isn't mounted."""

    id: str
    name: str
    address: str
    path: str
    disk: str


@dataclass(frozen=True, slots=True)
class NetworkShareApi:
    """One camera's API. *url* is its address: `http://192.0.2.7`. Every method raises DeviceError and its kinds."""

    http: Http
    url: str
    login: Login

    def list(self) -> list[KnownShare]:
        return [
            KnownShare(
                id=node.get("ShareId", ""),
                name=node.get("NiceName", ""),
                address=node.get("Address", ""),
                path=node.get("Share", ""),
                disk=node.get("DiskId", ""),
            )
            for node in self._ask("list", shareid="all").iter()
            if _name(node) == "NetworkShare"
        ]

    def add(self, share: Share, address: str) -> str:
        """Tell the camera of *share*, whose server is at *address*. Returns its number there."""
        words = {"nicename": share.name, "address": address, "share": share.path}
        words |= {"user": share.user, "pass": share.password} if share.user else {}
        answer = self._ask("add", **words)
        return self._require(answer, "AddSuccess", "ShareId")

    def bind(self, number: str) -> str:
        """Have the camera mount the share. Returns the disk's name."""
        return self._require(self._ask("bind", shareid=number), "BindSuccess", "DiskID", "DiskId")

    def unbind(self, number: str) -> None:
        self._ask("unbind", shareid=number)

    def remove(self, number: str) -> None:
        self._ask("remove", shareid=number)

    def attach(self, share: Share, address: str) -> bool:
        """Have the camera mount *share*; what we told it of that name before is replaced. False: it has it already."""
        if share.protocol is not Protocol.smb or share.port != Protocol.smb.port:
            raise UsageError(
                f"a camera's own API mounts SMB on port {Protocol.smb.port} only, and {share.name} is {share.url}",
                hint="serve it there (root may, or a firewall's redirection), or attach it over SSH as root",
            )
        known = self.list()
        for other in known:
            if (other.name, other.address, other.path, other.disk) == (share.name, address, share.path, DISK):
                return False
            if other.disk == DISK and other.name != share.name:
                raise DeviceError(
                    f"{self.url} has the share {other.name} ({other.address}) mounted",
                    hint="that was not done here; `incamera share detach --api` takes it away",
                )
        for other in known:
            if other.name == share.name:
                self._forget(other)
        number = self.add(share, address)
        try:
            self.bind(number)
        except DeviceError:
            self.remove(number)
            raise
        return True

    def detach(self) -> str | None:
        """Have the camera forget the share that it has mounted. Returns that one's name."""
        bound = next((share for share in self.list() if share.disk), None)
        if bound is not None:
            self._forget(bound)
        return bound.name if bound else None

    def _forget(self, share: KnownShare) -> None:
        if share.disk:
            self.unbind(share.id)
        self.remove(share.id)

    def _require(self, answer: ElementTree.Element, name: str, *attributes: str) -> str:
        for node in answer.iter():
            for attribute in attributes:
                if _name(node) == name and (value := node.get(attribute)):
                    return value
        raise DeviceError(f"{self.url} gave an answer without {name}: is it an Axis camera?")

    def _ask(self, call: str, **query: str) -> ElementTree.Element:
        url = f"{self.url.rstrip('/')}/axis-cgi/disks/networkshare/{call}.cgi"
        try:
            answer = self.http.call(url, query={"schemaversion": _SCHEMA, **query}, login=self.login)
        except FetchError as error:
            raise DeviceUnreachable(str(error), hint="is the address right, and the camera on the network?") from error
        if answer.status in (401, 403):
            raise DeviceRefused(
                f"{self.url} does not let {self.login.user} manage network shares",
                hint="that takes an administrator's name and password; basic logins are sent over https only",
            )
        if answer.status == 404:
            raise DeviceUnsuitable(f"{self.url} has no network-share API", hint="is it an Axis camera?")
        if answer.status != 200:
            raise DeviceError(f"{self.url} answers {answer.status} when asked to {call} network shares")
        try:
            root = ElementTree.fromstring(answer.body)
        except ElementTree.ParseError:
            raise DeviceError(f"{self.url} gave an answer that is no XML: is it an Axis camera?") from None
        for node in root.iter():
            if _name(node) == "GeneralError":
                texts = {_name(child): (child.text or "").strip() for child in node}
                what = texts.get("ErrorDescription") or f"error {texts.get('ErrorCode', 'without a number')}"
                raise DeviceError(f"{self.url} cannot {call} the network share: {what}")
        return root


def _name(node: ElementTree.Element) -> str:
    return node.tag.rpartition("}")[2]
