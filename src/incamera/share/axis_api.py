"""The camera's own network-share API: it mounts SMB shares for those who may not log in as root.

From what Axis documents for AXIS OS 5.40 and later (developer.axis.com, VAPIX, "Edge storage API": the chapters
"Network share API", schema 1, and "Disk management API", as of January 2026). Cameras of 10.12 to 12.9 list it as
`disk-network-share` 1.0 (recorded). Nobody has tried this on a camera.

What is easily missed there: `bind` succeeds when the camera has accepted to mount, not when it has mounted: the disk's
status tells. A mounted share cannot be unbound (error 400): it is unmounted by the disk API first, which is a job.
`test` is a job, too; its failure comes inside of a `JobSuccess`. An unbound share has no `DiskId` at all. One share
at a time can be bound, to the disk `NetworkShare`; SMB is spoken on the usual port only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera.errors import DeviceError, UsageError
from incamera.share.axis_cgi import AxisCgi, CameraError, nodes
from incamera.share.values import Protocol

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from incamera.share.values import Share

DISK = "NetworkShare"
_SHARES = "disks/networkshare"
_MOUNTED = "400"
_WITHIN_SECONDS = 60


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
    """One camera's API. Every method raises DeviceError and its kinds. `sleep` is called while the camera works."""

    cgi: AxisCgi
    sleep: Callable[[float], None] = time.sleep

    @property
    def url(self) -> str:
        return self.cgi.url

    def list(self) -> list[KnownShare]:
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
        """Return the state of the disk that shares are mounted as: OK, connected, disconnected, failed."""
        answer = self.cgi.ask("disks/list.cgi", "list its disks", diskid=DISK)
        return next((node.get("status", "") for node in nodes(answer, "disk") if node.get("diskid") == DISK), "")

    def test(self, share: Share, address: str) -> None:
        """Have the camera try whether it can mount *share*, and write there."""
        what = "use the network share"
        answer = self._ask("test", what, address=address, share=share.path, **_login(share))
        number = self.cgi.require(answer, "TestSuccess", "JobId")

        def is_done() -> bool:
            progress = self._ask("job", what, jobid=number)
            return next(nodes(progress, "GeneralSuccess"), None) is not None

        self._wait(is_done, "has not ended its test of the share")

    def add(self, share: Share, address: str) -> str:
        """Tell the camera of *share*, whose server is at *address*. Returns its number there."""
        words = {"nicename": share.name, "address": address, "share": share.path, **_login(share)}
        return self.cgi.require(self._ask("add", "add the network share", **words), "AddSuccess", "ShareId")

    def bind(self, number: str) -> None:
        """Have the camera mount the share, and wait until it has."""
        answer = self._ask("bind", "bind the network share", shareid=number)
        self.cgi.require(answer, "BindSuccess", "DiskID", "DiskId")

        def is_mounted() -> bool:
            if (status := self.status()) == "failed":
                raise DeviceError(f"{self.url} cannot mount the network share: the disk's status is {status}")
            return status == "OK"

        self._wait(is_mounted, "has not mounted the network share")

    def unbind(self, number: str) -> None:
        """Have the camera give up the share, unmounted before if it is mounted."""
        try:
            self._ask("unbind", "unbind the network share", shareid=number)
        except CameraError as error:
            if error.code != _MOUNTED:
                raise
            self._unmount()
            self._ask("unbind", "unbind the network share", shareid=number)

    def remove(self, number: str) -> None:
        self._ask("remove", "remove the network share", shareid=number)

    def attach(self, share: Share, address: str) -> bool:
        """Have the camera mount *share*; what we told it of that name before is replaced. False: it has it already."""
        if share.protocol is not Protocol.smb or share.port != Protocol.smb.port:
            raise UsageError(
                f"a camera's own API mounts SMB on port {Protocol.smb.port} only, and {share.name} is {share.url}",
                hint="serve it there (root may, or a firewall's redirection), or attach it over SSH as root",
            )
        known = self.list()
        bound = next((other for other in known if other.disk), None)
        if bound is not None and bound.name != share.name:
            raise DeviceError(
                f"{self.url} has the share {bound.name} ({bound.address}) mounted",
                hint="that was not done here; `incamera share detach --api` takes it away",
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
        except BaseException:  # Ctrl-C, too: nothing half-mounted stays
            with suppress(DeviceError):
                self.unbind(number)
            with suppress(DeviceError):
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

    def _unmount(self) -> None:
        what = "unmount the network share"
        answer = self.cgi.ask("disks/mount.cgi", what, action="unmount", diskid=DISK)
        number = self.cgi.require(answer, "job", "jobid")

        def is_done() -> bool:
            progress = self.cgi.ask("disks/job.cgi", what, jobid=number, diskid=DISK)
            return self.cgi.require(progress, "job", "progress") == "100"

        self._wait(is_done, "has not unmounted the network share")

    def _wait(self, is_done: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + _WITHIN_SECONDS
        while not is_done():
            if time.monotonic() > deadline:
                raise DeviceError(
                    f"{self.url} {otherwise} within {_WITHIN_SECONDS} s",
                    hint="its own web pages show the state of its storage",
                )
            self.sleep(0.5)

    def _ask(self, call: str, what: str, **query: str) -> Element:
        return self.cgi.ask(f"{_SHARES}/{call}.cgi", what, schemaversion="1", **query)


def _login(share: Share) -> dict[str, str]:
    return {"user": share.user, "pass": share.password} if share.user else {}
