"""The camera's own network-share API, with which an administrator who is not root can mount an SMB share.

It follows Axis's documentation for AXIS OS 5.40 and later (developer.axis.com, VAPIX, "Edge storage API": the chapters
"Network share API", schema 1, and "Disk management API", as of January 2026). Recorded answers of cameras with AXIS OS
10.12 to 12.9 list it as `disk-network-share` 1.0. It has not been tried on a camera.

Details that are easily missed:
- `bind` succeeds when the camera begins to mount. The disk's status says when it has mounted.
- A mounted share cannot be unbound (error 400). The disk API unmounts it first, in a job.
- `test` is a job, too. Its failure comes inside of a `JobSuccess`.
- A share that is not bound has no `DiskId`.
- One share at a time can be bound, to the disk `NetworkShare`, and only on SMB's standard port.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera.errors import DeviceError, UsageError
from incamera.share.axis_cgi import AxisCgi, CameraError
from incamera.share.values import Protocol
from incamera.vapix.documents import nodes

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from incamera.share.values import Share

DISK = "NetworkShare"
_SHARES = "disks/networkshare"
_MOUNTED = "400"
_TIMEOUT_SECONDS = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownShare:
    """A share in the camera's list. `disk` is empty while it isn't bound."""

    id: str
    name: str
    address: str
    path: str
    disk: str


@dataclass(frozen=True, slots=True)
class NetworkShareApi:
    """One camera's API. Every method raises DeviceError or one of its subclasses.

    `sleep` is called with a number of seconds between two requests for a job's progress.
    """

    cgi: AxisCgi
    sleep: Callable[[float], None] = time.sleep

    @property
    def url(self) -> str:
        return self.cgi.url

    def list(self) -> list[KnownShare]:
        """Return the shares that the camera knows."""
        return [
            KnownShare(
                id=node.get("ShareId", ""),
                name=node.get("NiceName", ""),
                address=node.get("Address", ""),
                path=node.get("Share", ""),
                disk=node.get("DiskId", ""),
            )
            for node in nodes(self._ask("list", "list its network shares", shareid="all"), "NetworkShare")
        ]

    def status(self) -> str:
        """Return the status of the disk `NetworkShare`: "OK", "connected", "disconnected" or "failed"."""
        answer = self.cgi.ask("disks/list.cgi", "list its disks", diskid=DISK)
        return next((node.get("status", "") for node in nodes(answer, "disk") if node.get("diskid") == DISK), "")

    def test(self, share: Share, address: str) -> None:
        """Let the camera test whether it can mount *share* from the server at *address*, and write to it."""
        what = "use the network share"
        answer = self._ask("test", what, address=address, share=share.path, **_login(share))
        number = self.cgi.require(answer, "TestSuccess", "JobId")

        def is_done() -> bool:
            progress = self._ask("job", what, jobid=number)
            return next(nodes(progress, "GeneralSuccess"), None) is not None

        self._wait(is_done, "has not finished its test of the share")

    def add(self, share: Share, address: str) -> str:
        """Add *share*, whose server is at *address*, to the camera's list. Returns its number there."""
        words = {"nicename": share.name, "address": address, "share": share.path, **_login(share)}
        return self.cgi.require(self._ask("add", "add the network share", **words), "AddSuccess", "ShareId")

    def bind(self, number: str) -> None:
        """Let the camera mount the share *number*, and wait until it has done so."""
        answer = self._ask("bind", "bind the network share", shareid=number)
        self.cgi.require(answer, "BindSuccess", "DiskID", "DiskId")

        def is_mounted() -> bool:
            if (status := self.status()) == "failed":
                raise DeviceError(f"{self.url} cannot mount the network share: the disk's status is {status}")
            return status == "OK"

        self._wait(is_mounted, "has not mounted the network share")

    def unbind(self, number: str) -> None:
        """Unbind the share *number*; if it is mounted, unmount it before."""
        try:
            self._ask("unbind", "unbind the network share", shareid=number)
        except CameraError as error:
            if error.code != _MOUNTED:
                raise
            self._unmount()
            self._ask("unbind", "unbind the network share", shareid=number)

    def remove(self, number: str) -> None:
        """Remove the share *number*, which must not be bound, from the camera's list."""
        self._ask("remove", "remove the network share", shareid=number)

    def attach(self, share: Share, address: str) -> bool:
        """Let the camera mount *share* from the server at *address*. Returns False when it has mounted it already.

        A share of the same name in the camera's list is replaced.
        """
        if share.protocol is not Protocol.smb or share.port != Protocol.smb.port:
            raise UsageError(
                f"the camera's API mounts SMB on port {Protocol.smb.port} only, but {share.name} is {share.url}",
                hint=f"serve it on port {Protocol.smb.port} (as root, or with a redirection in the firewall), or leave "
                "out --api, to attach it over SSH as root",
            )
        known = self.list()
        bound = next((other for other in known if other.disk), None)
        if bound is not None and bound.name != share.name:
            raise DeviceError(
                f"{self.url} has mounted another share: {bound.name} ({bound.address})",
                hint=f"if nobody needs it, unmount it: `incamera share detach --api {self.url}`",
            )
        same = bound is not None and (bound.address, bound.path) == (address, share.path)
        if same and self.status() == "OK":
            return False
        self.test(share, address)
        for other in known:
            if other.name == share.name:
                self._forget(other)
        number = self.add(share, address)
        try:
            self.bind(number)
        except BaseException:  # also after Ctrl-C
            with suppress(DeviceError):
                self.unbind(number)
            with suppress(DeviceError):
                self.remove(number)
            raise
        return True

    def detach(self) -> str | None:
        """Let the camera unmount its share and remove it from its list. Returns its name; None when it had none."""
        bound = next((share for share in self.list() if share.disk), None)
        if bound is not None:
            self._forget(bound)
        return bound.name if bound else None

    def _forget(self, share: KnownShare) -> None:
        if share.disk:
            self.unbind(share.id)
        self.remove(share.id)

    def _unmount(self) -> None:
        what = "unmount the network share"
        answer = self.cgi.ask("disks/mount.cgi", what, action="unmount", diskid=DISK)
        number = self.cgi.require(answer, "job", "jobid")

        def is_done() -> bool:
            progress = self.cgi.ask("disks/job.cgi", what, jobid=number, diskid=DISK)
            return self.cgi.require(progress, "job", "progress") == "100"

        self._wait(is_done, "has not unmounted the network share")

    def _wait(self, is_done: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while not is_done():
            if time.monotonic() > deadline:
                raise DeviceError(
                    f"{self.url} {otherwise} within {_TIMEOUT_SECONDS} s",
                    hint="the camera's own web pages show the state of its storage",
                )
            self.sleep(0.5)

    def _ask(self, call: str, what: str, **query: str) -> Element:
        return self.cgi.ask(f"{_SHARES}/{call}.cgi", what, schemaversion="1", **query)


def _login(share: Share) -> dict[str, str]:
    return {"user": share.user, "pass": share.password} if share.user else {}
